"""Whether the model tells who was in its training data, and whether what was promised of them stands."""
