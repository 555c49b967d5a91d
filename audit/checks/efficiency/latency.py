"""How long one call takes, and whether the machine was quiet enough to say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message

WARM_UPS = 10
LEAST_CALLS, MOST_CALLS = 40, 2000
NOISE = 0.05  # largest difference between two halves of one measurement that is believed


@check(
    "efficiency.latency",
    title="How long one call takes",
    meaning=(
        "The time of a call to the model for one row, a small batch and a large one: median, and the times that 95 and 99 of 100 calls stay below, after calls to warm up. "
        "The same measurement is compared with itself: if its two interleaved halves differ by more than 5 %, the machine was too noisy and no time is given."
    ),
    limits=(
        "Times are those of this machine at this hour, one call after the other, the way to and from the confined worker included; under load, over a network or on other hardware "
        "they differ. The highest times are the least certain."
    ),
    unit="milliseconds a call, rows a second",
    direction="lower",
    weighs="nothing",
    needs=["model", "features"],
    references=["Wilks 1948", "Price and Bonett 2002", "David and Nagaraja 2003"],
    probing=True,
)
def latency(
    ctx: Context,
    *,
    small: Annotated[int, Field(ge=1, le=65_536)] = 32,
    large: Annotated[int, Field(ge=1, le=65_536)] = 1024,
    seconds: Annotated[float, Field(gt=0, le=600)] = 2.4,
) -> Iterable[Measurement | Message]:
    """Calls of 1, `small` and `large` rows of the sample, for `seconds` seconds in all; nothing here repeats to the digit, and every finding says so."""
    from audit.text import message

    sizes = list(dict.fromkeys((1, small, large)))
    told: Message | None = None
    for size in sizes:
        times = _times(ctx, size, seconds / len(sizes))
        found = list(_measured(ctx, size, times))
        yield from found
        first = found[0].estimate
        if size == 1 and first is not None and ctx.settled.kind == "endpoint":
            told = message(
                "A request for one row takes {median:number} milliseconds from here, network included (median of {n:count} requests).",
                median=first.value, n=first.n,
            )  # fmt: skip
        elif size == 1 and first is not None:
            told = message(
                "A call for one row takes {median:number} milliseconds here, the way to and from the confined worker included (median of {n:count} calls).",
                median=first.value, n=first.n,
            )  # fmt: skip
    yield told or message("The machine was too noisy, or the calls too few, to say how long a call takes.")


def _times(ctx: Context, size: int, budget: float) -> NDArray[np.float64]:
    """Seconds of each call for `size` rows, taken from the sample in turn; at least 40 calls are tried where the budget allows."""
    import time
    from functools import partial

    import numpy as np

    from audit.subject.frame import rows, take

    frame = ctx.sample(max(size, 1000)).frame
    n = rows(frame)
    if n == 0:
        return np.zeros(0)
    batches = [take(frame, (np.arange(size) + i * size) % n) for i in range(min(WARM_UPS, MOST_CALLS))]
    return timed([partial(ctx.client.predict, b) for b in batches], budget, time.perf_counter)


def timed(calls: list[Callable[[], object]], budget: float, clock: Callable[[], float]) -> NDArray[np.float64]:
    """Each call once to warm up, then in turn until the budget of seconds is spent, warming up included; the time of each counted call."""
    import numpy as np

    end = clock() + budget
    for call in calls:
        call()
        if clock() > end:
            return np.zeros(0)
    times: list[float] = []
    while len(times) < MOST_CALLS:
        began = clock()
        calls[len(times) % len(calls)]()
        ended = clock()
        times.append(ended - began)
        if ended > end:
            break
    return np.array(times)


def _measured(ctx: Context, size: int, times: NDArray[np.float64]) -> Iterator[Measurement]:
    from audit.measure import value
    from audit.stats.latency import same_twice, throughput
    from audit.stats.quantiles import quantile
    from audit.text import message

    slice_, level = {"(batch)": str(size)}, ctx.plan.audit.level
    quiet = same_twice(times, level=level)
    too_few = message(
        "Calls that fit into the time that the plan gives this check: {n:count}; {least:count} are needed.", n=len(times), least=LEAST_CALLS
    )
    cannot = message("{n:count} calls are too few to bound this quantile.", n=len(times))
    if quiet is None:
        reason, usable = too_few, False
    else:
        apart = abs(quiet.difference.value)
        usable = apart <= NOISE
        reason = (
            cannot
            if usable
            else message("Two halves of the same measurement differ by {apart:percent}: the machine was too noisy.", apart=apart)
        )
    for metric, q in (("latency_median_ms", 0.5), ("latency_p95_ms", 0.95), ("latency_p99_ms", 0.99)):
        estimate = quantile(times * 1000, q, level=level) if usable else None
        yield _once(value(metric, estimate, slice_=slice_, reason=reason))
    rate = throughput(times, size, level=level) if usable else None
    yield _once(value("throughput", rate, slice_=slice_, reason=reason))
    yield _once(value("aa_difference", quiet.difference if quiet else None, slice_=slice_, reason=too_few))
    yield _once(value("aa_false_alarm_share", quiet.alarms if quiet else None, slice_=slice_, reason=too_few))


def _once(measurement: Measurement) -> Measurement:
    """Marked as what a second audit will not find to the digit."""
    return measurement.model_copy(update={"repeatable": False})
