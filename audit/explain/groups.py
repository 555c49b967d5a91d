"""Columns that are explained as one: because the plan says so, or because they go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audit.subject.frame import Categories

if TYPE_CHECKING:
    from audit.context import Context
    from audit.subject.frame import Frame


def grouped(ctx: Context, given: Mapping[str, Sequence[str]] | None, correlated: float) -> dict[str, list[str]]:
    """Name → columns, every input in one of them, in the order of the inputs; empty where each stands alone.

    `given` are the plan's groups, which were checked before anything was loaded (`registry.refuse_columns`). Among the other columns of numbers, those whose rank correlation over the sampled rows is at least
    `correlated` in size, on average over the group, are put together (average linkage); 1 puts none together.
    """
    if not given and correlated == 1:
        return {}
    features = [f.name for f in ctx.facts.features]
    named = {name: list(columns) for name, columns in (given or {}).items()}
    listed = {column for columns in named.values() for column in columns}
    free = [name for name in features if name not in listed]
    together = by_correlation(ctx.sample(ctx.plan.audit.sample).frame, free, correlated) if correlated < 1 else []
    for columns in together:
        named[" + ".join(columns)] = columns
        free = [name for name in free if name not in columns]
    if not named:
        return {}
    everything = named | {name: [name] for name in free}
    return dict(sorted(everything.items(), key=lambda item: min(features.index(c) for c in item[1])))


def by_correlation(frame: Frame, names: Sequence[str], least: float) -> list[list[str]]:
    """Groups of two or more of the named columns of numbers, by Spearman's correlation over the rows that lack neither."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    columns = {
        name: np.asarray(c, dtype=np.float64)
        for name in names
        if not isinstance(c := frame[name], Categories) and c.ndim == 1 and c.dtype.kind in "fiub"
    }
    columns = {name: c for name, c in columns.items() if len(np.unique(c[np.isfinite(c)])) > 1}
    if len(columns) < 2:
        return []
    known = list(columns)
    apart = np.zeros((len(known), len(known)))
    for i, one in enumerate(known):
        for j in range(i):
            apart[i, j] = apart[j, i] = 1 - abs(_spearman(columns[one], columns[known[j]]))
    label = fcluster(linkage(squareform(apart, checks=False), "average"), 1 - least + 1e-12, "distance")
    found = [[name for name, own in zip(known, label, strict=True) if own == group] for group in np.unique(label)]
    return [group for group in found if len(group) > 1]


def _spearman(a: np.typing.NDArray[np.float64], b: np.typing.NDArray[np.float64]) -> float:
    """Rank correlation over the rows where both are known; 0 where one is constant there."""
    from scipy.stats import rankdata

    both = np.isfinite(a) & np.isfinite(b)
    first, second = rankdata(a[both]), rankdata(b[both])
    if both.sum() < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
