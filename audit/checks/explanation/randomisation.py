"""Does the explanation depend on the model at all?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.result import Measurement, Message


@check(
    "explanation.randomisation",
    title="Whether the explanation depends on the model",
    meaning=(
        "The same method explains the same rows over models that learned nothing: nets with all weights drawn again, trees grown on these rows with shuffled answers; for methods that see answers only, a random function in the model's "
        "place. Measured is the rank correlation of the sizes of a row's attributions with those over such models, and of such models among each other. An explanation that "
        "stays the same does not speak of the model. Where random models rank the sizes alike among each other, ranks with signs are compared."
    ),
    limits=(
        "Attributions that contain the input itself stay somewhat alike whatever the model is; what random models have in common is therefore set beside it. "
        "With fewer than five inputs ranks say too little."
    ),
    unit="absolute rank correlation",
    direction="lower",
    needs=["model", "features"],
    references=["Adebayo et al. 2018", "Hedström et al. 2024"],
    about="evidence",
    probing=True,
)
def randomisation(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 50,
    background: Annotated[int, Field(ge=1, le=10_000)] = 10,
    models: Annotated[int, Field(ge=2, le=100)] = 3,
    budget: Annotated[int, Field(ge=1_000)] = 200_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Median similarity to the explanation of randomised models, and how far it exceeds what those have in common."""
    import numpy as np

    from audit.explain.gap import METHODS
    from audit.explain.gates import measured
    from audit.explain.gates import randomisation as ranks
    from audit.explain.gates.bench import Bench, benches, together
    from audit.explain.gates.findings import FEWEST, Gate
    from audit.result import Measurement
    from audit.stats.quantiles import quantile
    from audit.text import message

    def judged(bench: Bench) -> Iterable[Measurement | Message]:
        gate, d = Gate(ctx, bench), max((len(own) for own in bench.values), default=0)
        if bench.n < FEWEST:
            yield gate.none("randomised_similarity", message("Fewer than ten rows could be explained."))
            return
        if sum(len(own) >= ranks.FEWEST for own in bench.values) < FEWEST:
            few = message("There are {n:count} inputs, and ranks of fewer than {fewest:count} say too little.", n=d, fewest=ranks.FEWEST)
            if d >= ranks.FEWEST:
                few = message(
                    "Fewer than ten rows have {fewest:count} parts or more, and ranks of fewer say too little.", fewest=ranks.FEWEST
                )
            yield gate.none("randomised_similarity", few)
            return
        seeds = ctx.rng("models").integers(0, 2**31, bench.explanations - 1).tolist()
        others = [bench.randomised(seed) for seed in seeds]
        if not all(any(own.any() for own in other) for other in others):
            yield gate.none(
                "randomised_similarity",
                message("A model that learned nothing uses no input on so few rows, so there is nothing to compare."),
            )
            return
        found = measured.against_random_models(bench, others)
        none = message("There are no rows to explain.")
        note = None
        if not found.tells and (by_sign := found.with_signs) is not None:
            note = message(
                "Such models rank the sizes as much alike among each other ({null:ratio}) as this one ({similarity:ratio}), so ranks with signs are compared.",
                null=float(np.quantile(found.null, 0.95)), similarity=float(np.median(found.similarity)),
            )  # fmt: skip
            found = by_sign
        similarity = gate.quantile("randomised_similarity", found.similarity, 0.5, none)
        common = float(np.quantile(found.null, 0.95))
        if note is None and not found.tells:
            yield gate.none("randomised_similarity", message(
                "Models that learned nothing rank the inputs of these rows as much alike among each other ({null:ratio}) as this one ({similarity:ratio}), "
                "and the attributions are not the same: likeness says nothing here.",
                null=common, similarity=float(np.median(found.similarity)),
            ))  # fmt: skip
        else:
            yield similarity
        level = ctx.level("randomised_similarity", "difference")
        own, null = (quantile(v, q, level=level, clamped=True) for v, q in ((found.similarity, 0.5), (found.null, 0.95)))
        assert own is not None
        assert null is not None
        beyond = own.model_copy(update={"value": own.value - null.value, "low": own.low - null.value, "high": own.high - null.value})
        yield Measurement(
            metric="randomised_similarity", compare="difference", slice=gate.slice, against=gate.of("(random model)"), estimate=beyond, computed_in=similarity.computed_in
        )  # fmt: skip
        if d >= 20:
            yield gate.mean("attribution_entropy_rise", found.entropy_rise)
        said = message(
            "Over models that learned nothing, {method} ranks the inputs of a row alike to {similarity:ratio} (median over {n:count} rows of the absolute rank correlation); "
            "95 of 100 pairs of such models stay below {null:ratio}.",
            method=message(METHODS[bench.method]), similarity=own.value, n=len(found.similarity), null=common,
        )  # fmt: skip
        yield said if note is None else message("{first} {rest}", first=said, rest=note)

    tried = benches(
        ctx,
        rows=rows,
        background=background,
        budget=budget,
        budget_not_table=budget_not_table,
        explanations=models + 1,
        least=3,
        parts=ranks.FEWEST,
    )
    yield from together(told for bench in tried for told in judged(bench))
