"""One catalogue for command line, report and dashboard: a message is an English template and its values.

The English template is the key; `locale/<language>.po` maps it. A missing entry stays English. In a template `{name}` writes a value as it is,
and `{name:percent}`, `{name:ratio}`, `{name:p}`, `{name:count}`, `{name:number}`, `{name:signed}`, `{name:points}` write a number the way all
our pages do.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from audit.measurement import Message

LOCALES = {"en": None, "zh": "zh_Hans"}
#: Values of a slice that are ours and not the data's.
LEVELS = {
    "(missing)": "unknown", "(all other groups)": "all other groups", "*": "all groups", "(seen)": "rows seen in training", "(unseen)": "rows not seen in training",
    "(training)": "training rows", "(these)": "audited rows", "(audited)": "audited model", "(linear)": "penalised linear model", "(tree)": "decision tree of depth 3",
    "(shuffled)": "shuffled membership, as a control", "(asked again)": "asking again unchanged",
    "(rest)": "everybody else", "(others)": "other values", "(clean)": "the same rows undisturbed", "(as they are)": "the groups as they are",
    "(mixed)": "rows mixed from others", "(far)": "rows moved far outside", "(doubt)": "the model's own doubt", "(energy)": "energy of the logits",
    "(mahalanobis)": "Mahalanobis distance", "(neighbour)": "distance to the nearest rows",
    "(religion)": "religion", "(orientation)": "sexual orientation", "(ethnicity)": "ethnicity", "(gender)": "gender", "(age)": "age",
    "(sampled texts)": "sampled texts", "(prompts)": "your prompts", "(neutral sentences)": "neutral sentences",
    "(typos: swapped letters)": "swapped letters", "(typos: missing letters)": "missing letters", "(typos: wrong keys)": "mistyped letters", "(case)": "another case",
    "(punctuation)": "other punctuation", "(synonyms)": "a synonym",
    "(tree_shap)": "tree SHAP", "(integrated_gradients)": "Integrated Gradients", "(deep_shap)": "DeepLIFT-SHAP", "(exact_shap)": "SHAP over all coalitions",
    "(kernel_shap)": "paired Kernel SHAP", "(leverage_shap)": "Leverage SHAP", "(lime)": "LIME",
    "(pro)": "what fits the stereotype", "(anti)": "what defies the stereotype", "(ambig)": "where nothing decides", "(disambig)": "where the text decides",
    "(trained)": "texts that trained the model", "(fresh)": "texts that did not train", "(answered)": "questions that were answered",
    "(random)": "random attributions", "(gradient_x_input)": "gradient × input", "(one at a time)": "one input at a time", "(random model)": "models that learned nothing",
    "(gradient_shap)": "GradientSHAP", "(lrp)": "layer-wise relevance propagation (LRP)", "(grad_cam)": "Grad-CAM",
    "(exact_shap, events)": "SHAP over all coalitions of events", "(leverage_shap, events)": "Leverage SHAP of events", "(random, events)": "random attributions of events",
    "(one at a time, events)": "one event at a time", "(random model, events)": "models that learned nothing, by event",
    "(exact_shap, fields)": "SHAP over all coalitions of fields", "(leverage_shap, fields)": "Leverage SHAP of fields", "(random, fields)": "random attributions of fields",
    "(one at a time, fields)": "one field at a time", "(random model, fields)": "models that learned nothing, by field",
}  # fmt: skip
#: Columns of a slice that are ours: what is said of their values; None where the value stands alone.
PARTS = {
    "(class)": "class {value}", "(prediction)": "prediction {value}", "(batch)": "batches of {value}", "(feature)": None, "(rows)": None, "(control)": None, "(of)": "as a sign of {value}",
    "(column)": "column {value}", "(model)": None, "(method)": None, "(score)": "scores {value}",
    "(word)": "“{value}”", "(word number)": "word {value}", "(region)": "region {value}", "(stretch)": None, "(event)": "event {value}", "(field)": None,
    "(category)": "category {value}", "(direction)": "direction {value}", "(group)": "about {value}",
    "(rule)": "rule {value}", "(mix)": "share {value} points", "(noise)": "noise of severity {value}", "(missing)": "missing values of severity {value}", "(swapped)": "swapped categories of severity {value}",
    "(words)": "texts with the words {value}", "(texts)": "texts of kind {value}", "(pictures)": "pictures of kind {value}",
    "(epsilon)": "epsilon {value}", "(radius)": "radius {value}", "(deviations)": "moves of {value} standard deviations", "(blur)": "blur of severity {value}", "(jpeg)": "JPEG compression of severity {value}",
    "(copies)": "planted {value} times", "(contrast)": "weak contrast of severity {value}", "(edit)": None,
    "(terms)": "words of kind {value}", "(source)": None, "(slice)": None,
}  # fmt: skip
BARE = {"true", "false", "yes", "no", "y", "n"}  # values that mean nothing without their column


#: Below this a share is 0 but for rounding.
NOTHING = 1e-12


def percent(x: float) -> str:
    """0.3251 → 32.5 %, with at most one decimal; two where that would make 100 % or 0 % of what is not quite: 0.9998 → 99.98 %,
    0.0004 → 0.04 %; and no more than that: "> 99.99 %", "< 0.01 %"."""
    if NOTHING < x < 0.00005:
        return "< 0.01 %"
    if 0.99995 <= x < 1 - NOTHING:
        return "> 99.99 %"
    digits = 2 if x < 1 - NOTHING and round(100 * x, 1) == 100 else 1
    if NOTHING < x < 0.0005:
        digits = 2
    text = f"{100 * x:.{digits}f}".removesuffix(".0")
    return f"{'0' if text == '-0' else text} %".replace("-", "−")


def ratio(x: float) -> str:
    """Two decimals; two digits where that would leave fewer: 0.0023."""
    return f"{x:.2g}" if 0 < x < 0.095 else f"{x:.2f}"


def ratio3(x: float) -> str:
    """Three decimals, as Local Law 144 prints impact ratios."""
    return f"{x:.3f}"


def p_value(x: float) -> str:
    """Two significant digits, and "< 0.001" below that."""
    return "< 0.001" if x < 0.001 else f"{x:.2g}"


def count(x: float) -> str:
    """A whole number with separators."""
    return f"{int(x):,}"


def size(x: float) -> str:
    """Bytes in the unit of a thousand that leaves one to three digits before the point: 1,881,781 → 1.88 MB."""
    step = min(4, max(0, (len(str(int(abs(x)))) - 1) // 3))
    return f"{x:,.0f} B" if not step else f"{x / 1000**step:.3g} {' kMGT'[step]}B"


RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(x: float) -> str:
    """Three significant digits, thousands with separators, no exponent between 0.0001 and 10 million: 4.11e-15 → 4.11 × 10⁻¹⁵."""
    if x == 0:
        return "0"
    if x < 0:
        return f"−{number(-x)}"
    magnitude = math.floor(math.log10(abs(x)))
    if not -3 <= magnitude < 7:
        mantissa, _, exponent = f"{x:.3g}".partition("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(RAISED)}" if exponent else mantissa
    return f"{x:,.{max(0, 2 - magnitude)}f}"


def signed(x: float) -> str:
    """As `number`, with its sign."""
    return f"+{number(x)}" if x > 0 else number(x)


def points(x: float) -> str:
    """A difference of rates in percentage points: 0.052 → +5.2."""
    text = f"{100 * x:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


FORMATS = {
    "percent": percent, "ratio": ratio, "ratio3": ratio3, "p": p_value, "count": count, "number": number, "signed": signed, "points": points,
    "bytes": size,
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
        return _close(_Formatter(lang).vformat(template, (), message.values), lang)
    except ValueError:  # a template that is none, such as one with a single brace: shown as it is
        return template


#: A thin space parts Chinese and Latin characters; beside full-width punctuation and between two Chinese characters, where a value brought them, there is none.
FULL = "\u3000-\u303f\u2018-\u201d\uff00-\uffef"
LOOSE = re.compile(f"(?<=[{FULL}])\u2009|\u2009(?=[{FULL}])|(?<=[\u4e00-\u9fff])\u2009(?=[\u4e00-\u9fff])")


def _close(text: str, lang: str) -> str:
    return LOOSE.sub("", text) if lang == "zh" else text


def level(value: str) -> Message:
    """A value of a slice: one of ours in words, one of the data's as it is; of several that are named together each."""
    several = value.split(", ")
    if len(several) > 1 and not LEVELS.keys().isdisjoint(several):
        return message("{parts}", parts=[level(one) for one in several])
    return message(LEVELS[value]) if value in LEVELS else message("{value}", value=value)


def speaks(value: str) -> bool:
    """Whether a value names people without its column: black, and not 1, true or [25, 37)."""
    return value in LEVELS or (any(c.isalpha() for c in value) and not value.startswith("[") and value.lower() not in BARE)


def who(slice_: Mapping[str, str]) -> Message:
    """Who is meant: everybody; black (race); black, female (race, sex); approved = 1 where the value says nothing alone."""
    if not slice_:
        return message("everybody")
    own = {column: value for column, value in slice_.items() if column not in PARTS}
    said = [message(PARTS[c] or "{value}", value=level(v)) for c, v in slice_.items() if c in PARTS]
    if len(own) > 1 and all(speaks(value) for value in own.values()):
        values = ["*"] if set(own.values()) == {"*"} else list(own.values())  # all groups of several columns: said once
        said.insert(0, message("{values} ({columns})", values=[level(v) for v in values], columns=list(own)))
    else:
        said = [_one(column, value) for column, value in own.items()] + said
    return said[0] if len(said) == 1 else message("{parts}", parts=said)


def _one(column: str, value: str) -> Message:
    if speaks(value):
        return message("{value} ({column})", value=level(value), column=column)
    return message("{column} = {value}", column=column, value=value)


def beside(slice_: Mapping[str, str], against: Mapping[str, str]) -> Message:
    """The second of two that are compared, `against`: its value alone where the first names the column."""
    if len(against) == 1 and list(slice_) == list(against) and all(map(speaks, (*slice_.values(), *against.values()))):
        return level(next(iter(against.values())))
    return who(against)


def translate(template: str, lang: str) -> str:
    """A fixed text, such as a heading or a check's title, in a language."""
    return catalogue(lang).get(template, template)
