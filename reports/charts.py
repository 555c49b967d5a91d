"""Charts as Vega-Lite specifications: drawn once, as SVG in the report and live in the dashboard.

A specification holds its own data and nothing that is loaded; texts are data, never expressions. Title and subtitle stand beside the
picture.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.measurement import Attribution, Heatmap
from reports.speaker import clean, number

INK, MUTED, GRID, PAPER, REFERENCE = "#1b2430", "#5b6676", "#dfe3e8", "#ffffff", "#6b7280"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
WORSE, BETTER, CHANGED = "#B3261E", "#1B6E3C", "#4A5568"
#: What a colour is on dark paper, where it would have too little contrast.
DARK = {
    INK: "#e7ebf0", MUTED: "#a3adba", GRID: "#333c48", PAPER: "#12161c", REFERENCE: "#9aa3b0",
    OKABE_ITO[0]: "#3A86E0", WORSE: "#FF8A80", BETTER: "#7FD99B", CHANGED: "#A0AEC0",
}  # fmt: skip
FONT = "Inter, 'Noto Sans SC', 'Noto Sans CJK SC', system-ui, -apple-system, 'Segoe UI', sans-serif"
WIDTH = 330
Spec = dict[str, Any]

CONFIG: Spec = {
    "font": FONT,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelLimit": 210,
        "titlePadding": 8,
        "labelPadding": 10,
    },
    "legend": {"labelFontSize": 12, "labelColor": INK, "titleColor": MUTED, "labelLimit": 220, "orient": "right", "symbolStrokeWidth": 2.5},
    "text": {"fontSize": 12, "color": INK},
}


@dataclass(frozen=True)
class Chart:
    """A figure: the finding as its title, what it shows and at which level, its numbers in words, the drawing, and the places of its numbers; `wide` where it needs a line for itself."""

    title: str
    subtitle: str
    alt: str
    spec: Spec
    path: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Dot:
    """A row of a forest plot; hollow where the group is small."""

    label: str
    value: float
    low: float
    high: float
    n: str
    colour: str
    hollow: bool = False


def whole(spec: Spec) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": CONFIG,
        "autosize": {"type": "pad", "contains": "padding"},
        **spec,
    }


def dark(spec: Spec) -> Spec:
    """The same drawing for a dark page."""
    text = json.dumps(spec)
    for light, other in DARK.items():
        text = text.replace(f'"{light}"', f'"{other}"')
    recoloured: Spec = json.loads(text)
    return recoloured


def axis(kind: str, title: str | None = None, **more: Any) -> Spec:
    """How numbers of a kind stand at an axis: 50 %, +5, 0.80, 25,000."""
    forms = {
        "percent": "format(datum.value * 100, '~r') + ' %'",
        "points": "datum.value === 0 ? '0' : format(datum.value * 100, '+~r')",
        "ratio": "format(datum.value, '~r')",
    }
    shown: Spec = {"title": title, "tickCount": 4, "labelOverlap": "greedy", "labelSeparation": 6, **more}
    return shown | ({"labelExpr": forms[kind]} if kind in forms else {"format": ",~r"})


def domain(values: Sequence[float], kind: str) -> list[float]:
    """From the least to the greatest value with a little air; rates stay within 0 and 1, and nearly whole ranges become whole."""
    low, high = min(values), max(values)
    share = kind == "percent" and low >= 0 and high <= 1
    air = 0.06 * (high - low) or abs(high) * 0.1 or 0.1
    low, high = low - air, high + air
    if share:
        low, high = (0.0 if low < 0.15 else low), (1.0 if high > 0.97 else high)
        return [max(0.0, low), min(1.0, high)]
    return [low, high]


LOG_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def ratio_scale(values: Sequence[float]) -> tuple[Spec, Spec]:
    """Ratios on a logarithmic scale, so that twice and half are equally far from 1."""
    low, high = min(values), max(values)
    if low <= 0:
        return {"domain": domain(values, "ratio"), "nice": False}, axis("ratio")
    ends = [low / 1.08, high * 1.08]
    ticks = [t for t in LOG_TICKS if ends[0] <= t <= ends[1]]
    apart = [t for i, t in enumerate(ticks) if t == 1 or i == 0 or math.log(t / ticks[i - 1]) > 0.05 * math.log(ends[1] / ends[0])]
    return {"type": "log", "domain": ends, "nice": False}, axis("ratio", values=apart) | {"labelOverlap": "greedy"}


def forest(dots: Sequence[Dot], kind: str, limits: Sequence[float], neutral: float | None, *, outline: int = 0) -> Spec:
    """Dot and whisker, one row per group; limits are dashed lines, the value of equality a thin one, n stands at the right.

    `outline`: names of up to so many letters stand one under the other at the left, as those of an outline do.
    """
    spread = [v for d in dots for v in (d.low, d.high, d.value)] + list(limits) + ([] if neutral is None else [neutral])
    scale, marks = ratio_scale(spread) if kind == "ratio" else ({"domain": domain(spread, kind), "nice": False}, axis(kind))
    labels = unique([d.label for d in dots], outline or 40)
    rows = [
        {
            "label": name,
            "value": d.value,
            "low": d.low,
            "high": d.high,
            "n": d.n,
            "colour": d.colour,
            "fill": PAPER if d.hollow else d.colour,
        }
        for name, d in zip(labels, dots, strict=True)
    ]
    y: Spec = {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "grid": False, "ticks": False, "domain": False, "labelLimit": 260},
    }
    if outline:
        room = 6.2 * max(map(len, labels), default=0) + 10  # points of the axis's letters, on average
        y["axis"] |= {"labelAlign": "left", "labelPadding": room, "labelLimit": room}
    colour = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    x = {"field": "value", "type": "quantitative", "scale": scale, "axis": marks}
    lines = [line(v, x, [5, 3], INK, 1.2) for v in limits] + ([] if neutral is None else [line(neutral, x, [1, 0], MUTED, 1)])
    layers: list[Spec] = [
        *lines,
        {
            "mark": {"type": "rule", "strokeWidth": 2.2},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "point", "shape": "circle", "size": 75, "strokeWidth": 2, "opacity": 1, "fillOpacity": 1},
            "encoding": {"y": y, "x": x, "stroke": colour, "fill": {"field": "fill", "type": "nominal", "scale": None, "legend": None}},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 10, "color": MUTED},
            "encoding": {"y": y, "x": {"value": WIDTH}, "text": {"field": "n"}},
        },
    ]
    return whole({"width": WIDTH, "height": {"step": 26}, "data": {"values": rows}, "layer": layers})


def line(value: float, x: Spec, dash: list[int], colour: str, width: float) -> Spec:
    return {
        "data": {"values": [{"at": value}]},
        "mark": {"type": "rule", "strokeDash": dash, "color": colour, "strokeWidth": width},
        "encoding": {"x": {**x, "field": "at"}},
    }


INTERVAL = re.compile(r"\[(-?[\d.]+(?:e[-+]\d+)?), (-?[\d.]+(?:e[-+]\d+)?)([\])])")


def shortened(text: str) -> str:
    """A label whose intervals have ends of four digits: [48.51964381, 79.45549687] as [48.52, 79.46]; the table has them in full."""
    return INTERVAL.sub(lambda m: f"[{float(m[1]):.4g}, {float(m[2]):.4g}{m[3]}", text)


def unique(labels: Sequence[str], most: int = 40) -> list[str]:
    """Labels of at most `most` characters that differ, since rows with one label would fall together."""
    seen: dict[str, int] = {}
    made = []
    for label in (clean(text, most) for text in labels):
        seen[label] = seen.get(label, 0) + 1
        made.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return made


def key(field: str, names: Sequence[str], values: Sequence[Any], *, legend: bool) -> Spec:
    """A nominal channel with its values spelt out."""
    return {
        "field": field,
        "type": "nominal",
        "sort": None,
        "scale": {"domain": list(names), "range": list(values)},
        "legend": {"title": None} if legend else None,
    }


def dumbbell(rows: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], kind: str) -> Spec:
    """Groups on one scale, a row per metric: {metric: {group: value}}."""
    values = [{"metric": clean(m, 60), "group": clean(g, 40), "value": v} for m, cells in rows.items() for g, v in cells.items()]
    ends = [{"metric": clean(m, 60), "low": min(c.values()), "high": max(c.values())} for m, c in rows.items()]
    scale = {"domain": domain([v["value"] for v in values], kind), "nice": False}  # type: ignore[misc]
    y = {
        "field": "metric",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "grid": False, "ticks": False, "domain": False, "labelLimit": 260},
    }
    x = {"type": "quantitative", "scale": scale, "axis": axis(kind)}
    names = [clean(g, 40) for g in colours]
    shapes = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"]
    return whole(
        {
            "width": 330,
            "height": {"step": 34},
            "layer": [
                {
                    "data": {"values": ends},
                    "mark": {"type": "rule", "color": REFERENCE, "strokeWidth": 2},
                    "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
                },
                {
                    "data": {"values": values},
                    "mark": {"type": "point", "filled": True, "size": 95, "opacity": 1, "stroke": INK, "strokeWidth": 0.7},
                    "encoding": {
                        "y": y,
                        "x": {**x, "field": "value"},
                        "color": key("group", names, list(colours.values()), legend=True),
                        "shape": key("group", names, [shapes[i % 6] for i in range(len(names))], legend=True),
                    },
                },
            ],
        }
    )


def attribution(evidence: Attribution, unit: str, most: int = 15) -> Spec:
    """Horizontal bars with whiskers, in the stored order; the sign has its own hue and side."""
    names = unique(evidence.features[:most])
    rows = [
        {
            "feature": n,
            "value": v,
            "low": evidence.low[i] if evidence.low else v,
            "high": evidence.high[i] if evidence.high else v,
            "colour": OKABE_ITO[0] if v >= 0 else OKABE_ITO[1],
            "text": number(v, "signed" if min(evidence.values) < 0 else "number"),
        }
        for i, (n, v) in enumerate(zip(names, evidence.values, strict=False))
    ]
    y = {
        "field": "feature",
        "type": "nominal",
        "sort": None,
        "axis": {"title": None, "grid": False, "ticks": False, "domain": False, "labelLimit": 230},
    }
    x = {"field": "value", "type": "quantitative", "axis": axis("number", unit)}
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "height": 13},
            "encoding": {"y": y, "x": x, "color": {"field": "colour", "type": "nominal", "scale": None}},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 10, "color": MUTED},
            "encoding": {"y": y, "x": {"value": 380}, "text": {"field": "text"}},
        },
    ]
    if evidence.low and evidence.high:
        layers.insert(
            1,
            {
                "mark": {"type": "rule", "color": INK, "strokeWidth": 1.4},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
        )
    return whole({"width": 380, "height": {"step": 24}, "data": {"values": rows}, "layer": layers})


#: The shade on which white and ink are told apart equally well (about 4.1 : 1).
EVEN = 0.67
#: White on a deep shade, and not the page's paper, which is dark on a dark page.
ON_DEEP = "#FFFFFF"


def heatmap(evidence: Heatmap, titles: tuple[str, str]) -> Spec:
    """Numbers in cells, shaded by their share of the row; of a map, by their share of its greatest. Below 0 a map has another hue, and signs everywhere."""
    whole_numbers = all(v == int(v) for line_ in evidence.values for v in line_)
    greatest = max(abs(v) for line_ in evidence.values for v in line_)
    sign = "+" if any(v < 0 for line_ in evidence.values for v in line_) else ""
    decimals = (
        max(0, 1 - math.floor(math.log10(greatest))) if greatest > 0 else 0
    )  # two digits of the greatest, as many places in all cells
    rows, columns = unique(evidence.rows), unique(evidence.columns)
    cells = []
    for r, line_ in enumerate(evidence.values):
        total = (greatest if evidence.unit else sum(line_)) or 1
        for c, v in enumerate(line_):
            share = min(1.0, abs(v) / total)
            cells.append(
                {
                    "row": rows[r],
                    "column": columns[c],
                    "share": share,
                    "text": signed(v, decimals, sign) if evidence.unit else number(v, "count" if whole_numbers else "percent"),
                    "ink": ON_DEEP if share > EVEN else "#10202e",
                    "fill": shade(share, below=round(v, decimals) < 0),
                }
            )
    encode = {
        "y": {"field": "row", "type": "nominal", "sort": None, "axis": {"title": titles[0] or None, "ticks": False, "domain": False}},
        "x": {
            "field": "column",
            "type": "nominal",
            "sort": None,
            "axis": {"title": titles[1] or None, "orient": "top", "ticks": False, "domain": False, "labelAngle": 0, "labelLimit": 85},
        },
    }
    return whole(
        {
            "width": {"step": 40 if evidence.unit else 92},
            "height": {"step": 32 if evidence.unit else 46},
            "data": {"values": cells},
            "encoding": encode,
            "layer": [
                {
                    "mark": {"type": "rect", "stroke": PAPER, "strokeWidth": 2},
                    "encoding": {"fill": {"field": "fill", "type": "nominal", "scale": None}},
                },
                {
                    "mark": {"type": "text", "fontSize": 11 if evidence.unit else 14},
                    "encoding": {"text": {"field": "text"}, "color": {"field": "ink", "type": "nominal", "scale": None}},
                },
            ],
        }
    )


def signed(value: float, decimals: int, sign: str) -> str:
    """A cell of a map; `sign` is "+" where some are below 0, and what is 0 at these decimals has none."""
    nothing = round(value, decimals) == 0
    return f"{abs(value) if nothing else value:{'' if nothing else sign}.{decimals}f}".replace("-", "−")


def pixels(evidence: Heatmap) -> Spec:
    """A map of many cells, shaded by their share of its greatest, without numbers; one that is rejected is crossed out."""
    greatest = max(v for line_ in evidence.values for v in line_) or 1
    down, across = len(evidence.rows), len(evidence.columns)
    side = max(4, 300 // max(down, across))
    cells = [
        {"x": c * side, "x2": (c + 1) * side, "y": r * side, "y2": (r + 1) * side, "fill": shade(max(0.0, min(1.0, v / greatest)))}
        for r, line_ in enumerate(evidence.values)
        for c, v in enumerate(line_)
    ]
    width, height = across * side, down * side

    def place(name: str, most: int) -> Spec:
        return {"field": name, "type": "quantitative", "axis": None, "scale": {"domain": [0, most], "reverse": name == "y", "nice": False}}

    layers: list[Spec] = [
        {
            "mark": {"type": "rect"},
            "encoding": {
                "x": place("x", width),
                "x2": {"field": "x2"},
                "y": place("y", height),
                "y2": {"field": "y2"},
                "fill": {"field": "fill", "type": "nominal", "scale": None},
            },
        }
    ]
    if evidence.rejected:
        ends = [(0, 0, width, height), (0, height, width, 0)]
        layers.append(
            {
                "data": {"values": [dict(zip(("x", "y", "x2", "y2"), e, strict=True)) for e in ends]},
                "mark": {"type": "rule", "color": INK, "strokeWidth": 3},
                "encoding": {"x": place("x", width), "x2": {"field": "x2"}, "y": place("y", height), "y2": {"field": "y2"}},
            }
        )
    return whole({"width": width, "height": height, "data": {"values": cells}, "layer": layers})


def shade(share: float, *, below: bool = False) -> str:
    """From a pale to a deep blue, or orange `below` 0; the number in the cell stays legible on both."""
    pale, deep = ((250, 236, 224), (142, 46, 0)) if below else ((226, 236, 245), (0, 78, 130))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(pale, deep, strict=True))
