"""Do attributions predict what the model does when parts are taken away?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "explanation.infidelity",
    title="Whether attributions predict what the model does",
    meaning=(
        "Random sets of inputs are replaced by those of background rows. Of a text words are left out, of a picture regions are blotted out; events are taken away and stretches of sound silenced. The attributions of what was replaced should predict how far the answer moves. Infidelity is the mean square of "
        "what they miss at their best scale, as a share of the mean square of the moves: 0 predicts every move, 1 is no better than no explanation. Random attributions, and the "
        "gradient times the input where there is one, are tried on the same sets."
    ),
    limits=(
        "Rows with replaced inputs can be unlike any real row. Where inputs act together, no attribution predicts every set, so that a high value can be due to the model. "
        "The limits are policy; beating random attributions is what any explanation must do."
    ),
    unit="share of the mean square of moves",
    direction="lower",
    needs=["model", "features"],
    references=["Yeh et al. 2019", "Bhatt, Weller and Moura 2020"],
    about="evidence",
    probing=True,
)
def infidelity(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 50,
    background: Annotated[int, Field(ge=1, le=10_000)] = 10,
    masks: Annotated[int, Field(ge=10, le=100_000)] = 100,
    budget: Annotated[int, Field(ge=1_000)] = 200_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Median infidelity, its mean difference from random attributions and other controls, and the faithfulness correlation."""
    import numpy as np

    from audit.explain.gates import controls, measured
    from audit.explain.gates.bench import Bench, benches, together
    from audit.explain.gates.findings import Gate, called, unfit
    from audit.text import message

    def judged(bench: Bench) -> Iterable[Measurement | Message]:
        gate = Gate(ctx, bench)
        if (why := unfit(bench)) is not None:
            yield gate.none("infidelity", why)
            return
        beside = {controls.RANDOM: controls.at_random(bench, ctx.rng("random")), **bench.gradient()}
        found = measured.faithfulness(bench, beside, masks, ctx.rng("masks"))
        own = found.infidelity[""]
        nothing = message("Nothing that was taken away moved the answer of any row.")
        median = gate.quantile("infidelity", own, 0.5, nothing)
        yield median
        if (apart := gate.against("infidelity", own, controls.RANDOM, found.infidelity[controls.RANDOM])) is not None:
            yield apart
        for name, theirs in found.infidelity.items():
            if name:
                yield gate.quantile("control_infidelity", theirs, 0.5, nothing, of=name)
        yield gate.quantile("faithfulness_correlation", found.correlation[""], 0.5, nothing)
        if median.estimate is not None:
            yield message(
                "Attributions leave {share:percent} of what taking inputs away does to the answer unpredicted (median of {n:count} rows; {method}); random attributions leave {random:percent}.",
                share=median.estimate.value, n=median.estimate.n, method=called(bench),
                random=float(np.nanmedian(found.infidelity[controls.RANDOM])),
            )  # fmt: skip

    tried = benches(ctx, rows=rows, background=background, budget=budget, budget_not_table=budget_not_table, parts=2, masks=lambda d: masks)
    yield from together(told for bench in tried for told in judged(bench))
