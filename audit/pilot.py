"""The first question to the model: what it is, and what its numbers mean, settled before every row is scored."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.features import batch_rows, expressions, to_frame
from audit.outputs import Settled, settle
from audit.prepare import MAX_LABELS, Facts
from audit.recorded import URI
from audit.registry import SINGLE

if TYPE_CHECKING:
    from audit.subject.client import Client, Prediction
    from audit.subject.frame import Frame

PILOT_ROWS = 1000
GRADIENTS = "integrated_gradients"
#: An upper quartile of what the sums miss above this: gradients do not see how this net works (methods.md, XAI-01). Where an answer hardly moves, the
#: miss is taken relative to a share of the median move.
TOO_FAR, FLOOR = 0.05, 0.05


def pilot(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: load the model, ask it about the first rows, and settle task, classes and outputs; `answers` is the SHA-256 of what it said."""
    facts = Facts.model_validate(arguments["facts"])
    if facts.recorded is not None:
        return {"settled": _recorded(facts).model_dump(mode="json"), "answers": None}
    from audit.asking import predict
    from audit.subject.client import Client
    from audit.subject.frame import take

    assert worker is not None
    client = Client(worker)
    description = client.describe(timeout=arguments["timeout"])
    batch = next(facts.dataset().stream(expressions(facts.dataset(), facts.features), size=batch_rows(facts.features)))
    frame = take(to_frame(batch, facts.features), slice(0, PILOT_ROWS))
    prediction = predict(client, frame, timeout=arguments["timeout"])
    settled = settle(description, prediction, facts, arguments["metadata"], arguments["flavor"])
    if _stepped(client, frame, settled, facts, arguments["timeout"]):
        methods = [method for method in settled.methods if method != GRADIENTS]
        settled = settled.model_copy(update={"methods": methods, "stepped": True})
    _check_decision(facts, settled.task, settled.has_scores, settled.classes)
    return {"settled": settled.model_dump(mode="json"), "answers": _fingerprint(prediction)}


def _stepped(client: Client, frame: Frame, settled: Settled, facts: Facts, timeout: float) -> bool:
    """Whether gradients fail to tell how a net decides: behind an arg max none reaches its inputs, between steps they are 0, and where a part of it
    steps they miss what its answers move by. Then its answers explain it.

    Asked of tables only; other rows are tried where they are explained.
    """
    import numpy as np

    from audit.subject.client import WorkerError
    from audit.subject.frame import rows, take

    if GRADIENTS not in settled.methods or any(f.kind not in SINGLE for f in facts.features) or rows(frame) < 2:
        return False
    few, starts = take(frame, slice(0, 16)), take(frame, slice(max(0, rows(frame) - 4), None))
    event = settled.classes.index(settled.positive) if settled.positive is not None else 0  # the other class's logit may be a constant
    try:
        found = client.attribute(few, starts, method=GRADIENTS, output=event, timeout=timeout, steps=50, max_steps=800)
    except WorkerError as error:
        if error.kind not in ("model", "contract"):
            raise
        return True
    whole = np.isfinite(found.values).all(axis=1) & np.isfinite(found.explained) & np.isfinite(found.base)
    if not whole.any():
        return False
    moved = np.abs(found.explained - found.base)[whole]
    miss = np.abs(found.values.sum(axis=1) + found.base - found.explained)[whole] / np.maximum(moved, FLOOR * np.median(moved) + 1e-9)
    return not found.values[whole].any() or float(np.quantile(miss, 0.75)) > TOO_FAR


def _fingerprint(prediction: Prediction) -> str:
    """What the model said of the first rows, to the last bit."""
    digest = hashlib.sha256(str(prediction.values.shape).encode() + prediction.values.tobytes())
    if prediction.predicted is not None:
        digest.update(prediction.predicted.tobytes())
    return digest.hexdigest()


def _recorded(facts: Facts) -> Settled:
    """Task, classes and outputs of recorded predictions, from the columns alone."""
    import numpy as np

    from audit.subject.client import Description, Prediction

    assert facts.recorded is not None
    dataset, name, scores = facts.dataset(), facts.recorded.prediction, facts.recorded.scores
    number = name is not None and dataset.is_number(name)
    levels = dataset.levels(name, limit=MAX_LABELS) if name is not None else []
    task = facts.roles.task or (None if scores or number else "binary")
    if task == "regression" and not number:
        raise AuditError(f"the task is regression and the prediction column {name!r} holds no numbers", "name a column of numbers")
    described = Description(facts.labels or levels, None, "recorded", "unknown", False if scores else None, [], {}, 0.0, 0)
    shape = np.zeros((1, len(scores))) if scores else np.array([float(v) for v in levels] if number else [0.0]).reshape(-1, 1)
    outputs = (facts.roles.outputs or "probability") if scores else "label"
    told = facts.model_copy(update={"roles": facts.roles.model_copy(update={"task": task, "outputs": outputs})})
    settled = settle(described, Prediction(shape, None), told, {}, URI)
    unknown = [v for v in levels if v not in settled.classes] if settled.task != "regression" else []
    if unknown:
        raise AuditError(
            f"the prediction column {name!r} has the value {unknown[0]!r}, which is none of the classes {', '.join(settled.classes[:10])}",
            "name a column of labels, or the classes with --classes; probabilities go in --score",
        )
    _check_decision(facts, settled.task, settled.has_scores, settled.classes)
    return settled


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
