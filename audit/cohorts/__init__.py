"""Cohorts: rows that a person names, counted in the scored rows where this machine keeps them; `python -m audit.cohorts --serve`."""
