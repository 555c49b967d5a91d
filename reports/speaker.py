"""How texts and numbers of our pages are written in one language.

`mark` names a text for the catalogue without translating it; `Speaker` translates.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Any

from audit.measurement import Message
from audit.text import FORMATS, catalogue, level, message, render, who

TEXT_LIMIT = 2000
SPELT_OUT = ("Cc", "Cf", "Cs", "Co")  # control, format (direction, zero width), surrogate, private use
#: Decimals beyond which, and a size from which on, a number of an interval is written by itself.
MOST_PLACES, LARGE = 5, 1e7
ENDS = ("value", "low", "high")


def mark(template: str) -> str:
    """The text itself: marks it for the test that looks for missing translations."""
    return template


def clean(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text that cannot disturb its surroundings: control and direction characters are spelt out, and no text is endless."""
    whole = str(text)
    shown = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in SPELT_OUT and c not in "\n\t" else c for c in shown)


def together(text: str) -> str:
    """A number and its percent sign stay on one line."""
    return re.sub(r"(?<=\d) %", "\u00a0%", text)


def number(value: float, kind: str) -> str:
    """Every number of our pages is written here."""
    text = together(FORMATS[kind](value))
    return f"−{text[1:]}" if text.startswith("-") else text


def interval(value: float, low: float, high: float, kind: str) -> dict[str, str]:
    """An estimate and its interval as `value`, `low` and `high`, all with the decimals that show two digits of the interval's width: 0.100 (0.083 to 0.127).

    Each by itself, as `number` has it, where that would make 0 of one that is not, and of rates, points and whole numbers, whose decimals are settled.
    """
    three, width = (value, low, high), high - low
    if kind in ("number", "signed") and width > 0:
        places = max(0, 1 - math.floor(math.log10(width)))
        text = [f"{abs(x):,.{places}f}" for x in three]
        if (
            places <= MOST_PLACES
            and max(map(abs, three)) < LARGE
            and not any(x and not t.strip("0.") for x, t in zip(three, text, strict=True))
        ):
            signs = ["−" if x < 0 else "+" if x > 0 and kind == "signed" else "" for x in three]
            return dict(zip(ENDS, map("".join, zip(signs, text, strict=True)), strict=True))
    return dict(zip(ENDS, (three_digits(number(x, kind)) for x in three), strict=True))


def three_digits(text: str) -> str:
    """A number with a power of ten with its zeros: 1.1 × 10⁻⁷ → 1.10 × 10⁻⁷."""
    mantissa, times, power = text.partition(" × ")
    whole, _, decimals = mantissa.partition(".")
    return f"{whole}.{decimals:0<2}{times}{power}" if times else text


class Speaker:
    """Says the texts of a page in one language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def t(self, template: str, /, **values: Any) -> str:
        """A text of our own."""
        return together(clean(render(message(template, **values), self.lang)))

    def stored(self, english: str | None, said: Message | None) -> str:
        """A text of the document: translated where the catalogue knows its message, else as stored."""
        if said is not None and said.id in catalogue(self.lang):
            return together(clean(render(said, self.lang)))
        return together(clean(catalogue(self.lang).get(english or "", english or "")))

    def name(self, key: str, names: dict[str, str]) -> str:
        """The name of a thing, else its identifier with spaces."""
        return self.t(names[key]) if key in names else clean(key.replace("_", " "), 120)

    def join(self, parts: list[str]) -> str:
        return ("；" if self.lang == "zh" else "; ").join(p for p in parts if p)

    def sentences(self, parts: Iterable[str]) -> str:
        """Whole sentences one after the other."""
        return ("" if self.lang == "zh" else " ").join(p for p in parts if p)

    def list(self, parts: Iterable[str]) -> str:
        """Names in a row."""
        return ("、" if self.lang == "zh" else ", ").join(parts)

    def pair(self, name: str, value: str) -> str:
        """What a thing is called, and what it is."""
        return f"{name}：{value}" if self.lang == "zh" else f"{name}: {value}"

    def told(self, title: str, text: str) -> str:
        """A title as a sentence, and what follows it."""
        return f"{title}。{text}" if self.lang == "zh" else f"{title}. {text}"

    def known(self, text: str, names: Collection[str]) -> str:
        """One of our own words, translated, or a text as it is."""
        return self.t(text) if text in names else clean(text)

    def slice(self, slice_: dict[str, str]) -> str:
        """Who a finding is about: everybody, or values of columns."""
        return clean(render(who({clean(k, 60): clean(v, 80) for k, v in slice_.items()}), self.lang), 400)

    def level(self, value: str) -> str:
        """A value of a column, by itself."""
        return clean(render(level(clean(value, 80)), self.lang), 80)
