"""Whether probabilities are right on average for groups and scores together: multiaccuracy and multicalibration.

Rows are counted by slice (the finest division by sensitive columns), by hundredth of the score and by outcome, so that everything is computed from
a small table however many rows there are, and the order of the rows cannot matter. The residual of a row is y − p.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share
from audit.stats.calibration import in_the_large, probabilities
from audit.stats.losses import mean_of
from audit.stats.ranked import Table
from audit.stats.sums import Moments

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BINS, FINE = 10, 100  # bins of the score that are looked at, and those in which p counts as its mean
SHRINK = 100.0  # each indicator is fitted as if so many further rows had no residual
MOST = 500  # groups that have an indicator, the largest ones
AT_ONCE = 4_000_000  # drawn counts that are held


def edges_of(table: Table) -> Floats:
    """The 99 scores that divide a table of probabilities into hundredths, (99,); the first of a bin is above an edge, equal scores stay together.

    Some bins may be empty. No edges for no rows.
    """
    wanted = (np.arange(1, FINE) * table.rows + FINE - 1) // FINE
    found, below = [np.zeros(0)], 0
    for piece in probabilities(table):
        ranks = np.cumsum(piece.positives + piece.negatives) + below
        inside = wanted[(wanted > below) & (wanted <= ranks[-1])]
        found.append(piece.scores[np.searchsorted(ranks, inside)])
        below = int(ranks[-1])
    return np.concatenate(found)


class Cells:
    """Rows, Σ (y − p) and Σ (y − p)² by outcome, slice and hundredth of the score: arrays of shape (2, slices, 100)."""

    def __init__(self, slices: int, edges: Floats) -> None:
        self.edges, shape = edges, (2, slices, FINE)
        self.rows: Ints = np.zeros(shape, np.int64)
        self.sums: Floats = np.zeros(shape)
        self.squares: Floats = np.zeros(shape)

    def add(self, slices: ArrayLike, p: ArrayLike, y: ArrayLike) -> None:
        """More rows: the slice of each, its probability in [0, 1] and whether the event happened, all (k,)."""
        p, one = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.int64)
        code = (one * self.rows.shape[1] + np.asarray(slices)) * FINE + np.searchsorted(self.edges, p)
        for total, weights in ((self.sums, one - p), (self.squares, (one - p) ** 2)):
            total += np.bincount(code, weights=weights, minlength=total.size).reshape(total.shape)
        self.rows += np.bincount(code, minlength=self.rows.size).reshape(self.rows.shape)

    def between(self, tenth: int) -> str:
        """The scores of a tenth, counted from 0, as "0.31–0.42"."""
        step = FINE // BINS
        ends = [0.0, *self.edges[step - 1 :: step], 1.0] if self.edges.size else [0.0, 1.0]
        return f"{ends[tenth]:.2f}–{ends[tenth + 1]:.2f}"


def _by_bin(counts: Floats) -> Floats:
    """(..., 100) hundredths as (..., 10) tenths."""
    return np.asarray(counts.reshape(*counts.shape[:-1], BINS, FINE // BINS).sum(axis=-1))


def _belonging(members: Ints) -> csr_array:
    """Which slices make up each group, (groups, slices) of 0 and 1, from the group of each slice (−1: none)."""
    from scipy.sparse import csr_array

    known = np.flatnonzero(members >= 0)
    return csr_array((np.ones(known.size), (members[known], known)), shape=(int(members.max(initial=-1)) + 1, members.size))


def indicators(members: Sequence[Ints], rows: Ints, *, least: int) -> csr_array:
    """What h may use, (slices × 10, features) of 0 and 1: the tenths of the score, the groups of each column, and those of each pair of columns.

    `members` is, for each column, the group of each slice (−1 unknown); `rows` (slices,) says how large slices are: groups of fewer than `least`
    rows have no indicator of their own, and only the 500 largest groups have.
    """
    from scipy.sparse import csr_array, hstack, kron, vstack

    of_groups = [_belonging(m) for m in members]
    for one, other in combinations(members, 2):
        both = np.where((one >= 0) & (other >= 0), one * (int(other.max(initial=0)) + 1) + other, -1)
        of_groups.append(_belonging(np.where(both >= 0, np.unique(both, return_inverse=True)[1], -1)))
    groups = csr_array(vstack(of_groups))
    sizes = groups @ rows
    kept = np.argsort(-sizes, kind="stable")[: min(MOST, int(np.count_nonzero(sizes >= max(least, 1))))]
    of_score = csr_array(np.tile(np.eye(BINS), (rows.size, 1)))
    return csr_array(hstack([of_score, kron(groups[kept].T, np.ones((BINS, 1)))]))


def pattern(features: csr_array, rows: Floats, sums: Floats) -> Floats | None:
    """h of each cell of slice and tenth (cells,), fitted to their rows and sums of residuals by ridge regression; its mean square over the rows is 1.

    None where there is nothing to fit: all sums of residuals that the indicators see are 0.
    """
    from scipy.linalg import solve

    gram = (features.T @ features.multiply(rows[:, None])).toarray() + SHRINK * np.eye(features.shape[1])
    h = features @ solve(gram, features.T @ sums, assume_a="pos")
    scale = float(np.sqrt(np.sum(rows * h**2) / np.sum(rows)))
    return np.asarray(h / scale) if scale > 1e-9 else None


class Repeated(NamedTuple):
    """Mean of h · (y − p) over rows that h was not fitted on, and the two-sided p of its being 0 (None where it shows no spread)."""

    estimate: Estimate
    p_value: float | None


def multiaccuracy(cells: Cells, features: csr_array, *, level: float, rng: Generator, least: int) -> Repeated | None:
    """E[h · (y − p)], with h fitted to the residuals of one half of the rows and the mean taken over the other half. Kim, Ghorbani and Zou 2019.

    h is the `pattern` of its half, linear in the indicators of `features`. As its mean square is 1, the mean is in units of probability and at most
    about the root mean square error of the probabilities over slices and tenths of the score. 0: what one half shows, the other does not repeat.
    Normal interval of a mean. Each row goes to a half by chance, whatever the order of rows; within a hundredth of the score, the residuals of an
    outcome count as their mean. None where a half has fewer than `least` rows or the first no residuals.
    """
    from scipy.stats import norm

    first = rng.binomial(cells.rows, 0.5)
    share = first / np.maximum(cells.rows, 1)
    fitted, held = int(first.sum()), int(cells.rows.sum() - first.sum())
    if min(fitted, held) < max(least, 2):
        return None

    def tenths(values: Floats) -> Floats:
        return _by_bin(values.sum(axis=0)).ravel()

    h = pattern(features, tenths(first.astype(np.float64)), tenths(cells.sums * share))
    if h is None:
        return None
    mean = float(np.sum(h * tenths(cells.sums * (1 - share)))) / held
    square = float(np.sum(h**2 * tenths(cells.squares * (1 - share)))) / held
    variance = max(square - mean**2, 0.0) * held / (held - 1)
    p = float(2 * norm.sf(abs(mean) / np.sqrt(variance / held))) if variance > 0 else None
    return Repeated(mean_of(Moments(held, mean, variance), level=level), p)


class Worst(NamedTuple):
    """The cell of group and score whose mean residual is largest, and what chance makes of the largest of `cells` such cells.

    `group` is its place in `members[division]`, `tenth` that of its score, from 0.
    `gap` is mean p − mean y of that cell, with its own interval, and `events` are counted among its rows; `quantile` is the 95 % quantile of the
    largest |mean residual| where every probability is right, `p_value` how often it is at least as large as the one seen.
    """

    division: int
    group: int
    tenth: int
    events: int
    gap: Estimate
    cells: int
    quantile: float
    p_value: float


def multicalibration(
    cells: Cells, members: Sequence[Ints], *, least: int, level: float, rng: Generator, draws: int = 2000, at: float = 0.95
) -> Worst | None:
    """The largest |mean residual| over groups and tenths of the score, against its null distribution. Hébert-Johnson et al. 2018.

    `members` is, for each division into groups, the group of each slice (−1: none); a cell counts with `least` rows or more. Null: every outcome happens
    with its own probability, drawn as binomial at the mean p of each slice and hundredth of the score, which scatters no less than single
    probabilities do. p = (1 + draws as large) / (1 + draws), Phipson and Smyth 2010. None where no cell has enough rows.
    """
    from scipy.sparse import csr_array, kron, vstack

    check_share("at", at)
    divisions = [_belonging(m) for m in members]
    member = csr_array(vstack(divisions))
    n, gaps = cells.rows.sum(axis=0), cells.sums.sum(axis=0)
    rows, residual, squares = (member @ _by_bin(v) for v in (n.astype(np.float64), gaps, cells.squares.sum(axis=0)))
    events = member @ _by_bin(cells.rows[1].astype(np.float64))
    kept = np.flatnonzero(rows.ravel() >= max(least, 2))
    if not kept.size:
        return None
    size, found = rows.ravel()[kept], np.abs(residual.ravel()[kept]) / rows.ravel()[kept]
    within = kron(member, csr_array(np.repeat(np.eye(BINS), FINE // BINS, axis=1)), format="csr")[kept]
    used = np.flatnonzero((n.ravel() > 0) & (within.sum(axis=0) > 0))
    count, share = n.ravel()[used], np.clip(((cells.rows[1] - gaps).ravel()[used]) / n.ravel()[used], 0.0, 1.0)
    within, largest, step = within[:, used], [], max(1, AT_ONCE // used.size)
    for start in range(0, draws, step):
        drawn = rng.binomial(count, share, size=(min(step, draws - start), used.size)) - count * share
        largest.append((np.abs(within @ drawn.T) / size[:, None]).max(axis=0))
    chance, worst = np.concatenate(largest), int(np.argmax(np.round(found, 12)))  # of equal ones the first, whatever the last digit
    place = int(kept[worst])
    m, mean = int(size[worst]), -float(residual.ravel()[place] / size[worst])
    variance = max(float(squares.ravel()[place]) - m * mean**2, 0.0) / (m - 1)
    gap = in_the_large((m, mean, variance), int(events.ravel()[place]), level=level)
    assert gap is not None, "a cell that counts has two rows"
    p = (1 + int(np.count_nonzero(chance >= found[worst] * (1 - 1e-12)))) / (1 + draws)
    group, tenth = divmod(place, BINS)
    ends = np.cumsum([d.shape[0] for d in divisions])
    division = int(np.searchsorted(ends, group, side="right"))
    group -= int(ends[division]) - divisions[division].shape[0]
    return Worst(division, group, tenth, int(events.ravel()[place]), gap, int(kept.size), float(np.quantile(chance, at)), p)
