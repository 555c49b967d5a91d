"""Checks of the family uncertainty."""
