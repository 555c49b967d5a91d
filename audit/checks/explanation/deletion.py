"""Does the order that attributions give matter to the model?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "explanation.deletion",
    title="Whether the order of attributions matters to the model",
    meaning=(
        "Inputs are replaced by those of background rows one after the other, the one with the largest attribution first. Of a text words are left out, of a picture regions are blotted out; events are taken away and stretches of sound silenced. The faster the answer falls, the smaller the area under its "
        "curve. The area is set beside that of a random order on the same rows, in units of how far answers move on average, and beside orders by what each input does alone and, "
        "where there is one, by the gradient times the input."
    ),
    limits=(
        "Rows with replaced inputs can be unlike any real row. Where two inputs say the same, replacing one of them changes little, whatever it deserves. "
        "The share of the best order's gain is policy."
    ),
    unit="mean move of the answer",
    direction="lower",
    needs=["model", "features"],
    references=["Bach et al. 2015", "Samek et al. 2017", "Petsiuk, Das and Saenko 2018"],
    about="evidence",
    probing=True,
)
def deletion(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 50,
    background: Annotated[int, Field(ge=1, le=10_000)] = 10,
    budget: Annotated[int, Field(ge=1_000)] = 200_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Area under the deletion curve against a random order and other orders, and the gain's share of the best order's gain."""

    from audit.explain.gates import controls, measured
    from audit.explain.gates.bench import Bench, benches, together
    from audit.explain.gates.deletion import STEPS
    from audit.explain.gates.findings import Gate, called, unfit
    from audit.measure import value
    from audit.stats.losses import from_influence
    from audit.text import message

    def judged(bench: Bench) -> Iterable[Measurement | Message]:
        gate = Gate(ctx, bench)
        if (why := unfit(bench)) is not None:
            yield gate.none("deletion_area", why)
            return
        found = measured.deleted(bench, bench.gradient(), ctx.rng("orders"))
        own = found.areas[""]
        against = gate.against("deletion_area", own, controls.RANDOM, found.random)
        if against is None or against.estimate is None:
            yield gate.none("deletion_area", message("There are no rows to explain."))
            return
        yield against
        yield gate.mean("deletion_area", own)
        for name, theirs in {controls.RANDOM: found.random, **found.areas}.items():
            if name:
                yield gate.mean("control_deletion_area", theirs, of=name)
        gains = {name: found.random - area for name, area in found.areas.items()}
        best = max(gains.values(), key=lambda g: float(g.mean()))
        if best.mean() > 0:
            share, level = float(gains[""].mean() / best.mean()), ctx.level("deletion_gain_share")
            estimate = from_influence(share, (gains[""] - share * best) / float(best.mean()), level=level, method="delta")
            yield value("deletion_gain_share", estimate, slice_=gate.slice).model_copy(update={"computed_in": against.computed_in})
        e = against.estimate
        yield message(
            "Taking the largest attribution away first leaves {gap:signed} of area under the answer, compared with a random order ({level:percent} interval {low:signed} to {high:signed}; {method}; {n:count} rows; below 0 the order matters, and 1 is how far answers move on average).",
            gap=e.value, level=e.level, low=e.low, high=e.high, method=called(bench), n=len(own),
        )  # fmt: skip

    tried = benches(
        ctx,
        rows=rows,
        background=background,
        budget=budget,
        budget_not_table=budget_not_table,
        parts=2,
        masks=lambda d: d + 2 + 5 * (min(d, STEPS) + 1),
    )
    yield from together(told for bench in tried for told in judged(bench))
