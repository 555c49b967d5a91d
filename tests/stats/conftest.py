"""The same examples in every run, and no deadline: the first call of a function pays for its imports."""

from hypothesis import settings

settings.register_profile("stats", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("stats")
