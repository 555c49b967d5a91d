"""A specification as static SVG: no script, no link, no style attribute, nothing loaded."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from xml.etree import ElementTree

from reports.charts import Chart

NAMESPACE = "http://www.w3.org/2000/svg"
TAGS = {"svg", "g", "path", "line", "rect", "text", "tspan", "defs", "clipPath", "circle", "polygon", "polyline", "title"}
ATTRIBUTES = {
    "width",
    "height",
    "viewBox",
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-miterlimit",
    "stroke-linecap",
    "stroke-linejoin",
    "transform",
    "d",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "r",
    "cx",
    "cy",
    "opacity",
    "fill-opacity",
    "stroke-opacity",
    "text-anchor",
    "font-family",
    "font-size",
    "font-weight",
    "font-style",
    "clip-path",
    "id",
    "display",
    "points",
    "dominant-baseline",
}
NUMBER = re.compile(r"-?\d+\.\d{3,}")


@lru_cache(maxsize=256)
def drawn(spec: str) -> str:
    """The raw SVG of a specification as JSON, kept for the next format; addresses in it are refused."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, vl_version="6.4", allowed_base_urls=[], show_warnings=False))


def keep(element: ElementTree.Element, prefix: str) -> None:
    """Leave only what draws; ids get a prefix, since all charts share one page."""
    element.tag = element.tag.rpartition("}")[2]
    tick = "role-axis-label" in element.get("class", "")
    for name, value in list(element.attrib.items()):
        if name not in ATTRIBUTES or ("url(" in value and not value.startswith("url(#")):
            del element.attrib[name]
        elif name == "id":
            element.set(name, prefix + value)
        elif name == "clip-path":
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
        elif name in ("d", "transform"):
            element.set(name, NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value))
    if tick:
        element.set("class", "tick")  # what stands at an axis is a scale, not a finding
    for child in list(element):
        empty = child.get("display") == "none" or (
            child.tag.endswith("}path") and child.get("class") == "background" and not child.get("stroke")
        )
        if child.tag.rpartition("}")[2] not in TAGS or empty:
            element.remove(child)
        else:
            keep(child, prefix)


def svg(chart: Chart, number: int) -> str:
    """The picture of a chart with its words for those who cannot see it."""
    root = ElementTree.fromstring(drawn(json.dumps(chart.spec)))  # noqa: S314 (our own renderer's output, no entities)
    keep(root, f"c{number}-")
    root.set("role", "img")
    root.set("aria-label", chart.alt)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
