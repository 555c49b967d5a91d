"""What a word is, where a text is taken apart: the same for the auditor, who switches words off, and the worker, which adds up their tokens."""

from __future__ import annotations

import re
from itertools import pairwise

#: A character of Chinese or Japanese, else letters and digits with an inner apostrophe, else one other sign.
_EAST = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(f"[{_EAST}]|[^\\W{_EAST}]+(?:['’][^\\W{_EAST}]+)*|[^\\w\\s]")


def spans(text: str) -> list[tuple[int, int]]:
    """First character and the one after the last of each word, in order.

    >>> spans("Don't stop, 你好")
    [(0, 5), (6, 10), (10, 11), (12, 13), (13, 14)]
    """
    return [found.span() for found in _WORD.finditer(text)]


def pieces(text: str) -> list[str]:
    """The text cut before each word but the first, so that all pieces together are the text; no piece where there is no word.

    >>> pieces(" so  good!")
    [' so  ', 'good', '!']
    """
    starts = [start for start, _ in spans(text)]
    if not starts:
        return []
    cuts = [0, *starts[1:], len(text)]
    return [text[a:b] for a, b in pairwise(cuts)]
