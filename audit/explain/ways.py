"""Other methods beside the one that explains a model, each before the same gates: what stands of them is shown pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.explain.attribute import AUTO, draw
from audit.explain.explained import PARTIAL
from audit.explain.gap import METHODS
from audit.explain.gates import controls, measured
from audit.explain.gates.deletion import STEPS
from audit.explain.gates.findings import Gate, unfit
from audit.explain.gates.pieces import PiecesBench, bench
from audit.explain.gates.trial import APPROXIMATE
from audit.explain.of_pieces import Way, chosen
from audit.explain.pieces import Regions
from audit.judge import judge_reported
from audit.measure import value
from audit.measurement import Heatmap, Measurement
from audit.stats.losses import from_influence
from audit.stats.quantiles import quantile
from audit.text import message
from audit.withdraw import FAILED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.explained import Method
    from audit.measurement import Message
    from audit.result import Finding
    from audit.subject.frame import Frame

    Floats = NDArray[np.float64]

#: A picture of more pixels along a side is shown in this many cells.
MOST_CELLS = 56
#: Masks of random subsets.
MASKS = 60
#: Which gate each judged number belongs to.
GATE_OF = {
    "completeness_gap": "explanation.completeness", "exact_completeness_gap": "explanation.completeness", "infidelity": "explanation.infidelity",
    "deletion_area": "explanation.deletion", "deletion_gain_share": "explanation.deletion", "randomised_similarity": "explanation.randomisation",
    "seed_overlap": "explanation.stability", "excess_sensitivity": "explanation.stability",
}  # fmt: skip


class Judged(NamedTuple):
    """One method: what its gates found, why it is rejected (None where it stands), and the rows and model evaluations behind it."""

    bench: PiecesBench
    measured: list[Measurement]
    rejected: Message | None


def main_way(ctx: Context, rows: int, background: int) -> tuple[Way, Frame]:
    """The method that `explanation.global` shows, and rows."""
    shown = ctx.plan.checks["explanation.global"].params if "explanation.global" in ctx.plan.checks else {}
    frame, base = draw(ctx, rows, background)
    return chosen(ctx, base, method=str(shown.get("method", AUTO)))[0], frame


def judged(way: Way, frame: Frame, main: PiecesBench, *, size: int, budget: int) -> Judged:
    """A method before the five gates, and beside the main one. The first gate that rejects it is the last that it is asked: the others cost as much as
    itself, several times over."""
    own = bench(
        way, frame, size=size, budget=budget, explanations=4, least=4, parts_of=2, masks=lambda d: MASKS + d + 2 + 5 * (min(d, STEPS) + 1)
    )
    gate = Gate(way.ctx, own)
    if (why := unfit(own)) is not None:
        return Judged(own, [gate.none("infidelity", why)], None)
    found: list[Measurement] = []
    rejected = None
    for asked in (_complete, _faithful, _ordered, _dependent, _steady):
        found += asked(own, gate)
        rejected = _rejection(judge_reported(way.ctx.check, found, way.ctx.plan, judgeable=True))
        if rejected is not None:
            break
    found.append(gate.mean("feature_agreement", measured.between(own, main.values, 5).feature))
    return Judged(own, found, rejected)


def _rejection(findings: list[Finding]) -> Message | None:
    """What failed, with its number and limit; None where nothing did."""
    failed = next((f for f in findings if f.verdict == "fail"), None)
    if failed is None or failed.estimate is None or failed.criterion is None:
        return None
    limit = failed.criterion.max if failed.criterion.max is not None else failed.criterion.min
    return message(
        "{what} ({value:number}, limit {limit:number})",
        what=message(FAILED[GATE_OF[failed.metric]]),
        value=failed.estimate.value,
        limit=limit,
    )


def _complete(own: PiecesBench, gate: Gate) -> Iterator[Measurement]:
    if own.method not in PARTIAL:
        metric = "completeness_gap" if own.method in APPROXIMATE else "exact_completeness_gap"
        yield gate.quantile(metric, own.gaps(), 0.95, message("It is not defined on these rows."))


def _faithful(own: PiecesBench, gate: Gate) -> Iterator[Measurement]:
    ctx = own.way.ctx
    found = measured.faithfulness(own, {controls.RANDOM: controls.at_random(own, ctx.rng("random"))}, MASKS, ctx.rng("masks"))
    mine, random = found.infidelity[""], found.infidelity[controls.RANDOM]
    yield gate.quantile("infidelity", mine, 0.5, message("Nothing that was taken away moved the answer of any row."))
    if (apart := gate.against("infidelity", mine, controls.RANDOM, random)) is not None:
        yield apart


def _ordered(own: PiecesBench, gate: Gate) -> Iterator[Measurement]:
    found = measured.deleted(own, {}, own.way.ctx.rng("orders"))
    if not len(found.random):
        return
    if (apart := gate.against("deletion_area", found.areas[""], controls.RANDOM, found.random)) is not None:
        yield apart
    gains = {name: found.random - area for name, area in found.areas.items()}
    best = max(gains.values(), key=lambda g: float(g.mean()))
    if best.mean() > 0:
        share, level = float(gains[""].mean() / best.mean()), own.way.ctx.level("deletion_gain_share")
        estimate = from_influence(share, (gains[""] - share * best) / float(best.mean()), level=level, method="delta")
        yield value("deletion_gain_share", estimate, slice_=gate.slice).model_copy(update={"computed_in": "worker"})


def _dependent(own: PiecesBench, gate: Gate) -> Iterator[Measurement]:
    seeds = own.way.ctx.rng("models").integers(0, 2**31, 2).tolist()
    found = measured.against_random_models(own, [own.randomised(seed) for seed in seeds])
    if not len(found.similarity):
        return
    told = found if found.tells else found.with_signs
    if told is not None:
        yield gate.quantile("randomised_similarity", told.similarity, 0.5, message("There are no rows to explain."))
    level = own.way.ctx.level("randomised_similarity", "difference")
    mine, null = (quantile(v, q, level=level, clamped=True) for v, q in (((told or found).similarity, 0.5), ((told or found).null, 0.95)))
    if mine is not None and null is not None:
        beyond = mine.model_copy(update={name: getattr(mine, name) - null.value for name in ("value", "low", "high")})
        yield Measurement(
            metric="randomised_similarity", compare="difference", slice=gate.slice, against=gate.of("(random model)"), estimate=beyond, computed_in="worker"
        )  # fmt: skip


def _steady(own: PiecesBench, gate: Gate) -> Iterator[Measurement]:
    yield gate.mean("seed_overlap", measured.over_seeds(own, [own.again(1)], 5).overlap)
    moves = own.near(1, 0.1, own.way.ctx.rng("neighbours"))
    yield gate.quantile(
        "excess_sensitivity", moves.excess, 0.5, message("No input holds numbers that could move, or no neighbour kept its class.")
    )


def by_pixel(found: Judged) -> list[Heatmap]:
    """The mean size of attributions of each pixel over the rows, crossed out where the method is rejected; nothing of texts."""
    own = found.bench
    inputs = own.seen.pieces.inputs
    if len(inputs) != 1 or not isinstance(inputs[0], Regions):
        return []
    channels, height, width = inputs[0].shape
    size = np.abs(own.way.numbers(own.seen.frame).reshape(own.n, channels, height, width).sum(axis=1)).mean(axis=0)
    cells = _coarser(size)
    down, across = cells.shape
    return [Heatmap(
        caption=f"Mean size of attributions by pixel: {METHODS[own.method]}",
        caption_msg=message("Mean size of attributions by pixel: {method}", method=message(METHODS[own.method])),
        row_label="", column_label="", rows=[str(i + 1) for i in range(down)], columns=[str(i + 1) for i in range(across)],
        unit=own.seen.explained.unit, values=cells.tolist(), rejected=found.rejected is not None,
    )]  # fmt: skip


def _coarser(size: Floats) -> Floats:
    """A picture of at most `MOST_CELLS` cells along a side: sums over blocks of pixels."""
    out = size
    for axis in (0, 1):
        count = out.shape[axis]
        if count > MOST_CELLS:
            starts = np.arange(MOST_CELLS) * count // MOST_CELLS
            out = np.add.reduceat(out, starts, axis=axis)
    return out


def tried(ctx: Context, names: list[str], *, rows: int, background: int, budget: int) -> tuple[PiecesBench, list[Judged]]:
    """The main method and the others that this model allows, each judged on rows of its own within its share of the budget."""
    way, frame = main_way(ctx, rows * 4, background)
    able: list[Method] = [
        m
        for m in ("integrated_gradients", "grad_cam", "lrp", "gradient_shap", "deep_shap")
        if m in names and m in ctx.settled.methods and m != way.method
    ]
    main = bench(way, frame, size=rows, budget=budget // 10, explanations=1, least=1, parts_of=2, masks=lambda d: 0)
    share = budget // max(1, len(able))
    return main, [judged(Way(ctx, m, way.background), frame, main, size=rows, budget=share) for m in able]
