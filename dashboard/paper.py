"""A paper of blocks on a page: one function for each kind of block, as in every other renderer."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard import show
from reports.blocks import Block, Drawing, Heading, Items, Note, Paragraph, Runs, Table
from reports.speaker import Speaker
from reports.words import Look


def text(runs: Runs) -> str:
    return "".join(str(run) for run in runs)


def draw(blocks: Sequence[Block], say: Speaker, key: str) -> None:
    """The blocks one after the other; `key` keeps their tables apart from those of another paper."""
    for i, block in enumerate(blocks):
        if isinstance(block, Heading):
            show.title(block.text, min(block.level + 1, 4))
        elif isinstance(block, Paragraph):
            _paragraph(block, say)
        elif isinstance(block, Note):
            _note(block)
        elif isinstance(block, Items):
            for number, item in enumerate(block.items, 1):
                show.plain(f"{number}. {text(item)}" if block.ordered else f"– {text(item)}")
        elif isinstance(block, Table):
            _table(block, say, f"{key}-{i}")
        elif isinstance(block, Drawing):
            show.title(block.title)
            show.plain(block.subtitle)
            st.image(block.svg)
            show.plain(block.alt)


def _paragraph(block: Paragraph, say: Speaker) -> None:
    if block.look is not None:
        show.flag(block.look, say)
    told = text(block.runs)
    show.plain(say.pair(str(block.lead), told) if block.lead else told)


def _note(block: Note) -> None:
    if block.alert:
        with st.container(border=True):
            show.plain(text(block.runs))
    else:
        show.plain(text(block.runs))


def _table(block: Table, say: Speaker, key: str) -> None:
    def cell(value: Runs | Look) -> str:
        return show.flag_text(value, say) if isinstance(value, Look) else text(value)

    if block.caption:
        show.plain(text(block.caption))
    if not block.heads:  # what a thing is called, and what it is
        for first, *rest in block.rows:
            show.plain(say.pair(cell(first), " · ".join(map(cell, rest))))
        return
    numeric = block.numeric or (False,) * len(block.heads)
    heads = [show.Head(str(h), n) for h, n in zip(block.heads, numeric, strict=True)]
    show.table(heads, [[cell(c) for c in row] for row in block.rows], key)
