"""Checks of the family calibration."""
