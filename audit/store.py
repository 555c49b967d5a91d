"""MLflow: where a model is found, what training logged beside it, and where an audit is kept.

Only jobs call these functions, because MLflow is heavy and a server may hang.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from audit.errors import AuditError
from audit.manifest import APART
from audit.measurement import Frozen

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROLES = "audit_data/roles.json"
EVALUATION = "audit_data/evaluation.parquet"
EXPERIMENT = "witnessmark"
TRAINING = "audit_data/train.parquet"
SOURCE_TASK = "source_task"
SEEDS = "seeds"
#: What training logged for privacy audits, by the name under which the audit knows it.
PRIVACY = {
    "canaries": "privacy/canaries.parquet",
    "members": "privacy/members.parquet",
    "keep": "privacy/keep.npy",
    "references": "privacy/references",
}


#: Nothing leaves the machine, a dead server is given up after seconds, and stderr is ours.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}  # fmt: skip


class Resolved(Frozen):
    """A model copied to this machine, and what the store knows about it."""

    path: str
    uri: str
    name: str | None
    version: str | None
    model_id: str | None
    run_id: str | None
    logged: dict[str, Any] | None
    evaluation: str | None
    training: str | None = None
    privacy: dict[str, str] = Field(default_factory=dict)
    source_task: str | None = None
    seeds: str | None = None


def named_uri(uri: str | None) -> str | None:
    """The tracking URI that somebody named: `--tracking-uri`, else MLFLOW_TRACKING_URI."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or None


def absolute_uri(uri: str | None) -> str:
    """The tracking URI, made absolute once: `--tracking-uri`, else MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here."""
    chosen = named_uri(uri) or "sqlite:///mlflow.db"
    if chosen.startswith("sqlite:///") and not chosen.startswith("sqlite:////"):
        return f"sqlite:///{Path(chosen.removeprefix('sqlite:///')).absolute()}"
    if "://" not in chosen:
        return str(Path(chosen).absolute())
    return chosen


def missing(uri: str) -> bool:
    """Whether it is a SQLite store that is not there: MLflow would make an empty one for a mistyped name."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file()


def require_store(uri: str, mend: str = "train a model first or give --tracking-uri") -> None:
    """Refuse a SQLite store that is not there."""
    if missing(uri):
        raise AuditError(f"no MLflow store at {uri.removeprefix('sqlite:///')}", mend)


def shared(arguments: dict[str, Any]) -> tuple[str, ...]:
    """What the job host imports once: an audit asks MLflow in three jobs, and importing it is most of what each costs (2 CPU-seconds)."""
    uri = arguments["tracking_uri"]
    if missing(uri):
        return ()
    os.environ.update(SETTINGS)  # MLflow reads them as it is imported
    database = not uri.startswith("http") and "://" in uri
    return ("mlflow", *(f"mlflow.store.{kind}.sqlalchemy_store" for kind in ("tracking", "model_registry") if database))


def client_of(uri: str) -> MlflowClient:
    """MLflow's client for a store, its own chatter off."""
    import logging

    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri)


def resolve(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: copy the model into `destination` and find what training logged with it."""
    os.environ.update(SETTINGS)
    uri, destination = arguments["uri"], Path(arguments["destination"])
    local = Path(uri)
    if local.is_dir():
        return _local(local, destination, arguments["tracking_uri"], uri).model_dump(mode="json")
    if "://" not in uri and not uri.startswith(("models:/", "runs:/")):
        raise AuditError(
            f"{uri!r} is neither a model URI nor a folder",
            "use models:/NAME/VERSION, runs:/ID/PATH, demo:PRESET or the folder of an MLflow model",
        )
    require_store(arguments["tracking_uri"])
    from mlflow.exceptions import MlflowException

    try:
        return _registered(uri, destination, arguments["tracking_uri"]).model_dump(mode="json")
    except MlflowException as error:
        first = str(error).strip().splitlines()[0][:300].rstrip(".")
        if "API request to" in first:
            server = arguments["tracking_uri"]
            raise AuditError(
                f"the tracking server {server} does not answer", "check that it runs, or give another --tracking-uri"
            ) from None
        raise AuditError(f"MLflow cannot find the model {uri}: {first}", "check the name, the version and --tracking-uri") from None
    except (OSError, ImportError) as error:
        raise AuditError(
            f"the model {uri} cannot be read: {type(error).__name__}: {str(error)[:200]}", "check the tracking server and --tracking-uri"
        ) from None


def _local(folder: Path, destination: Path, tracking_uri: str, uri: str) -> Resolved:
    if not (folder / "MLmodel").is_file():
        raise AuditError(f"the folder {uri} has no MLmodel file", "name the folder of an MLflow model")
    _copy(folder, destination)
    import yaml

    described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    described = described if isinstance(described, dict) else {}
    run_id = described.get("run_id")
    logged = evaluation = training = source_task = seeds = None
    privacy: dict[str, str] = {}
    if isinstance(run_id, str) and run_id and not missing(tracking_uri):
        client = client_of(tracking_uri)
        logged, evaluation, training = _beside(client, run_id, destination.parent)
        privacy = _privacy(client, run_id, destination.parent)
        source_task, seeds = (_folder(client, run_id, name, destination.parent) for name in (SOURCE_TASK, SEEDS))
    model_id = described.get("model_id")
    return Resolved(
        path=str(destination), uri=uri, name=None, version=None, model_id=model_id if logged else None, run_id=run_id if logged else None,
        logged=logged, evaluation=evaluation, training=training, privacy=privacy, source_task=source_task, seeds=seeds,
    )  # fmt: skip


def _copy(folder: Path, destination: Path) -> None:
    """The folder as it is, links kept as links so that the inspection sees and refuses them."""
    shutil.copytree(folder, destination, symlinks=True)


def _registered(uri: str, destination: Path, tracking_uri: str) -> Resolved:
    import mlflow

    client = client_of(tracking_uri)
    info = mlflow.models.get_model_info(uri)
    downloaded = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(destination.parent / "download")))
    if downloaded != destination:
        shutil.move(downloaded, destination)
    name, version = _version(uri, client)
    run_id = info.run_id
    if info.model_id:
        run_id = client.get_logged_model(info.model_id).source_run_id or run_id
    logged, evaluation, training = _beside(client, run_id, destination.parent) if run_id else (None, None, None)
    return Resolved(
        path=str(destination),
        uri=uri,
        name=name,
        version=version,
        model_id=info.model_id,
        run_id=run_id,
        logged=logged,
        evaluation=evaluation,
        training=training,
        privacy=_privacy(client, run_id, destination.parent) if run_id else {},
        source_task=_folder(client, run_id, SOURCE_TASK, destination.parent) if run_id else None,
        seeds=_folder(client, run_id, SEEDS, destination.parent) if run_id else None,
    )


def _version(uri: str, client: MlflowClient) -> tuple[str | None, str | None]:
    """Registered name and version of a models:/ URI; (None, None) for others."""
    body = uri.removeprefix("models:/") if uri.startswith("models:/") else ""
    if "@" in body:
        name, alias = body.rsplit("@", 1)
        return name, str(client.get_model_version_by_alias(name, alias).version)
    if "/" in body:
        name, version = body.rsplit("/", 1)
        if version == "latest":
            return name, str(max(int(v.version) for v in client.search_model_versions(f"name = '{name}'")))
        return name, version
    return None, None


def _beside(client: MlflowClient, run_id: str, folder: Path) -> tuple[dict[str, Any] | None, str | None, str | None]:
    """roles.json and the paths of the evaluation and training data of the run that trained the model, where they are."""
    from mlflow.exceptions import MlflowException

    try:
        names = {item.path for item in client.list_artifacts(run_id, "audit_data")}
    except MlflowException:
        return None, None, None
    kept = folder / "audit_data"
    kept.mkdir(exist_ok=True)
    logged = None
    if ROLES in names:
        path = Path(client.download_artifacts(run_id, ROLES, str(kept)))
        try:
            logged = json.loads(path.read_bytes())
        except json.JSONDecodeError as error:
            raise AuditError(
                f"{ROLES} of run {run_id} is no JSON: {error.msg}", "train the model again, or give --data and the roles as options"
            ) from None
    evaluation, training = (
        client.download_artifacts(run_id, path, str(kept)) if path in names else None for path in (EVALUATION, TRAINING)
    )
    return logged, evaluation, training


def _privacy(client: MlflowClient, run_id: str, folder: Path) -> dict[str, str]:
    """The paths of what the run logged for privacy audits, by name, where it is there."""
    from mlflow.exceptions import MlflowException

    try:
        names = {item.path for item in client.list_artifacts(run_id, "privacy")}
    except MlflowException:
        return {}
    kept = folder / "privacy"
    kept.mkdir(exist_ok=True)
    found = {name: client.download_artifacts(run_id, path, str(kept)) for name, path in PRIVACY.items() if path in names}
    return found | ({"folder": str(Path(found["keep"]).parent)} if "keep" in found else {})


def _folder(client: MlflowClient, run_id: str, name: str, folder: Path) -> str | None:
    """A copy of the folder that the run logged under this name, where it is there."""
    from mlflow.exceptions import MlflowException

    try:
        if not client.list_artifacts(run_id, name):
            return None
    except MlflowException:
        return None
    return str(client.download_artifacts(run_id, name, str(folder)))


def experiment_of(client: MlflowClient) -> str:
    """The id of the experiment that holds audits and commitments, made where it is not there."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return str(experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT))


def place(uri: str, columns: list[str]) -> str:
    """Where a model's answers come from: its address, and the columns that hold them where no model is asked."""
    return f"{uri}:{','.join(columns)}" if columns else uri


def identity(sha256: str | None, uri: str) -> str:
    """What tells models apart: the digest of their files, or the address where there are none to see."""
    return sha256 or uri


def subject(name: str | None, uri: str) -> str:
    """What versions of one model have in common."""
    return name or uri


def log_audit(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: a run linked to the audited model, with the folder as artifacts, metrics as check.metric, and the verdict as a tag."""
    os.environ.update(SETTINGS)
    from mlflow.entities import LoggedModelInput, Metric, RunTag
    from mlflow.exceptions import MlflowException

    folder, model = Path(arguments["folder"]), arguments["model"]
    document = json.loads((folder / "audit.json").read_bytes())
    client = client_of(arguments["tracking_uri"])
    experiment_id = experiment_of(client)
    answered = document["answered"]
    fraction = f"{document['verdict']} ({answered['pass'] + answered['fail']} of {answered['decides']} answered)"
    tags = {
        "witnessmark.audit": document["id"],
        "witnessmark.verdict": document["verdict"],
        "witnessmark.answered": fraction,
        "witnessmark.digest": document["digest"],
        "witnessmark.model": model["uri"],
    }
    data = document["data"]
    where = place(model["uri"], [*([data["prediction"]] if data["prediction"] else []), *data["scores"]])
    # By these later audits of the same data know of this one (audit/history.py).
    looked = {
        "witnessmark.data_sha256": data["sha256"], "witnessmark.model_sha256": identity(model["sha256"], where),
        "witnessmark.plan_sha256": document["plan_sha256"], "witnessmark.subject": subject(model["name"], where), "witnessmark.started": document["started"],
    }  # fmt: skip
    run = client.create_run(experiment_id, run_name=f"audit {model['name'] or model['uri']}"[:250], tags=tags | looked)
    run_id = run.info.run_id
    try:
        values = _metrics(document)
        metrics = (
            [Metric(key, value, 0, 0, model_id=model["model_id"], run_id=run_id) for key, value in values.items()]
            if model["model_id"]
            else [Metric(k, v, 0, 0) for k, v in values.items()]
        )
        for start in range(0, len(metrics), 500):
            client.log_batch(run_id, metrics=metrics[start : start + 500], tags=[RunTag("witnessmark.kind", "audit")])
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith(".") and path.name not in APART:
                client.log_artifact(run_id, str(path), "audit")
        if model["model_id"]:
            client.log_inputs(run_id, models=[LoggedModelInput(model["model_id"])])
            client.set_logged_model_tags(
                model["model_id"], {k: v for k, v in tags.items() if k != "witnessmark.model"} | {"witnessmark.run": run_id}
            )
        if model["name"] and model["version"]:
            for key in ("witnessmark.verdict", "witnessmark.answered", "witnessmark.digest"):
                client.set_model_version_tag(model["name"], model["version"], key, tags[key])
        client.set_terminated(run_id, "FINISHED")
    except MlflowException:
        client.set_terminated(run_id, "FAILED")
        raise
    return {"run_id": run_id}


def _metrics(document: dict[str, Any]) -> dict[str, float]:
    """check.metric → value for findings over everybody, and check.metric.slice for single groups; names as MLflow allows them."""
    import re

    values: dict[str, float] = {}
    for check in document["checks"]:
        for finding in check["findings"]:
            if finding["estimate"] is None or len(finding["slice"]) > 1:
                continue
            parts = [check["info"]["id"], finding["metric"], *([] if finding["compare"] == "value" else [finding["compare"]])]
            parts += [f"{c}-{v}" for c, v in finding["slice"].items()]
            key = re.sub(r"[^\w\-. /:]", "_", ".".join(parts))[:250]
            values.setdefault(key, float(finding["estimate"]["value"]))
    return values
