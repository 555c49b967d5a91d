"""What is declared about model and data: by the command line, the plan, or what training logged, in this order.

The same record is `audit_data/roles.json` on the run that trained the model.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from audit.columns import overlaid
from audit.costs import declared
from audit.errors import AuditError

Task = Literal["binary", "multiclass", "regression"]
_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
LABEL_SOURCES = ("outcome", "human_decision", "proxy", "selective")


class Roles(BaseModel):
    """Who is what among the columns; None and empty mean: not declared."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    target: str | None = None
    positive: str | None = None
    favourable: list[str] = []
    decision: str | None = None
    label_source: str | None = None
    task: Task | None = None
    classes: list[str] = []
    sensitive: list[str] = []
    features: list[str] = []
    reference: dict[str, str] = {}
    row_key: str | None = None
    cluster: str | None = None
    independent: bool = False
    time: str | None = None
    weight: str | None = None
    outputs: Literal["label", "probability", "logit"] | None = None
    context: dict[str, Any] = {}
    columns: dict[str, dict[str, Any]] = {}
    ranking: dict[str, Any] = {}


def merge(logged: dict[str, Any] | None, given: dict[str, Any]) -> Roles:
    """What was given over what was logged; both name columns and labels as text."""
    try:
        base = Roles.model_validate(logged or {})
    except ValidationError as error:
        first = error.errors()[0]
        raise AuditError(
            f"roles.json of the training run is not valid at {'.'.join(map(str, first['loc']))}: {first['msg']}",
            "name the roles with options, such as --target",
        ) from None
    reference = base.reference | given.get("reference", {})
    check_context(given.get("context") or base.context)
    columns = overlaid(base.columns, given.get("columns", {}))
    changed = {k: v for k, v in given.items() if v is not None and k not in ("reference", "columns")}
    if changed.get("independent"):
        changed["cluster"] = None  # the auditor's word, over what training logged
    elif changed.get("cluster"):
        changed["independent"] = False
    return base.model_copy(update=changed | {"reference": reference, "columns": columns})


def check_context(context: dict[str, Any]) -> None:
    """Refuse a context whose tables cannot be meant: costs of errors that are no amounts, responses that are no sentences."""
    declared(context)
    responses = context.get("responses", {})
    if not isinstance(responses, dict) or not all(isinstance(text, str) for text in responses.values()):
        raise AuditError(
            "the context's responses are no table of sentences", 'write [responses] and lines like "KEY OF A FINDING" = "what is done"'
        )


class Decision(BaseModel):
    """How a score becomes a decision: the model's own prediction, a cutoff, a quota, or a column of the data."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["predict", "threshold", "top_count", "top_share", "column"]
    value: float | None = None
    column: str | None = None


def parse_decision(rule: str) -> Decision:
    """`predict`, `score>=T`, `top=K`, `top=P%` or `column=COL`."""
    text = rule.strip()
    if text == "predict":
        return Decision(kind="predict")
    if match := re.fullmatch(rf"score\s*>=\s*([-+]?(?:{_NUMBER})(?:[eE][-+]?[0-9]+)?)", text):
        return Decision(kind="threshold", value=float(match[1]))
    if (match := re.fullmatch(rf"top\s*=\s*({_NUMBER})\s*%", text)) and 0 < float(match[1]) < 100:
        return Decision(kind="top_share", value=float(match[1]) / 100)
    if (match := re.fullmatch(r"top\s*=\s*([0-9]+)", text)) and int(match[1]) > 0:
        return Decision(kind="top_count", value=float(match[1]))
    if match := re.fullmatch(r"column\s*=\s*(.+)", text):
        return Decision(kind="column", column=match[1].strip())
    if re.search(r"[,;]|\band\b|\bor\b|&", text) or len(re.findall(r"[<>]=?|=", text)) > 1:
        raise AuditError(
            f"the decision rule {rule!r} holds several cutoffs, and an audit judges one rule",
            "give one of the forms score>=T, top=K, top=P% or column=COL, and audit another rule by itself",
        )
    raise AuditError(f"the decision rule {rule!r} is not known", "use predict, score>=T, top=K, top=P% or column=COL")
