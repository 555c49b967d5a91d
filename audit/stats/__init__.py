"""Intervals, tests and bounds: arrays or counts in, estimates out."""
