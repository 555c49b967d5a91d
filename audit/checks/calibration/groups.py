"""Whether probabilities mean the same for each group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Measurement, Message
    from audit.stats.runs import Runs

MOST_LINES = 6  # of a drawn curve


@check(
    "calibration.groups",
    title="Whether probabilities mean the same for each group",
    meaning=(
        "Per group: the mean probability minus the observed rate, the calibration slope (below 1: probabilities too extreme, above 1: too timid), the debiased calibration error "
        "(0 means indistinguishable from calibrated at this number of rows), the Brier score, the temperature that would suit the group, and the reliability curve. For several "
        "classes: of the predicted class's probability, and each class's gap. For a quantity: the mean of prediction minus outcome, and the slope of outcome on prediction."
    ),
    limits=(
        "A positive gap means that the model expects the event more often than it happened in this group. Where base rates differ, equal calibration and equal error rates cannot "
        "both hold. Gaps can cancel within a group. A Brier score depends on how uncertain a group's outcomes are, so it does not rank groups."
    ),
    unit="probability, or the unit of the outcome",
    direction="target",
    weighs="weighted",
    needs=["labels", "sensitive", "forecasts"],
    references=[
        "Cox 1958",
        "Guo et al. 2017",
        "Kumar, Liang and Ma 2019",
        "Kleinberg, Mullainathan and Raghavan 2017",
        "Chouldechova 2017",
    ],
)
def groups(ctx: Context, *, bins: Annotated[int, Field(ge=1, le=1000)] = 15) -> Iterable[Measurement | Message]:
    """All figures per group of each sensitive column; the rows are sorted through files, so memory does not grow with them."""
    from audit.text import message

    if ctx.settled.task == "regression":
        return _quantities(ctx)
    if not ctx.settled.has_scores:
        return [message("The model returns labels only: there are no probabilities to calibrate.")]
    return _probabilities(ctx, bins)


def _probabilities(ctx: Context, bins: int) -> Iterator[Measurement | Message]:
    from audit import clustered
    from audit.calibrating import of_table, reliability_curve, reliability_series
    from audit.ordered import TOP, in_order, subject
    from audit.text import message, who
    from audit.weighted import calibration as weighted_calibration

    what, widest = subject(ctx), _widest(ctx)
    for grouping in ctx.groupings(intersection=False):
        found, lines, sums = [], [], clustered.gaps(ctx, grouping)
        with in_order(ctx, what, grouping) as tables:
            for i, (slice_, table) in enumerate(zip(grouping.slices, tables, strict=True)):
                name = "/".join(f"{k}={v}" for k, v in slice_.items())
                own = [*of_table(ctx, table, slice_, bins=bins, name=name, whole=False), *_temperature(ctx, table, slice_, name)]
                own[0] = clustered.gap(ctx, own[0], sums[i])
                found += own
                lines.append((table.rows, reliability_series(ctx, table, next(iter(slice_.values())))))
        shown = sorted((place for place, (_, line) in enumerate(lines) if line), key=lambda place: -lines[place][0])[:MOST_LINES]
        caption = (
            message("How often the predicted class is right, by its probability, for each group ({column})", column=grouping.columns[0]) if what == TOP
            else message("Observed rate by predicted probability, for each group ({column})", column=grouping.columns[0])
        )  # fmt: skip
        evidence = reliability_curve([line for place in sorted(shown) if (line := lines[place][1])], caption)
        if ctx.facts.weight is not None:
            found = weighted_calibration.calibrated(ctx, found, grouping)
        widest.see_groups(found)
        yield from [m.model_copy(update={"evidence": evidence}) if k == 0 else m for k, m in enumerate(found)]
        if what == TOP and ctx.facts.weight is None:  # the gaps of single classes take no weights
            yield from _classes(ctx, grouping)
    if widest.found is None:
        yield message("No group has enough rows with an outcome to be shown.")
        return
    (small, _), slice_, e = widest.found
    said = message(
        "{group}: of groups of at least {least:count} rows, the widest gap between mean probability and observed rate, {gap:points} points ({level:percent} interval {low:points} to "
        "{high:points}; {n:count} rows).",
        gap=e.value, group=who(slice_), n=e.n, level=e.level, low=e.low, high=e.high, least=widest.least if small else widest.enough,
    )  # fmt: skip
    if smaller := widest.smaller():
        slice_, e, p = smaller
        said = message(
            "{said} Wider, in a smaller group: {group}, {gap:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows; p adjusted for "
            "{tests:count} groups {p:p}).",
            said=said, group=who(slice_), gap=e.value, level=e.level, low=e.low, high=e.high, n=e.n, p=p, tests=len(widest.seen),
        )  # fmt: skip
    yield said


class Widest:
    """The largest gap among the groups of `enough` rows to be judged; where there is none, of those of `least` rows to be named."""

    def __init__(self, least: int, enough: int) -> None:
        self.least, self.enough = least, enough
        self.found: tuple[tuple[bool, float], dict[str, str], Estimate] | None = None
        self.seen: list[tuple[dict[str, str], Estimate]] = []

    def see_groups(self, found: list[Measurement]) -> None:
        """The gaps of all groups whose members are known."""
        from audit.dataset import MISSING

        for m in found:
            if m.metric in ("calibration_in_the_large", "mean_error") and m.compare == "value" and MISSING not in m.slice.values():
                self.see(m)

    def see(self, measurement: Measurement) -> None:
        """One group's gap."""
        e = measurement.estimate
        if e is None or e.n < self.least:
            return
        self.seen.append((measurement.slice, e))
        key = (e.n < self.enough, -abs(e.value))
        if self.found is None or key < self.found[0]:
            self.found = key, measurement.slice, e

    def smaller(self) -> tuple[dict[str, str], Estimate, float] | None:
        """Of the smaller groups whose gap is wider and has an interval clear of 0, the plainest, with its p adjusted by Holm over all groups."""
        from audit.stats.multiplicity import holm
        from audit.stats.paired import interval_p

        if self.found is None or self.found[0][0]:
            return None
        adjusted = holm([interval_p(e) for _, e in self.seen]).tolist()
        wider = [
            (s, e, p)
            for (s, e), p in zip(self.seen, adjusted, strict=True)
            if not e.low <= 0 <= e.high and abs(e.value) > abs(self.found[2].value)
        ]
        return min(wider, key=lambda found: found[2], default=None)


def _widest(ctx: Context) -> Widest:
    from audit.measure import NAMED

    asked = ctx.plan.decides.get("calibration_large")
    return Widest(ctx.plan.disclosure.min_group_size, (asked and asked.min_rows) or NAMED)


def _temperature(ctx: Context, table: Runs, slice_: dict[str, str], name: str) -> Iterable[Measurement]:
    """For two classes: with several, a temperature is one of all the scores and told of everybody only."""
    from audit.calibrating import cooled
    from audit.stats.temperature import cool_binary

    if ctx.settled.task != "binary":
        return []
    found = cool_binary(table, level=ctx.level("temperature"), rng=ctx.rng(f"temperature/{name}"))
    return cooled(found, slice_, whole=False)


def _classes(ctx: Context, grouping: Grouping) -> Iterator[Measurement]:
    """The gap of each class against the rest, in each group; at most the first twenty classes."""
    import numpy as np

    from audit.calibrating import MOST_CLASSES
    from audit.measure import value
    from audit.stats.calibration import in_the_large
    from audit.stats.sums import Grouped
    from audit.text import message

    names, size = ctx.settled.classes[:MOST_CLASSES], len(grouping.slices)
    gaps, events = [Grouped(size) for _ in names], np.zeros((len(names), size), np.int64)
    for block in ctx.scored.blocks(["y", "pred", *(f"score_{c}" for c in range(len(names))), *(f"g{i}" for i in grouping.places)]):
        rows = block.usable()
        place = ctx.place(rows, grouping)
        for c in range(len(names)):
            true = rows["y"] == c
            gaps[c].add(place, np.clip(rows[f"score_{c}"], 0, 1) - true)
            events[c] += np.bincount(place[true], minlength=size)
    level = ctx.level("calibration_in_the_large")
    for c, name in enumerate(names):
        for i, moments in enumerate(gaps[c].moments()):
            large = in_the_large((moments.n, moments.mean, moments.variance), int(events[c, i]), level=level) if moments else None
            yield value(
                "calibration_in_the_large",
                large,
                slice_={**grouping.slices[i], "(class)": name},
                reason=message("Fewer than two rows have an outcome and a probability here."),
            )


def _quantities(ctx: Context) -> Iterator[Measurement | Message]:
    from audit.calibrating import fit_curve, of_quantity
    from audit.text import message, who
    from audit.weighted import calibration as weighted_calibration

    widest = _widest(ctx)
    for grouping in ctx.groupings(intersection=False):
        found, lines = [], []
        for i, measured, line in of_quantity(ctx, grouping):
            found += measured
            if line is not None:
                lines.append(line.model_copy(update={"name": next(iter(grouping.slices[i].values()))}))
        shown = {line.name for line in sorted(lines, key=lambda line: -sum(line.n or ()))[:MOST_LINES]}
        evidence = fit_curve([line for line in lines if line.name in shown])
        if ctx.facts.weight is not None:
            found = weighted_calibration.calibrated(ctx, found, grouping)
        widest.see_groups(found)
        yield from [m.model_copy(update={"evidence": evidence}) if k == 0 else m for k, m in enumerate(found)]
    if widest.found is None:
        yield message("No group has enough rows with an outcome to be shown.")
        return
    (small, _), slice_, e = widest.found
    said = message(
        "{group}: of groups of at least {least:count} rows, the widest gap between prediction and outcome, {gap:signed} on average ({level:percent} interval {low:signed} to "
        "{high:signed}; {n:count} rows).",
        gap=e.value, group=who(slice_), n=e.n, level=e.level, low=e.low, high=e.high, least=widest.least if small else widest.enough,
    )  # fmt: skip
    if smaller := widest.smaller():
        slice_, e, p = smaller
        said = message(
            "{said} Wider, in a smaller group: {group}, {gap:signed} on average ({level:percent} interval {low:signed} to {high:signed}; {n:count} rows; p adjusted for "
            "{tests:count} groups {p:p}).",
            said=said, group=who(slice_), gap=e.value, level=e.level, low=e.low, high=e.high, n=e.n, p=p, tests=len(widest.seen),
        )  # fmt: skip
    yield said
