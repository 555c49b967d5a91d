"""Lines of a session: whole ones however they arrive, none that is endless, and an end when nobody asks."""

from __future__ import annotations

import os
from itertools import islice

import pytest

from audit.errors import AuditError
from audit.explain.serve import LONGEST, lines, question


def read(*parts: bytes) -> list[bytes | None]:
    out, into = os.pipe()
    for part in parts:
        os.write(into, part)
    os.close(into)
    try:
        return list(lines(out, 10.0))
    finally:
        os.close(out)


def test_lines_are_whole_and_blank_ones_are_nothing() -> None:
    assert read(b'{"a"', b": 1}\n\n  \n{}\nlast") == [b'{"a": 1}', b"{}", b"last"]
    assert read() == []


def test_a_line_without_end_is_dropped_and_the_next_one_read() -> None:
    import threading

    out, into = os.pipe()

    def write() -> None:
        for _ in range(LONGEST // 65_536 + 2):
            os.write(into, b"x" * 65_536)
        os.write(into, b"x\n{}\n")
        os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    found = list(lines(out, 10.0))
    writer.join()
    os.close(out)
    assert found == [None, b"{}"]


def test_a_session_in_which_nobody_asks_ends() -> None:
    out, into = os.pipe()
    os.write(into, b"{}\n")
    assert list(islice(lines(out, 0.05), 5)) == [b"{}"]
    os.close(into)
    os.close(out)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (None, "at most"),
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"op": "predict", "row": 1.5}', "whole number"),
        (b'{"op": "predict", "row": 0, "values": []}', "values are an object"),
        (b'{"op": ["predict"], "row": 0}', "is not known"),
        (b'{"op": "predict", "row": 0, "values": {"a": Infinity}}', "no JSON"),
        (b'{"op": "predict", "row": 0, "values": {"a": "\\ud800"}}', "no JSON"),
    ],
)
def test_what_is_no_question_is_said_in_one_sentence(line: bytes | None, said: str) -> None:
    with pytest.raises(AuditError, match=said):
        question(line)
