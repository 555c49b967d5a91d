"""What the kept rows say of a cohort: rates and means with intervals, against everybody else; nothing that would point at few people.

A cohort is withheld where it or everybody else has too few rows, or where it differs by too few rows from what remains when conditions are taken
away: the two figures together would tell of the few. Rates follow the rule of the public edition (`reports.disclose.small`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.cohorts.kept import Kept
from audit.cohorts.named import About, Cohort, Figure, Measured, Withheld
from reports.disclose import small
from reports.suppress import EVERYBODY, Cell, Counts, protect

if TYPE_CHECKING:
    from audit.dataset import Dataset
    from audit.stats.sums import Moments


@dataclass(frozen=True)
class Tally:
    """Rows, and (k, n) of each rate, by which conditions are met: bit i stands for condition i."""

    n: dict[int, int]
    rates: dict[int, dict[str, tuple[int, int]]]

    def without(self, kept: int) -> int:
        """Rows that meet these conditions, and perhaps others."""
        return sum(n for met, n in self.n.items() if met & kept == kept)

    def rate(self, metric: str, kept: int) -> tuple[int, int]:
        """(k, n) of them."""
        pairs = [own[metric] for met, own in self.rates.items() if met & kept == kept]
        return sum(k for k, _ in pairs), sum(n for _, n in pairs)


def states(kept: Kept) -> dict[str, str]:
    """Whether a row is decided wrongly, chosen, has the event, and is decided for it: 1, 0, or -1 where that is not known or not asked."""
    settled = kept.settled
    if settled.task == "regression":
        known = "isfinite(y) AND isfinite(pred)"
        middle = kept.rows.ask({"m": "quantile_cont(pred, 0.5)"}, tail="WHERE isfinite(pred)")[0][0] or 0.0
        error = kept.rows.ask({"m": "quantile_cont(abs(pred - y), 0.5)"}, tail=f"WHERE {known}")[0][0] or 0.0 if kept.target else 0.0
        side = ">" if settled.favourable == ["high"] else "<"
        chosen = f"CASE WHEN isfinite(pred) THEN CAST(pred {side} {middle!r} AS INTEGER) ELSE -1 END" if settled.favourable else "-1"
        wrong = f"CASE WHEN {known} THEN CAST(abs(pred - y) > {error!r} AS INTEGER) ELSE -1 END" if kept.target else "-1"
        return {"wrong": wrong, "chosen": chosen, "event": "-1", "decided": "-1"}

    def among(column: str, labels: Sequence[str]) -> str:
        codes = ", ".join(str(settled.classes.index(c)) for c in labels if c in settled.classes)
        return f"CASE WHEN {column} < 0 THEN -1 WHEN {column} IN ({codes}) THEN 1 ELSE 0 END" if codes else "-1"

    event = [settled.positive] if settled.positive is not None and settled.task == "binary" else []
    return {
        "wrong": "CASE WHEN y < 0 OR pred < 0 THEN -1 WHEN y <> pred THEN 1 ELSE 0 END" if kept.target else "-1",
        "chosen": among("pred", settled.favourable), "event": among("y", event) if kept.target else "-1", "decided": among("pred", event),
    }  # fmt: skip


def metrics(kept: Kept) -> list[str]:
    """The rates that these rows have."""
    regression, event = kept.settled.task == "regression", kept.settled.task == "binary" and kept.settled.positive is not None
    found = ["large_error_rate" if regression else "zero_one_loss"] if kept.target else []
    found += ["false_positive_rate", "false_negative_rate"] if kept.target and event else []
    return found + (["selection_rate"] if kept.settled.favourable else [])


def _counted(wrong: int, chosen: int, event: int, decided: int) -> dict[str, tuple[bool, bool]]:
    """For each rate whether a row of these states counts as one, and whether it counts at all."""
    return {
        "zero_one_loss": (wrong == 1, wrong >= 0), "large_error_rate": (wrong == 1, wrong >= 0), "selection_rate": (chosen == 1, chosen >= 0),
        "false_positive_rate": (event == 0 and decided == 1, event == 0 and decided >= 0),
        "false_negative_rate": (event == 1 and decided == 0, event == 1 and decided >= 0),
    }  # fmt: skip


def tally(kept: Kept, cohort: Cohort, source: Dataset) -> Tally:
    """One pass of DuckDB over narrow columns; it hands over counts."""
    met = " + ".join(f"{2**i} * CAST(({kept.sql(c)}) AS INTEGER)" for i, c in enumerate(cohort.conditions))
    rows = source.ask({"met": met, **states(kept), "n": "count(*)"}, tail="GROUP BY ALL")
    wanted = metrics(kept)
    n: dict[int, int] = {}
    rates: dict[int, dict[str, tuple[int, int]]] = {}
    for place, *known, count in rows:
        n[place] = n.get(place, 0) + count
        own, counted = rates.setdefault(place, dict.fromkeys(wanted, (0, 0))), _counted(*known)
        for metric in wanted:
            yes, counts = counted[metric]
            own[metric] = (own[metric][0] + count * yes, own[metric][1] + count * counts)
    return Tally(n, rates)


def withheld(found: Tally, whole: int, least: int) -> Withheld | None:
    n, everybody = found.without(whole), found.without(0)
    if n == 0:
        return "nobody"
    if n < least:
        return "few"
    if 0 < everybody - n < least:
        return "nearly_all"
    fewer = [found.without(kept) - n for kept in range(1, whole)]
    return "near_another" if any(0 < more < least for more in fewer) else None


def measured(kept: Kept, about: About, cohort: Cohort) -> Measured:
    """A cohort's figures; `NotHereError` where these rows lack one of its columns."""
    source = kept.source(cohort)
    return _of(tally(kept, cohort, source), kept, about, cohort, source)


def _of(found: Tally, kept: Kept, about: About, cohort: Cohort, source: Dataset) -> Measured:
    from audit.stats.compare import newcombe
    from audit.stats.rates import wilson

    least, level, whole = about.least, about.level, 2 ** len(cohort.conditions) - 1
    n, rows = found.without(whole), found.without(0)
    sampled, why = source is kept.sampled and rows < kept.rows.rows, withheld(found, whole, least)
    if why is not None:
        return Measured(n=0, rows=rows, sampled=sampled, withheld=why)
    figures = []
    for metric in metrics(kept):
        own = found.rate(metric, whole)
        apart = [tuple(a - b for a, b in zip(found.rate(metric, part), own, strict=True)) for part in range(whole)]
        if any(small(n, k, least) for k, n in (own, *apart)):
            figures.append(Figure(metric=metric, withheld=True))
            continue
        (k1, n1), (k0, n0) = own, apart[0]
        inside, outside = wilson(k1, n1, level=level), wilson(k0, n0, level=level)
        figures.append(
            Figure(metric=metric, inside=inside, outside=outside, apart=newcombe(k1, n1, k0, n0, level=level) if n1 and n0 else None)
        )
    return Measured(n=n, rows=rows, sampled=sampled, figures=[*figures, *_means(kept, cohort, source, level)])


def _means(kept: Kept, cohort: Cohort, source: Dataset, level: float) -> Iterator[Figure]:
    """The mean score of the event, or the mean error and prediction of quantities."""
    from audit.stats.compare import mean_difference, mean_interval

    values = {}
    if kept.settled.task == "regression":
        values = {"mean_absolute_error": "abs(pred - y)"} if kept.target else {}
        values["mean_prediction"] = "pred"
    elif kept.settled.positive is not None and kept.settled.has_scores and kept.settled.task == "binary":
        values = {"mean_score": "score"}
    for metric, value in values.items():
        inside, outside = _moments(kept, cohort, source, value)
        if inside is not None and outside is not None:
            own, rest = (mean_interval(*m, level=level) for m in (inside, outside))
            yield Figure(metric=metric, inside=own, outside=rest, apart=mean_difference(inside, outside, level=level))


def _moments(kept: Kept, cohort: Cohort, source: Dataset, value: str) -> tuple[Moments | None, Moments | None]:
    """(n, mean, variance) of a value inside the cohort and outside, in blocks."""
    import numpy as np

    from audit.stats.sums import Summing

    sides = {True: Summing(), False: Summing()}
    for batch in source.stream({"value": value, "inside": _where(kept, cohort)}):
        values = np.asarray(batch.column(0).to_numpy(zero_copy_only=False), dtype=np.float64)
        inside = np.asarray(batch.column(1).to_numpy(zero_copy_only=False), dtype=np.bool_)
        for side, sums in sides.items():
            sums.add(values[(inside == side) & np.isfinite(values)])
    return sides[True].moments(), sides[False].moments()


def _where(kept: Kept, cohort: Cohort) -> str:
    return " AND ".join(f"({kept.sql(c)})" for c in cohort.conditions)


def by_group(kept: Kept, about: About, cohort: Cohort, column: str) -> dict[str, Measured]:
    """The figures of each group of a sensitive column within the cohort that may be shown, so that none of the others can be computed back."""
    sizes: dict[Cell, Counts] = {}
    each: dict[Cell, tuple[str, Measured]] = {}
    for level in kept.groups[column][1]:
        part = cohort.further(column, level)
        source = kept.source(part)
        found = tally(kept, part, source)
        sizes[(column, level),] = found.without(2 ** len(part.conditions) - 1), None
        each[(column, level),] = level, _of(found, kept, about, part, source)
    sizes[EVERYBODY] = sum(n for n, _ in sizes.values()), None
    lost = {cell for cell, (_, found) in each.items() if found.withheld not in (None, "nobody")}
    gone = protect(sizes, lost, lambda n, k: small(n, k, about.least))
    return {level: found for cell, (level, found) in each.items() if cell not in gone and found.withheld is None}


def members(kept: Kept, cohort: Cohort) -> list[int]:
    """The numbers of the sampled rows that meet the conditions, rising; for pages that show rows, where the plan allowed rows."""
    return [int(row) for (row,) in kept.sampled.ask({"row": "row"}, tail=f"WHERE {_where(kept, cohort)} ORDER BY 1")]
