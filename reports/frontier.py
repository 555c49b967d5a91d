"""Versions of a model by how well they decide and how differently they treat groups: a point each, with intervals both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.measurement import Estimate
from reports.charts import GRID, INK, OKABE_ITO, PAPER, REFERENCE, WIDTH, Chart, Spec, axis, domain, unique, whole
from reports.metrics import kind_of, metric_name
from reports.sentences import capital
from reports.speaker import Speaker, interval

#: Metrics of performance that a frontier may show, the higher the better, in the order in which they are offered.
PERFORMANCE = ("accuracy", "balanced_accuracy", "roc_auc", "f1", "average_precision", "r2")


@dataclass(frozen=True)
class Version:
    """A point: its performance, and the largest difference of a rate between a group and the reference, as a distance from none.

    `who` is that group; `changed` where the version is one that was made to differ less between groups.
    """

    name: str
    performance: Estimate
    disparity: Estimate
    who: str
    changed: bool


def distance(e: Estimate) -> Estimate:
    """How far a difference lies from none, whichever side is ahead: |d|, from 0 where its interval holds both sides."""
    low, high = min(abs(e.low), abs(e.high)), max(abs(e.low), abs(e.high))
    return e.model_copy(update={"value": abs(e.value), "low": 0.0 if e.low <= 0 <= e.high else low, "high": high})


def beaten(versions: Sequence[Version]) -> list[bool]:
    """Whether another version decides as well or better with as little disparity or less, by the estimates alone: the others make the frontier."""
    pairs = [(-v.performance.value, v.disparity.value) for v in versions]
    return [any(o != own and o[0] <= own[0] and o[1] <= own[1] for o in pairs) for own in pairs]


def frontier_chart(versions: Sequence[Version], performance: str, disparity: str, say: Speaker) -> Chart:
    """Performance upwards against disparity to the right; whiskers are intervals, hollow points are beaten."""
    lost, kind = beaten(versions), kind_of(performance, "value")
    rows = [
        {
            "name": name, "x": v.disparity.value, "x0": v.disparity.low, "x1": v.disparity.high, "y": v.performance.value, "y0": v.performance.low,
            "y1": v.performance.high, "colour": OKABE_ITO[0] if v.changed else REFERENCE, "shape": "diamond" if v.changed else "circle", "open": 0 if lost[i] else 1,
        }
        for i, (name, v) in enumerate(zip(unique([v.name for v in versions]), versions, strict=True))
    ]  # fmt: skip
    names = capital(metric_name(performance, say)), say.t("largest difference between groups: {metric}", metric=metric_name(disparity, say))
    best = [v for i, v in enumerate(versions) if not lost[i]]
    title = say.t("On the frontier: {names}", names=say.list(v.name for v in best))
    subtitle = say.join(
        [
            say.t("{y} upwards, {x} to the right", y=names[0], x=names[1]),
            say.t("{level:percent} intervals", level=versions[0].performance.level), say.t("hollow: another version is at least as good in both"),
            *([say.t("diamond: made to differ less between groups")] if any(v.changed for v in versions) else []),
        ]
    )  # fmt: skip
    told = say.join(
        [say.pair(v.name, say.list([written(v.performance, kind, say), written(v.disparity, "percent", say)])) for v in versions]
    )
    return Chart(title, subtitle, say.told(title, told)[:1500], _spec(rows, kind), wide=True)


def written(e: Estimate, kind: str, say: Speaker) -> str:
    """An estimate with its interval."""
    return say.t("{value} ({low} to {high})", **interval(e.value, e.low, e.high, kind))


def _spec(rows: Sequence[Mapping[str, object]], kind: str) -> Spec:
    def scale(ends: str, how: str) -> Spec:
        return {"domain": domain([float(str(r[f"{ends}{i}"])) for r in rows for i in ("", "0", "1")], how), "nice": False}

    x: Spec = {"field": "x", "type": "quantitative", "scale": scale("x", "percent"), "axis": axis("percent") | {"gridColor": GRID}}
    y: Spec = {"field": "y", "type": "quantitative", "scale": scale("y", kind), "axis": axis(kind)}
    colour: Spec = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    whisker: Spec = {"type": "rule", "strokeWidth": 1.6}
    return whole(
        {
            "width": WIDTH, "height": WIDTH, "data": {"values": list(rows)},
            "layer": [
                {"mark": whisker, "encoding": {"x": x | {"field": "x0"}, "x2": {"field": "x1"}, "y": y, "color": colour}},
                {"mark": whisker, "encoding": {"x": x, "y": y | {"field": "y0"}, "y2": {"field": "y1"}, "color": colour}},
                {
                    "mark": {"type": "point", "filled": True, "size": 110, "stroke": INK, "strokeWidth": 1},
                    "encoding": {
                        "x": x, "y": y, "color": colour, "shape": {"field": "shape", "type": "nominal", "scale": None, "legend": None},
                        "fillOpacity": {"field": "open", "type": "quantitative", "scale": {"domain": [0, 1], "range": [0, 1]}, "legend": None},
                    },
                },
                # Under a name a rim in the paper's colour, since whiskers cross it.
                *(
                    {"mark": {"type": "text", "align": "left", "dx": 9, "dy": -9, **look}, "encoding": {"x": x, "y": y, "text": {"field": "name"}}}
                    for look in ({"color": PAPER, "stroke": PAPER, "strokeWidth": 4}, {"color": INK})
                ),
            ],
        }
    )  # fmt: skip
