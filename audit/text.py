"""One catalogue for command line, report and dashboard: a message is an English template and its values.

The English template is the key; `locale/<language>.po` maps it. A missing entry stays English. In a template `{name}` writes a value as it is,
and `{name:percent}`, `{name:ratio}`, `{name:p}`, `{name:count}`, `{name:number}`, `{name:signed}`, `{name:points}` write a number the way all
our pages do.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from audit.result import Message

LOCALES = {"en": None, "zh": "zh_Hans"}


def percent(x: float) -> str:
    """0.3251 → 32.5 %, with at most one decimal."""
    text = f"{100 * x:.1f}".removesuffix(".0")
    return f"{'0' if text == '-0' else text} %".replace("-", "−")


def ratio(x: float) -> str:
    """Two decimals."""
    return f"{x:.2f}"


def p_value(x: float) -> str:
    """Two significant digits, and "< 0.001" below that."""
    return "< 0.001" if x < 0.001 else f"{x:.2g}"


def count(x: float) -> str:
    """A whole number with separators."""
    return f"{int(x):,}"


def number(x: float) -> str:
    """Three significant digits, thousands with separators, no exponent between 0.001 and 10 million."""
    if x == 0:
        return "0"
    if x < 0:
        return f"−{number(-x)}"
    magnitude = math.floor(math.log10(abs(x)))
    if not -3 <= magnitude < 7:
        return f"{x:.3g}"
    return f"{x:,.{max(0, 2 - magnitude)}f}"


def signed(x: float) -> str:
    """As `number`, with its sign."""
    return f"+{number(x)}" if x > 0 else number(x)


def points(x: float) -> str:
    """A difference of rates in percentage points: 0.052 → +5.2."""
    text = f"{100 * x:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


FORMATS = {
    "percent": percent, "ratio": ratio, "p": p_value, "count": count, "number": number, "signed": signed, "points": points,
}  # fmt: skip


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """English template → template in `lang`; empty for English."""
    name = LOCALES[lang]
    if name is None:
        return {}
    from babel.messages.pofile import read_po

    with (Path(__file__).parent / "locale" / f"{name}.po").open("rb") as file:
        entries = read_po(file, locale=name)
    return {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string and "fuzzy" not in entry.flags}


class _Formatter(string.Formatter):
    """Plain names and our own formats only: a template may come from a document that somebody else wrote."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if field_name not in kwargs:
            return f"{{{field_name}}}", field_name
        return kwargs[field_name], field_name

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return value

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Message):
            return render(value, self.lang)
        if isinstance(value, list):
            joiner = "、" if self.lang == "zh" else ", "
            return joiner.join(render(v, self.lang) if isinstance(v, Message) else str(v) for v in value)
        if format_spec in FORMATS and isinstance(value, int | float):
            return FORMATS[format_spec](value)
        return str(value)


def message(template: str, /, **values: Any) -> Message:
    """A message from an English template and its values."""
    return Message(id=template, values=values)


def render(message: Message, lang: str = "en") -> str:
    """The message in a language: "en" or "zh"."""
    template = catalogue(lang).get(message.id, message.id)
    try:
        return _Formatter(lang).vformat(template, (), message.values)
    except ValueError:  # a template that is none, such as one with a single brace: shown as it is
        return template


def translate(template: str, lang: str) -> str:
    """A fixed text, such as a heading or a check's title, in a language."""
    return catalogue(lang).get(template, template)
