"""The first question to the model: what it is, and what its numbers mean, settled before every row is scored."""

from __future__ import annotations

import socket
from typing import Any

from audit.errors import AuditError
from audit.features import expressions, to_frame
from audit.outputs import settle
from audit.prepare import Facts

PILOT_ROWS = 1000


def pilot(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: load the model, ask it about the first rows, and settle task, classes and outputs."""
    from audit.asking import predict
    from audit.subject.client import Client
    from audit.subject.frame import take

    assert worker is not None
    facts = Facts.model_validate(arguments["facts"])
    client = Client(worker)
    description = client.describe(timeout=arguments["timeout"])
    batch = next(facts.dataset().stream(expressions(facts.dataset(), facts.features)))
    prediction = predict(client, take(to_frame(batch, facts.features), slice(0, PILOT_ROWS)), timeout=arguments["timeout"])
    settled = settle(description, prediction, facts, arguments["metadata"], arguments["flavor"])
    _check_decision(facts, settled.task, settled.has_scores, settled.classes)
    return settled.model_dump(mode="json")


def _check_decision(facts: Facts, task: str, has_scores: bool, classes: list[str]) -> None:
    """Refuse a decision rule that the model's answers cannot carry."""
    decision = facts.decision
    if decision.kind in ("threshold", "top_count", "top_share") and (task != "binary" or not has_scores):
        raise AuditError(
            f"the decision rule {facts.roles.decision!r} needs the score of one event, and this model gives none",
            "use --decision predict or column=COL",
        )
    if decision.kind == "column" and decision.column is not None:
        if task == "regression":
            raise AuditError("the decision rule column=COL is for models that choose between classes", "use --decision predict")
        unknown = [v for v in facts.dataset().levels(decision.column, limit=1000) if v not in classes]
        if unknown:
            raise AuditError(
                f"the decision column {decision.column!r} has the value {unknown[0]!r}, which is none of the classes {', '.join(classes[:10])}",
                "write decisions as the target's labels",
            )
