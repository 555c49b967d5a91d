"""A new audit that begins where somebody looks: its form filled as an audit was asked for, and saved cohorts named in its plan as slices."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.cohorts.named import Cohort
from audit.named_slices import of_cohort
from audit.result import NOT_NAMED, AuditResult
from audit.toml import dumps
from dashboard.asking import CannotAskError, Value
from dashboard.index import state_file
from reports.speaker import mark
from reports.write import write_atomically


def folder() -> Path:
    """Where plans that were made here are kept, each under the digest of its text, so that a command which names one stays true."""
    return state_file().parent / "plans"


def as_in(document: AuditResult) -> dict[str, Value]:
    """The options of the form by which the same checks are asked of the same rows, as far as the document tells them."""
    values: dict[str, Value] = {"plan": _kept(_plan_of(document)), "seed": document.seed}
    data, roles = document.data, document.plan.get("roles")
    if data.source in NOT_NAMED or not isinstance(roles, dict):  # with the rows, training logged what their columns mean
        return values
    said = {name.replace("_", "-"): ",".join(value) if isinstance(value, list) else value for name, value in roles.items()}
    return values | said | {"data": data.source, "prediction": data.prediction, "score": ",".join(data.scores)}


def _plan_of(document: AuditResult) -> dict[str, Any]:
    """The plan as a file gives it: without what was declared of the data, and declared rules only in their own section."""
    written = {name: said for name, said in document.plan.items() if name != "roles"}
    checks: Mapping[str, Mapping[str, Any]] = written.get("checks", {})
    written["checks"] = {
        id_: {**said, "params": {k: v for k, v in said.get("params", {}).items() if (id_, k) != ("robustness.rules", "rules")}}
        for id_, said in checks.items()
    }
    return written


def plan_with(plan: str, cohorts: Sequence[Cohort], root: Path) -> str:
    """The path of a plan file that names these cohorts besides what the plan at `plan` (from `root`; empty: the built-in one) says.

    `CannotAskError` where the plan cannot be read, or names a slice of the same name otherwise.
    """
    try:
        given = tomllib.loads((root / plan).read_text("utf-8")) if plan else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise CannotAskError(mark("The plan cannot be read, so no cohort can be added to it.")) from None
    named, added = given.get("slices", {}), {cohort.name: of_cohort(cohort) for cohort in cohorts}
    if not isinstance(named, dict) or any(named.get(name, rows) != rows for name, rows in added.items()):
        raise CannotAskError(mark("The plan names a slice as a saved cohort is named, with other rows: rename one of them."))
    return _kept(given | {"slices": named | added})


def _kept(plan: Mapping[str, Any]) -> str:
    text = dumps(dict(plan)) + "\n"
    path = folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, text.encode())
    return str(path)
