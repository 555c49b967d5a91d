"""Largest against smallest rate over several groups: reported beside what chance alone makes of equal groups, never judged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from audit.stats._binomial import chance_between
from audit.stats._inputs import Floats, Ints, check_share
from audit.stats.cells import check_counts


class Extremes(NamedTuple):
    """Over the groups that have rows: max − min and min / max of their rates, and what exact equality would give for these sizes.

    `expected_*` is the mean and `quantile_*` the 95 % (for the ratio 5 %) quantile under equality; `p_*` is a permutation p value.
    The ratio's fields are None where nobody counts.
    """

    difference: float
    expected_difference: float
    quantile_difference: float
    p_difference: float
    ratio: float | None
    expected_ratio: float | None
    quantile_ratio: float | None
    p_ratio: float | None
    groups: int
    draws: int


def _spread(k: Ints, n: Ints) -> tuple[Floats, Floats, Floats]:
    rates = k / n
    return rates.max(axis=-1), rates.min(axis=-1), rates.max(axis=-1) - rates.min(axis=-1)


def extremes(k: ArrayLike, n: ArrayLike, *, rng: Generator, draws: int = 2000, level: float = 0.95) -> Extremes | None:
    """Max − min and min / max of the rates k / n, both of shape (groups,), with what exact equality gives; None for fewer than 2 groups.

    Equality is simulated by dealing the events out to the rows at random (multivariate hypergeometric: a permutation test given the total);
    p = (1 + draws as extreme) / (1 + draws), Phipson and Smyth 2010. Groups without rows are left out. ValueError unless 0 <= k <= n.
    """
    check_share("level", level)
    events, sizes = check_counts(k, 1), check_counts(n, 1)
    if events.shape != sizes.shape or np.any(events > sizes):
        raise ValueError(f"expected 0 <= k <= n of one shape, got k={events.tolist()}, n={sizes.tolist()}")
    events, sizes = events[sizes > 0], sizes[sizes > 0]
    if sizes.size < 2:
        return None
    top, bottom, difference = _spread(events, sizes)
    drawn = rng.multivariate_hypergeometric(sizes, int(events.sum()), size=draws, method="marginals")
    tops, bottoms, differences = _spread(drawn, sizes)
    rounding = 1e-12
    p_difference = (1 + int(np.count_nonzero(differences >= difference - rounding))) / (1 + draws)
    parts = (float(difference), float(differences.mean()), float(np.quantile(differences, level)), p_difference)
    if top == 0:
        return Extremes(*parts, None, None, None, None, int(sizes.size), draws)
    ratio, ratios = float(bottom / top), bottoms / tops
    p_ratio = (1 + int(np.count_nonzero(ratios <= ratio + rounding))) / (1 + draws)
    return Extremes(*parts, ratio, float(ratios.mean()), float(np.quantile(ratios, 1 - level)), p_ratio, int(sizes.size), draws)


def chance_of_low_ratio(n1: int, n0: int, p: float, *, limit: float) -> float:
    """Chance that min / max of two observed rates is below `limit` although both true rates are p: why a ratio alone misleads. Exact.

    Nobody counting in either group has no ratio and is no such event. ValueError unless sizes are at least 1, p and limit in (0, 1).
    """
    check_share("p", p)
    check_share("limit", limit)
    if n1 < 1 or n0 < 1:
        raise ValueError(f"expected sizes of at least 1, got {n1} and {n0}")
    rounding = 1e-9

    def enough(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(k1 * n0 >= limit * k0 * n1 - rounding)

    def too_many(k1: Ints, k0: Ints) -> np.ndarray:
        return np.asarray(limit * k1 * n0 > k0 * n1 + rounding)

    return 1.0 - chance_between(n1, p, n0, p, enough=enough, too_many=too_many)
