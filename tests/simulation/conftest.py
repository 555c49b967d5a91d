"""Counts come again in thousands of simulated audits: what is worked out from them alone is worked out once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest

from audit.stats import compare, power

OF_COUNTS = {
    compare: ("miettinen_nurminen", "newcombe", "odds_ratio", "equality_test"),
    power: ("chance_to_pass_ratio", "chance_to_pass_difference"),
}


@pytest.fixture(autouse=True, scope="module")
def _remembered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, names in OF_COUNTS.items():
            for name in names:
                patch.setattr(module, name, lru_cache(maxsize=20_000)(getattr(module, name)))
        yield
