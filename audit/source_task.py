"""The task that a model could do before it was fine-tuned: its rows, and the model before.

Either the plan names both ([checks."robustness.forgetting".params] `base`, a model's address or folder, and `source`, a file of rows: without it the
evaluation rows that were logged with the base), and the audited model answers these rows itself. Or training logged them in `source_task/`:
`rows.parquet`; `task.json` with the task's `target` and `classes`; `before.pt2`, the net that learned it; and `after.pt2`, the fine-tuned net with the head
that answers the source task put back, as multi-head continual learning measures forgetting (Li and Hoiem 2016).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.features import FeatureSpec
from audit.measurement import Frozen, Message
from audit.subject.inspect import inspect_model
from audit.text import message
from audit.training import Training, read_rows

LOGGED_ROWS = "the source task's rows logged with the model"
GRAPHS = ("before.pt2", "after.pt2")
MEND = 'name a model that takes the same inputs and chooses between the same classes under [checks."robustness.forgetting".params]'


class SourceTask(Frozen):
    """The rows of the source task with `classes` (empty: the audited model's), and the model before: in a folder at `path`, or as the first of `graphs`;
    `sha256` are digests of the rows and of the models' files."""

    rows: Training
    base: str
    sha256: str
    path: str | None = None
    graphs: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def find_source(
    arguments: dict[str, Any], features: list[FeatureSpec], target: str | None, sensitive: dict[str, list[str]]
) -> tuple[SourceTask | None, list[Message]]:
    """The source task of a request, and what a reader must know of it.

    What the plan names is refused where it cannot be used; what training logged is left aside then, and that is noted.
    """
    given = arguments.get("source_task") or {}
    if given.get("base"):
        if given.get("rows") is None:
            raise AuditError(f"no evaluation rows were logged with the base model {given['base']}", "name the source task's rows as source")
        if target is None:
            raise AuditError("no outcome column is known, so forgetting cannot be measured", "name it with --target")
        said = "the source task's rows named in the plan"
        rows = read_rows(given["rows"], said, features, target, sensitive, called="the source task's rows")
        whole = f"{rows.sha256} {inspect_model(Path(given['path'])).sha256}"
        return SourceTask(rows=rows, base=given["base"], sha256=whole, path=given["path"]), []
    if not given.get("folder"):
        return None, []
    try:
        return _logged(Path(given["folder"]), features, sensitive), []
    except AuditError as error:
        return None, [message("The source task logged with the model was left aside: {why}.", why=error.what)]


def _logged(folder: Path, features: list[FeatureSpec], sensitive: dict[str, list[str]]) -> SourceTask:
    absent = [name for name in ("rows.parquet", "task.json", *GRAPHS) if not (folder / name).is_file()]
    if absent:
        raise AuditError(f"it lacks {', '.join(absent)}", MEND)
    try:
        task = json.loads((folder / "task.json").read_bytes())
    except json.JSONDecodeError:
        raise AuditError("task.json is no JSON", MEND) from None
    classes = task.get("classes") if isinstance(task, dict) else None
    if (
        not isinstance(classes, list)
        or len(classes) < 2
        or not all(isinstance(c, str) for c in classes)
        or not isinstance(task.get("target"), str)
    ):
        raise AuditError("task.json names no target and classes", MEND)
    rows = read_rows(str(folder / "rows.parquet"), LOGGED_ROWS, features, task["target"], sensitive, called="its rows")
    graphs = [folder / name for name in GRAPHS]
    whole = " ".join([rows.sha256, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in graphs)])
    return SourceTask(rows=rows, base="the model before fine-tuning", sha256=whole, graphs=tuple(map(str, graphs)), classes=tuple(classes))
