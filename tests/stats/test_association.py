"""Association of two columns, scores out of fold, spread between periods, fingerprints of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from audit.stats.association import balanced_folds, binned, cramers_v, pooled, rates_out_of_fold
from audit.stats.auc import auc_over_folds
from audit.stats.fingerprints import matches, mixed, twins
from audit.stats.heterogeneity import heterogeneity, slope

# --- Cramér's V ------------------------------------------------------------------------------------------------------------------------


def test_cramers_v_by_hand() -> None:
    """χ² of [[20, 30], [40, 10]] is 100 (20·10 − 30·40)² / (50·50·60·40) = 16⅔; φ̃² = 1/6 − 1/99, and r̃ = c̃ = 2 − 1/99."""
    found = cramers_v([[20, 30], [40, 10]], level=0.95)
    assert found is not None
    assert found.value == pytest.approx(np.sqrt((1 / 6 - 1 / 99) / (1 - 1 / 99)))
    assert found.low < np.sqrt(1 / 6) < found.high
    assert found.n == 100


def test_independence_is_0_and_still_has_a_width() -> None:
    found = cramers_v([[50, 50], [50, 50]], level=0.95)
    assert found is not None
    assert (found.value, found.low) == (0, 0)
    assert 0.05 < found.high < 0.2


def test_one_column_gives_the_other() -> None:
    found = cramers_v(np.diag([300, 200, 100]), level=0.95)
    assert found is not None
    assert found.value == pytest.approx(1)
    assert found.low > 0.9


@pytest.mark.parametrize("table", [[[5, 5]], [[5], [5]], [[0, 0], [0, 0]], [[1, 0], [0, 0]]])
def test_nothing_to_associate(table: list[list[int]]) -> None:
    assert cramers_v(table, level=0.95) is None


def test_its_interval_covers_the_truth() -> None:
    """4 × 2 cells, 600 rows, true V about 0.25: the 95 % interval holds it in 92 to 99 % of 400 draws."""
    shares = np.array([[4, 1], [3, 2], [2, 3], [1.5, 3.5]])
    shares /= shares.sum()
    independent = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    truth = float(np.sqrt(((shares - independent) ** 2 / independent).sum()))
    rng = np.random.default_rng(0)
    drawn = [cramers_v(rng.multinomial(600, shares.ravel()).reshape(4, 2), level=0.95) for _ in range(400)]
    assert 0.92 < np.mean([d is not None and d.low <= truth <= d.high for d in drawn]) < 0.99
    assert np.mean([d.value for d in drawn if d]) == pytest.approx(truth, abs=0.01)


# --- codes and folds -------------------------------------------------------------------------------------------------------------------


def test_a_value_that_many_share_is_a_bin_by_itself() -> None:
    x = np.concatenate([np.zeros(95), np.arange(1, 31), [np.nan, np.inf]])
    codes = binned(x, bins=10)
    assert len(set(codes[:95])) == 1
    assert codes[0] not in codes[95:125]
    assert len(set(codes[125:])) == 1
    assert codes[125] not in codes[:125]
    assert (np.diff(codes[:125]) >= 0).all()


def test_few_values_stay_as_they_are_and_rare_categories_are_pooled() -> None:
    assert binned([3, 1, 1, 2, np.nan], bins=5).tolist() == [2, 0, 0, 1, 3]
    assert pooled([0, 0, 0, 1, 1, 2, 3, -1, -1], most=2).tolist() == [0, 0, 0, 2, 2, 2, 2, 1, 1]


def test_folds_share_each_outcome_evenly() -> None:
    y = np.array([0] * 53 + [1] * 17)
    folds = balanced_folds(y, 5, np.random.default_rng(0))
    for value in (0, 1):
        counts = np.bincount(folds[y == value], minlength=5)
        assert np.ptp(counts) <= 1


def test_rates_out_of_fold_are_those_of_the_other_folds() -> None:
    """A slow twin, row by row."""
    rng = np.random.default_rng(1)
    codes, y, folds = rng.integers(0, 4, 60), rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    found = rates_out_of_fold(codes, y, folds)
    for i in range(60):
        other = [j for j in range(60) if folds[j] != folds[i]]
        mine = [int(y[j]) for j in other if codes[j] == codes[i]]
        assert found[i] == pytest.approx((sum(mine) + np.mean([y[j] for j in other])) / (len(mine) + 1))


def test_scores_that_say_nothing_hold_one_half() -> None:
    """300 draws of 400 rows whose codes have nothing to do with the outcome: the 95 % interval holds 0.5 in at least 93 %."""
    rng = np.random.default_rng(2)

    def drawn() -> bool:
        codes, y = rng.integers(0, 10, 400), rng.integers(0, 2, 400)
        folds = balanced_folds(y, 5, rng)
        found = auc_over_folds(rates_out_of_fold(codes, y, folds), y, folds, level=0.95)
        return found is not None and found.low <= 0.5 <= found.high

    assert np.mean([drawn() for _ in range(300)]) >= 0.93


# --- heterogeneity ---------------------------------------------------------------------------------------------------------------------


def test_q_of_rates_under_a_common_rate_is_pearsons_chi_square() -> None:
    n, k = np.array([300, 400, 500, 80]), np.array([150, 220, 300, 30])
    common = k.sum() / n.sum()
    found = heterogeneity(k / n, common * (1 - common) / n, rows=int(n.sum()), level=0.95)
    expected = chi2_contingency(np.array([k, n - k]), correction=False)
    assert found is not None
    assert found.q == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.freedom == 3


def test_the_spread_makes_q_its_freedom() -> None:
    """Paule and Mandel's definition; equal variances make it the sample variance less the variance of each value."""
    values = np.array([0.1, 0.5, 0.3, 0.9])
    found = heterogeneity(values, np.full(4, 0.01), rows=10, level=0.95)
    assert found is not None
    assert found.spread.value == pytest.approx(np.sqrt(values.var(ddof=1) - 0.01))
    assert found.spread.low < found.spread.value < found.spread.high


def test_values_closer_than_their_errors_have_no_spread() -> None:
    found = heterogeneity([0.5, 0.51, 0.5], [0.01, 0.01, 0.01], rows=9, level=0.95)
    assert found is not None
    assert found.spread.value == found.spread.low == 0
    assert found.p_value > 0.9
    assert heterogeneity([0.5], [0.1], rows=1, level=0.95) is None
    with pytest.raises(ValueError, match="variance above 0"):
        heterogeneity([0.5, 0.6], [0.1, 0.0], rows=1, level=0.95)


def test_slope_is_that_of_weighted_least_squares() -> None:
    values, variances = np.array([0.1, 0.25, 0.2, 0.4]), np.array([0.01, 0.02, 0.005, 0.01])
    found = slope(values, variances, rows=4, level=0.95)
    coefficients, covariance = np.polyfit(np.arange(4), values, 1, w=1 / np.sqrt(variances), cov="unscaled")
    assert found is not None
    assert found.value == pytest.approx(coefficients[0])
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(covariance[0, 0]), rel=1e-6)
    assert slope(values[:2], variances[:2], rows=2, level=0.95) is None


# --- fingerprints ----------------------------------------------------------------------------------------------------------------------

TABLES = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=30)


def prints(rows: list[tuple[int, ...]], columns: range = range(3)) -> np.ndarray:
    values = np.array(rows, dtype=np.uint64).reshape(-1, 3)
    out = np.zeros(len(rows), dtype=np.uint64)
    for j in columns:
        out += mixed(values[:, j], j)
    return out


@given(TABLES, TABLES)
def test_matches_and_twins_are_those_of_the_rows(ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> None:
    found = matches(prints(ours), prints(theirs))
    assert found.seen.tolist() == [row in theirs for row in ours]
    assert found.pairs == sum(a == b for a in ours for b in theirs)
    own = twins(prints(ours))
    assert own.seen.tolist() == [ours.count(row) > 1 for row in ours]
    assert own.pairs == sum(ours[i] == ours[j] for i in range(len(ours)) for j in range(i))


@given(TABLES, st.integers(0, 2))
def test_a_column_is_left_out_by_taking_it_away(rows: list[tuple[int, ...]], left: int) -> None:
    column = prints(rows, range(left, left + 1))
    without = prints(rows) - column
    expected = [tuple(v for j, v in enumerate(row) if j != left) for row in rows]
    assert twins(without).seen.tolist() == [expected.count(row) > 1 for row in expected]


def test_no_rows_match_nothing() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert matches(none, prints([(1, 2, 3)])).pairs == matches(none, none).pairs == 0
    assert matches(prints([(1, 2, 3)]), none).seen.tolist() == [False]
