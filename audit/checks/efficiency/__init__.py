"""Checks of the family efficiency."""
