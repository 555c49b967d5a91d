"""Does the explanation depend on the model at all?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.gates.bench import Bench
    from audit.explain.gates.findings import Gate
    from audit.measurement import Estimate, Measurement, Message

#: Parts of a row from which on it is told how much flatter attributions become over models that learned nothing.
MANY = 20


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
    from audit.explain.gates import randomisation as ranks
    from audit.explain.gates.bench import benches, together

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
    yield from together(told for bench in tried for told in _judged(ctx, bench))


def _judged(ctx: Context, bench: Bench) -> Iterator[Measurement | Message]:
    """One kind of parts: likeness to random models, set beside what those have in common."""
    import numpy as np

    from audit.explain.gates import measured
    from audit.explain.gates.findings import Gate, called
    from audit.stats.quantiles import quantile
    from audit.text import message

    gate = Gate(ctx, bench)
    if (few := _too_few(bench)) is not None:
        yield gate.none("randomised_similarity", few)
        return
    others = [bench.randomised(seed) for seed in ctx.rng("models").integers(0, 2**31, bench.explanations - 1).tolist()]
    if not all(any(own.any() for own in other) for other in others):
        nothing = message("A model that learned nothing uses no input on so few rows, so there is nothing to compare.")
        yield gate.none("randomised_similarity", nothing)
        return
    found, note = measured.against_random_models(bench, others), None
    if not found.tells and (by_sign := found.with_signs) is not None:
        note = message(
            "Such models rank the sizes as much alike among each other ({null:ratio}) as this one ({similarity:ratio}), so ranks with signs are compared.",
            null=float(np.quantile(found.null, 0.95)), similarity=float(np.median(found.similarity)),
        )  # fmt: skip
        found = by_sign
    similarity = gate.quantile("randomised_similarity", found.similarity, 0.5, message("There are no rows to explain."))
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
    yield _beyond(gate, own, null, similarity)
    if _parts(bench) >= MANY:
        yield gate.mean("attribution_entropy_rise", found.entropy_rise)
    said = message(
        "Over models that learned nothing, {method} ranks the inputs of a row alike to {similarity:ratio} (median over {n:count} rows of the absolute rank correlation); "
        "95 of 100 pairs of such models stay below {null:ratio}.",
        method=called(bench), similarity=own.value, n=len(found.similarity), null=common,
    )  # fmt: skip
    yield said if note is None else message("{first} {rest}", first=said, rest=note)


def _parts(bench: Bench) -> int:
    """Parts of the row that has most."""
    return max((len(own) for own in bench.values), default=0)


def _too_few(bench: Bench) -> Message | None:
    """Why ranks of these rows say nothing; None where they do."""
    from audit.explain.gates import randomisation as ranks
    from audit.explain.gates.findings import FEWEST
    from audit.text import message

    if bench.n < FEWEST:
        return message("Fewer than ten rows could be explained.")
    if sum(len(own) >= ranks.FEWEST for own in bench.values) >= FEWEST:
        return None
    if _parts(bench) >= ranks.FEWEST:
        return message("Fewer than ten rows have {fewest:count} parts or more, and ranks of fewer say too little.", fewest=ranks.FEWEST)
    return message(
        "There are {n:count} inputs, and ranks of fewer than {fewest:count} say too little.", n=_parts(bench), fewest=ranks.FEWEST
    )


def _beyond(gate: Gate, own: Estimate, null: Estimate, similarity: Measurement) -> Measurement:
    """The median similarity minus what 95 of 100 pairs of random models stay below."""
    from audit.measurement import Measurement

    beyond = own.model_copy(update={"value": own.value - null.value, "low": own.low - null.value, "high": own.high - null.value})
    return Measurement(
        metric="randomised_similarity", compare="difference", slice=gate.slice, against=gate.of("(random model)"), estimate=beyond, computed_in=similarity.computed_in
    )  # fmt: skip
