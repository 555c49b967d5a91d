"""Checks of the family explanation."""
