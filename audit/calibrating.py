"""What the two calibration checks share: the figures of one table of probabilities, and the line and curve of a quantity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.measure import exact, value
from audit.measurement import Curve, Evidence, Histogram, Measurement, Series, Slice, Table, Test
from audit.stats import by_chance, calibration, reliability, temperature
from audit.stats.brier import brier_score, decomposition, murphy
from audit.stats.line import slopes
from audit.stats.sums import Grouped, Moments, together
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.measurement import Message
    from audit.stats.runs import Runs

FEW = "Fewer than two rows have an outcome and a probability here."
NO_LINE = "The outcomes are separated by the score, or do not vary: a slope cannot be fitted."
NO_QUANTITY_LINE = "A line needs three rows, predictions that vary, and outcomes that do not all lie on it."
EQUALLY_WRONG = "All rows are equally right or wrong, so how far the score may move cannot be seen."
NO_TEMPERATURE = "No temperature between 0.05 and 20 has the least loss, or there are too few rows."
#: Rows that a bin of a drawn curve should have, and bins that it may have.
BIN_ROWS, MOST_BINS = 40, 10
#: Classes that are looked at one by one.
MOST_CLASSES = 20
#: Predictions that the edges of a quantity's bins are taken from.
EDGE_ROWS = 100_000


def of_table(ctx: Context, table: Runs, slice_: Slice, *, bins: int, name: str, whole: bool, draws: int = 100) -> Iterator[Measurement]:
    """Gap, line, calibration error and Brier score of one table; `whole` adds what is told of everybody only. `name` names the random streams.

    `draws` is how often the smooth calibration error is drawn anew from probabilities that are right."""

    def at(metric: str) -> float:
        return ctx.level(metric)

    few, key = message(FEW), "calibration_in_the_large"
    large = calibration.in_the_large_ranked(table, level=at(key))
    yield value(key, large, slice_=slice_, reason=few)
    line = calibration.slope_and_intercept(table, level=at("calibration_slope")) if table.rows > 1 else None
    yield value("calibration_slope", line.slope if line else None, slice_=slice_, reason=message(NO_LINE))
    yield value("calibration_intercept", line.intercept if line else None, slice_=slice_, reason=message(NO_LINE))
    parts = reliability.equal_mass_bins(table, bins=bins)
    debiased = reliability.calibration_error(parts, level=at("debiased_calibration_error"), rng=ctx.rng(f"bins/{name}"))
    measured = value("debiased_calibration_error", debiased, slice_=slice_, reason=few)
    p = reliability.calibration_test(parts, rng=ctx.rng(f"test/{name}")) if debiased else None
    test = None if p is None else Test(null="every probability is right on average in its bin", method="simulation", p_value=p)
    yield measured.model_copy(update={"test": test})
    if whole:
        plain, smooth = reliability.expected_calibration_error(parts), reliability.smooth_calibration_error(table)
        yield value("expected_calibration_error", None if plain is None else exact(plain, table.rows), reason=few)
        yield value("smooth_calibration_error", None if smooth is None else exact(smooth, table.rows), reason=few)
        yield _excess(
            "calibration_error_excess",
            by_chance.plain_excess(parts, level=at("calibration_error_excess"), rng=ctx.rng("by chance")),
        )
        smooth_level = at("smooth_calibration_error_excess")
        yield _excess(
            "smooth_calibration_error_excess",
            by_chance.smooth_excess(table, level=smooth_level, rng=ctx.rng("smooth by chance"), draws=draws),
        )
    yield value(
        "brier_score",
        brier_score(table, level=at("brier_score")),
        slice_=slice_,
        reason=message(EQUALLY_WRONG) if table.rows > 1 else few,
    )
    if whole:
        terms = decomposition(parts, level=at("brier_reliability"), rng=ctx.rng(f"parts/{name}"))
        for metric in ("brier_reliability", "brier_resolution", "brier_uncertainty"):
            evidence = _brier_parts(parts) if metric == "brier_reliability" else ()
            yield value(metric, terms.get(metric), reason=few, evidence=evidence)


def _excess(metric: str, found: by_chance.Excess | None) -> Measurement:
    """An error beyond what chance makes of it, with the test that comes with it."""
    if found is None:
        return value(metric, None, reason=message(FEW))
    test = Test(null="every probability is right", method="simulation", p_value=found.p)
    return value(metric, found.beyond).model_copy(update={"test": test})


def _brier_parts(parts: reliability.Bins) -> list[Evidence]:
    """What the score of these rows is made of, to the last digit; the findings beside it are without what chance adds."""
    from audit.measurement import Column

    found = murphy(parts)
    if found is None:
        return []
    columns = [Column(name="brier_part", label="", kind="text"), Column(name="amount", label="on these rows", kind="number")]
    rows: list[list[Any]] = [
        ["miscalibration (reliability)", found.reliability], ["less what telling cases apart saves (resolution)", -found.resolution],
        ["Brier score of guessing the base rate (uncertainty)", found.uncertainty], ["within the bins", found.within], ["Brier score", found.brier],
    ]  # fmt: skip
    if found.uncertainty > 0:
        rows.append(["share saved against guessing the base rate (skill)", 1 - found.brier / found.uncertainty])
    return [Table(caption="What the Brier score is made of", columns=columns, rows=rows)]


def cooled(found: temperature.Cooled | None, slice_: Slice, *, whole: bool) -> Iterator[Measurement]:
    """What one temperature would be and what it would save; the model is not changed."""
    reason = message(NO_TEMPERATURE)
    yield value("temperature", found.temperature if found else None, slice_=slice_, reason=reason, evidence=_table(found) if whole else ())
    yield value("temperature_gain", found.gain if found else None, slice_=slice_, reason=reason)


def _table(found: temperature.Cooled | None) -> list[Evidence]:
    from audit.measurement import Column

    if found is None:
        return []
    columns = [
        Column(name="row", label="", kind="text"),
        Column(name="log_loss", label="log loss of the half that it was not fitted on", kind="number"),
    ]
    rows: list[list[Any]] = [["as the model says", found.before], ["with one temperature", found.after]]
    return [Table(caption="What one temperature would change", columns=columns, rows=rows)]


def reliability_series(ctx: Context, table: Runs, name: str) -> Series | None:
    """A line of the reliability curve: Wilson's band, bins taken together until each may be shown. None for too few rows."""
    least = ctx.plan.disclosure.min_group_size
    if table.rows < least:
        return None
    bins = reliability.equal_mass_bins(table, bins=min(MOST_BINS, max(1, table.rows // BIN_ROWS)))
    points = reliability.curve_of(reliability.of_at_least(bins, least), level=ctx.plan.audit.level)
    return Series(
        name=name, x=[p.mean for p in points], y=[p.rate.value for p in points], low=[p.rate.low for p in points],
        high=[p.rate.high for p in points], n=[p.rate.n for p in points],
    )  # fmt: skip


def reliability_curve(series: list[Series], caption: Message) -> list[Evidence]:
    """Observed rate against probability; empty without a line."""
    from audit.text import render

    if not series:
        return []
    return [
        Curve(
            name="reliability", caption=render(caption), caption_msg=caption, x_label="predicted probability", y_label="observed rate",
            x_kind="percent", y_kind="percent", series=series,
        )
    ]  # fmt: skip


def spread_of(table: Runs) -> list[Evidence]:
    """How many rows have which probability: twenty bins of equal width."""
    counts = np.zeros(20, np.int64)
    for piece in table.pieces():
        cell = np.minimum((piece.scores * 20).astype(np.int64), 19)
        counts += np.bincount(cell, weights=piece.positives + piece.negatives, minlength=20).astype(np.int64)
    edges = [i / 20 for i in range(21)]
    return [Histogram(caption="Rows by predicted probability", x_label="predicted probability", edges=edges, series={"*": counts.tolist()})]


# --- quantities ------------------------------------------------------------------------------------------------------------------------


def read(ctx: Context, grouping: Grouping | None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Slice, prediction and outcome of the rows that have both, block by block."""
    for block in ctx.scored.blocks(["y", "pred", *(f"g{i}" for i in (grouping.places if grouping else ()))]):
        rows = block.usable()
        place = ctx.place(rows, grouping) if grouping else np.zeros(len(rows), np.int64)
        yield place, rows["pred"].copy(), rows["y"].copy()


def of_quantity(ctx: Context, grouping: Grouping | None) -> Iterator[tuple[int, list[Measurement], Series | None]]:
    """For each slice: the mean of prediction minus outcome, the slope of outcome on prediction, and the line to draw."""
    from audit.stats.losses import mean_of

    slices: list[Slice] = grouping.slices if grouping else [{}]
    errors = Grouped(len(slices))
    for place, prediction, outcome in read(ctx, grouping):
        errors.add(place, prediction - outcome)
    lines = slopes(lambda: read(ctx, grouping), len(slices), level=ctx.level("calibration_slope"))
    drawn = fits(ctx, grouping, len(slices))
    for i, (moments, line) in enumerate(zip(errors.moments(), lines, strict=True)):
        bias = mean_of(moments, level=ctx.level("mean_error")) if moments and moments.n > 1 else None
        yield (
            i,
            [
                value("mean_error", bias, slice_=slices[i], reason=message("Fewer than two rows have an outcome and a prediction here.")),
                value("calibration_slope", line, slice_=slices[i], reason=message(NO_QUANTITY_LINE)),
            ],
            drawn[i],
        )


def fits(ctx: Context, grouping: Grouping | None, size: int) -> list[Series | None]:
    """Mean outcome by bin of the prediction for each slice; the edges are quantiles of at most 100,000 predictions."""
    step, kept = max(1, ctx.scored.rows // EDGE_ROWS), []
    for _, prediction, _ in read(ctx, None):
        kept.append(prediction[::step])
    values = np.concatenate(kept) if kept else np.zeros(0)
    if not values.size:
        return [None] * size
    edges = np.unique(np.quantile(values, np.linspace(0, 1, MOST_BINS + 1)[1:-1], method="inverted_cdf"))
    bins = len(edges) + 1
    x, y = Grouped(size * bins), Grouped(size * bins)
    for place, prediction, outcome in read(ctx, grouping):
        cell = place * bins + np.searchsorted(edges, prediction)
        x.add(cell, prediction)
        y.add(cell, outcome)
    cells = list(zip(x.moments(), y.moments(), strict=True))
    return [_fit(ctx, [c for c in cells[i * bins : (i + 1) * bins] if c[0] and c[1]]) for i in range(size)]


def _fit(ctx: Context, cells: list[Any]) -> Series | None:
    from audit.stats._inputs import normal_quantile

    least, merged, held = max(ctx.plan.disclosure.min_group_size, 2), [], []
    for cell in cells:
        held.append(cell)
        if sum(c[0].n for c in held) >= least:
            merged.append(held)
            held = []
    if not merged:
        return None
    merged[-1] += held
    points: list[tuple[Moments, Moments]] = []
    for group in merged:
        a, b = together(c[0] for c in group), together(c[1] for c in group)
        assert a is not None
        assert b is not None
        points.append((a, b))
    z = normal_quantile(ctx.plan.audit.level)
    half = [z * float(np.sqrt(b.variance / b.n)) for _, b in points]
    return Series(
        name="mean outcome", x=[a.mean for a, _ in points], y=[b.mean for _, b in points], low=[b.mean - h for (_, b), h in zip(points, half, strict=True)],
        high=[b.mean + h for (_, b), h in zip(points, half, strict=True)], n=[a.n for a, _ in points],
    )  # fmt: skip


def fit_curve(series: list[Series]) -> list[Evidence]:
    """Mean outcome against prediction; empty without a line."""
    if not series:
        return []
    caption = "Mean outcome by predicted value"
    return [Curve(name="fit", caption=caption, x_label="predicted value", y_label="mean outcome", series=series)]
