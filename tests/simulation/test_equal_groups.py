"""How often a fair model of two groups, 90 to 10, gets which verdict. The short version runs always; run -m slow -s to see the table."""

from __future__ import annotations

import pytest
from simulated import SHAPES, fair, shares

CASES = [(n, base) for base in SHAPES for n in (600, 2_000, 10_000)]


def check(n: int, base: float, runs: int, slack: float) -> None:
    found = shares(fair, n, base, runs)
    assert found["fail"] <= 0.05 + slack
    if n == 10_000 and base in (0.3, 0.9):
        assert found["pass"] >= 0.80 - slack


@pytest.mark.parametrize(("n", "base"), CASES)
def test_a_fair_model_seldom_fails_and_passes_with_enough_rows(n: int, base: float) -> None:
    check(n, base, runs=40, slack=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "base"), CASES)
def test_a_fair_model_seldom_fails_and_passes_with_enough_rows_long(n: int, base: float) -> None:
    check(n, base, runs=500, slack=0.0)
