"""Questions about the model of a stored audit, asked as that audit asked: its declarations, plan, sample and seed."""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError
from audit.options import absolute, declared
from audit.result import NOT_NAMED

if TYPE_CHECKING:
    from audit.request import Request


def followed(options: argparse.Namespace, command: list[str]) -> Request:
    """The request of an audit's document for the model that is named; its data, unless others are, are those of the audit."""
    from audit.recompute import Again, request
    from audit.registry import checks

    given = {name: value for name, value in declared(options).items() if value} | {
        "plan": options.plan,
        "sample": options.sample,
        "seed": options.seed,
    }
    if any(value is not None for value in given.values()):
        name = next(name for name, value in given.items() if value is not None).replace("_", "-")
        raise AuditError(f"--audit brings its own declarations and plan, and --{name} was given too", "leave one of them out")
    document = _document(Path(options.audit))
    how = Again(
        number=0, seed=0, model=options.model_uri, data=absolute(options.data) or _named(document["data"]["source"]),
        training=absolute(options.training) or _named((document["data"].get("training") or {}).get("source")), references=absolute(options.references),
        tracking_uri=options.tracking_uri, trust_pickle=options.trust_pickle, isolation=options.isolation,
    )  # fmt: skip
    update = {
        "id": uuid.uuid4().hex,
        "checks": dict.fromkeys(checks(), False),
        "check_timeout": options.timeout,
        "command": command,
        "lang": options.lang,
    }
    return request(document, how).model_copy(update=update)


def _named(source: str | None) -> str | None:
    return None if source is None or source in NOT_NAMED else source


def _document(path: Path) -> dict[str, Any]:
    path = path / "audit.json" if path.is_dir() else path
    try:
        document = json.loads(path.read_bytes())
        document["plan"]["roles"], document["data"]["source"]
    except (OSError, ValueError, TypeError, KeyError):
        raise AuditError(f"{path} could not be read as an audit", "name an audit's folder with --audit") from None
    found: dict[str, Any] = document
    return found
