"""What the model costs: size, memory and the time that one pass took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "efficiency.cost",
    title="What the model costs",
    meaning="Trained numbers, size on disk, floating-point operations for one row where they can be counted (a multiply-add counts as two), the most memory that the model's process took, its libraries included, and rows scored per second.",
    limits="The rate is that of this machine, one thread, batches of up to 65,536 rows, the way to and from the confined worker included. It is no latency of a single request. Memory is what the confined process says of itself.",
    unit="numbers, bytes, operations a row, rows a second",
    direction="lower",
    weighs="nothing",
    needs=["model"],
    references=["torch.utils.flop_counter"],
)
def cost(ctx: Context) -> Iterable[Measurement | Message]:
    """Exact sizes; the measured rate is not repeatable and says so."""
    from audit.measure import exact, undefined, value
    from audit.text import message

    size = sum(ctx.model_files.values())
    rows = ctx.scoring.rows
    unseen = message("The model is behind an address: its files were never seen.") if not ctx.model_files else None
    unknown = unseen or message("The format does not say how many numbers were trained.")
    parameters = ctx.settled.parameters
    yield value("parameters", None if parameters is None else exact(float(parameters), rows), reason=unknown)
    yield undefined("bytes_on_disk", unseen) if unseen else value("bytes_on_disk", exact(float(size), rows))
    uncounted = unseen or message("Operations are counted for PyTorch networks whose inputs have known shapes.")
    if ctx.settled.uncounted:
        names = ", ".join(ctx.settled.uncounted)
        uncounted = message("Part of the work is done by operations that cannot be counted: {names}.", names=names)
    yield undefined("flops_per_row", uncounted) if ctx.settled.flops is None else value("flops_per_row", exact(ctx.settled.flops, rows))
    process = unseen or message("The model's process did not say how much memory it took, or there is none.")
    peak = None if unseen else ctx.scoring.peak_memory
    yield value("peak_memory_bytes", None if peak is None else exact(float(peak), rows), reason=process).model_copy(
        update={"repeatable": False, "computed_in": "worker"}
    )
    rate = rows / max(ctx.scoring.seconds, 1e-9)
    yield value("rows_per_second", exact(rate, rows)).model_copy(update={"repeatable": False})
    if unseen:
        yield message("The endpoint scored {rows:count} rows, at {rate:count} rows a second, network included.", rows=rows, rate=rate)
        return
    yield message(
        "The model takes {size:bytes} on disk and scored {rows:count} rows here, at {rate:count} rows a second.",
        size=float(size),
        rows=rows,
        rate=rate,
    )
