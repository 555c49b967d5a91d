"""The four-fifths rule in integers: the official examples, what a float would get wrong, and what selections would mend it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats.impact import below_four_fifths, highest, one_moved, reading, selections_to_four_fifths, shortfall

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_questions_and_answers_11():
    """60 %, 45 %, 48 % and 51 %: ratios .75, .80, .85, and only the first is below four fifths (44 FR 11996)."""
    assert [below_four_fifths(x, 100, 60, 100) for x in (45, 48, 51)] == [True, False, False]
    assert (6 / 10) / (15 / 20) < 0.8  # what floats say of exactly four fifths
    assert not below_four_fifths(6, 10, 15, 20)


def test_one_selection_moved():
    """1 of 10 women and 3 of 20 men: .667, and 2.0 had one selection gone the other way."""
    assert below_four_fifths(1, 10, 3, 20)
    assert one_moved(1, 10, 3, 20) == 2
    assert one_moved(0, 10, 1, 10) is None  # the reference would have none left
    assert one_moved(10, 10, 10, 10) is None  # the group is full


def test_the_highest_rate_is_exact_and_ties_go_to_the_larger_group():
    assert highest([1, 2, 5], [3, 6, 16]) == 1
    assert highest([1, 1], [3, 3]) == 0
    assert highest([0, 0], [0, 5]) == 1
    assert highest([0], [0]) is None
    big = 10**17
    assert highest([big, big + 1], [3 * big, 3 * big + 3]) == 1  # equal rates, whatever a float makes of them


@given(counts, counts)
def test_the_selections_needed_are_the_fewest(group, reference):
    (x, n), (x0, n0) = group, reference
    needed = selections_to_four_fifths(x, n, x0, n0)
    assert (needed == 0) == (not below_four_fifths(x, n, x0, n0))
    assert Fraction(x + needed, n) >= Fraction(4 * x0, 5 * n0)
    if needed:
        assert Fraction(x + needed - 1, n) < Fraction(4 * x0, 5 * n0)


@given(counts, counts)
def test_the_shortfall_of_one_is_the_excess_of_the_other(group, reference):
    assert shortfall(*group, *reference) == pytest.approx(-shortfall(*reference, *group), abs=1e-9)
    if group[0] * reference[1] == reference[0] * group[1]:
        assert shortfall(*group, *reference) == 0


def test_four_readings():
    assert {reading(b, s) for b in (True, False) for s in (True, False)} == {
        "indicated by both", "ratio only, small-number caution", "statistical, check practical", "not indicated",
    }  # fmt: skip
    assert reading(True, True) == "indicated by both"
    # 59 of 88 against 491 of 581: 0.793; with one selection moved 60/88 over 490/581 = 0.808.
    assert one_moved(59, 88, 491, 581) == Fraction(60 * 581, 88 * 490)
    assert reading(True, True, one_moved(59, 88, 491, 581)) == "one selection decides"
    assert reading(True, True, Fraction(4, 5)) == "one selection decides"
    assert reading(True, True, Fraction(79, 100)) == "indicated by both"
    assert reading(True, False, Fraction(1)) == "ratio only, small-number caution"
    assert reading(False, True) == "statistical, check practical"
