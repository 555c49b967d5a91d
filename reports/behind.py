"""The numbers behind a chart, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.measurement import Attribution, Curve, Evidence, Heatmap, Histogram, Tree
from reports import trees
from reports.metrics import kind_of, metric_name
from reports.said import Said, figure, quoted
from reports.sentences import capital
from reports.speaker import Speaker, clean
from reports.tables import Grid, grid, line_name

#: A matrix with more columns is no table that can be read: so many of its largest cells are listed.
MOST_COLUMNS, LARGEST = 12, 20
Lines = tuple[list[str], list[list[Said]]]


def behind(evidence: Evidence, path: str, say: Speaker, most: int) -> Grid:
    """At most `most` rows of what a chart of this evidence is drawn from."""
    if evidence.kind == "table":
        return grid(evidence, path, say, most)
    heads, rows = LINES_OF[evidence.kind](evidence, path, say)
    first_text = evidence.kind != "histogram"
    return Grid(
        Said(say.stored(evidence.caption, evidence.caption_msg), f"{path}.caption"),
        [Said(h, path) for h in heads],
        [not (first_text and k == 0) for k in range(len(heads))],
        rows[:most],
        max(0, len(rows) - most),
    )


def _curve(e: Curve, path: str, say: Speaker) -> Lines:
    whole = e.x_kind == "number" and all(x == int(x) for line in e.series for x in line.x)
    x_kind = "count" if whole else e.x_kind  # steps are counted: 1, not 1.00
    rows = []
    for s, line in enumerate(e.series):
        here = f"{path}.series[{s}]"
        for j, (x, y) in enumerate(zip(line.x, line.y, strict=False)):
            low, high = (b[j] if b and j < len(b) else None for b in (line.low, line.high))
            rows.append(
                [
                    Said(line_name(e.name, line.name, say), f"{here}.name"),
                    figure(x, x_kind, f"{here}.x[{j}]"),
                    figure(y, e.y_kind, f"{here}.y[{j}]"),
                    figure(low, e.y_kind, f"{here}.low[{j}]"),
                    figure(high, e.y_kind, f"{here}.high[{j}]"),
                ]
            )
    return [say.t("Line"), say.stored(e.x_label, None), say.stored(e.y_label, None), say.t("Low"), say.t("High")], rows


def _histogram(e: Histogram, path: str, say: Speaker) -> Lines:
    rows = []
    for j in range(len(e.edges) - 1):
        ends = [figure(e.edges[k], "number", f"{path}.edges[{k}]") for k in (j, j + 1)]
        counts = [figure(c[j] if j < len(c) else None, "count", f"{path}.series.{clean(name, 80)}[{j}]") for name, c in e.series.items()]
        rows.append(ends + counts)
    return [say.t("From"), say.t("To"), *(say.level(n) for n in e.series)], rows


def _heatmap(e: Heatmap, path: str, say: Speaker) -> Lines:
    if len(e.columns) > MOST_COLUMNS:
        return _largest(e, path, say)
    kind = "number" if e.unit else "count" if all(v == int(v) for line in e.values for v in line) else "percent"
    rows = []
    for r, name in enumerate(e.rows):
        cells = [figure(v, kind, f"{path}.values[{r}][{c}]") for c, v in enumerate(e.values[r])]
        rows.append([quoted(name, f"{path}.rows[{r}]"), *cells])
    return [say.stored(e.row_label, None), *(clean(c, 80) for c in e.columns)], rows


def _largest(e: Heatmap, path: str, say: Speaker) -> Lines:
    by_size = sorted(((r, c) for r in range(len(e.rows)) for c in range(len(e.columns))), key=lambda at: (-e.values[at[0]][at[1]], at))
    rows = []
    for r, c in by_size[:LARGEST]:
        value = figure(e.values[r][c], "number", f"{path}.values[{r}][{c}]")
        rows.append([quoted(e.rows[r], f"{path}.rows[{r}]"), quoted(e.columns[c], f"{path}.columns[{c}]"), value])
    return [say.t("Row"), say.t("Column"), say.stored(e.unit, None)], rows


def _tree(e: Tree, path: str, say: Speaker) -> Lines:
    kind, deep = kind_of(e.metric, "value"), trees.depths(e.nodes)
    rows = []
    for j, node in enumerate(e.nodes):
        here = f"{path}.nodes[{j}]"
        ends = [figure(b, kind, f"{here}.{k}") for k, b in (("low", node.low), ("high", node.high))]
        part = Said(trees.INDENT * deep[j] + trees.part_name(e.nodes, j, say), f"{path}.nodes")
        rows.append([part, figure(node.n, "count", f"{here}.n"), figure(node.value, kind, f"{here}.value"), *ends])
    return [say.t("Part of the rows"), say.t("Rows"), capital(metric_name(e.metric, say)), say.t("Low"), say.t("High")], rows


def _attribution(e: Attribution, path: str, say: Speaker) -> Lines:
    kind = "signed" if min(e.values, default=0) < 0 else "number"
    rows = []
    for j, (name, v) in enumerate(zip(e.features, e.values, strict=False)):
        bounds = [figure(b[j] if b else None, kind, f"{path}.{k}[{j}]") for k, b in (("low", e.low), ("high", e.high))]
        rows.append([quoted(name, f"{path}.features[{j}]"), figure(v, kind, f"{path}.values[{j}]"), *bounds])
    return [say.t("Feature"), say.stored(e.unit, None), say.t("Low"), say.t("High")], rows


LINES_OF: dict[str, Callable[[Any, str, Speaker], Lines]] = {
    "curve": _curve, "histogram": _histogram, "heatmap": _heatmap, "tree": _tree, "attribution": _attribution,
}  # fmt: skip
