"""Rows that smaller models answer otherwise: modes by hand, ties that hang on no order, a ratio of shares held to its definition, and its coverage."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.stats.compare import equality_test, koopman
from audit.stats.exemplars import exemplars, modes, share_ratio, tied

#: Five models of two classes (rows of the array) and six rows (columns). Votes for class 1: 5, 3, 2, 0, 3, 2, so the modes are 1, 1, 0, 0, 1, 0.
BEFORE = np.array([
    [1, 1, 1, 0, 1, 0],
    [1, 1, 1, 0, 1, 0],
    [1, 1, 0, 0, 1, 0],
    [1, 0, 0, 0, 0, 1],
    [1, 0, 0, 0, 0, 1],
])  # fmt: skip
#: Votes for class 1: 5, 2, 2, 3, 4, 5, so the modes are 1, 0, 0, 1, 1, 1: the second, fourth and sixth row differ.
AFTER = np.array([
    [1, 1, 1, 1, 1, 1],
    [1, 1, 1, 1, 1, 1],
    [1, 0, 0, 1, 1, 1],
    [1, 0, 0, 0, 1, 1],
    [1, 0, 0, 0, 0, 1],
])  # fmt: skip


def test_the_modes_of_five_models_by_hand() -> None:
    before, after = modes(BEFORE, 2), modes(AFTER, 2)
    assert before.argmax(axis=1).tolist() == [1, 1, 0, 0, 1, 0]
    assert after.argmax(axis=1).tolist() == [1, 0, 0, 1, 1, 1]
    assert not tied(before).any()
    assert exemplars(before, after).tolist() == [False, True, False, True, False, True]


def test_a_group_s_share_by_hand() -> None:
    """Rows 4 to 6 are one group: two of the three that differ, and half of all six, so (2/3) / (1/2) = 4/3; the others have (1/3) / (1/2) = 2/3."""
    found = share_ratio(2, 3, 1, 3, level=0.95)
    assert found is not None
    assert (found.value, found.n, found.method) == (pytest.approx(4 / 3), 6, "koopman_shares")
    others = share_ratio(1, 3, 2, 3, level=0.95)
    assert others is not None
    assert others.value == pytest.approx(2 / 3)


def test_a_tie_differs_only_from_what_it_does_not_hold() -> None:
    """Six models: 3 to 3 (a tie of both classes) against all 1 is no difference; with three classes a tie of 0 and 1 against 2 is one."""
    tie, ones = np.array([[0, 0, 0, 1, 1, 1]]).T, np.ones((6, 1), int)
    for before, after in ((tie, ones), (ones, tie), (tie, 1 - ones), (tie, tie)):
        assert exemplars(modes(before, 2), modes(after, 2)).tolist() == [False]
    assert tied(modes(tie, 2)).tolist() == [True]
    assert exemplars(modes(tie, 3), modes(2 * ones, 3)).tolist() == [True]
    assert exemplars(modes(tie, 3), modes(np.array([[1, 1, 2, 2, 0, 2]]).T, 3)).tolist() == [True]  # 2 alone is most frequent there


@given(
    st.integers(2, 4).flatmap(
        lambda c: st.tuples(st.just(c), *[st.lists(st.lists(st.integers(0, c - 1), min_size=7, max_size=7), min_size=5, max_size=6)] * 2)
    )
)
def test_modes_are_those_of_a_slow_twin_and_know_no_order_of_classes(drawn: tuple[int, list[list[int]], list[list[int]]]) -> None:
    classes, *both = drawn
    before, after = (np.array(votes) for votes in both)
    found = exemplars(modes(before, classes), modes(after, classes))
    for row in range(7):
        most = []
        for votes in (before, after):
            counted = Counter(votes[:, row].tolist())
            most.append({c for c in counted if counted[c] == max(counted.values())})
        assert found[row] == (not most[0] & most[1])
    other = np.random.default_rng(0).permutation(classes)
    assert (exemplars(modes(other[before], classes), modes(other[after], classes)) == found).all()


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_the_ratio_of_shares_is_koopman_s_ratio_carried_over(n1: int, n0: int, data: st.DataObject) -> None:
    k1, k0 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n0))
    found, plain, share = share_ratio(k1, n1, k0, n0, level=0.9), koopman(k1, n1, k0, n0, level=0.9), n1 / (n1 + n0)
    if k1 + k0 == 0:
        assert found is None
        return
    assert found is not None
    assert found.value == pytest.approx((k1 / (k1 + k0)) / share)
    assert 0 <= found.low <= found.value <= found.high <= 1 / share + 1e-9
    if plain is None:  # nobody else counts: all of them are the group's, and the ratio is as large as it can be
        assert found.value == pytest.approx(found.high) == pytest.approx(1 / share)
        return
    for mine, theirs in ((found.low, plain.low), (found.high, plain.high)):
        assert mine == pytest.approx(theirs / (share * theirs + 1 - share))
    assert (found.low > 1, found.high < 1) == (plain.low > 1, plain.high < 1)


@pytest.mark.parametrize("counts", [(0, 5, 0, 5), (0, 0, 3, 5), (3, 5, 0, 0)])
def test_without_rows_that_count_or_anybody_else_there_is_no_ratio(counts: tuple[int, int, int, int]) -> None:
    assert share_ratio(*counts, level=0.95) is None


def populations(rng: np.random.Generator, minority: np.ndarray, harm: float, seeds: int = 5) -> np.ndarray:
    """Which rows differ (n,) between `seeds` models, each wrong at random on a tenth of the rows, and their smaller versions, which answer otherwise on
    6 % of all rows and on `harm` more of the minority: the same rows in every version, as what compression forgets is no luck of a seed."""
    n = len(minority)
    truth = rng.integers(0, 2, n)
    before = np.where(rng.random((seeds, n)) < 0.1, 1 - truth, truth)
    lost = rng.random(n) < np.where(minority, 0.06 + harm, 0.06)
    return exemplars(modes(before, 2), modes(np.where(lost, 1 - before, before), 2))


def counted(differ: np.ndarray, minority: np.ndarray) -> tuple[int, int, int, int]:
    return int(differ[minority].sum()), int(minority.sum()), int(differ[~minority].sum()), int((~minority).sum())


def test_where_nothing_is_planted_the_interval_covers_1_as_often_as_it_says() -> None:
    """Of 600 draws of 1,000 rows, a fifth of them a minority: 95 % within three standard errors, and the test rejects in 5 %."""
    rng = np.random.default_rng(4)
    low, high, rejected = [], [], []
    for _ in range(600):
        minority = rng.random(1000) < 0.2
        counts = counted(populations(rng, minority, 0.0), minority)
        found, tested = share_ratio(*counts, level=0.95), equality_test(*counts)
        assert found is not None
        assert tested is not None
        low.append(found.low > 1)
        high.append(found.high < 1)
        rejected.append(tested[0] < 0.05)
    assert np.mean(low) + np.mean(high) == pytest.approx(0.05, abs=0.027)
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.027)


def test_what_is_planted_in_a_minority_is_found_there() -> None:
    """The minority changes at 6 + 12 %, the others at 6 %, a rate ratio of 3, and as a fifth of the rows its ratio of shares is 3 / (3/5 + 4/5) = 15/7."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(100):
        minority = rng.random(1500) < 0.2
        estimate = share_ratio(*counted(populations(rng, minority, 0.12), minority), level=0.95)
        assert estimate is not None
        found.append((estimate.low > 1, estimate.value))
    assert np.mean([above for above, _ in found]) > 0.99
    assert np.mean([value for _, value in found]) == pytest.approx(15 / 7, rel=0.04)
