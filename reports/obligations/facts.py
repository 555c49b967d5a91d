"""What was declared or recorded of an audit that answers a control without being measured: by name, with its place in `audit.json`."""

from __future__ import annotations

from typing import Any

from audit.result import AuditResult
from reports.blocks import Runs
from reports.said import Said, figure, quoted
from reports.speaker import Speaker, clean, mark
from reports.view import UNSTATED, context_of, source_text, words_of
from reports.words import CONTEXT, CONTEXT_ALIASES, LABEL_SOURCES, SOURCES, TASKS

#: What a control can be answered with that was declared and not measured: its label and its place in `audit.json`.
FACTS = {
    **{f"context.{key}": label for key, label in CONTEXT.items()},
    "model.name": mark("model"), "model.version": mark("model version"), "model.flavor": mark("format of the model"), "model.task": mark("task"),
    "model.parameters": mark("trained numbers"), "model.sha256": mark("SHA-256 of the model"), "model.features": mark("inputs"),
    "data.source": mark("source of the data"), "data.rows": mark("rows"), "data.sha256": mark("SHA-256 of the data"), "data.target": mark("target"),
    "data.sensitive": mark("sensitive columns"), "data.label_source": mark("what the target is"), "data.decision": mark("decision rule"),
    "data.training.rows": mark("training rows"), "data.training.source": mark("source of the training rows"),
    "environment.python": "Python", "environment.platform": mark("platform"), "environment.packages": mark("packages"),
    "started": mark("date of the audit"), "valid_until": mark("audit valid until"),
    "context.contact": mark("where to write"), "context.agency": mark("supervising agency"), "context.distribution_date": mark("distribution date"),
    "context.data_kind": mark("historical or test data"), "context.test_data": mark("why test data, and how they were made"),
    "context.algorithm_type": mark("type of algorithm"), "context.service_form": mark("form of the service"), "context.service_field": mark("field of application"),
    "context.complaints": mark("complaints and appeals"), "context.alternatives": mark("alternatives and accommodation"), "context.retention": mark("retention of data"),
    "context.harmful_uses": mark("harmful uses that are known"), "context.monitoring_instructions": mark("how to monitor it, and when a person looks"),
    "context.mitigation": mark("changes made to mitigate harm"),
}  # fmt: skip


def _number(kind: str) -> bool:
    return kind in ("data.rows", "model.parameters", "data.training.rows")


def fact(document: AuditResult, name: str, say: Speaker) -> Runs | None:
    """What was declared or recorded under this name, with its place; None where nothing was."""
    head, _, rest = name.partition(".")
    if head == "context":
        value = context_of(document).get(rest)
        key = next((k for k in reversed(document.context) if CONTEXT_ALIASES.get(k, k) == rest), rest)  # as it stands in the document
        return None if value in UNSTATED else (Said(words_of(value), f"context.{key}"),)
    if name == "data.source":
        return (Said(source_text(document, say), name),)
    if name == "data.training.source":
        training = document.data.training
        return (Said(say.known(training.source, SOURCES), name),) if training is not None and training.source not in UNSTATED else None
    if name == "model.features":
        return (quoted(say.list(clean(f.name, 60) for f in document.model.features[:200]), name),) if document.model.features else None
    found: Any = document
    for step in name.split("."):
        found = getattr(found, step, None)
    if found in UNSTATED:
        return None
    if _number(name):
        return (figure(found, "count", name),)
    if name == "environment.packages":
        return (quoted(", ".join(f"{k} {v}" for k, v in found.items()), name),)
    if name == "started":
        return (quoted(found[:10], name),)
    if name == "model.task":
        return (Said(say.name(found, TASKS), name),)
    if name == "data.label_source":
        return None if found == "undeclared" else (Said(say.name(found, LABEL_SOURCES), name),)
    return (quoted(say.list(map(str, found)) if isinstance(found, list | tuple) else found, name),)
