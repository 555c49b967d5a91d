"""Whether the audited rows are of another kind than the training rows, and whether that costs anything."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice
    from audit.shifted import Compared, Domain, Side

TRAINED, AUDITED = {"(rows)": "(training)"}, {"(rows)": "(these)"}
#: Rows a side below which nothing is said; level at which a difference counts as established; rows that weighted rows must be
#: worth, and share of the training rows that the audited rows must have the like of, for weights to say what a shift costs.
LEAST, ALPHA, WORTH, COVERED = 50, 0.05, 100, 0.5
#: Columns that are listed.
LISTED = 30


@check(
    "robustness.shift",
    title="Shift between training rows and audited rows",
    meaning=(
        "Training rows and audited rows are compared: each input by itself (Kolmogorov–Smirnov or χ², with the population stability index), the model's answers, all inputs together (a kernel test), and by a "
        "small model that tries to tell the two sets apart. Where a difference is established it is asked what it costs: how much more often the model is wrong on the audited rows than on the same rows "
        "weighted to be composed as the training rows are; where the sets hardly overlap, than on the training rows themselves."
    ),
    limits=(
        "With many rows every difference is established, however small: look at its size and at what it costs. Weights see the inputs only: where the outcome itself has come to depend on them in another "
        "way, the cost is larger than they show. Nothing is said of rows that will come. Samples of both sets are compared, so rare values can be missed."
    ),
    unit="ROC AUC; distance of distributions; share of rows",
    direction="lower",
    needs=["model", "training", "features"],
    references=[
        "Rabanser, Günnemann and Lipton 2019",
        "Gretton et al. 2012",
        "Lopez-Paz and Oquab 2017",
        "Lipton, Wang and Smola 2018",
        "Shimodaira 2000",
    ],
    probing=True,
)
def shift(
    ctx: Context, *, rows: Annotated[int, Field(ge=50)] = 2000, draws: Annotated[int, Field(ge=20)] = 500
) -> Iterable[Measurement | Message]:
    """Tests of columns, answers and all inputs together between samples of both sets, and what an established difference costs."""
    import numpy as np

    from audit import shifted
    from audit.rows import evaluation_rows, training_rows
    from audit.text import message
    from audit.two_sets import single

    training = ctx.facts.training
    assert training is not None
    if training.sha256 == ctx.facts.sha256:
        yield message("The audited rows are the training rows, so there is nothing to compare.")
        return
    size = min(rows, ctx.plan.audit.sample)
    found = training_rows(ctx, size), evaluation_rows(ctx, size)
    if min(len(f.row) for f in found) < LEAST:
        yield message("Fewer than {n:count} training rows or audited rows: too few to compare.", n=LEAST)
        return
    y = found[1].y
    variance = float(np.nanvar(y)) or 1.0 if y is not None and ctx.settled.task == "regression" and np.isfinite(y).any() else 1.0
    theirs, ours = (shifted.side(ctx, f, variance) for f in found)
    table = bool(single(ours.frame))
    columns = shifted.columns(theirs.frame, ours.frame) if table else []
    domain = shifted.domain(theirs.frame, ours.frame, ctx.rng("domain"), level=ctx.level("domain_auc")) if table else None
    kernel = shifted.kernel(theirs.frame, ours.frame, ctx.rng("kernel"), draws=draws) if table else None
    answered = list(_answers(ctx, theirs, ours))
    families = {
        "single inputs": columns[0].adjusted if columns else None, "answers of the model": min((p for _, p in answered), default=None),
        "all inputs together": kernel[1] if kernel else None, "small model that tells the sets apart": _p(domain.auc) if domain else None,
    }  # fmt: skip
    tried = {name: p for name, p in families.items() if p is not None}
    least = min(1.0, len(tried) * min(tried.values(), default=1.0))
    evidence = ([_columns(columns)] if columns else []) + [_families(tried, kernel)]
    if domain:
        yield _domain(domain, len(tried), evidence)
        evidence = []
    for m, _ in answered:
        yield m.model_copy(update={"evidence": evidence})
        evidence = []
    cost = yield from _cost(ctx, theirs, ours, domain, established=least <= ALPHA)
    yield _summary(columns, domain, cost, least, (len(found[0].row), len(found[1].row)))


def _p(auc: Estimate) -> float:
    """One-sided p of "the sets cannot be told apart", from the interval on the logit scale."""
    import math

    from scipy.special import ndtr, ndtri

    value, low = (min(max(v, 1e-12), 1 - 1e-12) for v in (auc.value, auc.low))
    middle, below = math.log(value / (1 - value)), math.log(low / (1 - low))
    error = (middle - below) / float(ndtri((1 + auc.level) / 2))
    return float(ndtr(-middle / error)) if error > 0 else float(value <= 0.5)


def _answers(ctx: Context, theirs: Side, ours: Side) -> Iterator[tuple[Measurement, float]]:
    """The largest gap between the distributions of each answer, with its p over all of them (Bonferroni)."""
    import numpy as np

    from audit.measurement import Measurement, Test
    from audit.shifted import answers
    from audit.stats.shift import kolmogorov
    from audit.stats.standardised import largest_gap

    metric = "kolmogorov_smirnov_distance"
    every = answers(ctx, theirs.said, ours.said)
    for name, (one, two) in every.items():
        known = [x[np.isfinite(x)] for x in (one, two)]
        gap = largest_gap(known[1], known[0], level=ctx.level(metric, "difference"))
        if gap is None:
            continue
        p = kolmogorov(*known)[1]
        adjusted = min(1.0, p * len(every))
        at: Slice = {"(class)": name} if name else {}
        test = Test(null="equality", method="kolmogorov_smirnov", p_value=p, adjusted_p_value=adjusted, tests_in_family=len(every))
        yield (
            Measurement(metric=metric, compare="difference", slice=AUDITED | at, against=TRAINED | at, estimate=gap[0], test=test),
            adjusted,
        )


def _domain(domain: Domain, families: int, evidence: list[Evidence]) -> Measurement:
    from audit.measure import value
    from audit.measurement import Test

    p = _p(domain.auc)
    test = Test(null="equality", method="delong", p_value=p, adjusted_p_value=min(1.0, p * families), tests_in_family=families)
    return value("domain_auc", domain.auc, evidence=evidence).model_copy(update={"test": test})


def _cost(
    ctx: Context, theirs: Side, ours: Side, domain: Domain | None, *, established: bool
) -> Generator[Measurement, None, tuple[Estimate, bool] | None]:
    """How much oftener the model is wrong for the shift; hands back the estimate and what it was held against."""
    import numpy as np

    from audit.measure import undefined, value
    from audit.stats.compare import mean_difference
    from audit.stats.shift import effective_rows, excess_loss
    from audit.stats.sums import moments
    from audit.text import message, render

    known = np.isfinite(ours.losses)
    cost, weighted = None, False
    if known.sum() >= LEAST and domain is not None:
        log_odds = -domain.log_odds[len(theirs.losses) :][known]  # of being a training row
        weights = np.exp(log_odds) * len(ours.losses) / len(theirs.losses)  # how much denser the training rows are where this row is
        if effective_rows(weights) >= WORTH and float(weights.mean()) >= COVERED:
            cost, weighted = excess_loss(ours.losses[known], weights, others=len(theirs.losses), level=ctx.level("shift_loss")), True
    if cost is None:
        sides = [moments(s.losses[np.isfinite(s.losses)]) for s in (ours, theirs)]
        if sides[0] is not None and sides[1] is not None and min(sides[0].n, sides[1].n) >= LEAST:
            cost = mean_difference(sides[0], sides[1], level=ctx.level("shift_loss"))
    if cost is None:
        reason = message(
            "What the model gets wrong is not known for {n:count} rows on a side, so what a shift costs cannot be said.", n=LEAST
        )
        yield undefined("shift_loss", reason)
        return None
    m = value("shift_loss", cost)
    if not established:
        why = message("No difference between the sets is established, so there is no shift whose cost could be judged.")
        m = m.model_copy(update={"reason": render(why), "reason_msg": why})
    yield m
    return cost, weighted


def _columns(columns: list[Compared]) -> Evidence:
    """The inputs, the most telling first."""
    from audit.measurement import Column, Table
    from audit.text import message, render

    caption = message(
        "Inputs in training rows and audited rows, the most telling first ({n:count} of {all:count})",
        n=min(LISTED, len(columns)),
        all=len(columns),
    )
    heads = [
        Column(name="input", label="input"), Column(name="distance", label="distance of the distributions", kind="number"),
        Column(name="psi", label="population stability index", kind="number"), Column(name="p", label="p", kind="p_value"),
        Column(name="adjusted", label="p over all inputs (Bonferroni)", kind="p_value"),
    ]  # fmt: skip
    lines = [[c.name, c.distance, c.psi, c.p, c.adjusted] for c in columns[:LISTED]]
    return Table(caption=render(caption), caption_msg=caption, columns=heads, rows=[[*line] for line in lines])


def _families(tried: dict[str, float], kernel: tuple[float, float] | None) -> Evidence:
    """What was tested, with the least p of each; over all of them each counts as often as there are."""
    from audit.measurement import Cell, Column, Table

    heads = [
        Column(name="tested", label="what was compared"), Column(name="mmd2", label="kernel discrepancy (MMD²)", kind="number"),
        Column(name="p", label="p", kind="p_value"), Column(name="adjusted", label="p over all of these (Bonferroni)", kind="p_value"),
    ]  # fmt: skip
    lines: list[list[Cell]] = [
        [name, kernel[0] if kernel and name == "all inputs together" else None, p, min(1.0, p * len(tried))] for name, p in tried.items()
    ]
    return Table(caption="Is there a difference between the sets?", columns=heads, rows=lines)


def _summary(
    columns: list[Compared], domain: Domain | None, cost: tuple[Estimate, bool] | None, least: float, sizes: tuple[int, int]
) -> Message:
    from audit.text import message

    n = {"theirs": sizes[0], "ours": sizes[1]}
    said = message(
        "On {theirs:count} training rows and {ours:count} audited rows no difference is established (p {p:p} over all tests).", p=least, **n
    )
    if least <= ALPHA:
        said = message(
            "The audited rows are of another kind than the training rows (p {p:p} over all tests, {theirs:count} and {ours:count} rows).",
            p=least,
            **n,
        )
        if columns and columns[0].adjusted <= ALPHA:
            top = columns[0]
            said = message(
                "{said} Most telling is {column} (population stability index {psi:ratio}).", said=said, column=top.name, psi=top.psi
            )
    if domain:
        said = message(
            "{said} A small model tells the sets apart with an AUC of {auc:ratio} ({low:ratio} to {high:ratio}; 0.5 is a coin).", said=said, auc=domain.auc.value, low=domain.auc.low, high=domain.auc.high,
        )  # fmt: skip
    if cost is None or least > ALPHA:
        return said
    values = {"said": said, "cost": cost[0].value, "low": cost[0].low, "high": cost[0].high, "level": cost[0].level}
    if cost[1]:
        return message(
            "{said} The other composition costs {cost:points} points ({level:percent} interval {low:points} to {high:points}).", **values
        )
    return message(
        "{said} The sets hardly overlap; the model errs {cost:points} points more on the audited rows than on its training rows ({level:percent} interval {low:points} to {high:points}), what it learnt by heart included.", **values,
    )  # fmt: skip
