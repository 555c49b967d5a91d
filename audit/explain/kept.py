"""Explanations that one check made and another reads: in the audit's own folder for such work, which is gone with it.

An audit that was interrupted makes them again, from the same random numbers and so with the same result.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.explain.explained import Explained
from audit.jobs import write_whole

if TYPE_CHECKING:
    from audit.context import Context

#: The arrays of an explanation; its other fields are plain.
ARRAYS = ("values", "base", "answer", "error", "fit", "row")
#: The check whose random numbers stand behind what is shared.
MAKER = "explanation.global"


def as_maker(ctx: Context) -> Context:
    """The same context with the random numbers of `MAKER`, and the client that it has."""
    same = copy.copy(ctx)
    same.check = MAKER
    return same


def shared(ctx: Context, what: dict[str, Any], make: Callable[[Context], list[Explained]]) -> list[Explained]:
    """`make` of the context of `MAKER`, or what another check got from it when it asked for the same."""
    same = as_maker(ctx)
    if ctx.work is None:
        return make(same)
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    path = ctx.work / f"explained-{digest[:32]}.npz"
    if path.exists():
        return _read(path.read_bytes())
    found = make(same)
    write_whole(path, _written(found), mode=0o600)
    return found


def _written(found: list[Explained]) -> bytes:
    arrays: dict[str, Any] = {}
    plain = []
    for i, e in enumerate(found):
        fields = e._asdict()
        arrays |= {f"{name}{i}": fields[name] for name in ARRAYS if fields[name] is not None}
        plain.append({name: value for name, value in fields.items() if name not in ARRAYS})
    out = io.BytesIO()
    np.savez(out, plain=np.array(json.dumps(plain)), **arrays)
    return out.getvalue()


def _read(content: bytes) -> list[Explained]:
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        plain = json.loads(str(held["plain"]))
        every: list[dict[str, Any]] = [fields | {name: held.get(f"{name}{i}") for name in ARRAYS} for i, fields in enumerate(plain)]
    return [Explained(**fields) for fields in every]
