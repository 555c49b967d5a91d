"""Do attributions add up to what they explain?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "explanation.completeness",
    title="Whether attributions add up to the answer",
    meaning=(
        "The attributions of a row should add up to its answer less the mean answer to the background rows. Both answers are asked of the model apart from the explanation. "
        "The gap is what is missed, relative to what is to be explained; where the answer hardly moves, relative to 1 % of the spread of the answers."
    ),
    limits=(
        "Attributions can add up and still give the wrong part to each input: that is what the other gates are for. Methods that add up by their construction are held to rounding; "
        "those that approximate an integral to the limit of their authors."
    ),
    unit="share of what is to be explained",
    direction="lower",
    needs=["model", "features"],
    references=["Sundararajan, Taly and Yan 2017", "Lundberg and Lee 2017"],
    about="evidence",
    probing=True,
)
def completeness(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 200,
    background: Annotated[int, Field(ge=1, le=10_000)] = 10,
    budget: Annotated[int, Field(ge=1_000)] = 2_400_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Median and 95th percentile of the gap over the rows, of the worst output."""
    from audit.explain.explained import PARTIAL
    from audit.explain.gap import METHODS
    from audit.explain.gates.bench import Bench, benches, together
    from audit.explain.gates.findings import FEWEST, Gate, called
    from audit.explain.gates.trial import APPROXIMATE, STARTS
    from audit.text import message

    def judged(bench: Bench) -> Iterable[Measurement | Message]:
        gate = Gate(ctx, bench)
        metric = "completeness_gap" if bench.method in APPROXIMATE else "exact_completeness_gap"
        if bench.n < FEWEST:
            yield gate.none(metric, message("Fewer than ten rows could be explained."))
            return
        if bench.method in PARTIAL:
            yield gate.none(metric, message("{method} does not claim to add up to the answer.", method=message(METHODS[bench.method])))
            return
        gaps, reason = bench.gaps(), message("It is not defined on these rows.")
        worst = gate.quantile(metric, gaps, 0.95, reason)
        yield worst
        yield gate.quantile("median_completeness_gap", gaps, 0.5, reason)
        if worst.estimate is not None:
            yield message(
                "In 95 of 100 rows, what attributions add up to is off by no more than this share of what is to be explained: {gap:percent} ({method}; {n:count} rows).",
                gap=worst.estimate.value, method=called(bench), n=len(gaps),
            )  # fmt: skip

    # Paths miss one by one, so that few starts show it; a method that adds up by its construction has little to show on many rows.
    steps = "integrated_gradients" in ctx.settled.methods
    tried = benches(
        ctx, rows=rows, background=min(background, STARTS) if steps else background, budget=budget if steps else budget // 50,
        budget_not_table=budget_not_table,
    )  # fmt: skip
    yield from together(told for bench in tried for told in judged(bench))
