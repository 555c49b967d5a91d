"""Ten groups that are equal: however many are compared, the audit fails in at most one of twenty. Run -m slow -s to see the table."""

from __future__ import annotations

import pytest
from simulated import shares, ten_equal

#: Rows of each group, and the rate that all of them have.
CASES = [(60, 0.3), (200, 0.1), (200, 0.3), (200, 0.9), (1_000, 0.3)]


def check(size: int, base: float, runs: int, slack: float) -> None:
    assert shares(ten_equal, size, base, runs)["fail"] <= 0.05 + slack


@pytest.mark.parametrize(("size", "base"), CASES)
def test_ten_equal_groups_seldom_fail(size: int, base: float) -> None:
    check(size, base, runs=40, slack=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "base"), CASES)
def test_ten_equal_groups_seldom_fail_long(size: int, base: float) -> None:
    check(size, base, runs=1000, slack=0.0)
