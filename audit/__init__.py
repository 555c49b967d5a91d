"""The audit: one command from a model to evidence and verdicts."""
