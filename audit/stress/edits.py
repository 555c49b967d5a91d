"""Texts changed in ways that leave their meaning: typos, letters of another case, other punctuation, synonyms (Ribeiro et al. 2020; Pruthi et al. 2019).

Typos are in words of Latin letters, of four letters at least, and never in the first letter. Words that name who somebody is are left alone: to swap those
is another question, and another check's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from numpy.random import Generator

Kind = Literal["swap", "delete", "keyboard", "case", "punctuation", "synonym"]
KINDS: tuple[Kind, ...] = ("swap", "delete", "keyboard", "case", "punctuation", "synonym")
LONG = 4
#: Where the keys of an English keyboard lie, in widths of a key.
_KEYS = {
    letter: (column + offset, row)
    for row, (letters, offset) in enumerate((("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)))
    for column, letter in enumerate(letters)
}
#: What lies beside a letter: in its row, and where it touches in the rows above and below.
BESIDE = {
    a: "".join(b for b, (u, v) in _KEYS.items() if a != b and abs(v - y) <= 1 and abs(u - x) <= (1 if v == y else 0.75))
    for a, (x, y) in _KEYS.items()
}
#: Words that say who somebody is.
IDENTITY = frozenset(
    [
        "african",
        "american",
        "asian",
        "black",
        "white",
        "latino",
        "latina",
        "hispanic",
        "jewish",
        "muslim",
        "christian",
        "hindu",
        "buddhist",
        "atheist",
        "catholic",
        "protestant",
        "gay",
        "lesbian",
        "bisexual",
        "transgender",
        "homosexual",
        "heterosexual",
        "straight",
        "queer",
        "male",
        "female",
        "woman",
        "women",
        "girl",
        "girls",
        "boys",
        "man",
        "disabled",
        "deaf",
        "blind",
        "paralyzed",
        "older",
        "younger",
        "elderly",
        "young",
        "teenage",
        "chinese",
        "japanese",
        "mexican",
        "indian",
        "european",
        "canadian",
        "middle",
        "eastern",
        "immigrant",
        "immigrants",
        "refugee",
        "mother",
        "father",
        "husband",
        "wife",
        "daughter",
        "brother",
        "sister",
    ]
)
_LATIN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_EAST = re.compile(r"[\u3400-\u9fff]")


@cache
def shipped() -> tuple[tuple[str, str], ...]:
    """The pairs of words that come with the package."""
    lines = (Path(__file__).parent / "synonyms.txt").read_text("utf-8").splitlines()
    return tuple((a, b) for a, b in (line.split() for line in lines if line and not line.startswith("#")))


def pairs(words: Sequence[Sequence[str]]) -> dict[str, str]:
    """What stands in for what, both ways; the first pair that names a word counts."""
    found: dict[str, str] = {}
    for a, b in words:
        found.setdefault(a.lower(), b)
        found.setdefault(b.lower(), a)
    return found


def edited(text: str, kind: Kind, count: int, synonyms: Mapping[str, str], protected: Collection[str], rng: Generator) -> list[str]:
    """At most `count` different texts, each another than `text`; none where there is nothing to change."""
    if kind == "case":
        made = [text.lower(), text.upper(), text.title()]
    elif kind == "punctuation":
        made = _punctuation(text)
    elif kind == "synonym":
        made = _synonyms(text, synonyms, protected)
        if len(made) > count:
            made = [made[i] for i in sorted(rng.choice(len(made), count, replace=False).tolist())]
    else:
        made = [_typo(text, kind, protected, rng) for _ in range(2 * count)]
    return [new for new in dict.fromkeys(made) if new != text][:count]


def _typo(text: str, kind: Kind, protected: Collection[str], rng: Generator) -> str:
    """One letter of one word, not the first: deleted, changed with the one after it, or one from beside it on the keyboard."""
    words = [
        m.span()
        for m in _LATIN.finditer(text)
        if m.end() - m.start() >= LONG and m.group().lower() not in protected and m.group().isascii()
    ]
    if not words:
        return text
    start, end = words[int(rng.integers(len(words)))]
    last = end - 1 if kind == "swap" else end
    at = int(rng.integers(start + 1, last))
    letter = text[at]
    if kind == "swap":
        return text[:at] + text[at + 1] + letter + text[at + 2 :]
    if kind == "delete":
        return text[:at] + text[at + 1 :]
    near = BESIDE.get(letter.lower(), letter)
    new = near[int(rng.integers(len(near)))]
    return text[:at] + (new.upper() if letter.isupper() else new) + text[at + 1 :]


def _punctuation(text: str) -> list[str]:
    """Without the signs at the end, with a full stop there, and with a space too many."""
    bare = text.rstrip(" .!?。！？…")
    stop = "。" if _EAST.search(text) else "."
    return [bare, bare + stop, text.replace(" ", "  ", 1)] if bare else []


def _synonyms(text: str, synonyms: Mapping[str, str], protected: Collection[str]) -> list[str]:
    """One text for each word that has a synonym; characters without spaces between them are found wherever they stand."""
    out = []
    for m in _LATIN.finditer(text):
        new = synonyms.get(m.group().lower())
        if new is not None and m.group().lower() not in protected:
            out.append(text[: m.start()] + (new.capitalize() if m.group()[0].isupper() else new) + text[m.end() :])
    for word, new in synonyms.items():
        if _EAST.search(word) and word in text:
            out.append(text.replace(word, new, 1))
    return out
