"""Checks of what a language model says, prefers and remembers."""
