"""Explainers: how much each input column moved an output, and how far the parts miss the whole."""
