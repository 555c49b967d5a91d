"""The slices that the plan names, each against everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message, Part, Table
    from audit.named_slices import NamedRows
    from audit.stats.sums import Grouped, Moments
    from audit.table import Block

    Bools = NDArray[np.bool_]


@check(
    "performance.named_slices",
    title="The slices that the plan names",
    meaning=(
        "Rows that somebody named beforehand under [slices] of the plan, by values and ranges of columns: how often the model is wrong about them, decides for them and takes one outcome for the other, and how far "
        "probabilities or values lie from what happened, against everybody else."
    ),
    limits=(
        "A slice differs from everybody else also by how hard its cases are. Slices that share rows are compared one by one, each with everybody outside it, so their figures are not independent. Who names a slice "
        "after seeing these rows finds a difference too easily: name it before, or confirm it on other rows."
    ),
    unit="share of rows, or the unit of the outcome for errors",
    direction="lower",
    needs=["slices"],
    references=["Wilson 1927", "Newcombe 1998", "Welch 1947", "Benjamini and Hochberg 1995"],
)
def named_slices(ctx: Context) -> Iterable[Measurement | Message]:
    """Rates and means of each named slice, with the difference to everybody else; one pass over the rows, in blocks."""
    from audit.text import message

    slices = ctx.facts.slices
    tallies = _counted(ctx, slices)
    table, first = _table(slices, tallies), True
    held: list[tuple[float, Measurement]] = []
    for named, tally in zip(slices, tallies, strict=True):
        for m in tally.measurements(ctx, named.name):
            yield m.model_copy(update={"evidence": [table]}) if first else m
            first = False
            if m.metric in HEADLINES and m.compare == "difference" and m.estimate is not None:
                held.append((m.estimate.value, m))
    empty = [named.name for named in slices if not named.rows]
    if held:
        yield _summary(max(held, key=lambda one: one[0])[1], empty)
    elif len(empty) == len(slices):
        yield message("No row of these data is in a slice that the plan names: {names}.", names=empty)
    else:
        yield message("No slice that the plan names can be held against everybody else by the model's errors.")


#: What the summary is about.
HEADLINES = ("zero_one_loss", "mean_absolute_error")


class _Tally(NamedTuple):
    """Of one slice, by metric: [k, n] inside and [k, n] outside as counts of rows; of means the rows by code, 0 outside and 1 inside."""

    rates: dict[str, list[list[int]]]
    means: dict[str, Grouped]

    def part(self, metric: str, inside: bool, slice_: dict[str, str]) -> Part:
        from audit.measurement import Part

        k, n = self.rates[metric][not inside]
        return Part(slice=slice_, k=k, n=n)

    def measurements(self, ctx: Context, name: str) -> Iterator[Measurement]:
        """The values of the slice, and the differences to everybody else."""
        from audit.dataset import REST
        from audit.measure import comparisons, mean_comparison, rate, value
        from audit.named_slices import KEY
        from audit.text import message

        own, rest = {KEY: name}, {"(rows)": REST}
        for metric in self.rates:
            inside, outside = self.part(metric, True, own), self.part(metric, False, rest)
            yield rate(ctx, metric, inside.k, inside.n, slice_=own)
            yield from (m for m in comparisons(ctx, metric, inside, outside) if m.compare == "difference")
        for metric, grouped in self.means.items():
            outer, inner = grouped.moments()
            few = message("Too few rows, or no spread among them.")
            yield value(metric, _mean(metric, inner, ctx.level(metric)), slice_=own, reason=few)
            if inner is not None and outer is not None:
                yield from mean_comparison(ctx, metric, (own, inner), (rest, outer))


def _mean(metric: str, moments: Moments | None, level: float) -> Any:
    from audit.stats.compare import mean_interval
    from audit.stats.losses import mean_size_of

    if moments is None or moments.n < 2 or moments.variance == 0:
        return None
    return mean_size_of(moments, level=level) if metric == "mean_absolute_error" else mean_interval(*moments, level=level)


def _counted(ctx: Context, slices: Sequence[NamedRows]) -> list[_Tally]:
    """One tally a slice, in their order; who is in it is read from the data in step with the scored rows, so that the scored table needs no column for it."""
    import numpy as np

    from audit.stats.sums import Grouped

    names = [*(["y"] if ctx.facts.target_sql is not None else []), "pred", *(["score"] if _has_forecasts(ctx) else [])]
    inside = ctx.in_step(
        {f"s{i}": named.sql for i, named in enumerate(slices)}, lambda _, column: np.asarray(column.to_numpy(zero_copy_only=False), bool)
    )
    tallies = [_Tally({}, {}) for _ in slices]
    for block in ctx.scored.blocks(names):
        members = list(inside(len(block)).values())
        for metric, (yes, counts) in _rates(ctx, block).items():
            for tally, within in zip(tallies, members, strict=True):
                both = tally.rates.setdefault(metric, [[0, 0], [0, 0]])
                for place, side in enumerate((within, ~within)):
                    both[place][0] += int((yes & counts & side).sum())
                    both[place][1] += int((counts & side).sum())
        for metric, (values, counts) in _values(ctx, block).items():
            for tally, within in zip(tallies, members, strict=True):
                tally.means.setdefault(metric, Grouped(2)).add(within[counts].astype(np.int64), values[counts])
    return tallies


def _has_forecasts(ctx: Context) -> bool:
    """Whether scores are probabilities of an event that can be held against what happened."""
    settled = ctx.settled
    return (
        ctx.facts.target_sql is not None
        and settled.task == "binary"
        and settled.positive is not None
        and settled.has_scores
        and settled.has_forecasts
    )


def _rates(ctx: Context, block: Block) -> Mapping[str, tuple[Bools, Bools]]:
    """For each rate which rows of a block count as one (k,), and which count at all (k,)."""
    import numpy as np

    settled, pred, found = ctx.settled, block["pred"], {}
    decided = np.isfinite(pred) if settled.task == "regression" else pred >= 0
    if settled.task != "regression" and ctx.facts.target_sql is not None:
        y = block["y"]
        known = decided & (y >= 0)
        found["zero_one_loss"] = (y != pred, known)
        if settled.task == "binary" and settled.positive is not None:
            event = settled.classes.index(settled.positive)
            found["false_positive_rate"] = (pred == event, known & (y != event))
            found["false_negative_rate"] = (pred != event, known & (y == event))
            found["base_rate"] = (y == event, y >= 0)
    if (selection := ctx.scored.selection) is not None:
        found["selection_rate"] = (selection(pred), decided)
    return found


def _values(ctx: Context, block: Block) -> Mapping[str, tuple[NDArray[np.float64], Bools]]:
    """For each mean the values of the rows of a block (k,), and which count (k,)."""
    import numpy as np

    settled, found = ctx.settled, {}
    if settled.task == "regression":
        pred = block["pred"]
        found["mean_prediction"] = (pred, np.isfinite(pred))
        if ctx.facts.target_sql is not None:
            with np.errstate(invalid="ignore"):  # of two infinite values
                error = abs(block["y"] - pred)
            found = {"mean_absolute_error": (error, np.isfinite(error)), **found}
    elif _has_forecasts(ctx):
        gap = block["score"] - (block["y"] == settled.classes.index(str(settled.positive)))
        found["calibration_in_the_large"] = (gap, (block["y"] >= 0) & np.isfinite(gap))
    return found


def _table(slices: Sequence[NamedRows], tallies: list[_Tally]) -> Table:
    """Which rows each slice is, and its rates beside everybody else's."""
    from audit.measurement import Column, Table
    from audit.text import message, render

    columns = [
        Column(name="slice", label="slice"),
        Column(name="which", label="which rows"),
        Column(name="rows", label="rows", kind="integer"),
    ]
    columns_of = {
        "zero_one_loss": [
            Column(name="wrong", label="wrong decisions", kind="percent"),
            Column(name="wrong_rest", label="everybody else", kind="percent"),
        ],
        "selection_rate": [
            Column(name="chosen", label="favourable decision", kind="percent"),
            Column(name="chosen_rest", label="everybody else", kind="percent"),
        ],
    }
    shown = [metric for metric in columns_of if metric in tallies[0].rates]
    columns += [column for metric in shown for column in columns_of[metric]]
    rows = []
    for named, tally in zip(slices, tallies, strict=True):
        shares = [k / n if n else None for metric in shown for k, n in tally.rates[metric]]
        rows.append([named.name, named.told, named.rows, *shares])
    caption = message("The named slices and everybody else")
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _summary(worst: Measurement, empty: list[str]) -> Message:
    from audit.named_slices import KEY
    from audit.text import message

    e = worst.estimate
    assert e is not None
    name, numbers = worst.slice[KEY], {"value": e.value, "low": e.low, "high": e.high, "level": e.level}
    if worst.metric == "mean_absolute_error":
        said = message("Of the named slices “{name}” fares worst: its mean absolute error is {value:signed} against everybody else's ({level:percent} interval {low:signed} to {high:signed}).", name=name, **numbers)  # fmt: skip
    else:
        k, n = worst.parts[0].k, worst.parts[0].n
        said = message("Of the named slices “{name}” fares worst: the model is wrong about {share:percent} of {n:count} rows, {value:points} points against everybody else ({level:percent} interval {low:points} to {high:points}).", name=name, share=k / n, n=n, **numbers)  # fmt: skip
    return said if not empty else message("{said} No row is in {names}.", said=said, names=empty)
