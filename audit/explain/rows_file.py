"""`rows.json`: single rows of the data, where the plan allowed them, with what the model answered and what moved each answer.

It can show people. It lies beside `audit.json` for its owner alone (mode 0600) and stands in the manifest; no report, edition or copy carries it.
All in it that comes from the model or the data is text. Standard library and pydantic only, so that a page can read it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from audit.measurement import Frozen, Message, Real
from audit.result import Verdict

NAME = "rows.json"
#: The check whose rows they are.
CHECK = "explanation.local"
#: The tests of explanations.
GATES = tuple(f"explanation.{name}" for name in ("completeness", "infidelity", "deletion", "randomisation", "stability"))
#: Rows; of each row columns and parts of an explanation; characters of a text; cells along a side of a picture.
MOST, MOST_COLUMNS, MOST_PARTS, LONGEST, SIDE = 200, 500, 256, 2000, 32

Text = Annotated[str, Field(max_length=LONGEST)]
Count = Annotated[int, Field(ge=0)]


class Value(Frozen):
    """One input of a row as text; None where it is missing."""

    column: Text
    value: Text | None


class Picture(Frozen):
    """A picture in cells, the mean of its channels in each, and the regions that its parts are: `down` × `across`."""

    column: Text
    down: Annotated[int, Field(ge=1, le=SIDE)]
    across: Annotated[int, Field(ge=1, le=SIDE)]
    cells: Annotated[list[Annotated[list[Real], Field(max_length=SIDE)]], Field(max_length=SIDE)]


class Part(Frozen):
    """What one part of a row moved, with its standard error where coalitions were drawn.

    `place` is where in its column the part is: a word's number, a region, an event, a stretch, or the column itself; `holds` is what stands there,
    where that is text.
    """

    column: Text
    place: Text
    holds: Text | None = None
    value: Real
    error: Real | None = None


class Account(Frozen):
    """What moved one answer: the parts and `base` add up to `answer`, in `unit`, but for `gap`, the relative miss (None of methods that claim no sum).

    `output` is the class whose answer is explained, None of a quantity. `tied`: the largest part is within two standard errors of the next.
    `left_out` are smaller parts beyond those that are listed, and `rest` what they moved together. Sequences are explained by event and by field.
    """

    method: Text
    unit: Text
    output: Text | None
    by_field: bool = False
    base: Real
    answer: Real
    gap: Real | None
    tied: bool
    parts: Annotated[list[Part], Field(max_length=MOST_PARTS)]
    left_out: Count = 0
    rest: Real = 0.0


class Row(Frozen):
    """One row: its place in the data (decisions.md 11), the decision, the score behind it, and the outcome where it is known.

    `agrees`: whether answer and outcome are the same class; None where there is none to compare. `inputs` are values and texts; what is seen or
    heard is in `pictures` and in the parts.
    """

    row: Count
    answer: Text
    score: Real | None
    outcome: Text | None
    agrees: bool | None
    inputs: Annotated[list[Value], Field(max_length=MOST_COLUMNS)]
    inputs_left_out: Count = 0
    pictures: list[Picture]
    accounts: Annotated[list[Account], Field(max_length=2)]


class Drawn(Frozen):
    """Rows drawn by seed from the `explained` ones; `score_of` is the class of the scores, None where each is of the row's own answer."""

    explained: Count
    score_of: Text | None
    rows: Annotated[list[Row], Field(max_length=MOST)]


class Gate(Frozen):
    """A test of explanations in this audit, and what came of it."""

    check: Text
    verdict: Verdict


class Rows(Drawn):
    """The file: of which audit, model and data, and whether what it shows may be believed (`rejected`: why not)."""

    schema_version: Literal[1] = 1
    audit: Text
    document_digest: Text
    model_sha256: Text | None
    data_sha256: Text
    target: Text | None
    gates: list[Gate]
    rejected: Text | None
    rejected_msg: Message | None


def file_of(drawn: dict[str, Any], document: dict[str, Any]) -> bytes:
    """The file, from what the check handed on (`Drawn`) and the document that was made of the audit."""
    by_id = {check["info"]["id"]: check for check in document["checks"]}
    own, data, model = by_id[CHECK], document["data"], document["model"]
    gates = [{"check": gate, "verdict": by_id[gate]["verdict"]} for gate in GATES if gate in by_id and by_id[gate]["status"] == "completed"]
    found = Rows.model_validate(
        drawn
        | {
            "audit": document["id"], "document_digest": document["digest"], "model_sha256": model["sha256"], "data_sha256": data["sha256"],
            "target": data["target"], "gates": gates, "rejected": own["rejected"], "rejected_msg": own["rejected_msg"],
        }
    )  # fmt: skip
    return json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1, allow_nan=False).encode()
