"""Sentences in WinoBias' format (Zhao et al. 2018), asked as whom the pronoun means."""

from __future__ import annotations

import re
from typing import NamedTuple

_BRACKETS = re.compile(r"\[([^\]]+)\]")
PRONOUNS = {"he", "she", "him", "her", "his", "hers"}


class Riddle(NamedTuple):
    """A sentence that goes on to say whom the pronoun means: the right person, and the other one."""

    right: str
    wrong: str
    condition: str


def riddles(rows: list[tuple[str, str]]) -> list[Riddle]:
    """Sentences in which exactly one person and one pronoun stand in brackets and exactly one other person of the whole file occurs."""
    people = {m.lower() for sentence, _ in rows for m in _BRACKETS.findall(sentence) if m.lower() not in PRONOUNS}
    out = []
    for sentence, condition in rows:
        marked = _BRACKETS.findall(sentence)
        person = [m for m in marked if m.lower() not in PRONOUNS]
        pronoun = [m for m in marked if m.lower() in PRONOUNS]
        if len(person) != 1 or len(pronoun) != 1:
            continue
        plain = sentence.replace("[" + person[0] + "]", person[0])
        others = sorted(p for p in people if p != person[0].lower() and re.search(rf"\b{re.escape(p)}\b", plain.lower()))
        others = [p for p in others if not any(p != q and p in q for q in others)]
        if len(others) != 1:
            continue
        said = plain.replace("[" + pronoun[0] + "]", pronoun[0])
        right, wrong = (f'{said} Here "{pronoun[0].lower()}" means {p.lower()}.' for p in (person[0], others[0]))
        out.append(Riddle(right, wrong, condition.strip().lower()))
    return out
