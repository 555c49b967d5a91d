"""The charts of stored evidence: curves, histograms, matrices and attributions, with the words for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.measurement import Attribution, Curve, Evidence, Heatmap, Histogram, Tree
from audit.result import Criterion
from reports import charts, curves, trees
from reports.charts import Chart
from reports.palette import Palette
from reports.speaker import Speaker, clean, number
from reports.tables import limit_text, line_name

MOST_CELLS = 64  # along a side of a map that is drawn
ALT_LIMIT = 1500


def brief(text: str) -> str:
    return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"


def picture(e: Evidence, beside: Sequence[Evidence], path: str, palette: Palette, say: Speaker) -> Chart | None:
    """The chart of a stored curve, histogram, matrix or attribution; None where a table says it better."""
    title = "" if e.kind in ("table", "tree") else say.stored(e.caption, e.caption_msg)
    if isinstance(e, Curve) and e.series:
        return curve_chart(
            e, next((b for b in beside if isinstance(b, Histogram) and e.name == "reliability"), None), title, path, palette, say
        )
    if isinstance(e, Histogram) and e.series:
        if any(isinstance(b, Curve) and b.name == "reliability" for b in beside):
            return None  # drawn under the curve
        if e.outcome is not None:
            return None  # kept for whoever moves the cutoff
        labels = [say.pair(say.level(n), f"n {number(sum(c), 'count')}") for n, c in e.series.items()]
        spec = curves.histogram(e, palette.named(list(e.series)), labels, say.stored(e.x_label, None))
        return Chart(title, say.t("share of each group's rows in a bin"), brief(say.told(title, say.join(labels))), spec, path)
    if isinstance(e, Heatmap) and 0 < len(e.rows) <= 12 and 0 < len(e.columns) <= 12:
        names = (say.stored(e.row_label, None), say.stored(e.column_label, None))
        kind = "number" if e.unit else "count" if all(v == int(v) for line in e.values for v in line) else "percent"
        told = say.join(
            [
                say.pair(clean(r, 40), say.list(f"{clean(c, 40)} {number(v, kind)}" for c, v in zip(e.columns, line, strict=False)))
                for r, line in zip(e.rows, e.values, strict=False)
            ]
        )
        return Chart(
            title,
            say.t("unit: {unit}", unit=say.stored(e.unit, None)) if e.unit else say.t("cells are shaded by their share of the row"),
            brief(say.told(title, told)),
            charts.heatmap(e, names),
            path,
        )
    if isinstance(e, Heatmap) and e.unit and 0 < len(e.rows) <= MOST_CELLS and 0 < len(e.columns) <= MOST_CELLS:
        return _map(e, title, path, say)
    if isinstance(e, Attribution) and e.features:
        kind = "signed" if min(e.values) < 0 else "number"
        told = say.join([f"{clean(f, 60)} {number(v, kind)}" for f, v in zip(e.features[:15], e.values, strict=False)])
        subtitle = say.join([title, say.t("whiskers: intervals") if e.low else "", say.t("unit: {unit}", unit=say.stored(e.unit, None))])
        top = max(zip(e.features, e.values, strict=False), key=lambda p: abs(p[1]))
        named = {"feature": clean(top[0], 60), "value": number(top[1], kind)}
        name = _moving(e, named, say) if e.of == "output" else _telling(e, named, say)
        return Chart(name, subtitle, brief(say.told(name, told)), charts.attribution(e, say.stored(e.unit, None)), path)
    return trees.tree_chart(e, path, say) if isinstance(e, Tree) else None


def _map(e: Heatmap, title: str, path: str, say: Speaker) -> Chart:
    """A picture of many cells; the darkest is the largest, and is said where it lies."""
    row, column, top = max(((r, c, v) for r, line in enumerate(e.values) for c, v in enumerate(line)), key=lambda cell: cell[2])
    unit = say.t("unit: {unit}", unit=say.stored(e.unit, None))
    darkest = say.t(
        "darkest: {value}, row {row}, column {column}",
        value=number(top, "number"),
        row=clean(e.rows[row], 8),
        column=clean(e.columns[column], 8),
    )
    crossed = say.t("crossed out: it fails its gates") if e.rejected else ""
    return Chart(title, say.join([crossed, darkest, unit]), brief(say.told(title, say.join([crossed, darkest]))), charts.pixels(e), path)


def _moving(e: Attribution, named: Mapping[str, str], say: Speaker) -> str:
    """Which input moves the output most: a word in its quotation marks, an event or a field by that name."""
    if e.caption == "Mean attribution of words, where they occur":
        return say.t("Of the words, “{feature}” moves the output most ({value})", **named)
    if e.caption == "Mean size of attributions by event":
        return say.t("Of the events, {feature} moves the output most ({value})", **named)
    if e.caption == "Mean size of attributions by field of the events":
        return say.t("Of the fields, {feature} moves the output most ({value})", **named)
    return say.t("{feature} moves the output most ({value})", **named)


def _telling(e: Attribution, named: Mapping[str, str], say: Speaker) -> str:
    """Which column tells most of the errors, if one does beyond chance."""
    if e.low and max(e.low) <= 0:
        return say.t("No column alone tells where the errors are")
    return say.t("{feature} tells most of where the errors are ({value})", **named)


def curve_chart(
    e: Curve, under: Histogram | None, title: str, path: str, palette: Palette, say: Speaker, criterion: Criterion | None = None
) -> Chart:
    colours = palette.named([s.name for s in e.series])
    e = e.model_copy(update={"series": [s.model_copy(update={"name": line_name(e.name, s.name, say)}) for s in e.series]})
    below = None
    if under is not None:
        counts = [sum(c) for c in zip(*under.series.values(), strict=False)]
        last = charts.axis("percent", say.stored(e.x_label, None), grid=False)
        top = max(counts, default=1) / (sum(counts) or 1)
        below = curves.bins(counts, under.edges, charts.REFERENCE, {}, width=300, height=60, last=last, top=top)
    titles = ("" if below else say.stored(e.x_label, None), say.stored(e.y_label, None))
    limits = [v for v in (criterion.min, criterion.max) if v is not None] if criterion else []
    parts = [say.t("band: interval") if any(s.low for s in e.series) else "", say.t("below: share of rows") if below else ""]
    if criterion and limits:
        parts.append(say.t("dashed: limit {limit}", limit=limit_text(criterion, e.y_kind, say)))
    if e.current is not None and e.x_label == "severity":
        parts.append(say.t("upright: the severity that is held against the limit, {severity}", severity=number(e.current, "count")))
    elif e.current is not None:
        parts.append(say.t("upright: the cutoff in force, {cutoff}", cutoff=number(e.current, e.x_kind)))
    told = []
    for s in e.series:
        picks = range(0, len(s.x), max(1, len(s.x) // 6))
        told.append(say.pair(clean(s.name, 40), say.list(f"{number(s.x[i], e.x_kind)} → {number(s.y[i], e.y_kind)}" for i in picks)))
    return Chart(title, say.join(parts), brief(say.told(title, say.join(told))), curves.curve(e, colours, titles, below, limits), path)
