"""What energy predictions take: measured by the processor's counters where they can be read, otherwise estimated and called so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.energy import Counter
    from audit.measurement import Estimate, Measurement, Message

#: Stretches that calls are divided into; their spread gives the interval.
STRETCHES = 5
WHY = {
    "absent": "This machine shows no energy counter, as virtual machines usually do not.",
    "unreadable": "The machine has an energy counter that this user may not read: to have energy measured, let the user read energy_uj under /sys/class/powercap.",
}
NOT_MEASURED = (
    "Estimated from processor time with an assumed power, not measured: it is held against no limit and compared with no other model."
)


@check(
    "efficiency.energy",
    title="What energy predictions take",
    meaning=(
        "Processor seconds of the model's process for 1,000 predictions, and joules for 1,000 predictions. Where the processors' energy counters (RAPL) can be read, the joules are measured: of the whole "
        "processor while it predicts, what it would have used anyway included. Elsewhere they are estimated from the processor seconds, under another name."
    ),
    limits=(
        "Measured joules hold whatever else ran at that time, and neither memory, disks, graphics cards nor the power supply's losses. An estimate assumes what a busy core draws, from 3 to 15 watts unless the plan says otherwise, "
        "and may be wrong by more than that: estimates and measurements are never set beside each other. Nothing is said of emissions, which depend on place and hour."
    ),
    unit="joules or seconds for 1,000 predictions",
    direction="lower",
    needs=["model", "features"],
    references=["Khan et al. 2018 (RAPL in action)", "Henderson et al. 2020"],
    reported_only=["joules_per_1000_estimated"],
    probing=True,
    weighs="nothing",
)
def energy(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1, le=65_536)] = 256,
    seconds: Annotated[float, Field(gt=0, le=600)] = 1.0,
    least_watts: Annotated[float, Field(gt=0, le=1000)] = 3.0,
    most_watts: Annotated[float, Field(gt=0, le=1000)] = 15.0,
) -> Iterable[Measurement | Message]:
    """Calls of `rows` rows of the sample for `seconds` seconds in all; a busy core is assumed to draw between `least_watts` and `most_watts`."""
    from audit import energy as counting
    from audit.measure import undefined
    from audit.text import message

    if ctx.settled.kind == "endpoint":
        behind = message("The model is behind an address: what it takes is used elsewhere.")
        yield from (undefined(metric, behind) for metric in ("cpu_seconds_per_1000", "joules_per_1000"))
        yield behind
        return
    packages = counting.counters()
    stretches = _stretches(ctx, rows, seconds, [] if isinstance(packages, str) else packages)
    few = message("There were too few calls in the time that the plan gives this check.")
    processor = _per_thousand([(s.cpu, s.rows) for s in stretches], ctx)
    yield from _once("cpu_seconds_per_1000", processor, few)
    if not isinstance(packages, str):
        found = _per_thousand([(s.joules, s.rows) for s in stretches], ctx)
        yield from _once("joules_per_1000", found, few)
        yield _measured(found) if found else few
        return
    why = message(WHY[packages])
    yield undefined("joules_per_1000", why).model_copy(update={"repeatable": False})
    assumed = _assumed(processor, least_watts, most_watts)
    for measurement in _once("joules_per_1000_estimated", assumed, few):
        yield measurement if assumed is None else _unjudged(measurement)
    yield _estimated(assumed, least_watts, most_watts, why) if assumed else few


class Stretch(NamedTuple):
    """What some calls took: rows asked about, processor seconds of the model's process, and joules of the processors (0 where not read)."""

    rows: int
    cpu: float
    joules: float


def _stretches(ctx: Context, size: int, seconds: float, packages: list[Counter]) -> list[Stretch]:
    """Calls in turn over the sample, read off after each stretch; once to warm up."""
    import time

    import numpy as np

    from audit import energy as counting
    from audit.subject.frame import rows, take

    frame = ctx.sample(max(size, 1000)).frame
    n, done, found = rows(frame), 0, []
    if n == 0:
        return []
    ctx.client.predict(take(frame, np.arange(size) % n))
    used, levels = ctx.client.usage().cpu_seconds, counting.read(packages)
    for _ in range(STRETCHES):
        end, asked = time.perf_counter() + seconds / STRETCHES, 0
        while time.perf_counter() < end:
            ctx.client.predict(take(frame, (np.arange(size) + done) % n))
            asked, done = asked + size, done + size
        now, after = ctx.client.usage().cpu_seconds, counting.read(packages)
        found.append(Stretch(asked, now - used, counting.joules(packages, levels, after)))
        used, levels = now, after
    return [stretch for stretch in found if stretch.rows]


def _per_thousand(used: list[tuple[float, int]], ctx: Context) -> Estimate | None:
    """Mean over stretches of what 1,000 rows took, with Student's interval; None for fewer than 3 stretches or where nothing was counted."""
    import numpy as np

    from audit.stats.latency import mean_of_stretches

    return mean_of_stretches(np.array([1000 * amount / rows for amount, rows in used]), level=ctx.plan.audit.level)


def _assumed(processor: Estimate | None, least: float, most: float) -> Estimate | None:
    """Processor seconds times the assumed power: the interval goes from the least time at the least power to the most at the most."""
    if processor is None:
        return None
    least, most = min(least, most), max(least, most)
    low, value, high = (
        t * w for t, w in zip((processor.low, processor.value, processor.high), (least, (least + most) / 2, most), strict=True)
    )
    return processor.model_copy(update={"value": value, "low": low, "high": high, "method": "assumed_power"})


def _once(metric: str, found: Estimate | None, reason: Message) -> Iterator[Measurement]:
    from audit.measure import value

    yield value(metric, found, reason=reason).model_copy(update={"repeatable": False})


def _unjudged(m: Measurement) -> Measurement:
    from audit.text import message, render

    why = message(NOT_MEASURED)
    return m.model_copy(update={"reason": render(why), "reason_msg": why})


def _measured(e: Estimate) -> Message:
    from audit.text import message

    return message(
        "1,000 predictions take {joules:number} joules here, measured over the whole processor ({level:percent} interval {low:number} to {high:number}).",
        joules=e.value, low=e.low, high=e.high, level=e.level,
    )  # fmt: skip


def _estimated(e: Estimate, least: float, most: float, why: Message) -> Message:
    from audit.text import message

    return message(
        "{why} Estimated, not measured: 1,000 predictions take {low:number} to {high:number} joules, if a busy core draws {least:number} to {most:number} watts.",
        why=why, low=e.low, high=e.high, least=min(least, most), most=max(least, most),
    )  # fmt: skip
