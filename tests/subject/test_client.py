"""The auditor's end against a worker that lies: every claim is checked before memory is touched."""

from __future__ import annotations

import json
import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from audit.subject import wire
from audit.subject.client import Client, WorkerError
from audit.subject.frame import Categories, Frame, label_codes, label_text, rows, take
from audit.subject.wire import HEADER_SIZE, Header, MemoryFile

FRAME: Frame = {"x": np.arange(3.0)}
Reply = Callable[[Header], bytes]


@pytest.fixture
def peer() -> Iterator[Callable[..., Client]]:
    """peer(reply, …) gives a client whose worker sends what the functions make of each request."""
    closing: list[Any] = []

    def do(*replies: Reply) -> Client:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

        def serve() -> None:
            for reply in replies:
                header, _, fds = wire.receive_with_files(there) or (Header(0), b"", [])
                for fd in fds:
                    os.close(fd)
                there.send(reply(header))
            there.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(here)
        closing.extend([thread, client, here, there])
        return client

    yield do
    for thing in closing:
        thing.join(5) if isinstance(thing, threading.Thread) else thing.close()


def ok(**changes: Any) -> Reply:
    return lambda h: wire.pack(Header(wire.OK, call=h.call, rows=h.rows, columns=1)._replace(**changes))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (ok(rows=1 << 32), "4294967296 rows for 3"),
        (ok(rows=2), "2 rows for 3"),
        (ok(columns=1 << 40), "columns where 1 to 16 fit"),
        (ok(columns=0), "0 columns"),
        (ok(kind=77), "unknown kind"),
        (ok(length=5), "length"),
        (lambda h: b"", "ended"),
        (lambda h: b"x", "without its header"),
        (lambda h: b"x" * 200, "without its header"),
        (lambda h: wire.pack(Header(wire.OK, call=h.call)) + bytes(wire.JSON_LIMIT + 1), "more than"),
        (lambda h: wire.pack(Header(wire.GROW, call=h.call, columns=1 << 50)), "unknown kind"),
        (lambda h: wire.pack(Header(wire.OK, call=h.call, rows=3, columns=1, length=2), b"{]"), "not JSON"),
        (lambda h: wire.pack(Header(wire.OK, call=h.call, rows=3, columns=1, length=2), b"[]"), "not a JSON object"),
    ],
)
def test_lies_are_refused(peer: Callable[..., Client], reply: Reply, words: str) -> None:
    with pytest.raises(WorkerError, match=words) as caught:
        peer(reply).predict(FRAME, timeout=5)
    assert caught.value.kind == ("died" if words == "ended" else "contract")


@pytest.mark.parametrize(
    ("reply", "words"),
    [(ok(rows=11), "11 rows for 12"), (ok(columns=77), "77 columns where 1 to 16 fit"), (ok(), None)],
)
def test_mixed_rows_are_as_many_as_were_asked_for(peer: Callable[..., Client], reply: Reply, words: str | None) -> None:
    """Three rows, two masks and two background rows."""
    client, masks = peer(reply), np.ones((2, 1), dtype=bool)
    if words is None:
        assert client.mixed(FRAME, take(FRAME, slice(0, 2)), masks, timeout=5).shape == (3, 2, 2, 1)
        return
    with pytest.raises(WorkerError, match=words):
        client.mixed(FRAME, take(FRAME, slice(0, 2)), masks, timeout=5)


def test_mixed_rows_have_numbers_for_answers(peer: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    client = peer(ok())
    monkeypatch.setattr(client, "_copied", lambda count: np.full(count, np.nan))
    with pytest.raises(WorkerError, match="not all numbers"):
        client.mixed(FRAME, FRAME, np.ones((1, 1), dtype=bool), timeout=5)


def test_text_of_a_worker_is_cut_to_a_printable_line(peer: Callable[..., Client]) -> None:
    body = json.dumps({"kind": "nonsense", "message": "a\x1b[31m\n\u202eb" + "c" * 1000}).encode()
    client = peer(lambda h: wire.pack(Header(wire.ERROR, call=h.call, length=len(body)), body))
    with pytest.raises(WorkerError) as caught:
        client.predict(FRAME, timeout=5)
    assert caught.value.kind == "model"
    assert caught.value.message.startswith("a [31m  bccc")
    assert len(caught.value.message) == 300


def test_labels_beyond_the_classes_are_refused(peer: Callable[..., Client]) -> None:
    body = json.dumps({"classes": ["a", "b"]}).encode()
    client = peer(lambda h: wire.pack(Header(wire.OK, call=h.call, length=len(body)), body), ok(flags=wire.PREDICTED))
    assert client.describe(timeout=5).classes == ["a", "b"]
    assert client.predict(FRAME, timeout=5).predicted is not None  # zeros: the first class
    with pytest.raises(WorkerError, match="not among the 2 classes"):
        client._check_labels(np.array([0.0, 2.0]))


def test_answers_to_an_earlier_client_are_thrown_away(peer: Callable[..., Client]) -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client = Client(here)
    there.send(wire.pack(Header(wire.OK, call=1, rows=3, columns=9)))
    with pytest.raises(WorkerError, match="timeout"):
        client.predict(FRAME, timeout=0.1)
    for thing in (client, here, there):
        thing.close()


@pytest.mark.parametrize("read_only", [True, False])
def test_memory_can_neither_shrink_nor_grow_and_input_is_read_only_to_others(read_only: bool) -> None:
    file = MemoryFile(5000, read_only=read_only)
    for size in (100, 1 << 20):
        with pytest.raises(PermissionError):
            os.ftruncate(file.fd, size)
    again = os.open(f"/proc/self/fd/{file.fd}", os.O_RDWR)
    if read_only:
        with pytest.raises(PermissionError):
            mmap.mmap(again, file.size)
        with pytest.raises(PermissionError):
            os.write(again, b"x")
    else:
        mmap.mmap(again, file.size).close()
    file.map[:4] = b"mine"
    os.close(again)
    file.close()


def test_a_long_vocabulary_travels_in_the_memory() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client = Client(here)
    words = tuple(f"word {i} with some length to it" for i in range(20_000))
    header, body = client._request(wire.PREDICT, {}, {"frame": {"w": Categories(np.zeros(2, np.int32), words)}}, 2, 1)
    assert body == b""
    assert header.length > wire.JSON_LIMIT > HEADER_SIZE
    assert client._files is not None
    sent = json.loads(client._files[0].map[header.offset : header.offset + header.length])
    assert tuple(sent["frame"][0][4]) == words
    for thing in (client, here, there):
        thing.close()


def test_labels_have_one_spelling() -> None:
    assert [label_text(v) for v in (1, 1.0, np.int64(1), np.float32(1), True, np.bool_(False), "1", 0.5, b"x")] == [
        *("1", "1", "1", "1", "true", "false", "1", "0.5", "x")
    ]
    assert label_codes(np.array([1.0, 0.0, 7.0]), ["0", "1"]).tolist() == [1.0, 0.0, -1.0]
    assert label_codes(np.array(["b", None], dtype=object), ["a", "b"]).tolist() == [1.0, -1.0]


def test_frames() -> None:
    frame: Frame = {"a": np.arange(4.0), "b": Categories(np.array([0, -1, 1, 0], np.int32), ("x", "y"))}
    assert rows(frame) == 4
    part = take(frame, [2, 0])
    assert isinstance(part["b"], Categories)
    assert part["b"].codes.tolist() == [1, 0]
    assert rows({}) == 0
    with pytest.raises(ValueError, match="same number of rows"):
        rows({"a": np.zeros(1), "b": np.zeros(2)})
    with pytest.raises(TypeError, match="int32"):
        Categories(np.zeros(2), ("x",))
