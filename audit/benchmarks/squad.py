"""Answers as SQuAD's scorer compares them (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re

#: Answers that count as abstaining, in the form that `normal` gives.
ABSTAINS = {"", "unknown", "i do not know", "i dont know", "cannot be determined", "not known"}


def normal(text: str) -> str:
    """Lower case, without articles and punctuation, single spaces (as SQuAD's scorer does).

    >>> normal("The  Eiffel Tower!")
    'eiffel tower'
    """
    plain = re.sub(r"[^\w\s]", "", text.casefold())
    return " ".join(word for word in plain.split() if word not in ("a", "an", "the"))


def matches(said: str, known: str) -> bool:
    """Whether what was said begins with one of the right answers, as whole words."""
    words = normal(said).split()
    return any(words[: len(right)] == right for right in (normal(one).split() for one in known.split("|")) if right)


def names(said: str, known: str) -> bool:
    """Whether one of the right answers stands anywhere in what was said, as whole words in a row."""
    text = f" {normal(said)} "
    return any(f" {right} " in text for right in map(normal, known.split("|")) if right)
