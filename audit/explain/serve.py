"""What-if over JSON lines: one question a line on stdin, one answer a line on stdout, until nobody asks any more.

A question is {"op": "predict" | "explain" | "reasons" | "recourse", "row": N, "values": {input: value}, "id": anything}; `values` replace inputs of the
row, or are all inputs where no row is given. No question ends the session: what is wrong with one is its answer.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.runner import Audit

Json = dict[str, Any]
OPERATIONS = ("predict", "explain", "reasons", "recourse")
KEYS = ("op", "row", "values", "id")
#: A session in which nobody asks ends after so many seconds.
IDLE = 600.0
#: A question is longer than this many bytes only by mistake.
LONGEST = 1 << 20


def serve(audit: Audit, scoring: Json, *, idle: float = IDLE) -> int:
    """Answer until stdin ends or nobody asked for `idle` seconds; 0."""
    facts = audit.facts
    _say(
        {
            "ok": True, "ready": True, "model": audit.resolved["uri"], "rows": facts["rows"], "favourable": facts["roles"]["favourable"],
            "inputs": [{"name": f["name"], "kind": f["kind"]} for f in facts["features"]], "columns": facts["roles"]["columns"],
        }
    )  # fmt: skip
    for line in lines(sys.stdin.fileno(), idle):
        _say(answer(audit, scoring, line))
    return 0


def _say(record: Json) -> None:
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def lines(descriptor: int, idle: float) -> Iterator[bytes | None]:
    """Whole lines as they come; None for one that is too long, whose rest is thrown away."""
    data, dropping = b"", False
    while True:
        ready, _, _ = select.select([descriptor], [], [], idle)
        part = os.read(descriptor, 65_536) if ready else b""
        if not part:
            if data.strip() and not dropping:
                yield data
            return
        data += part
        while b"\n" in data:
            line, data = data.split(b"\n", 1)
            if dropping:
                dropping = False
            elif len(line) > LONGEST:
                yield None
            elif line.strip():
                yield line
        if len(data) > LONGEST:
            if not dropping:
                yield None
            data, dropping = b"", True


def answer(audit: Audit, scoring: Json, line: bytes | None) -> Json:
    """The answer to one question, or what is wrong with it."""
    echo: Json = {}
    try:
        asked = question(line)
        echo = {"id": asked["id"]} if "id" in asked else {}
        op = asked["op"]
        wants = {
            "row": asked.get("row"),
            "values": asked.get("values", {}),
            "explain": op != "predict",
            "reasons": op == "reasons",
            "recourse": op == "recourse",
        }
        found, reason = audit.ask("audit.explain.single:explain", wants, scoring)
    except AuditError as error:
        return {"ok": False, "error": error.what, "mend": error.mend} | echo
    except Exception as error:  # a fault of ours costs one answer and not the session
        return {"ok": False, "error": f"a fault of its own: {type(error).__name__}", "mend": "report it"} | echo
    if found is None:
        return {"ok": False, "error": reason, "mend": "the model failed on these values; try others"} | echo
    return {"ok": True, "op": op, "result": found} | echo


def question(line: bytes | None) -> Json:
    """One question, checked; AuditError says what is wrong with it."""
    if line is None:
        raise AuditError(f"a question has at most {LONGEST:,} bytes", "ask for less at once")
    try:
        asked = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise AuditError("the question is no JSON", 'ask for example {"op": "explain", "row": 0}') from None
    if not isinstance(asked, dict):
        raise AuditError("a question is a JSON object", 'ask for example {"op": "explain", "row": 0}')
    if asked.get("op") not in OPERATIONS:
        raise AuditError(f"the operation {str(asked.get('op'))[:60]!r} is not known", f"use one of {', '.join(OPERATIONS)}")
    unknown = [key for key in asked if key not in KEYS]
    if unknown:
        raise AuditError(f"the question has an unknown key {unknown[0][:60]!r}", f"its keys are {', '.join(KEYS)}")
    row, values = asked.get("row"), asked.get("values", {})
    if row is not None and (not isinstance(row, int) or isinstance(row, bool)):
        raise AuditError("a row is a whole number, counted from 0", 'for example "row": 0')
    if not isinstance(values, dict):
        raise AuditError("values are an object of inputs and their values", 'for example "values": {"income": 4000}')
    if row is None and not values:
        raise AuditError("neither a row nor values were given", 'for example "row": 0')
    return asked


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
