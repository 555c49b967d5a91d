"""Markdown (CommonMark with GitHub's tables) in which every text stays text: this is the one place where it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

#: What can begin markup anywhere in a line: escapes, code, emphasis, links, HTML, tables, strikethrough, entities, mathematics, headings.
ANYWHERE = re.compile(r"[\\`*\[\]<>|~&$#]")
#: An underscore between letters or digits is no emphasis, and column names stay legible.
UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
#: What begins a block: a list, an underlined heading, a rule; a number before its full stop or bracket.
AT_START = re.compile(r"^(\d{0,9})(?=[-+=.)]+(?: |$))")
#: Addresses that GitHub would make links of.
ADDRESS = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=www)\.", re.IGNORECASE)
BREAKS = re.compile("[ \t\n\r\f\v\u0085\u2028\u2029]+")


def text(plain: object) -> str:
    """Text that a reader of Markdown sees as it is, on one line."""
    line = BREAKS.sub(" ", str(plain)).strip(" ")
    line = ANYWHERE.sub(lambda found: "\\" + found[0], line)
    line = ADDRESS.sub(lambda found: "\\" + found[0], UNDERSCORE.sub(r"\\_", line))
    return AT_START.sub(r"\1\\", line)


class Page:
    """A page, put together block by block; what is handed over is plain text."""

    def __init__(self) -> None:
        self._blocks: list[str] = []

    def heading(self, level: int, title: object) -> None:
        self._blocks.append(f"{'#' * level} {text(title)}")

    def paragraph(self, *parts: object) -> None:
        """Parts that are empty are left out; where all are, nothing is written."""
        told = [text(part) for part in parts if str(part)]
        if told:
            self._blocks.append(" ".join(told))

    def struck(self, plain: object) -> None:
        """A paragraph that is crossed out, where the reader knows GitHub's marks; elsewhere between two tildes."""
        if told := text(plain):
            self._blocks.append(f"~~{told}~~")

    def note(self, *parts: object) -> None:
        """A paragraph set apart."""
        told = [text(part) for part in parts if str(part)]
        if told:
            self._blocks.append("> " + " ".join(told))

    def items(self, lines: Iterable[object], under: Iterable[object] = ()) -> None:
        """A list; what stands `under` a line, where anything does, is a list of its own."""
        told = []
        for line, more in zip_longest(lines, under, fillvalue=""):
            told += [f"- {text(line)}"] if str(line) else []
            told += [f"  - {text(more)}"] if str(more) else []
        if told:
            self._blocks.append("\n".join(told))

    def table(self, heads: Sequence[object], rows: Iterable[Sequence[object]], numeric: Sequence[bool] = ()) -> None:
        """Columns that are `numeric` are set right; without rows nothing is written."""
        lines = [self._line(row, len(heads)) for row in rows]
        if lines:
            rule = "".join("| ---: " if k < len(numeric) and numeric[k] else "| --- " for k in range(len(heads)))
            self._blocks.append("\n".join([self._line(heads, len(heads)), f"{rule}|", *lines]))

    def code(self, plain: str) -> None:
        """Lines as they are, fenced by more backticks than they hold."""
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", plain)), default=0))
        self._blocks.append(f"{fence}\n{plain}\n{fence}")

    @staticmethod
    def _line(cells: Sequence[object], width: int) -> str:
        told = [text(cell) for cell in cells][:width]
        return "| " + " | ".join([*told, *[""] * (width - len(told))]) + " |"

    def __str__(self) -> str:
        return "\n\n".join(self._blocks) + "\n"
