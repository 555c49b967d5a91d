"""Two models on the same rows, group by group: how much a rate changes, and by how much more a group loses than everybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from audit.measure import value
from audit.measurement import Estimate, Message, Slice, Test
from audit.text import message, who

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement
    from audit.stats.paired import Pair

Group = tuple[Slice, "Pair"]


def changes(ctx: Context, metric: str, groups: Iterable[Group], *, adjusted: bool, why: Message) -> Iterator[Measurement]:
    """New minus base of one rate in each slice (Tango 1998), with McNemar's test, over all of them adjusted by Holm; undefined for `why`."""
    from audit.stats.multiplicity import holm
    from audit.stats.paired import mcnemar, tango

    slices = list(groups)
    tests = [mcnemar(pair) for _, pair in slices]
    held = holm([p for p, _ in tests]).tolist() if tests else []
    for (slice_, pair), (p, method), h in zip(slices, tests, held, strict=True):
        measured = value(metric, tango(pair, level=ctx.level(metric)), slice_=slice_, reason=why)
        if measured.estimate is None:
            yield measured
            continue
        test = Test(null="equality", method=method, p_value=p)
        more = {"adjusted_p_value": h, "tests_in_family": len(slices)} if adjusted else {}
        yield measured.model_copy(update={"test": test.model_copy(update=more)})


def excess(slice_: Slice, own: Pair, rest: Pair, level: float) -> Measurement:
    """By how much more a group's accuracy falls than everybody's: its share of the others times the difference between it and them."""
    from audit.stats.paired import limits_of, mover, tango

    both = [tango(pair, level=level) for pair in (own, rest)]
    if both[0] is None or both[1] is None:
        reason = message("Nobody else has an outcome and both decisions.")
        return value("excess_accuracy_drop", None, slice_=slice_, reason=reason)
    share = rest.n / (own.n + rest.n)
    found = mover(limits_of(both[1]), limits_of(both[0]))  # the others' change minus the group's: positive is harm
    estimate = Estimate(
        value=share * found.value, low=share * found.low, high=share * found.high, level=level, method="tango_mover", n=own.n
    )
    return value("excess_accuracy_drop", estimate, slice_=slice_)


def worst(found: Iterable[Measurement]) -> tuple[Slice, Estimate, int] | None:
    """The group that loses most beyond everybody, its excess, and how many groups there are; None without one."""
    drops = [(m.slice, m.estimate) for m in found if m.metric == "excess_accuracy_drop" and m.estimate]
    if not drops:
        return None
    slice_, estimate = max(drops, key=lambda drop: drop[1].value)
    return slice_, estimate, len(drops)


def beyond(said: Message, found: Sequence[Measurement]) -> Message:
    """The sentence about everybody, followed by the group that loses most beyond that; alone where no group could be measured."""
    if (most := worst(found)) is None:
        return said
    slice_, e, groups = most
    if e.value <= 0:
        return message("{said} No group loses more than everybody.", said=said)
    return message(
        "{said} It falls most beyond that for {group}: {excess:points} points more ({level:percent} interval {low:points} to {high:points}, widened for {tests:count} groups).",
        said=said, group=who(slice_), excess=e.value, low=e.low, high=e.high, level=e.level, tests=groups,
    )  # fmt: skip
