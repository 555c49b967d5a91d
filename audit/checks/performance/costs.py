"""What the decisions cost, where the cost of errors is declared in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice
    from audit.stats.costs import Costs
    from audit.table import Block

BINS = 100  # cutoffs are looked at in steps of 0.01
MOST_LINES = 6  # of a drawn curve


@check(
    "performance.costs",
    title="What the decisions cost",
    meaning=(
        "The mean cost of a row under the declared cost of errors, for the decisions in force; what they save against the better of deciding the same for everybody; the cutoff that "
        "the costs imply if probabilities are right; the net benefit at that cutoff (events found per row, less false alarms at their exchange rate); and the cutoff with the "
        "least cost on these rows."
    ),
    limits=(
        "It is only as good as the declared costs, and adds up costs that different people bear. The cutoff with the least cost was chosen on these very rows and looks better here than "
        "it will on others: choose cutoffs on other rows. One cutoff for everybody can cost one group more."
    ),
    unit="the unit of the declared costs, per row",
    direction="lower",
    needs=["labels", "classes", "costs"],
    references=["Elkan 2001", "Vickers and Elkin 2006"],
)
def costs(ctx: Context, *, replicates: Annotated[int, Field(ge=25, le=100_000)] = 2000) -> Iterable[Measurement | Message]:
    """Expected cost and net benefit from counts of outcome, decision and score in steps of 0.01, overall and per group."""
    from audit.text import message

    if ctx.settled.task != "binary":
        return [message("False positives and false negatives are those of one event; this model chooses among several classes.")]
    return _costs(ctx, replicates)


def _counts(ctx: Context) -> Iterator[tuple[Grouping | None, NDArray[np.int64], NDArray[np.int64]]]:
    """Everybody, then each sensitive column: cells (slices, 4) of the decisions, and counts (slices, 2, BINS) of outcome and score bin."""
    import numpy as np

    event = ctx.settled.classes.index(ctx.settled.positive or "")
    edges = np.arange(1, BINS) / BINS
    scored = ctx.settled.has_scores

    def decided(block: Block) -> NDArray[np.int64]:
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, 2 * (block["y"] == event) + (block["pred"] == event), 4)

    def binned(block: Block) -> NDArray[np.int64]:
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        place = np.searchsorted(edges, np.where(known, block["score"], 0), side="right")
        return np.where(known, (block["y"] == event) * BINS + place, 2 * BINS)

    codings = {"cells": (decided, 5)} | ({"bins": (binned, 2 * BINS + 1)} if scored else {})
    names = ["y", "pred", *(["score"] if scored else [])]
    found = []
    for grouping, counts in ctx.counted(codings, names, intersection=False):
        bins = counts["bins"][:, :-1] if scored else np.zeros((len(grouping.slices), 0), np.int64)
        found.append((grouping, counts["cells"][:, :-1], bins.reshape(len(grouping.slices), 2, -1)))
    if found:
        _, cells, bins = found[0]
        yield None, cells.sum(axis=0, keepdims=True), bins.sum(axis=0, keepdims=True)
    else:
        cells, bins = np.zeros(4, np.int64), np.zeros(2 * BINS, np.int64)
        for block in ctx.scored.blocks(names):
            cells += np.bincount(decided(block), minlength=5)[:-1]
            if scored:
                bins += np.bincount(binned(block), minlength=2 * BINS + 1)[:-1]
        yield None, cells[None], (bins.reshape(1, 2, -1) if scored else np.zeros((1, 2, 0), np.int64))
    yield from found


def _costs(ctx: Context, replicates: int) -> Iterator[Measurement | Message]:
    from audit.costs import of
    from audit.text import message

    declared = of(ctx.facts.roles.context)
    assert declared is not None, "the runner asks for declared costs"
    told: Message | None = None
    for grouping, cells, bins in _counts(ctx):
        if grouping is not None:
            yield from _groups(ctx, declared, grouping, cells, bins, replicates)
            continue
        if not cells.sum():
            yield message("No row has both an outcome and a prediction: nothing can be measured.")
            return
        found = list(_everybody(ctx, declared, cells[0], bins[0], replicates))
        yield from found
        by_name = {m.metric: m.estimate for m in found}
        cost, saved = by_name["expected_cost"], by_name["cost_saved"]
        if cost is not None and saved is not None:
            told = _said(cost, saved)
    yield told or message("The cost of the decisions cannot be bounded on these rows.")


def _said(cost: Estimate, saved: Estimate) -> Message:
    """What a decision costs, and whether it costs less than deciding the same for everybody."""
    from audit.text import message

    numbers = {
        "cost": cost.value, "low": cost.low, "high": cost.high, "level": cost.level, "n": cost.n, "apart": saved.value, "least": saved.low, "most": saved.high,
    }  # fmt: skip
    if saved.low > 0:
        return message(
            "A decision costs {cost:number} on average ({level:percent} interval {low:number} to {high:number}; {n:count} rows); against deciding the same for everybody that "
            "saves {apart:number} ({least:number} to {most:number}).", **numbers,
        )  # fmt: skip
    if saved.high < 0:
        lost = {"apart": -saved.value, "least": -saved.high, "most": -saved.low}
        return message(
            "A decision costs {cost:number} on average ({level:percent} interval {low:number} to {high:number}; {n:count} rows), which is {apart:number} ({least:number} to "
            "{most:number}) more than deciding the same for everybody.", **(numbers | lost),
        )  # fmt: skip
    return message(
        "A decision costs {cost:number} on average ({level:percent} interval {low:number} to {high:number}; {n:count} rows). Whether that is less than deciding the same for "
        "everybody, these rows cannot tell: it saves {apart:signed} ({least:signed} to {most:signed}).", **numbers,
    )  # fmt: skip


def _everybody(ctx: Context, costs: Costs, cells: NDArray[np.int64], bins: NDArray[np.int64], replicates: int) -> Iterator[Measurement]:
    """Of everybody: cost in force and what it saves, the cutoff that costs imply, and the one with the least cost on these rows."""
    import numpy as np

    from audit.measure import exact, value
    from audit.stats.cells import bootstrap
    from audit.stats.costs import at_cutoffs, expected_cost

    def in_force(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        own = expected_cost(counts, costs)
        never, always = (expected_cost(c, costs) for c in _constant(counts))
        return np.stack([own, np.minimum(never, always) - own], axis=1)

    level = ctx.level("expected_cost")
    cost, saved = bootstrap(cells, in_force, replicates=replicates, rng=ctx.rng("in force"), level=level).estimates
    evidence = [_rules(costs, cells, bins, _declared(ctx)), *_curves(ctx, costs, [("*", bins)])] if bins.size else []
    yield value("expected_cost", cost, evidence=evidence)
    yield value("cost_saved", saved)
    if not bins.size:
        return
    yield from _implied(ctx, costs, bins, {}, replicates)

    def least(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        at = expected_cost(at_cutoffs(counts.reshape(-1, 2, BINS)), costs)
        best = at.argmin(axis=1)
        return np.stack([best / BINS, at[np.arange(len(at)), best]], axis=1)

    cutoff, lowest = bootstrap(bins.ravel(), least, replicates=min(replicates, 500), rng=ctx.rng("least"), level=level).estimates
    yield value("cost_minimal_cutoff", cutoff)
    yield value("expected_cost_at_minimal_cutoff", lowest)
    implied = costs.cutoff
    if implied is not None:
        yield value("cost_implied_cutoff", exact(implied, int(cells.sum())))


def _constant(cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same rows where the event is predicted for nobody, and for everybody."""
    import numpy as np

    zeros, ones = cells[..., 0] + cells[..., 1], cells[..., 2] + cells[..., 3]
    none = np.zeros_like(zeros)
    return np.stack([zeros, none, ones, none], axis=-1), np.stack([none, zeros, none, ones], axis=-1)


def _implied(ctx: Context, costs: Costs, bins: NDArray[np.int64], slice_: Slice, replicates: int) -> Iterator[Measurement]:
    """Net benefit at the cutoff that the costs imply, at the nearest step of 0.01."""
    import numpy as np

    from audit.measure import value
    from audit.stats.cells import bootstrap
    from audit.stats.costs import at_cutoffs, net_benefit
    from audit.text import message

    reason = message("The declared costs imply no cutoff, or nobody is here.")
    step = None if costs.cutoff is None or costs.cutoff >= 1 else min(BINS - 1, round(costs.cutoff * BINS))
    if step is None or not bins.sum():
        yield value("net_benefit", None, slice_=slice_, reason=reason)
        return
    cells = at_cutoffs(bins)[step]

    def benefit(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(net_benefit(counts, step / BINS)[:, None])

    name = "/".join(f"{k}={v}" for k, v in slice_.items())
    (found,) = bootstrap(cells, benefit, replicates=replicates, rng=ctx.rng(f"benefit/{name}"), level=ctx.level("net_benefit")).estimates
    yield value("net_benefit", found, slice_=slice_, reason=reason)


def _groups(
    ctx: Context, costs: Costs, grouping: Grouping, cells: NDArray[np.int64], bins: NDArray[np.int64], replicates: int
) -> Iterator[Measurement]:
    """Cost in force and net benefit of each group, and how far its cost lies from the reference group's."""
    import numpy as np

    from audit.measure import mean_comparison, value
    from audit.stats.cells import bootstrap
    from audit.stats.costs import expected_cost
    from audit.text import message

    triples = [_triple(costs, own) for own in cells]
    lines = [(next(iter(s.values())), b) for s, b in zip(grouping.slices, bins, strict=True)]
    order = sorted(range(len(lines)), key=lambda i: -int(lines[i][1].sum()))[:MOST_LINES]
    shown = _curves(ctx, costs, [lines[i] for i in sorted(order)]) if bins.size else []
    for i, slice_ in enumerate(grouping.slices):
        name = "/".join(f"{k}={v}" for k, v in slice_.items())

        def cost(counts: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray(expected_cost(counts, costs)[:, None])

        level = ctx.level("expected_cost")
        found = (
            bootstrap(cells[i], cost, replicates=replicates, rng=ctx.rng(f"in force/{name}"), level=level).estimates[0]
            if cells[i].sum()
            else None
        )
        reason = message("No row of this group has an outcome and a prediction.")
        yield value("expected_cost", found, slice_=slice_, reason=reason, evidence=shown if i == 0 else ())
        if bins.size:
            yield from _implied(ctx, costs, bins[i], slice_, replicates)
        if grouping.reference is not None and i != grouping.reference and i not in grouping.unknown:
            against = grouping.slices[grouping.reference]
            yield from mean_comparison(ctx, "expected_cost", (slice_, triples[i]), (against, triples[grouping.reference]))


def _triple(costs: Costs, cells: NDArray[np.int64]) -> tuple[int, float, float]:
    """(n, mean, variance) of the cost of a row."""
    import numpy as np

    n = int(cells.sum())
    if n < 2:
        return n, 0.0, 0.0
    mean = float(np.sum(cells * costs.of_cells)) / n
    return n, mean, float(np.sum(cells * (costs.of_cells - mean) ** 2)) / (n - 1)


def _declared(ctx: Context) -> float | None:
    """The cutoff of the declared decision rule; None where decisions follow none."""
    return ctx.facts.decision.value if ctx.facts.decision.kind == "threshold" else None


def _rules(costs: Costs, cells: NDArray[np.int64], bins: NDArray[np.int64], in_force: float | None) -> Evidence:
    """The decisions in force beside cutoffs that costs speak for."""
    from audit.measurement import Column, Table
    from audit.stats.costs import at_cutoffs, expected_cost

    at = at_cutoffs(bins)
    by_cutoff = expected_cost(at, costs)
    best = int(by_cutoff.argmin())
    never, always = _constant(cells)
    rules = [("decision in force", in_force, cells), ("least cost on these rows", best / BINS, at[best])]
    if costs.cutoff is not None:
        step = min(BINS, round(costs.cutoff * BINS))
        rules.insert(1, ("cutoff that the costs imply", step / BINS, at[step]))
    rules += [("event predicted for nobody", None, never), ("event predicted for everybody", None, always)]
    n = int(cells.sum())
    columns = [
        Column(name="rule", label="rule", kind="text"), Column(name="cutoff", label="cutoff", kind="ratio"), Column(name="cost", label="cost of a row", kind="number"),
        Column(name="predicted", label="rows for which the event is predicted", kind="percent"),
    ]  # fmt: skip
    rows = [[name, cutoff, float(expected_cost(own, costs)), float(own[1] + own[3]) / n] for name, cutoff, own in rules]
    return Table(
        caption="Cost of a row under different rules; the cutoff with the least cost was chosen on these rows", columns=columns, rows=rows
    )


def _curves(ctx: Context, costs: Costs, lines: list[tuple[str, NDArray[np.int64]]]) -> list[Evidence]:
    """Cost and net benefit over all cutoffs, a line for each group that is large enough to show."""
    from audit.measurement import Curve, Series
    from audit.stats.costs import at_cutoffs, expected_cost, net_benefit

    steps = list(range(0, BINS + 1, 2))
    large = [(name, at_cutoffs(bins), int(bins.sum())) for name, bins in lines if bins.sum() >= max(50, ctx.plan.disclosure.min_group_size)]
    if not large:
        return []
    x = [s / BINS for s in steps]
    price = [Series(name=name, x=x, y=[float(v) for v in expected_cost(at, costs)[steps]], n=[n] * len(x)) for name, at, n in large]
    made: list[Evidence] = [
        Curve(name="cost", caption="Cost of a row over all cutoffs", x_label="cutoff", y_label="cost of a row", series=price)
    ]
    below = [s for s in steps if s <= 0.9 * BINS]
    gains = [
        Series(name=name, x=[s / BINS for s in below], y=[float(net_benefit(at[s], s / BINS)) for s in below], n=[n] * len(below))
        for name, at, n in large
    ]
    if len(large) == 1:
        _, at, n = large[0]
        gains[0] = gains[0].model_copy(update={"name": "the model"})
        everybody = [float(net_benefit(at[0], s / BINS)) for s in below]
        floor = -0.05
        kept = [i for i, v in enumerate(everybody) if v >= floor]
        gains += [
            Series(
                name="the event predicted for everybody",
                x=[below[i] / BINS for i in kept],
                y=[everybody[i] for i in kept],
                n=[n] * len(kept),
            ),
            Series(name="the event predicted for nobody", x=[below[0] / BINS, below[-1] / BINS], y=[0.0, 0.0], n=[n, n]),
        ]
    caption = "Net benefit over all cutoffs: events found per row, less false alarms at the cutoff's exchange rate"
    return [*made, Curve(name="benefit", caption=caption, x_label="cutoff", y_label="net benefit", series=gains)]
