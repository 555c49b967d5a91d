"""Same rows, many looks (verdicts.md §8): what the store knows of these data, this model and this plan, asked before anything is measured.

"The same data" are equal files (SHA-256), and models are told apart by theirs. Audits that were kept off the store (`--no-log`), lie in another
one, or run at this very moment are not known. Runs that somebody deleted in MLflow still count: MLflow keeps them, and a look was a look.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audit.errors import AuditError
from audit.result import Commitment, History
from audit.store import EXPERIMENT, SETTINGS, client_of, missing
from audit.store import shared as shared  # what the jobs' host imports for this module's jobs too
from audit.text import message, render

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PLAN, DATA, CONTEXT = (f"witnessmark.commit.{name}" for name in ("plan", "data", "context"))
NO_STORE = message("no MLflow store is there to ask")
NO_ANSWER = message("the MLflow store could not be read")


def unknown(why: str) -> dict[str, Any]:
    """A past that nobody can tell, with the reason ("store" or "answer")."""
    reason = NO_STORE if why == "store" else NO_ANSWER
    return History(reason=render(reason), reason_msg=reason, commitment=Commitment(state="unknown")).model_dump(mode="json")


def context_digest(context: dict[str, Any] | None) -> str | None:
    """SHA-256 of what a context file declares; None where there is none."""
    if context is None:
        return None
    return hashlib.sha256(json.dumps(context, sort_keys=True, default=str).encode()).hexdigest()


def look_back(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: the `History` of an audit that is about to run, itself included.

    `arguments`: tracking_uri, data (SHA-256), model (its identity), plan (SHA-256 of the resolved plan), subject (the model's name), fixed (SHA-256
    of what the plan alone decides), context (SHA-256 or None), started.
    """
    os.environ.update(SETTINGS)
    uri, started = arguments["tracking_uri"], arguments["started"]
    if missing(uri):
        return unknown("store")
    from mlflow.exceptions import MlflowException

    try:
        client = client_of(uri)
        runs = [r.data.tags for r in _runs(client, "witnessmark.data_sha256", arguments["data"])]
        commits = list(_runs(client, PLAN, arguments["fixed"]))
        since = _open_since(client, arguments["subject"])
    except MlflowException:
        return unknown("answer")
    models = {tags.get("witnessmark.model_sha256", "") for tags in runs} | {arguments["model"]}
    pair = (t for t in runs if t.get("witnessmark.model_sha256") == arguments["model"])
    plans = {tags.get("witnessmark.plan_sha256", "") for tags in pair} | {arguments["plan"]}
    first = min([*(tags["witnessmark.started"] for tags in runs if "witnessmark.started" in tags), started])
    return History(
        models_on_this_data=len(models), plans_on_this_pair=len(plans), first_seen=first, open_since=since,
        commitment=_commitment(commits, arguments, first),
    ).model_dump(mode="json")  # fmt: skip


def _runs(client: MlflowClient, tag: str, value: str) -> Iterator[Run]:
    """All runs of ours with this tag, the newest first, deleted ones too."""
    from mlflow.entities import ViewType

    experiment = client.get_experiment_by_name(EXPERIMENT)
    token = None
    while experiment is not None:
        quoted = value.replace("'", "''")
        page = client.search_runs(
            [experiment.experiment_id], f"tags.`{tag}` = '{quoted}'", ViewType.ALL, 500, ["attributes.start_time DESC"], token
        )
        yield from page
        token = page.token
        if not token:
            return


def _when(run: Run) -> str:
    return datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _commitment(commits: list[Run], arguments: dict[str, Any], first: str) -> Commitment:
    """The earliest record of this plan with these data before the audit began."""
    before = sorted((r for r in commits if _when(r) <= arguments["started"]), key=lambda r: int(r.info.start_time))
    ours = [r for r in before if r.data.tags.get(DATA) == arguments["data"]]
    if not ours:
        return Commitment(state="other_data", date=_when(before[0])) if before else Commitment(state="not_fixed")
    recorded = {r.data.tags.get(CONTEXT) for r in ours} - {None}
    context: Literal["fixed", "changed", "not_recorded"] = (
        "not_recorded" if not recorded else "fixed" if arguments["context"] in recorded else "changed"
    )
    date = _when(ours[0])
    return Commitment(state="fixed", date=date, after_first_look=first < date, context=context)


def _open_since(client: MlflowClient, subject: str) -> dict[str, str]:
    """Since when each finding that failed or was open in the last audit of this model has been so; empty where that audit cannot be read."""
    from mlflow.exceptions import MlflowException

    last = next(_runs(client, "witnessmark.subject", subject), None)
    if last is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="witnessmark-last-") as folder:
        try:
            document = json.loads(Path(client.download_artifacts(last.info.run_id, "audit/audit.json", folder)).read_bytes())
            return {str(k): str(v)[:10] for k, v in document["history"].get("open_since", {}).items()}
        except (MlflowException, OSError, ValueError, KeyError, AttributeError):
            return {}


def record(uri: str, plan: str, data: str, context: str | None) -> tuple[str, bool]:
    """Write down that this plan was fixed for these data; returns (when, whether it had been before)."""
    os.environ.update(SETTINGS)
    from mlflow.exceptions import MlflowException

    from audit.store import experiment_of

    try:
        client = client_of(uri)
        ours = [r for r in _runs(client, PLAN, plan) if r.data.tags.get(DATA) == data and r.data.tags.get(CONTEXT) == context]
        if ours:
            return _when(ours[-1]), True
        tags = {"witnessmark.kind": "commit", PLAN: plan, DATA: data} | ({CONTEXT: context} if context else {})
        run = client.create_run(experiment_of(client), run_name=f"plan {plan[:12]} fixed", tags=tags)
        client.set_terminated(run.info.run_id, "FINISHED")
    except MlflowException as error:
        first = str(error).strip().splitlines()[0][:200].rstrip(".")
        raise AuditError(
            f"the MLflow store {uri} could not be written: {first}", "check that it runs, or give another --tracking-uri"
        ) from None
    return _when(run), False
