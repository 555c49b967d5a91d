"""Costs of decisions and times of calls: worked by hand, a slow twin, coverage, and a clock that is not ours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.checks.efficiency.latency import MOST_CALLS, WARM_UPS, timed
from audit.stats import costs, latency
from audit.stats.costs import Costs
from audit.stats.quantiles import quantile

CELLS = np.array([[60, 10, 10, 20]])  # true negatives, false positives, false negatives, true positives


def test_costs_worked_by_hand():
    declared = Costs(1, 5)
    assert costs.expected_cost(CELLS, declared)[0] == pytest.approx((10 * 1 + 10 * 5) / 100)
    assert costs.expected_cost(CELLS, Costs(1, 5, 0.5, 0.1))[0] == pytest.approx((10 + 50 + 10 + 6) / 100)
    assert declared.cutoff == pytest.approx(1 / 6)  # Elkan 2001
    assert Costs(2, 2).cutoff == 0.5
    assert Costs(4, 1, true_positive=0.5, true_negative=1).cutoff == pytest.approx(3 / 3.5)
    assert Costs(1, 5, true_positive=6).cutoff is None  # finding an event costs more than missing it
    # Vickers and Elkin 2006: 20 % true positives less 10 % false ones at .2 / .8
    assert costs.net_benefit(CELLS, 0.2)[0] == pytest.approx(0.2 - 0.1 * 0.25)
    assert costs.net_benefit(CELLS, 0.0)[0] == pytest.approx(0.2)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60))
def test_cells_at_cutoffs_are_those_of_each_rule(rows):
    counts = np.zeros((2, 10), np.int64)
    for place, y in rows:
        counts[int(y), place] += 1
    cells = costs.at_cutoffs(counts)
    assert cells.shape == (11, 4)
    for cutoff in range(11):
        twin = [sum(1 for p, y in rows if (y, p >= cutoff) == key) for key in ((False, False), (False, True), (True, False), (True, True))]
        assert cells[cutoff].tolist() == twin
    np.testing.assert_array_equal(costs.at_cutoffs(np.stack([counts, 2 * counts])), np.stack([cells, 2 * cells]))


def test_the_implied_cutoff_is_the_cheapest_where_probabilities_are_right():
    rng = np.random.default_rng(0)
    p = rng.random(400_000)
    y = (rng.random(p.size) < p).astype(int)
    counts = np.stack([np.bincount((p[y == k] * 100).astype(int), minlength=100) for k in (0, 1)])
    declared = Costs(1, 4)
    cheapest = costs.expected_cost(costs.at_cutoffs(counts), declared).argmin() / 100
    assert cheapest == pytest.approx(declared.cutoff, abs=0.04)


# --- latency ---------------------------------------------------------------------------------------------------------------------------


def test_the_median_of_six_calls_lies_between_the_first_and_the_last():
    e = quantile(np.array([3.0, 1, 2, 6, 5, 4]), 0.5, level=0.95)  # P(outside) = 2/64
    assert (e.value, e.low, e.high, e.method) == (3, 1, 6, "order_statistics")
    assert quantile(np.arange(5.0), 0.5, level=0.95) is None
    assert quantile(np.arange(100.0), 0.99, level=0.95) is None  # .99^100 = .37: the highest call is no upper limit
    assert quantile(np.zeros(0), 0.5, level=0.95) is None


def test_ranks_are_those_of_a_table():
    """Ranks 40 and 61 of 100 bound the median at 95 % (David and Nagaraja 2003)."""
    e = quantile(np.arange(1.0, 101), 0.5, level=0.95)
    assert (e.value, e.low, e.high) == (50, 40, 61)


@pytest.mark.parametrize(("n", "q"), [(60, 0.5), (200, 0.95), (700, 0.99), (10, 0.5)])
def test_quantile_intervals_cover_at_least_what_they_say(n, q):
    rng = np.random.default_rng(n)
    truth = -math.log(1 - q)
    hits = 0
    for _ in range(2000):
        e = quantile(rng.exponential(size=n), q, level=0.9)
        hits += e.low <= truth <= e.high
    assert hits / 2000 > 0.885


def test_a_quiet_machine_agrees_with_itself_and_a_drifting_one_does_not():
    rng = np.random.default_rng(1)
    inside, alarms = [], []
    for _ in range(300):
        quiet = latency.same_twice(rng.gamma(20, 1, 400), level=0.9)
        inside.append(quiet.difference.low <= 0 <= quiet.difference.high)
        alarms.append(quiet.alarms.value)
    assert 0.86 < np.mean(inside) < 0.97
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.015)
    step = np.where(np.arange(400) % 40 < 20, 1.0, 2.0) * rng.gamma(200, 1, 400)
    assert latency.same_twice(step, level=0.9).alarms.low > 0.7
    other = np.where(np.arange(400) % 2, 1.0, 1.3) * rng.gamma(400, 1, 400)
    assert latency.same_twice(other, level=0.9).difference.value == pytest.approx(-0.26, abs=0.03)
    assert latency.same_twice(np.ones(39), level=0.9) is None
    assert latency.same_twice(np.zeros(100), level=0.9) is None
    assert latency.same_twice(np.ones(100), level=0.9).difference.value == 0


def test_rows_a_second():
    e = latency.throughput(np.array([0.1, 0.1, 0.2, 0.2]), 30, level=0.95)
    assert e.value == pytest.approx(200)
    half = 3.182446 * np.std([0.1, 0.1, 0.2, 0.2], ddof=1) / 2
    assert (e.low, e.high) == pytest.approx((30 / (0.15 + half), 30 / (0.15 - half)))
    assert latency.throughput(np.array([0.1]), 1, level=0.95) is None
    assert latency.throughput(np.array([0.001, 5.0]), 1, level=0.95) is None


class Clock:
    """Stands still but for what calls take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.calls += 1
        self.now += 1.0 if self.calls <= WARM_UPS else 0.01  # what is slow is warming up


def test_a_call_of_ten_milliseconds_takes_ten_milliseconds():
    """EFF-02: warm-up calls are not counted."""
    clock = Clock()
    times = timed([clock.work] * WARM_UPS, 12.0, clock)
    assert len(times) == clock.calls - WARM_UPS == pytest.approx(200, abs=2)
    e = quantile(times, 0.5, level=0.95)
    assert e.value == pytest.approx(0.010)
    assert (e.low, e.high) == pytest.approx((0.010, 0.010))


def test_the_budget_ends_a_measurement_and_calls_are_bounded():
    slow = Clock()
    assert timed([slow.work] * WARM_UPS, 3.5, slow).size == 0
    assert slow.calls == 4
    quick = Clock()
    assert timed([quick.work] * WARM_UPS, 1e9, quick).size == MOST_CALLS
