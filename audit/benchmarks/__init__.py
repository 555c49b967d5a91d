"""Benchmarks of language models: files that the user brings, in the formats of their authors."""
