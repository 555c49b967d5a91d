"""Where audits are found: runs of an MLflow store that carry the tag, and folders under `audits/`. Reads only; never creates a store."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from pydantic import ValidationError

from audit.result import AuditResult

TAG = "witnessmark.audit"
ARTIFACTS = "audit"
DEFAULT_URI = "sqlite:///mlflow.db"
MOST_RUNS = 500


@dataclass(frozen=True)
class Entry:
    """One audit that was found; `key` names it in addresses, whatever its own id contains. `run` is (store, run) of one that lies in MLflow."""

    key: str
    document: AuditResult
    where: str
    signed: bool
    run: tuple[str, str] | None = None


@dataclass
class Found:
    """All audits, newest first, with what could not be read as (template, values) for the catalogue."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def missing_file(uri: str) -> Path | None:
    """The file or folder that a local store's address names, where it does not exist; None for a store that is there or remote."""
    parts = urlparse(uri)
    if parts.scheme == "sqlite":
        path = Path(unquote(parts.path.removeprefix("/")))
    elif parts.scheme in ("", "file"):
        path = Path(unquote(parts.path))
    else:
        return None
    return None if path.exists() else path.absolute()


def is_signed(folder: Path) -> bool:
    """Whether the manifest carries a signature; this says nothing about whose."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and bool(manifest.get("signature") or manifest.get("signatures"))


def read(folder: Path, where: str, run: tuple[str, str] | None = None) -> Entry:
    """The audit in a folder; OSError or ValidationError where there is none."""
    document = AuditResult.model_validate_json((folder / "audit.json").read_bytes())
    key = hashlib.sha256(f"{document.id}\n{document.digest}".encode()).hexdigest()[:16]
    return Entry(key, document, where, is_signed(folder), run)


def local(root: Path, found: Found) -> Iterator[Entry]:
    for path in sorted(root.glob("audits/*/audit.json")):
        try:
            yield read(path.parent, str(path.parent))
        except (OSError, ValidationError):
            found.problems.append(("{path} could not be read as an audit.", {"path": str(path)}))


def stored(uri: str, found: Found) -> Iterator[Entry]:
    """The audits among the runs of an MLflow store; its artifacts are read into a folder that is removed again."""
    gone = missing_file(uri)
    if gone is not None:
        found.problems.append(
            ("There is no MLflow store at {path}. Train or audit a model first, or set MLFLOW_TRACKING_URI.", {"path": str(gone)})
        )
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        client = MlflowClient(uri)
        experiments = [e.experiment_id for e in client.search_experiments(max_results=1000)]
        runs = client.search_runs(
            experiments, filter_string=f"tags.`{TAG}` LIKE '%'", max_results=MOST_RUNS, order_by=["attributes.start_time DESC"]
        )
    except MlflowException as error:
        found.problems.append(("The MLflow store {uri} could not be read: {error}", {"uri": uri, "error": str(error)[:300]}))
        return
    for run in runs:
        with tempfile.TemporaryDirectory() as folder:
            try:
                names = [a.path for a in client.list_artifacts(run.info.run_id, ARTIFACTS)]
                for name in ("manifest.json", "audit.json"):
                    if f"{ARTIFACTS}/{name}" in names or name == "audit.json":
                        got = client.download_artifacts(run.info.run_id, f"{ARTIFACTS}/{name}", folder)
                yield read(Path(got).parent, f"{uri} {run.info.run_id}", (uri, run.info.run_id))
            except (OSError, ValidationError, MlflowException):
                found.problems.append(("The audit of run {run} could not be read.", {"run": run.info.run_id}))


def folder_of(entry: Entry, scratch: Path) -> Path:
    """The audit as a folder, its bytes as they were written: its own, or a copy of its document in `scratch`."""
    if entry.run is None:
        return Path(entry.where)
    from mlflow.tracking import MlflowClient

    uri, run = entry.run
    place = scratch / run
    place.mkdir()
    return Path(MlflowClient(uri).download_artifacts(run, f"{ARTIFACTS}/audit.json", str(place))).parent


def audits(root: Path | None = None, uri: str | None = None) -> Found:
    """All audits that can be found, newest first; the same audit in two places is shown once."""
    found = Found()
    entries: dict[str, Entry] = {}
    for entry in (*local(root or Path.cwd(), found), *stored(uri or tracking_uri(), found)):
        entries.setdefault(entry.key, entry)
    found.entries = sorted(entries.values(), key=lambda e: (e.document.started, e.key), reverse=True)
    return found
