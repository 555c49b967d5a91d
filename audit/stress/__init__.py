"""Rows made harder for a model: noise, corruptions, typos, and moves that look for another answer."""
