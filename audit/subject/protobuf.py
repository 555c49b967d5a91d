"""Where an ONNX file says its weights lie: a walk over the protobuf wire format, without the onnx library."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# message → {field number → message of the field}; ModelProto and what leads from it to a TensorProto
FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
MAX_DEPTH = 64


def outside(path: Path, name: str) -> Iterator[str]:
    """A sentence for each path of external data that leaves the folder of the file, and one if the file cannot be walked."""
    if path.stat().st_size == 0:
        yield f"{name} is empty"
        return
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            places = sorted(set(_locations(data, 0, len(data), "model", 0)))
    except (ValueError, IndexError) as error:
        yield f"{name} cannot be read as an ONNX file ({error})"
        return
    for place in places:
        pure = PurePosixPath(place.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or ":" in place:
            yield f"{name} reads weights from {place[:80]!r}, outside the model"


def _locations(data: mmap.mmap, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if message == "entry":
        parts = {field: bytes(data[a:b]) for field, a, b in _fields(data, start, end)}
        if parts.get(1) == b"location":
            yield parts.get(2, b"").decode("utf-8", "replace")
        return
    for field, a, b in _fields(data, start, end):
        inner = FIELDS[message].get(field)
        if inner is not None:
            yield from _locations(data, a, b, inner, depth + 1)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of each length-delimited field; numbers are passed over."""
    while at < end:
        key, at = _varint(data, at, end)
        kind = key & 7
        if kind == 2:
            length, at = _varint(data, at, end)
            if at + length > end:
                raise ValueError("a field leaves its message")
            yield key >> 3, at, at + length
            at += length
        elif kind == 0:
            _, at = _varint(data, at, end)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("an unknown wire type")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number without an end")
