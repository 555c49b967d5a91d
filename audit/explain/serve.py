"""What-if over JSON lines: one question a line on stdin, one answer a line on stdout, until nobody asks any more.

The first line says that the model is loaded, and what can be asked about:
    {"ok": true, "ready": true, "model": URI, "model_sha256", "name", "version", "data", "data_sha256", "rows": n, "target", "favourable": [label],
     "inputs": [{"name", "kind", "low", "middle", "high", "whole", "levels", "missing", "shape", "start", "given", "fields"}], "columns": {NAME: declared},
     "context": {…}, "seed"}
where of an input `low`, `middle` and `high` are percentiles, `levels` values that enough rows have, `start` a picture or events to begin from, and `given` says
whether others than those of the data can be given (`audit.explain.offered`).
A question is one JSON object on a line of at most 9 MiB, in UTF-8:
    {"op": OP, "row": N, "values": {INPUT: VALUE}, "id": ANYTHING}
`row` is counted from 0. `values` replace inputs of that row, or are all inputs where no row is given; null is "not known". `id` comes back as it is.
A value is a number, a string or a boolean; by the `kind` of its input also
    text        a string with a word in it, of at most 100 000 characters
    image       a PNG or JPEG of at most 6 MiB in base64; it is brought to the size that the model takes, which a note says
    sequence    a list of events, the latest last, each an object of its fields: {FIELD: number, string or null}; the model takes the latest
A recording comes from its row: none can be given.
OP is what is wanted beside the decision and the values:
    predict     nothing more
    explain     what each input adds to the answer, and the tests that this passed or failed
    reasons     the principal reasons of an adverse decision
    recourse    what would change an adverse decision
An answer is one line, in the order of the questions, whose `result` is the part of explanation.json that depends on the row:
    {"ok": true, "op": OP, "result": {"decision", "inputs", "notes", "explanation", "reasons", "recourse", …}, "id": …}
    {"ok": false, "error": WHAT, "mend": HOW TO MEND IT, "id": …}
Where an input is a text, a picture, a sequence or a recording, `explanation` is by its words, regions, events or stretches, `also` has a sequence by its
fields, there are no `reasons` and no `recourse`, and `removal` stands in its place: the fewest of these parts without which the decision is another.
No question ends the session: what is wrong with one is its answer, and a model that dies over one is loaded again for the next. It ends, with status 0,
at the end of stdin or where ten minutes pass without a question. One process answers all questions beside one loaded model, so that a question costs
what the model and the search cost, and nothing of the start. The answers are those of the page for the same row: no question moves another's.
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
#: What answers, in a process of its own.
SESSION = "audit.explain.answering:answering"
OPERATIONS = ("predict", "explain", "reasons", "recourse")
KEYS = ("op", "row", "values", "id")
#: A session in which nobody asks ends after so many seconds.
IDLE = 600.0
#: Seconds for what all questions share, such as which method does for this model: it is found once and may take longer than an answer.
PREPARING = 240.0
#: Of the context, what the person concerned must know.
CONTEXT = ("owner", "contact", "address", "agency", "intended_use", "human_role", "domain", "period", "population")
#: A question is longer than this many bytes only by mistake: a picture of `given.MOST_BYTES` in base64 has 8 MiB.
LONGEST = 9 << 20


def serve(audit: Audit, scoring: Json, *, idle: float = IDLE) -> int:
    """Answer until stdin ends or nobody asked for `idle` seconds; the exit status."""
    facts = audit.facts
    found, reason = audit.ask(SESSION, {"prepare": True}, scoring, limit=PREPARING)
    if found is None:
        raise AuditError(f"the model could not be asked: {reason}", "look at the model, or try again")
    _say(
        {
            "ok": True, "ready": True, "rows": facts["rows"], "favourable": facts["roles"]["favourable"], "target": facts["roles"]["target"],
            "inputs": [{"name": f["name"], "kind": f["kind"], **found["offered"][f["name"]]} for f in facts["features"]],
            "columns": facts["roles"]["columns"], "context": declared(audit), "seed": audit.request.seed, **about(audit),
        }
    )  # fmt: skip
    for line in lines(sys.stdin.fileno(), idle):
        _say(answer(audit, scoring, line))
    return 0


def about(audit: Audit) -> Json:
    """Which model is asked, and beside which data."""
    return {
        "model": audit.resolved["uri"], "name": audit.resolved["name"], "version": audit.resolved["version"], "model_sha256": audit.inspection.sha256,
        "data": audit.facts["source"], "data_sha256": audit.facts["sha256"],
    }  # fmt: skip


def declared(audit: Audit) -> dict[str, str]:
    """Of the context, what the person concerned must know."""
    context = audit.facts["roles"]["context"]
    return {key: str(context[key]) for key in CONTEXT if context.get(key)}


def _say(record: Json) -> None:
    sys.stdout.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def lines(descriptor: int, idle: float) -> Iterator[bytes | None]:
    """Whole lines as they come; None for one that is too long, whose rest is thrown away."""
    data, dropping = bytearray(), False
    while True:
        ready, _, _ = select.select([descriptor], [], [], idle)
        part = os.read(descriptor, 65_536) if ready else b""
        if not part:
            if data.strip() and not dropping:
                yield bytes(data)
            return
        *whole, rest = part.split(b"\n")
        for end in whole:
            line, data = bytes(data + end), bytearray()
            if dropping:
                dropping = False
            elif len(line) > LONGEST:
                yield None
            elif line.strip():
                yield line
        data += rest
        if len(data) > LONGEST:
            if not dropping:
                yield None
            data, dropping = bytearray(), True


def answer(audit: Audit, scoring: Json, line: bytes | None) -> Json:
    """The answer to one question, or what is wrong with it."""
    echo: Json = {}
    try:
        asked = question(line)
        echo = {"id": asked["id"]} if "id" in asked else {}
        op = asked["op"]
        wants = {"row": asked.get("row"), "values": asked.get("values", {})} | {part: op == part for part in OPERATIONS[1:]}
        found, reason = audit.ask(SESSION, wants, scoring)
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
        json.dumps(asked, ensure_ascii=False).encode()  # half of a pair of surrogates is no text, and nothing could be answered about it
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
