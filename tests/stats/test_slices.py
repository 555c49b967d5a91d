"""Slices: published goldens, an obvious slow twin, the pitfall of SliceLine's weight, and what a search leaves out."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from audit.stats import slices
from audit.stats.compare import fisher_exact, higher_test, pooled_score_test
from audit.stats.slices import By, Cells, Found, Search, Tally, cells, divisions, lower_bound, slice_z, sliceline_score

Ints = NDArray[np.int64]


def read(counts: Ints) -> tuple[Ints, Ints]:
    """Codes are 2 · half + wrong."""
    halves = counts.reshape(len(counts), 2, 2)
    return halves[:, :, 1], halves.sum(axis=2)


def tabled(columns: list[Ints], code: Ints, sizes: list[int]) -> Cells:
    """Each attribute with a last level that names no slice, as `cells` has it."""
    tally = Tally(int(np.prod(sizes)) * 4)
    tally.add(np.ravel_multi_index([*columns, code], (*sizes, 4)))
    return cells(tally, tuple(range(len(sizes))), sizes, 4)


def searched(
    columns: list[Ints], wrong: Ints, half: Ints, *, support: int = 1, most: int = 10, by: By = "bound", alpha: float = 0.99
) -> list[Found]:
    table = tabled(columns, 2 * half + wrong, [int(c.max()) + 2 for c in columns])
    return Search(support, 1, most, by, alpha).among(list(divisions([table], 3)), read, table.counts.sum(axis=0))[0]


# --- goldens ---------------------------------------------------------------------------------------------------------------------------


def test_the_score_of_the_hand_example() -> None:
    """100 rows of which 20 are wrong; 20 of them, half wrong: .95 (.5 / .2 − 1) − .05 (100 / 20 − 1) = 1.425 − .2."""
    assert sliceline_score(10, 20, errors=20, rows=100, alpha=0.95) == pytest.approx(1.225, abs=1e-12)


@pytest.mark.parametrize("by", ["sliceline", "z", "bound"])
def test_the_planted_slice_of_1200_rows_is_first(by: By) -> None:
    """a ∈ 2, b ∈ 3, c ∈ 4, 50 rows each, 5 errors in each cell and 30 where a = 1 and b = 2: .95 (.6 / .18333 − 1) − .05 (1200 / 200 − 1)."""
    a, b, c, i = (v.ravel() for v in np.indices((2, 3, 4, 50)))
    wrong = (i < np.where((a == 1) & (b == 2), 30, 5)).astype(np.int64)
    assert wrong.sum() == 220
    columns, rows = [np.tile(v, 2) for v in (a, b, c)], np.tile(wrong, 2)
    first = searched(columns, rows, np.repeat([0, 1], 1200), by=by, alpha=0.95)[0]
    assert first.levels == {0: 1, 1: 2}
    assert first.first == first.second == (120, 200, 100, 1000)
    assert sliceline_score(120, 200, errors=220, rows=1200, alpha=0.95) == pytest.approx(1.909091, abs=1e-6)
    if by == "sliceline":
        assert first.score == pytest.approx(1.909091, abs=1e-6)


@pytest.mark.parametrize(("share", "times"), [(0.01, 6.21), (0.02, 3.58), (0.05, 2.0), (0.10, 1.474)])
def test_the_error_that_a_share_needs_for_a_score_above_0(share: float, times: float) -> None:
    """1 + ((1 − α) / α)(1 / share − 1) at α = .95."""
    rows, errors = 1_000_000, 100_000
    n = round(share * rows)
    below, above = (round(f * times * n * errors / rows) for f in (0.99, 1.01))
    score = sliceline_score([below, above], [n, n], errors=errors, rows=rows, alpha=0.95)
    assert score[0] < 0 < score[1]


def test_a_small_slice_with_twice_the_error_is_lost_at_95_and_first_at_99_and_by_z() -> None:
    """1.8 % of 10,000 rows with error .4 for .2; all rows but 1 % share a level whose error is that of everybody."""
    n, small = 10_000, 180
    member = (np.arange(n) < small).astype(np.int64)
    wrong = np.where(member == 1, np.arange(n) % 5 < 2, np.arange(n) % 5 < 1).astype(np.int64)
    whole = (np.arange(n) // 5 % 100 == 50).astype(np.int64)  # 99 % have level 0, and whole fives with one error each level 1
    table = tabled([member, whole], wrong, [3, 3])
    ks, ns, names = [], [], []
    for division in divisions([table], 2):
        k, m = read(division.counts)
        for level, kk, nn in zip(division.levels.tolist(), k[:, 0], m[:, 0], strict=True):
            names.append(dict(zip(division.places, level, strict=True)))
            ks.append(kk)
            ns.append(nn)
    errors = int(wrong.sum())
    planted, everyone = names.index({0: 1}), names.index({1: 0})
    at95, at99 = (sliceline_score(ks, ns, errors=errors, rows=n, alpha=alpha) for alpha in (0.95, 0.99))
    assert at95[planted] < at95[everyone]
    large = [i for i, m in enumerate(ns) if m >= 100]
    assert names[max(large, key=lambda i: at99[i])] in ({0: 1}, {0: 1, 1: 0})
    z = slice_z(ks, ns, errors / n)
    assert names[max(large, key=lambda i: z[i])] in ({0: 1}, {0: 1, 1: 0})
    assert at95.max() == pytest.approx(0.0, abs=0.01)


# --- by hand ---------------------------------------------------------------------------------------------------------------------------


def test_z_by_hand() -> None:
    """(.6 − .2) / √(.2 · .8 / 25) = .4 / .08."""
    assert slice_z(15, 25, 0.2) == pytest.approx(5.0)
    assert slice_z([0, 3], [5, 5], 0.0).tolist() == [0.0, 0.0]


def test_the_lower_bound_is_newcombes() -> None:
    """Newcombe 1998, table II, (56/70, 48/80): the 95 % limits .0524 and .3339; one-sided at 95 % is two-sided at 90 %, and above it."""
    from audit.stats.compare import newcombe

    theirs = newcombe(56, 70, 48, 80, level=0.90)
    assert theirs is not None
    assert lower_bound(56, 70, 48, 80) == pytest.approx(theirs.low)
    assert theirs.low > 0.0524


def test_one_sided_p_is_half_of_the_two_sided_where_rows_are_many() -> None:
    score = pooled_score_test(20_300, 100_000, 200_000, 1_000_000)
    one = higher_test(20_300, 100_000, 200_000, 1_000_000)
    assert score is not None
    assert one is not None
    assert one[0] == pytest.approx(score[1] / 2, rel=0.03)
    lower = higher_test(40, 100, 600, 1000)
    assert lower is not None
    assert lower[0] > 0.99


def test_the_score_test_would_be_far_off_in_the_tail_where_a_search_ends() -> None:
    """12 or more of 34 at a rate of .15, against very many: binomial."""
    from scipy.stats import binom

    exact, score = higher_test(12, 34, 150_000, 1_000_000), pooled_score_test(12, 34, 150_000, 1_000_000)
    assert exact is not None
    assert score is not None
    assert exact[0] == pytest.approx(float(binom.sf(11, 34, 0.15)), rel=1e-3)
    assert exact[0] > 5 * score[1] / 2


def test_one_sided_fisher_by_hand() -> None:
    """The lady tasting tea: 3 of 4 against 1 of 4, (16 + 1) / 70; all four right: 1 / 70."""
    assert higher_test(3, 4, 1, 4) == (pytest.approx(17 / 70), "fisher_exact")
    assert higher_test(4, 4, 0, 4) == (pytest.approx(1 / 70), "fisher_exact")
    assert fisher_exact(4, 4, 0, 4) == pytest.approx(2 / 70)
    assert higher_test(0, 4, 0, 4) == (pytest.approx(1.0), "fisher_exact")
    assert higher_test(0, 0, 1, 4) is None


def test_the_weight_and_the_errors_are_checked() -> None:
    with pytest.raises(ValueError, match="alpha"):
        sliceline_score(1, 2, errors=1, rows=10, alpha=1.0)
    with pytest.raises(ValueError, match="errors"):
        sliceline_score(1, 2, errors=0, rows=10, alpha=0.9)


# --- an obvious twin -------------------------------------------------------------------------------------------------------------------


def everything(columns: list[Ints], wrong: Ints, half: Ints) -> dict[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """All slices of up to three attributes, a row at a time: (k, n) on both halves; the highest level of an attribute names none."""
    out: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for i in range(len(wrong)):
        own = [(a, int(c[i])) for a, c in enumerate(columns)]
        for size in (1, 2, 3):
            for chosen in combinations(own, size):
                found = out.setdefault(chosen, [0, 0, 0, 0])
                found[2 * half[i]] += int(wrong[i])
                found[2 * half[i] + 1] += 1
    return {key: tuple(v) for key, v in out.items()}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), attributes=st.integers(1, 5), apart=st.booleans())
def test_every_slice_is_counted_as_row_by_row(seed: int, attributes: int, apart: bool) -> None:
    """From one table of all attributes, and from tables of three."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, attributes).tolist()
    columns = [rng.integers(0, size, 60) for size in sizes]
    wrong, half = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    sets = list(combinations(range(attributes), 3)) if apart and attributes > 3 else [tuple(range(attributes))]
    tables = []
    for chosen in sets:
        table = tabled([columns[i] for i in chosen], 2 * half + wrong, [sizes[i] for i in chosen])
        tables.append(Cells(chosen, table.levels, table.counts))
    counted = {}
    for division in divisions(tables, 3):
        k, n = read(division.counts)
        for levels, kk, nn in zip(division.levels.tolist(), k.tolist(), n.tolist(), strict=True):
            counted[tuple(zip(division.places, levels, strict=True))] = (kk[0], nn[0], kk[1], nn[1])
    named = {key: v for key, v in everything(columns, wrong, half).items() if all(level < sizes[a] - 1 for a, level in key)}
    assert counted == named


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), support=st.integers(1, 30), by=st.sampled_from(["bound", "z", "sliceline"]))
def test_the_search_is_the_sorted_list_of_all(seed: int, support: int, by: Any) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, size, 200) for size in (2, 3, 3)]
    wrong, half = (rng.random(200) < 0.3).astype(np.int64), rng.integers(0, 2, 200)
    found = searched(columns, wrong, half, support=support, by=by)
    k_all, n_all = int(wrong[half == 0].sum()), int((half == 0).sum())
    scores = {}
    for key, (k, n, _, m) in everything(columns, wrong, half).items():
        if n + m >= support and n and m and n < n_all and m < 200 - n_all and k / n > (k_all - k) / (n_all - n) + 1e-12:
            score = {"bound": lower_bound(k, n, k_all - k, n_all - n), "z": slice_z(k, n, k_all / n_all),
                     "sliceline": sliceline_score(k, n, errors=k_all, rows=n_all, alpha=0.99)}[by]  # fmt: skip
            if score > 0:
                scores[key] = float(score)
    assert len({frozenset(f.levels.items()) for f in found}) == len(found)
    for f in found:
        assert f.score == pytest.approx(scores[tuple(f.levels.items())])
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
    for key, score in scores.items():  # whatever is not there ranks below the last, or lies inside or around one that is there
        own = dict(key).items()
        nested = any(own <= f.levels.items() or f.levels.items() <= own for f in found)
        assert nested or (len(found) == 10 and score <= found[-1].score + 1e-12)
    for one, other in combinations(found, 2):
        assert not one.levels.items() <= other.levels.items()
        assert not other.levels.items() <= one.levels.items()


def test_counts_do_not_depend_on_how_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 1000, 300) for _ in range(4)]
    kept = []
    for dense in (1 << 20, 10):
        monkeypatch.setattr(slices, "DENSE", dense)
        tally = Tally(1000)
        for block in blocks:
            tally.add(block)
        kept.append([part.tolist() for part in tally.counts()])
    assert kept[0] == kept[1]
    assert sum(kept[0][1]) == 1200


def test_small_slices_and_those_that_leave_nobody_else_are_not_ranked() -> None:
    a = np.repeat([0, 1], [990, 10])
    wrong, half = (np.arange(1000) >= 985).astype(np.int64), np.arange(1000) % 2
    assert not searched([a], wrong, half, support=50)
    assert searched([a], wrong, half, support=10)[0].levels == {0: 1}
    assert not searched([np.zeros(1000, np.int64)], wrong, half)


def test_all_products_are_there() -> None:
    """Four attributes of three levels that name a slice: 12 + 6 · 9 + 4 · 27 slices."""
    grid = [v.ravel() for v in np.indices((3, 3, 3, 3))]
    table = tabled(grid, np.zeros(81, np.int64), [4, 4, 4, 4])
    names = [tuple(zip(d.places, level, strict=True)) for d in divisions([table], 3) for level in d.levels.tolist()]
    assert len(names) == len(set(names)) == 12 + 54 + 108
    assert set(names) == {
        tuple(zip(p, v, strict=True)) for s in (1, 2, 3) for p in combinations(range(4), s) for v in product(range(3), repeat=s)
    }
