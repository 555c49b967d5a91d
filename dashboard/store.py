"""Where audits are found: runs of an MLflow store that carry the tag, and folders under `audits/`. Reads only; never creates a store.

A source is one place where an audit lies; its stamp changes when what lies there changes. Listing sources is quick, reading one is not: what was
read is kept by the index (`dashboard.index`).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from audit.result import AuditResult, History
from reports.states import family_states, state_of_audit

TAG = "witnessmark.audit"
VERDICT = "witnessmark.verdict"
ARTIFACTS = "audit"
DEFAULT_URI = "sqlite:///mlflow.db"
#: What no list shows, and what makes a document large.
NOT_LISTED: dict[str, Any] = {
    "checks": [], "questions": [], "plan": {}, "context": {}, "history": History(), "waivers": [],
    "notes": [], "notes_msg": [], "not_assessed": [], "not_assessed_msg": [],
}  # fmt: skip
PAGE = 50  # runs that are asked for at once: MLflow sends all metrics of each

Problem = tuple[str, dict[str, str]]
Tell = Callable[[Problem], None]


@dataclass(frozen=True)
class Entry:
    """One audit that was found; `key` names it in addresses, whatever its own id contains.

    `head` is the document without what no list shows; `state` and `families` are the looks of the whole and of each family. `run` is (store, run) of one
    that lies in MLflow.
    """

    key: str
    head: AuditResult
    state: str
    families: dict[str, str]
    where: str
    signed: bool
    run: tuple[str, str] | None = None


@dataclass(frozen=True)
class Source:
    """A place of an audit: a folder, or a run of a store."""

    name: str
    stamp: str
    folder: Path | None = None
    run: tuple[str, str] | None = None


@dataclass(frozen=True)
class Unaudited:
    """A registered version of a model that no audit has judged."""

    name: str
    version: str
    created: str


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


def entry_of(document: AuditResult, source: Source, signed: bool) -> Entry:
    """What a list shows of an audit."""
    key = hashlib.sha256(f"{document.id}\n{document.digest}".encode()).hexdigest()[:16]
    head = document.model_copy(update=NOT_LISTED | {"model": document.model.model_copy(update={"features": []})})
    return Entry(key, head, state_of_audit(document), family_states(document), source.name, signed, source.run)


def read(source: Source) -> Entry:
    """The audit at a source; OSError, ValueError or MlflowException where it cannot be read."""
    if source.folder is not None:
        return entry_of(document_at(source.folder), source, is_signed(source.folder))
    with tempfile.TemporaryDirectory(prefix="witnessmark-audit-") as scratch:
        folder = _download(source, Path(scratch))
        return entry_of(document_at(folder), source, is_signed(folder))


def document_at(folder: Path) -> AuditResult:
    return AuditResult.model_validate_json((folder / "audit.json").read_bytes())


def document_of(entry: Entry) -> AuditResult:
    """The whole document of an audit."""
    with tempfile.TemporaryDirectory(prefix="witnessmark-audit-") as scratch:
        return document_at(folder_of(entry, Path(scratch)))


def _download(source: Source, place: Path) -> Path:
    """A copy of a run's manifest, where there is one, and document."""
    assert source.run is not None
    client, run = _client(source.run[0]), source.run[1]
    names = {a.path for a in client.list_artifacts(run, ARTIFACTS)}
    if f"{ARTIFACTS}/manifest.json" in names:
        client.download_artifacts(run, f"{ARTIFACTS}/manifest.json", str(place))
    return Path(client.download_artifacts(run, f"{ARTIFACTS}/audit.json", str(place))).parent


def folder_of(entry: Entry, scratch: Path) -> Path:
    """The audit as a folder, its bytes as they were written: its own, or a copy of its document in `scratch`."""
    if entry.run is None:
        return Path(entry.where)
    uri, run = entry.run
    place = scratch / run
    place.mkdir()
    return Path(_client(uri).download_artifacts(run, f"{ARTIFACTS}/audit.json", str(place))).parent


def whole_folder_of(entry: Entry, scratch: Path) -> Path:
    """The audit's folder with every file that lies in it: its own, or a copy in `scratch`."""
    if entry.run is None:
        return Path(entry.where)
    uri, run = entry.run
    return Path(_client(uri).download_artifacts(run, ARTIFACTS, str(scratch)))


def local(root: Path) -> Iterator[Source]:
    """The folders under `audits/` that hold a document."""
    for path in sorted(root.glob("audits/*/audit.json")):
        marks = [f"{s.st_mtime_ns}-{s.st_size}" for p in (path, path.parent / "manifest.json") if p.exists() for s in [p.stat()]]
        yield Source(str(path.parent), " ".join(marks), folder=path.parent)


def _client(uri: str) -> Any:
    """MLflow, imported where a store is read and not where a page is shown."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def stored(uri: str, tell: Tell) -> Iterator[Source]:
    """The audits among the runs of an MLflow store, newest first."""
    gone = missing_file(uri)
    if gone is not None:
        tell(("There is no MLflow store at {path}. Train or audit a model first, or set MLFLOW_TRACKING_URI.", {"path": str(gone)}))
        return
    from mlflow.exceptions import MlflowException

    try:
        client = _client(uri)
        experiments = [e.experiment_id for e in client.search_experiments(max_results=1000)]
        token: str | None = None
        while True:
            runs = client.search_runs(
                experiments, f"tags.`{TAG}` LIKE '%'", max_results=PAGE, order_by=["attributes.start_time DESC"], page_token=token
            )
            for run in runs:
                yield Source(f"{uri} {run.info.run_id}", f"{run.info.status} {run.info.end_time}", run=(uri, run.info.run_id))
            token = runs.token
            if not token:
                return
    except MlflowException as error:
        tell(("The MLflow store {uri} could not be read: {error}", {"uri": uri, "error": str(error)[:300]}))


def unaudited(uri: str) -> list[Unaudited]:
    """Registered versions without the mark that an audit leaves on them, newest first; none where the store cannot be read."""
    if missing_file(uri) is not None:
        return []
    from datetime import UTC, datetime

    from mlflow.exceptions import MlflowException

    try:
        client = _client(uri)
        found, token = [], None
        while True:
            page = client.search_model_versions(max_results=1000, page_token=token)
            found += [v for v in page if VERDICT not in v.tags]
            token = page.token
            if not token:
                break
    except MlflowException:
        return []
    found.sort(key=lambda v: v.creation_timestamp, reverse=True)
    return [Unaudited(v.name, str(v.version), datetime.fromtimestamp(v.creation_timestamp / 1000, UTC).strftime("%Y-%m-%d")) for v in found]
