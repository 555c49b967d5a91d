"""Would the explanation say the same again, and nearly the same of a neighbour?"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.gates.agreement import Agreement
    from audit.explain.gates.bench import Bench
    from audit.explain.gates.findings import Gate
    from audit.measurement import Estimate, Measurement, Message


@check(
    "explanation.stability",
    title="Whether the explanation stays the same",
    meaning=(
        "Again: the same rows are explained with other random numbers; the overlap of each row's largest attributions, corrected for chance, is 1 where they are the same and 0 where they "
        "are a matter of chance. Nearby: each number of a row moves by up to a tenth of its standard deviation while the class stays, and a text loses its least important word; the largest relative move of the attributions "
        "over such neighbours is their sensitivity. Judged is what exceeds five times the relative move of the answer: where the model jumps, so must its explanation. "
        "Methods beside the model are set beside SHAP from its answers on a few rows: their agreement is reported, for methods answer different questions."
    ),
    limits=("The largest move over a sample of neighbours is a lower bound. Categories are not moved. The limits are policy."),
    unit="overlap corrected for chance; relative move of attributions",
    direction="none",
    needs=["model", "features"],
    references=["Yeh et al. 2019", "Kuncheva 2007", "Kendall and Gibbons 1990", "Krishna et al. 2024"],
    about="evidence",
    probing=True,
)
def stability(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 50,
    background: Annotated[int, Field(ge=1, le=10_000)] = 10,
    seeds: Annotated[int, Field(ge=2, le=1000)] = 3,
    neighbours: Annotated[int, Field(ge=1, le=10_000)] = 5,
    top: Annotated[int, Field(ge=1, le=1000)] = 5,
    budget: Annotated[int, Field(ge=1_000)] = 200_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Mean corrected overlap over seeds, concordance of all ranks, median sensitivity, and how far it exceeds what the answer explains."""
    from audit.explain.gates.bench import benches, together
    from audit.explain.of_pieces import is_table

    left = budget // 2 if is_table(ctx) else budget_not_table // 5  # for the other method
    tried = benches(
        ctx,
        rows=rows,
        background=background,
        budget=budget,
        budget_not_table=budget_not_table * 4 // 5,
        explanations=seeds + neighbours,
        least=3,
        parts=2,
    )
    yield from together(told for bench in tried for told in _judged(ctx, bench, seeds, neighbours, top, left))


def _judged(ctx: Context, bench: Bench, seeds: int, neighbours: int, top: int, left: int) -> Iterator[Measurement | Message]:
    """One kind of parts: explained again, at neighbours, and by another method for at most `left` model evaluations."""
    from audit.explain.gates import measured
    from audit.explain.gates.findings import Gate, unfit
    from audit.explain.gates.trial import SAMPLED
    from audit.text import message

    gate = Gate(ctx, bench)
    if (why := unfit(bench)) is not None:
        yield gate.none("seed_overlap", why)
        return
    runs = min(seeds - 1 if bench.method in SAMPLED else 1, bench.explanations - 2)
    again = measured.over_seeds(bench, [bench.again(run) for run in range(1, runs + 1)], top)
    overlap = gate.mean("seed_overlap", again.overlap)
    yield overlap
    yield gate.mean("seed_concordance", again.concordance)
    moves = bench.near(min(neighbours, bench.explanations - 1 - runs), 0.1, ctx.rng("neighbours"))
    reason = (
        message("No input holds numbers that could move.")
        if moves is None
        else message("No input holds numbers that could move, or no neighbour kept its class.")
    )
    sensitivity = gate.quantile("sensitivity", again.overlap[:0] if moves is None else moves.sensitivity, 0.5, reason)
    yield sensitivity
    yield gate.quantile("excess_sensitivity", again.overlap[:0] if moves is None else moves.excess, 0.5, reason)
    assert overlap.estimate is not None
    said = _said(bench, overlap.estimate, sensitivity.estimate)
    if (other := bench.other(left)) is not None:
        further = yield from _beside(gate, measured.between(bench, other, top), top)
        said = said if further is None else message("{first} {rest}", first=said, rest=further)
    yield said


def _said(bench: Bench, overlap: Estimate, sensitivity: Estimate | None) -> Message:
    from audit.explain.gates.findings import called
    from audit.text import message

    method = called(bench)
    if sensitivity is None:
        return message(
            "Explained again, the largest attributions of a row are the same to {overlap:ratio} (1 is the same choice, 0 is chance; {n:count} rows; {method}).",
            overlap=overlap.value, n=overlap.n, method=method,
        )  # fmt: skip
    return message(
        "Explained again, the largest attributions of a row are the same to {overlap:ratio} (1 is the same choice, 0 is chance); for neighbours of a row they move by at most {moved:percent} (median of {n:count} rows; {method}).",
        overlap=overlap.value, moved=sensitivity.value, n=sensitivity.n, method=method,
    )  # fmt: skip


def _beside(gate: Gate, found: Agreement, top: int) -> Generator[Measurement, None, Message | None]:
    """Agreement with the other method; hands back a word of warning where they agree on little."""
    from audit.explain.gates.second import FAR_APART
    from audit.text import message

    for metric, values in (("feature_agreement", found.feature), ("sign_agreement", found.sign), ("rank_agreement", found.spearman)):
        yield gate.mean(metric, values)
    share = float(found.feature.mean())
    if share >= FAR_APART:
        return None
    return message(
        "SHAP over answers has only {share:percent} of the {k:count} largest inputs in common with it: no single method should be quoted alone.",
        share=share, k=top,
    )  # fmt: skip
