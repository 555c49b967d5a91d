"""Checks of the family fairness."""
