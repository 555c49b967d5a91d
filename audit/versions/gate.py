"""The release gate: is the new model nowhere worse than the plan's margins?

Required, each one-sided at 95 % and without correction, because all must hold (intersection–union):

1. for everybody, accuracy and ROC AUC fall by no more than `margin` (a quantity: the share of the variation explained), and so does the share of
   rows with a usable prediction where a model refuses any;
2. for each group of at least `min_rows` rows, accuracy falls by no more than `group_margin` (a quantity: squared error grows by no more than that
   share of the outcome's variance);
3. where a favourable decision is declared, the distance between each group's selection rate and the reference's grows by no more than `group_margin`,
   and where the label is an observed outcome so does that of those with the favourable outcome (equal opportunity).

Where rows belong together (a declared cluster column, or keys that repeat and nobody declared), these bounds are too narrow: then they can stop a
release and not let it through. Smaller groups are pooled; if they are too few together they can fail and not pass, and are listed as not assessed. Unknown membership is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from audit.compared import Gate, Held, Requirement
from audit.measurement import Estimate, Message, Slice
from audit.pairing import OTHERS
from audit.plan import Margins
from audit.result import AuditResult
from audit.stats.paired import auc_change
from audit.text import message, render
from audit.versions import apart, matched
from audit.versions.pairing import Pairing
from audit.versions.rates import Rate, change, gap_growth, pooled
from audit.versions.rows import Joint, Rows

#: Two-sided level whose ends are the one-sided 95 % bounds.
LEVEL = 0.90
NO_ROWS = "These rows have no outcome, or none of this kind."


class Needs(NamedTuple):
    """What is required, with the plan's margins, whether both models are one and the same, and the columns by which rows may belong together."""

    margins: Margins
    same: bool
    together: list[str]

    def held(self, item: Requirement) -> Requirement:
        """The requirement, answered: a model compared with itself differs by exactly nothing."""
        if self.same and item.change is not None:
            nothing = item.change.model_copy(update={"value": 0.0, "low": 0.0, "high": 0.0, "method": "exact"})
            item = item.model_copy(update={"change": nothing})
        result = _held(item)
        if result == "non_inferior" and self.together and not self.same:
            reason = message("The bound assumes independent rows, and rows of one {column} may belong together.", column=self.together)
            return item.model_copy(update={"result": "open", "reason": render(reason), "reason_msg": reason})
        return item.model_copy(update={"result": result})


def _held(item: Requirement) -> Held:
    """Within the margin, beyond it, or open; what these rows cannot assess can still be beyond it."""
    found = item.change
    if found is None:
        return item.result
    worst, best = (-found.low, -found.high) if item.kind == "level" else (found.high, found.low)
    if best > item.margin:
        return "worse"
    if item.result == "not_assessed":
        return "not_assessed"
    return "non_inferior" if worst <= item.margin else "open"


def gate(pairing: Pairing, margins: Margins, *, same: bool) -> Gate:
    """Every requirement with its bound, and what follows."""
    needs = Needs(margins, same, list(dict.fromkeys(c for d in (pairing.old, pairing.new) for c in _together(d))))
    made = [needs.held(item) for item in _all(pairing, margins)]
    results = {item.result for item in made}
    result = "worse" if "worse" in results else "pass" if "non_inferior" in results and "open" not in results else "open"
    return Gate(result=result, margin=margins.margin, group_margin=margins.group_margin, min_rows=margins.min_rows, requirements=made)


def _together(document: AuditResult) -> list[str]:
    """The columns by which rows belong together: the declared one, else those that repeat where nobody said what that means."""
    data = document.data
    return [data.cluster] if data.cluster is not None else [] if data.independent else data.repeats


def _all(pairing: Pairing, margins: Margins) -> Iterator[Requirement]:
    yield from _everybody(pairing, margins)
    yield from _groups(pairing, margins)
    yield from _lost(pairing, margins)


def _item(
    metric: str, found: Estimate | None, margin: float, n: int, reason: Message | None = None, *, slice_: Slice | None = None
) -> Requirement:
    """A requirement on the metric itself; without an estimate it is open, for `reason`."""
    why = None if found is not None else reason or message(NO_ROWS)
    return Requirement(
        metric=metric, kind="level", slice=slice_ or {}, margin=margin, n=n, change=found, result="open", reason=render(why) if why else None, reason_msg=why,
    )  # fmt: skip


def _everybody(pairing: Pairing, margins: Margins) -> Iterator[Requirement]:
    rows, regression = pairing.rows, pairing.new.model.task == "regression"
    if regression:
        yield _explained(pairing, margins)
    else:
        yield _accuracy(pairing, margins)
    if pairing.new.model.task == "binary":
        yield from _auc(pairing, margins)
    if rows is not None:
        answered = Joint(rows.overall).answered()
        if answered.both < answered.n:
            yield _item("usable_share", change(answered, LEVEL), margins.margin, answered.n)


def _accuracy(pairing: Pairing, margins: Margins) -> Requirement:
    rate: Rate | None
    if pairing.rows is not None:
        rate = Joint(pairing.rows.overall).right()
    else:
        old, new = (apart.of_everybody(d, "accuracy") for d in (pairing.old, pairing.new))
        rate = apart.two(old, new) if old and new else None
    return _item("accuracy", change(rate, LEVEL) if rate else None, margins.margin, rate.n if rate else 0)


def _auc(pairing: Pairing, margins: Margins) -> Iterator[Requirement]:
    """Where both models give scores; a new one that gives none cannot be told to rank as well."""
    found: Estimate | None = None
    if pairing.rows is not None:
        ranked = pairing.rows.ranked()
        made = auc_change(ranked[0], ranked[2], ranked[1], level=LEVEL) if ranked else None
        found = made[2] if made else None
    else:
        old, new = (apart.of_everybody(d, "roc_auc") for d in (pairing.old, pairing.new))
        if old and new and old.estimate and new.estimate:
            found = apart.from_intervals(old.estimate, new.estimate, LEVEL)
    if found is not None:
        yield _item("roc_auc", found, margins.margin, found.n)
    elif apart.of_everybody(pairing.old, "roc_auc") is not None:
        yield _item(
            "roc_auc", None, margins.margin, 0, message("The old audit has a ROC AUC, and the new one has none to hold against it.")
        )


def _explained(pairing: Pairing, margins: Margins) -> Requirement:
    found: Estimate | None = None
    if pairing.rows is not None:
        outcome = pairing.rows.outcome.moments()
        found = matched.explained_change(pairing.rows.sums["squared"], outcome, LEVEL) if outcome else None
    else:
        old, new = (apart.of_everybody(d, "r2") for d in (pairing.old, pairing.new))
        if old and new and old.estimate and new.estimate:
            found = apart.from_intervals(old.estimate, new.estimate, LEVEL)
    return _item("r2", found, margins.margin, found.n if found else 0)


def _groups(pairing: Pairing, margins: Margins) -> Iterator[Requirement]:
    """Levels of each group, then its gaps to the reference."""
    rows = pairing.rows
    if pairing.new.model.task != "regression":
        yield from _levels(_rates(pairing, "accuracy"), margins)
    elif rows is not None:
        yield from _errors(rows, margins)
    favourable = set(pairing.old.data.favourable) == set(pairing.new.data.favourable) and bool(pairing.new.data.favourable)
    if not favourable:
        return
    metrics = ["selection_rate"]
    if pairing.new.data.label_source == "outcome" and pairing.new.model.task != "regression":
        metrics.append("true_positive_rate" if matched.favourable_event(pairing.new) else "true_negative_rate")
    for metric in metrics:
        yield from _gaps(metric, _rates(pairing, metric), pairing.new.data.reference, margins)


def _rates(pairing: Pairing, metric: str) -> dict[str, dict[str, Rate]]:
    """Column → value → the rate of that group; groups without rows are left out."""
    found: dict[str, dict[str, Rate]] = {}
    if pairing.rows is None:
        for (column, value), counts in apart.rates(pairing.old, pairing.new, metric).items():
            found.setdefault(column, {})[value] = counts
    elif metric in matched.rates_of(pairing.rows, pairing.new):
        for column, slice_, joint in pairing.rows.groups():
            rate = matched.rate_of(joint, metric, matched.favourable_event(pairing.new))
            if rate.n:
                found.setdefault(column, {})[slice_[column]] = rate
    return found


def _large(groups: Mapping[str, Rate], smallest: int, keep: str | None = None) -> tuple[dict[str, Rate], Rate | None]:
    """The groups of at least `smallest` rows, and the others pooled; `keep` is a group of its own whatever its size."""
    large = {value: rate for value, rate in groups.items() if rate.n >= smallest or value == keep}
    small = [rate for value, rate in groups.items() if value not in large]
    return large, pooled(small) if small else None


def _levels(rates: dict[str, dict[str, Rate]], margins: Margins) -> Iterator[Requirement]:
    for column, groups in rates.items():
        large, others = _large(groups, margins.min_rows)
        for value, rate in large.items():
            yield _item("accuracy", change(rate, LEVEL), margins.group_margin, rate.n, slice_={column: value})
        if others is not None:
            made = _item("accuracy", change(others, LEVEL), margins.group_margin, others.n, slice_={column: OTHERS})
            yield _weaker(made, margins)


def _weaker(item: Requirement, margins: Margins) -> Requirement:
    """Groups that are too few even together are not assessed."""
    if item.n >= margins.min_rows:
        return item
    reason = message("Fewer than {n:count} rows in all the smaller groups together.", n=margins.min_rows)
    return item.model_copy(update={"result": "not_assessed", "reason": render(reason), "reason_msg": reason})


def _gaps(metric: str, rates: dict[str, dict[str, Rate]], references: dict[str, str], margins: Margins) -> Iterator[Requirement]:
    for column, groups in rates.items():
        reference = references.get(column)
        if reference is None or reference not in groups:
            reference = max(groups, key=lambda value: groups[value].n)
        large, others = _large(groups, margins.min_rows, keep=reference)
        against = large.pop(reference)
        named: list[tuple[str, Rate]] = [*large.items(), *([(OTHERS, others)] if others is not None else [])]
        for value, rate in named:
            found = gap_growth(rate, against)
            made = Requirement(
                metric=metric, kind="gap", slice={column: value}, against={column: reference}, margin=margins.group_margin,
                n=min(rate.n, against.n), change=found, result="open",
            )  # fmt: skip
            yield _weaker(made, margins) if value == OTHERS or against.n < margins.min_rows else made


def _errors(rows: Rows, margins: Margins) -> Iterator[Requirement]:
    """Squared error of each group in units of the outcome's variance over everybody."""
    outcome = rows.outcome.moments()
    if outcome is None:
        return
    sizes = {key: m.n for key, sums in rows.group_sums.items() if (m := sums["squared"].change.moments()) is not None}
    for column, slice_, _ in rows.groups():
        key = (column, slice_[column])
        if sizes.get(key, 0):
            found = matched.explained_change(rows.group_sums[key]["squared"], outcome, LEVEL)
            made = _item("r2", found, margins.group_margin, sizes[key], slice_=slice_)
            yield made if sizes[key] >= margins.min_rows else _weaker(made, margins)


def _lost(pairing: Pairing, margins: Margins) -> Iterator[Requirement]:
    """What the old audit looked at and the new one does not: it cannot be told that nobody is worse off."""
    if pairing.old.data.favourable and set(pairing.old.data.favourable) != set(pairing.new.data.favourable):
        reason = message("The two audits declare a different favourable decision.")
        yield _item("selection_rate", None, margins.group_margin, 0, reason)
    if pairing.rows is None:
        for column in (c for c in pairing.old.data.sensitive if c not in pairing.new.data.sensitive):
            reason = message("The new audit does not look at {column}, and the rows cannot be paired.", column=column)
            yield _item("accuracy", None, margins.group_margin, 0, reason, slice_={column: "*"})
