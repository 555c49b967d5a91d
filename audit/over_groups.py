"""Extremes over groups as measurements: fairlearn's value, what chance alone gives for groups of these sizes, and a permutation p."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from audit.measure import exact, undefined
from audit.measurement import Column, Evidence, Measurement, Table, Test
from audit.text import message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Grouping
    from audit.stats.extremes import Extreme, How, OverGroups

SAME = 1e-12
#: Metrics for which scikit-learn, and so fairlearn, prints 0 where a group has no row that they count.
ZERO_FOR_NONE = {
    "true_positive_rate", "true_negative_rate", "false_positive_rate", "false_negative_rate", "precision_score", "recall_score", "f1_score",
}  # fmt: skip
CHANCE = Column(name="chance", label="beyond this in 5 % of draws if all groups are in truth equal", kind="number")
PRINTED = Column(name="printed", label="fairlearn's figure, a rate of no rows counted as 0", kind="number")


def as_printed(metric: str, over: OverGroups, rows: NDArray[np.int64]) -> OverGroups:
    """A metric over groups as fairlearn has it: 0 for a group that has `rows` (G,) with an outcome, but none that the metric counts."""
    import numpy as np

    if metric not in ZERO_FOR_NONE:
        return over
    overall = 0.0 if np.isnan(over.overall) else over.overall
    return over._replace(values=np.where(rows > 0, np.nan_to_num(over.values), np.nan), overall=overall)


def measured(
    metric: str,
    grouping: Grouping,
    parts: Sequence[OverGroups],
    how: How,
    rows: int,
    *,
    mean: bool = False,
    printed: Sequence[OverGroups] = (),
) -> Measurement:
    """One extreme over the known groups of a grouping, the worst of `parts` (or their mean), from `rows` rows in all.

    `printed` are the metrics as fairlearn has them, which counts a rate of no rows as 0; where that makes another figure it stands beside ours.
    """
    from audit.stats.extremes import aggregate, combine, extreme

    slice_ = dict.fromkeys(grouping.columns, "*")
    found = extreme(parts, how, mean=mean)
    if found is None:
        return undefined(metric, message("Fewer than two groups have rows that it counts, or it is a ratio of zeros."), slice_=slice_)
    test = None if found.p_value is None else Test(null="equality", method="permutation", p_value=found.p_value)
    theirs = float(combine([aggregate(p.values, p.overall, how) for p in printed], how, mean=mean)) if printed else found.value
    return Measurement(metric=metric, slice=slice_, estimate=exact(found.value, rows), test=test, evidence=_beside(found, theirs))


def _beside(found: Extreme, printed: float) -> list[Evidence]:
    """What stands beside an extreme: chance, and fairlearn's figure where it is another."""
    columns, row = [Column(name="seen", label="observed", kind="number")], [found.value]
    if found.quantile is not None:
        columns.append(CHANCE)
        row.append(found.quantile)
    if math.isfinite(printed) and abs(printed - found.value) > SAME:
        columns.append(PRINTED)
        row.append(printed)
    return [Table(caption="What chance alone gives for groups of these sizes", columns=columns, rows=[[*row]])] if len(row) > 1 else []


def in_one_table(extremes: Iterable[Measurement]) -> list[Measurement]:
    """Extremes of one grouping; what stands beside them is one table, which goes with the first of them."""
    found, rows = list(extremes), []
    for m in found:
        for e in m.evidence:
            if e.kind == "table":
                beside = dict(zip((c.name for c in e.columns), e.rows[0], strict=True))
                rows.append([m.metric, beside["seen"], beside.get("chance"), beside.get("printed")])
    if not rows:
        return found
    columns = [Column(name="metric", label="metric"), Column(name="seen", label="observed", kind="number"), CHANCE, PRINTED]
    kept = [i for i in range(len(columns)) if any(row[i] is not None for row in rows)]
    table = Table(
        caption="What chance alone gives for groups of these sizes",
        columns=[columns[i] for i in kept],
        rows=[[row[i] for i in kept] for row in rows],
    )
    return [m.model_copy(update={"evidence": [] if i else [table]}) for i, m in enumerate(found)]
