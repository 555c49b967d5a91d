"""What crosses the socket between auditor and worker: one fixed header, a little JSON, and two memory files (standard library only).

A message is one SEQPACKET datagram: `Header`, then at most `JSON_LIMIT` bytes of JSON. Arrays lie in two memfds that the auditor makes,
sizes and seals and attaches to each request: `input`, which the worker can only read, and `output`, which it can write but neither grow nor
shrink. Nothing here is ever unpickled, and file descriptors are never taken from the worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import secrets
import socket
import struct
from typing import Any, NamedTuple

MAGIC = b"wm01"
JSON_LIMIT = 96 * 1024
ALIGN = 64

READY, DESCRIBE, PREDICT, ATTRIBUTE, OK, ERROR, GROW, ATTACK, SPEAK, MIX = range(1, 11)
PREDICTED = 1  # flag of a reply: a column of predicted labels follows the values

F_ADD_SEALS = 1033
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_FUTURE_WRITE = 1, 2, 4, 16

_LAYOUT = struct.Struct("<4sHHQQQQQQ")
HEADER_SIZE = _LAYOUT.size


class MalformedMessageError(Exception):
    """A message that does not follow the layout; nothing of it is used."""


class Header(NamedTuple):
    """Fixed part of a message. `offset` is 0 where the JSON follows inline, else its place in the input memfd; `length` is its bytes."""

    kind: int
    flags: int = 0
    call: int = 0
    arena: int = 0
    rows: int = 0
    columns: int = 0
    offset: int = 0
    length: int = 0


def pack(header: Header, body: bytes = b"") -> bytes:
    """The bytes of a message with an inline body."""
    if len(body) > JSON_LIMIT:
        raise MalformedMessageError(f"a control message holds at most {JSON_LIMIT} bytes, got {len(body)}")
    return _LAYOUT.pack(MAGIC, *header) + body


def unpack(data: bytes) -> tuple[Header, bytes]:
    """Header and inline body of a message; raises MalformedMessageError for anything else."""
    if len(data) < HEADER_SIZE or data[:4] != MAGIC:
        raise MalformedMessageError("a message without its header")
    header = Header(*_LAYOUT.unpack_from(data)[1:])
    body = data[HEADER_SIZE:]
    if header.offset == 0 and header.length != len(body):
        raise MalformedMessageError("a message whose length is not the one it states")
    return header, body


def receive(sock: socket.socket) -> tuple[Header, bytes] | None:
    """The next message, or None at the end of the stream. Descriptors that come with it are dropped by the kernel."""
    data, _, flags, _ = sock.recvmsg(HEADER_SIZE + JSON_LIMIT)
    if not data:
        return None
    if flags & socket.MSG_TRUNC:
        raise MalformedMessageError(f"a control message of more than {JSON_LIMIT} bytes")
    return unpack(data)


def receive_with_files(sock: socket.socket) -> tuple[Header, bytes, list[int]] | None:
    """The next message and the descriptors attached to it; only the worker, which trusts its auditor, calls this."""
    data, fds, _, _ = socket.recv_fds(sock, HEADER_SIZE + JSON_LIMIT, 2)
    return None if not data else (*unpack(data), list(fds))


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a body."""
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError("a control message that is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedMessageError("a control message that is not a JSON object")
    return value


class MemoryFile:
    """A sealed memfd of fixed size with this process's mapping of it; `token` names it in requests."""

    def __init__(self, size: int, *, read_only: bool) -> None:
        self.size = -(-max(size, ALIGN) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.token = secrets.randbits(63)
        self.fd = os.memfd_create("data", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.size)
        self.map = mmap.mmap(self.fd, self.size)  # before the seal: the auditor keeps writing, others cannot
        seals = SEAL_SHRINK | SEAL_GROW | SEAL_SEAL | (SEAL_FUTURE_WRITE if read_only else 0)
        fcntl.fcntl(self.fd, F_ADD_SEALS, seals)

    def close(self) -> None:
        """Give the memory back; arrays that still look into the mapping keep it alive."""
        os.close(self.fd)
        with contextlib.suppress(BufferError):
            self.map.close()


def aligned(offset: int) -> int:
    """The next multiple of ALIGN."""
    return -(-offset // ALIGN) * ALIGN
