"""Curves with their bands, and histograms, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Sequence

from audit.measurement import Curve, Histogram
from reports.charts import INK, MUTED, PAPER, WIDTH, Spec, axis, domain, key, ratio_scale, unique, whole
from reports.speaker import clean

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3])


#: Errors over the share of rows that is decided: rates both, and yet no diagonal means anything, and most of the scale would be empty.
RISK = "risk"
#: Where two groups are equal, by how the axis is written.
EQUAL = {"ratio": 1.0, "points": 0.0}
#: How much farther than lines and limits a band may stretch the axis: beyond that it is cut off.
ROOM = 0.5


def compared_scale(evidence: Curve, limits: Sequence[float], title: str) -> tuple[Spec, Spec]:
    """Scale and axis of comparisons: lines, limits and equality stand in full, a wide band is cut off."""
    kept = [v for s in evidence.series for v in s.y] + [*limits, EQUAL[evidence.y_kind]]
    bands = [v for s in evidence.series for v in (s.low or []) + (s.high or [])] + kept
    low, high = min(kept), max(kept)
    if evidence.y_kind == "ratio" and low > 0:
        scale, marks = ratio_scale([max(min(bands), low / (1 + ROOM)), min(max(bands), high * (1 + ROOM))])
    else:
        air = ROOM * (high - low)
        ends = domain([max(min(bands), low - air), min(max(bands), high + air)], evidence.y_kind)
        scale, marks = {"domain": ends, "nice": False}, axis(evidence.y_kind)
    return scale, marks | {"title": title}


def rules(evidence: Curve, limits: Sequence[float], x: Spec, y: Spec) -> list[Spec]:
    """Equality as a thin line, limits dashed, the value in force upright."""

    def rule(value: float, channel: str, encoding: Spec, dash: list[int], colour: str) -> Spec:
        mark = {"type": "rule", "strokeDash": dash, "color": colour, "strokeWidth": 1.2}
        return {"data": {"values": [{"at": value}]}, "mark": mark, "encoding": {channel: {**encoding, "field": "at"}}}

    made = [rule(v, "y", y, [5, 3], INK) for v in limits]
    if evidence.y_kind in EQUAL:
        made.append(rule(EQUAL[evidence.y_kind], "y", y, [1, 0], MUTED))
    return made + ([] if evidence.current is None else [rule(evidence.current, "x", x, [2, 2], INK)])


def curve(
    evidence: Curve, colours: Sequence[str], titles: tuple[str, str], below: Spec | None = None, limits: Sequence[float] = ()
) -> Spec:
    """Lines with their bands; rates against rates get the diagonal and equal scales, comparisons their limits and the cutoff in force."""
    names = unique([s.name for s in evidence.series])
    points = [
        {"x": x, "y": s.y[i], "line": name, "low": s.low[i] if s.low else None, "high": s.high[i] if s.high else None}
        for name, s in zip(names, evidence.series, strict=True)
        for i, x in enumerate(s.x[:200])
    ]
    rates = evidence.x_kind == evidence.y_kind == "percent"
    square = rates and evidence.name != RISK
    fixed: Spec = {"domain": [0, 1]} if rates else {"zero": False}
    x = {"field": "x", "type": "quantitative", "scale": fixed, "axis": axis(evidence.x_kind, titles[0])}
    scale, marks = compared_scale(evidence, limits, titles[1]) if evidence.y_kind in EQUAL else (fixed, axis(evidence.y_kind, titles[1]))
    if evidence.name == RISK:
        scale = {"domainMin": 0}
    if evidence.y_kind in EQUAL:  # a clip path would do, but its name is another at every drawing
        least, most = scale["domain"]
        for point in points:
            point |= {end: min(max(v, least), most) for end in ("low", "high") if isinstance(v := point[end], float)}
    y = {"field": "y", "type": "quantitative", "scale": scale, "axis": marks}
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
    layers += rules(evidence, limits, x, y)
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
