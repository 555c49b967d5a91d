"""A text whose words are marked: each on a tile with its number under it, in the order in which they stand."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from reports.charts import Spec, shade, whole
from reports.speaker import clean, number

#: Width of the lines, height of a tile with its number, and the space between tiles, in pixels.
WIDTH, HEIGHT, GAP = 600, 40, 4
#: Pixels of a letter, at the sizes of words and of numbers; those of Chinese and Japanese are as wide as they are high.
LETTER, DIGIT, WIDE = 7.4, 6.2, 13.5
#: Letters of a word at most.
MOST_LETTERS = 28
#: What stands on a tile is read on the deepest of them, whose share of the full hue this is.
INK, DEEPEST = "#10202e", 0.45


def marked(words: Sequence[str], values: Sequence[float]) -> Spec:
    """Words in their order, each with what it added, (d,): the sign stands in the number, and its hue says it again; the deeper the tile, the more."""
    greatest = max((abs(v) for v in values), default=0.0) or 1.0
    tiles, x, line = [], 0.0, 0
    for word, value in zip(words, values, strict=True):
        text, said = _cut(clean(word).strip()), number(value, "signed")
        width = max(_width(text), DIGIT * len(said)) + 10
        if x and x + width > WIDTH:
            x, line = 0.0, line + 1
        top = line * (HEIGHT + GAP)
        share = min(abs(value) / greatest, 1.0)
        tiles.append({
            "x": x, "x2": x + width, "middle": x + width / 2, "y": top, "y2": top + HEIGHT, "up": top + 13, "down": top + 30,
            "word": text, "said": said, "fill": shade(DEEPEST * share, below=value < 0),
        })  # fmt: skip
        x += width + GAP
    height = (line + 1) * (HEIGHT + GAP)

    def place(name: str, most: int) -> Spec:
        return {
            "field": name,
            "type": "quantitative",
            "axis": None,
            "scale": {"domain": [0, most], "reverse": most == height, "nice": False},
        }

    def written(field: str, y: str, size: int) -> Spec:
        return {
            "mark": {"type": "text", "fontSize": size, "color": INK},
            "encoding": {"x": place("middle", WIDTH), "y": place(y, height), "text": {"field": field}},
        }

    boxes: Spec = {
        "mark": {"type": "rect", "cornerRadius": 3},
        "encoding": {
            "x": place("x", WIDTH), "x2": {"field": "x2"}, "y": place("y", height), "y2": {"field": "y2"},
            "fill": {"field": "fill", "type": "nominal", "scale": None},
        },
    }  # fmt: skip
    layers = [boxes, written("word", "up", 13), written("said", "down", 11)]
    return whole({"width": WIDTH, "height": height, "data": {"values": tiles}, "layer": layers})


def _cut(word: str) -> str:
    return word if len(word) <= MOST_LETTERS else word[: MOST_LETTERS - 1] + "…"


def _width(text: str) -> float:
    return sum(WIDE if unicodedata.east_asian_width(c) in "WF" else LETTER for c in text)
