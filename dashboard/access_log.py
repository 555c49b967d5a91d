"""Who opened, downloaded, ran, attested and signed what: a file that only grows, one JSON object a line.

Each line holds the SHA-256 of the line before it, so that a line which was changed or taken out shows (`faults`); lines cut off at the end do not:
whoever must prove that too copies the file away. It names persons and lies where only the server's user reads it (mode 0600).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FIRST = hashlib.sha256(b"").hexdigest()  # what the first line has before it
_BLOCK = 65_536


def append(path: Path, entry: dict[str, Any]) -> None:
    """Put one line at the end, on the disk when this returns; OSError where that cannot be done. Servers that write at once wait for each other."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last, whole = _last(descriptor)
        line = {"at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} | entry | {"previous": hashlib.sha256(last).hexdigest()}
        # A line that a crash or a full disk cut short stays as it is, and is chained like any other.
        data = memoryview((b"" if whole else b"\n") + json.dumps(line, ensure_ascii=False).encode() + b"\n")
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)


def faults(path: Path) -> list[int]:
    """The lines, from 1, that do not follow from the one before them, or that are no entry."""
    wrong, before = [], FIRST
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = json.loads(line)
            follows = isinstance(entry, dict) and entry.get("previous") == before
        except ValueError:
            follows = False
        if not follows:
            wrong.append(number)
        before = hashlib.sha256(line).hexdigest()
    return wrong


def _last(descriptor: int) -> tuple[bytes, bool]:
    """The last line without its end, and whether it has one; an empty file has an empty one."""
    end = os.fstat(descriptor).st_size
    if end == 0:
        return b"", True
    tail, start = b"", end
    while start > 0 and b"\n" not in tail[:-1]:
        start = max(0, start - _BLOCK)
        tail = os.pread(descriptor, end - start, start)
    return tail.removesuffix(b"\n").rsplit(b"\n", 1)[-1], tail.endswith(b"\n")
