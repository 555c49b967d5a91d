"""Readers of a stored audit: one renderer per format."""
