"""What the model would gain by not deciding where it is least sure, and for whom it would then not decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Evidence, Measurement, Message, Part, Series
    from audit.stats.selective import Answered, Areas
    from audit.table import Block

    Ints = NDArray[np.int64]
    #: How sure the model is of each row of a block, (k,) in [0, 1].
    Sure = Callable[[Block], NDArray[np.float64]]

#: Shares answered at which rows are counted, in twentieths; the ends of a search for a share with few errors.
STEPS, SEARCHED = 20, 256
#: Rows that a group needs, and groups of a drawn curve.
ENOUGH, MOST_LINES = 50, 6
#: The shares answered that have metrics of their own.
SHARES = (90, 80)


@check(
    "uncertainty.abstention",
    title="Whether the model knows when it does not know",
    meaning=(
        "Rows are put in order of how sure the model is: by the probability of the decided class, or by the distance from the cutoff where there is one. The risk–coverage curve is the share of wrong decisions "
        "among the surest rows, over the share of rows that is decided; the area under it is at least that of an order in which every error comes last, and the excess over it is what "
        "the order of confidence loses. For 90 % and 80 % of all rows decided: how often each group is then decided, and how often rightly. The share with bounded error is the largest share of rows "
        "that can be decided with at most the error rate that the plan names, with 95 % probability."
    ),
    limits=(
        "Deciding fewer rows can widen differences between groups, and somebody must decide the others. The cutoffs of 90 % and 80 % were taken from these very rows. Confidence ranks rows only; whether "
        "it is right as a probability is calibration. Errors are held against the outcome column, whatever that is."
    ),
    unit="share of rows",
    direction="lower",
    needs=["labels", "classes", "scores"],
    references=[
        "Geifman and El-Yaniv 2017",
        "Geifman, Uziel and El-Yaniv 2019",
        "Jones et al. 2021",
        "Clopper and Pearson 1934",
        "Newcombe 1998",
    ],
)
def abstention(
    ctx: Context,
    *,
    risk: Annotated[float, Field(gt=0, lt=1)] = 0.05,
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95,
) -> Iterable[Measurement | Message]:
    """The curve of everybody and of each group; `risk` and `confidence` are the error rate that a share is to keep, and how surely."""
    from audit.stats import selective
    from audit.stats.runs import Runs
    from audit.text import message

    sure = _sure(ctx)
    with Runs(ctx.scored.path.parent) as table:
        for block in ctx.scored.blocks(_columns(ctx)):
            rows = block.usable()
            table.add(sure(rows), rows["pred"] != rows["y"])
        if not table.rows:
            yield message("No row has an outcome and a score: nothing can be measured.")
            return
        areas = selective.areas(table, level=ctx.level("aurc"))
        steps = selective.answered(table, [i / STEPS for i in range(STEPS, 0, -1)])
        points = selective.answered(table, [i / SEARCHED for i in range(1, SEARCHED + 1)])
    found = selective.bounded(points, risk=risk, confidence=confidence)
    yield from _whole(ctx, areas, steps, table.rows)
    yield from _bounded(ctx, found, table.rows, risk)
    least = None
    for grouping, counts in _counted(ctx, sure, steps):
        for measurement in _groups(ctx, grouping, counts):
            yield measurement
            least = _fewer(grouping, measurement, least)
    yield _said(ctx, areas, steps, least, table.rows)


def _columns(ctx: Context) -> list[str]:
    from audit.ordered import columns

    return ["y", "pred", *columns(ctx)]


def _sure(ctx: Context) -> Sure:
    """How sure the model is: the way from the cutoff to certainty that its score has gone, or the probability of the decided class."""
    import numpy as np

    from audit import ordered
    from audit.scored import decided_by

    decision = decided_by(ctx.facts, ctx.settled)
    cut = decision.value if decision.kind == "threshold" else ctx.scoring.decision_cutoff
    if cut is None or ctx.settled.task != "binary" or not 0 < cut < 1:
        return lambda rows: np.clip(ordered.probabilities(rows, ctx), 0, 1)[np.arange(len(rows)), rows["pred"].astype(np.int64)]
    at = cut

    def way(rows: Block) -> NDArray[np.float64]:
        score = np.clip(rows["score"], 0, 1)
        return np.asarray(np.abs(score - at) / np.where(score >= at, 1 - at, at), dtype=np.float64)

    return way


def _whole(ctx: Context, areas: Areas | None, steps: list[Answered], rows: int) -> Iterator[Measurement]:
    from audit.measure import rate, value
    from audit.text import message

    reason = message("Every decision is right, or every one is wrong: no order of them is better than another.")
    yield value(
        "aurc",
        areas.aurc if areas else None,
        reason=reason,
        evidence=_drawn(
            [_line(ctx, "all rows", _errors(steps))], message("Wrong decisions among the surest rows, by the share of rows that is decided")
        ),
    )
    yield value("aurc_excess", areas.excess if areas else None, reason=reason)
    for share in SHARES:
        step = steps[STEPS - share * STEPS // 100]
        yield rate(ctx, f"selective_accuracy_{share}", step.rows - step.errors, step.rows)


def _bounded(ctx: Context, found: Answered | None, rows: int, risk: float) -> Iterator[Measurement]:
    from audit.measure import rate, undefined
    from audit.text import message

    if found is None:
        yield undefined(
            "bounded_error_share", message("No share of these rows is shown to have an error rate of at most {risk:percent}.", risk=risk)
        )
        return
    yield rate(ctx, "bounded_error_share", found.rows, rows)


class Counts(NamedTuple):
    """By slice and step: the rows decided and those of them decided rightly, both (slices, steps), all rows first."""

    rows: Ints
    right: Ints


def _counted(ctx: Context, sure: Sure, steps: list[Answered]) -> Iterator[tuple[Grouping, Counts]]:
    """Each sensitive column, counted at the cutoffs of everybody."""
    import numpy as np

    rising = np.array([step.confidence for step in steps])
    size = 2 * (len(steps) + 1)

    def coding(block: Block) -> Ints:
        """Twice the number of steps at which a row is decided, and one where rightly; the last for rows that cannot be told."""
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        code = np.full(len(block), size, np.int64)
        rows = block.usable()
        decided = np.searchsorted(rising, sure(rows), side="right") if len(rows) else np.zeros(0, np.int64)
        code[known] = 2 * decided + (rows["y"] == rows["pred"])
        return code

    for grouping, cells in ctx.counted({"step": (coding, size + 1)}, _columns(ctx), intersection=False):
        by = cells["step"][:, :-1].reshape(-1, len(steps) + 1, 2)
        at = by[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # at step j: all rows that are decided at more than j steps
        yield grouping, Counts(at.sum(axis=2), at[:, :, 1])


def _groups(ctx: Context, grouping: Grouping, counts: Counts) -> Iterator[Measurement]:
    """For each group: how often it is decided, and how often rightly, at 90 % and 80 % of everybody; against the reference."""
    from audit.measure import rate, undefined
    from audit.measurement import Part
    from audit.text import message

    shown = [i for i in range(len(grouping.slices)) if counts.rows[i, 0] >= max(ENOUGH, ctx.plan.disclosure.min_group_size)]
    lines = [(int(counts.rows[i, 0]), i) for i in shown]
    drawn = sorted(i for _, i in sorted(lines, key=lambda line: -line[0])[:MOST_LINES])
    caption = message(
        "Wrong decisions among the surest rows, by the share of all rows that is decided, for each group ({column})",
        column=grouping.columns[0],
    )
    evidence = _drawn(
        [_line(ctx, next(iter(grouping.slices[i].values())), [(int(n), int(n - k)) for n, k in zip(counts.rows[i], counts.right[i], strict=True)]) for i in drawn],
        caption,
    )  # fmt: skip
    few = message("Fewer than {n:count} rows of this group have an outcome and a score.", n=ENOUGH)
    for share in SHARES:
        j = STEPS - share * STEPS // 100
        for metric, of in (("decided_share", counts.rows), ("selective_accuracy", counts.right)):
            base = counts.rows[:, 0] if metric == "decided_share" else counts.rows[:, j]
            parts = [Part(slice=s, k=int(of[i, j]), n=int(base[i])) for i, s in enumerate(grouping.slices)]
            for i, part in enumerate(parts):
                name = f"{metric}_{share}"
                if i not in shown:
                    yield undefined(name, few, slice_=part.slice)
                    continue
                own = rate(ctx, name, part.k, part.n, slice_=part.slice)
                yield own.model_copy(update={"evidence": evidence})
                evidence = []
                if grouping.reference in shown and i != grouping.reference and i not in grouping.unknown:
                    yield from _apart(ctx, name, part, parts[grouping.reference])


def _apart(ctx: Context, metric: str, part: Part, reference: Part) -> Iterator[Measurement]:
    from audit.measure import comparisons

    yield from (m for m in comparisons(ctx, metric, part, reference) if m.compare == "difference")


def _fewer(grouping: Grouping, m: Measurement, least: Measurement | None) -> Measurement | None:
    """The group that is decided least often at 80 % of everybody."""
    known = (
        m.metric == "decided_share_80" and m.compare == "value" and m.estimate and grouping.slices.index(m.slice) not in grouping.unknown
    )
    if not known or m.estimate is None:
        return least
    return m if least is None or least.estimate is None or m.estimate.value < least.estimate.value else least


def _errors(steps: list[Answered]) -> list[tuple[int, int]]:
    return [(step.rows, step.errors) for step in steps]


def _line(ctx: Context, name: str, counts: list[tuple[int, int]]) -> Series:
    """Wrong decisions by the share decided, in rising order, from counts by falling share; points with too few rows are left out."""
    from audit.measurement import Series
    from audit.stats.rates import wilson

    x, y, low, high, n = [], [], [], [], []
    for place in range(STEPS - 1, -1, -1):
        rows, wrong = counts[place]
        found = wilson(wrong, rows, level=ctx.plan.audit.level) if rows >= max(20, ctx.plan.disclosure.min_group_size) else None
        if found is not None:
            x.append((STEPS - place) / STEPS)
            y.append(found.value)
            low.append(found.low)
            high.append(found.high)
            n.append(rows)
    return Series(name=name, x=x, y=y, low=low, high=high, n=n)


def _drawn(series: list[Series], caption: Message) -> list[Evidence]:
    from audit.measurement import Curve
    from audit.text import render

    lines = [line for line in series if line.x]
    if not lines:
        return []
    return [
        Curve(
            name="risk", caption=render(caption), caption_msg=caption, x_label="share of the rows that is decided", y_label="share of wrong decisions",
            x_kind="percent", y_kind="percent", series=lines,
        )
    ]  # fmt: skip


def _said(ctx: Context, areas: Areas | None, steps: list[Answered], least: Measurement | None, rows: int) -> Message:
    from audit.stats.rates import wilson
    from audit.text import message, who

    every, most = steps[0], steps[STEPS - 80 * STEPS // 100]
    some = wilson(most.errors, most.rows, level=ctx.level("selective_accuracy_80"))
    assert some is not None, "some rows are decided"
    said = message(
        "Of all {n:count} decisions {all:percent} are wrong; of the {kept:count} that the model is surest of, {some:percent} ({level:percent} interval {low:percent} to {high:percent}).",
        n=rows, all=every.errors / every.rows, kept=most.rows, some=some.value, level=some.level, low=some.low, high=some.high,
    )  # fmt: skip
    if least is None or least.estimate is None:
        return said
    e = least.estimate
    return message(
        "{said} Then {share:percent} of everybody is decided, and least often {group}: {rate:percent} of {n:count} rows ({level:percent} interval {low:percent} to {high:percent}).",
        said=said, share=most.rows / rows, group=who(least.slice), rate=e.value, n=e.n, level=e.level, low=e.low, high=e.high,
    )  # fmt: skip
