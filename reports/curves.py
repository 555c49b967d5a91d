"""Curves with their bands, and histograms, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Sequence

from audit.result import Curve, Histogram
from reports.charts import INK, MUTED, PAPER, WIDTH, Spec, axis, key, unique, whole
from reports.words import clean

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3])


def curve(evidence: Curve, colours: Sequence[str], titles: tuple[str, str], below: Spec | None = None) -> Spec:
    """Lines with their bands; rates against rates get the diagonal and equal scales."""
    names = unique([s.name for s in evidence.series])
    points = [
        {"x": x, "y": s.y[i], "line": name, "low": s.low[i] if s.low else None, "high": s.high[i] if s.high else None}
        for name, s in zip(names, evidence.series, strict=True)
        for i, x in enumerate(s.x[:200])
    ]
    square = evidence.x_kind == evidence.y_kind == "percent"
    fixed: Spec = {"domain": [0, 1]} if square else {"zero": False}
    x = {"field": "x", "type": "quantitative", "scale": fixed, "axis": axis(evidence.x_kind, titles[0])}
    y = {"field": "y", "type": "quantitative", "scale": fixed, "axis": axis(evidence.y_kind, titles[1])}
    many = len(names) > 1
    colour = key("line", names, colours, legend=many)
    layers: list[Spec] = []
    if square:
        layers.append(
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "strokeDash": [3, 3], "color": MUTED, "strokeWidth": 1},
                "encoding": {"x": x, "y": y},
            }
        )
    if any(s.low for s in evidence.series):
        layers.append(
            {
                "mark": {"type": "area", "opacity": 0.16},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "fill": {**colour, "legend": None}},
            }
        )
    dash = {"strokeDash": key("line", names, [DASHES[i % len(DASHES)] for i in range(len(names))], legend=many)} if many else {}
    dots = {"point": {"size": 36, "filled": True}} if square and all(len(s.x) <= 12 for s in evidence.series) else {}
    layers.append({"mark": {"type": "line", "strokeWidth": 2.2, **dots}, "encoding": {"x": x, "y": y, "color": colour, **dash}})
    top: Spec = {"width": 300, "height": 300 if square else 220, "data": {"values": points}, "layer": layers}
    # Bands have no legend; without this they would take that of the lines with them.
    top["resolve"] = {
        "scale": {"fill": "independent"},
        "legend": {"fill": "independent"},
    }
    return whole(top if below is None else {"vconcat": [top, below], "spacing": 10, "resolve": {"scale": {"color": "independent"}}})


def bins(
    counts: Sequence[int], edges: Sequence[float], colour: str, title: Spec, *, width: int, height: int, last: Spec | None, top: float
) -> Spec:
    """One histogram: the share of this group's rows in each bin."""
    total = sum(counts) or 1
    values = [{"from": a, "to": b, "share": c / total} for a, b, c in zip(edges, edges[1:], counts, strict=False)]
    return {
        **title,
        "width": width,
        "height": height,
        "data": {"values": values},
        "mark": {"type": "bar", "color": colour, "stroke": PAPER, "strokeWidth": 0.8},
        "encoding": {
            "x": {
                "field": "from",
                "type": "quantitative",
                "scale": {"domain": [edges[0], edges[-1]], "nice": False},
                "axis": last or {"labels": False, "ticks": False, "title": None, "grid": False},
            },
            "x2": {"field": "to"},
            "y2": {"datum": 0},
            "y": {
                "field": "share",
                "type": "quantitative",
                "scale": {"domain": [0, top]},
                "axis": axis("percent", None) | {"tickCount": 2},
            },
        },
    }


def histogram(evidence: Histogram, colours: Sequence[str], labels: Sequence[str], x_title: str) -> Spec:
    """One row per group on one scale."""
    top = max((max(c) / (sum(c) or 1) for c in evidence.series.values() if c), default=1.0)
    views = []
    for i, (label, counts) in enumerate(zip(labels, list(evidence.series.values())[:6], strict=False)):
        last = axis("number", x_title, grid=False) if i == min(len(evidence.series), 6) - 1 else None
        title = {"title": {"text": clean(label, 60), "anchor": "start", "fontSize": 12, "fontWeight": "normal", "color": INK, "offset": 2}}
        views.append(bins(counts, evidence.edges, colours[i], title, width=WIDTH, height=56, last=last, top=top))
    return whole({"vconcat": views, "spacing": 8})
