"""MLflow: one run a training, the model logged on it, the audit's data beside it, and the version registered last of all."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.config import leaves
from models.data import PARTS, Dataset, Part
from models.errors import TrainingError
from models.learners import Fitted, SourceTask
from models.loop import Epoch
from models.metrics import of_classes, of_quantity, threshold_at_rate
from models.ranking import figures
from models.roles import metadata, roles
from models.settings import Preset

EXPERIMENT = "witnessmark"
#: The artifact that holds the whole preset, by which the same can be trained again.
RECIPE = "preset.json"
MEASURED: tuple[Part, ...] = ("validation", "evaluation")
SQLITE = "sqlite:///"


if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Training:
    """Everything that a finished training hands to MLflow. `history` has (epoch from 1 on, end in ms since 1970, what it measured)."""

    preset: Preset
    dataset: Dataset
    fitted: Fitted
    history: list[tuple[int, int, Epoch]]
    seconds: float


def store_uri(option: str | None) -> str:
    """The tracking URI: the option, else MLFLOW_TRACKING_URI, else mlflow.db in the current directory; a SQLite path is made absolute."""
    uri = option or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    if not uri.startswith(SQLITE):
        return uri
    path, question, query = uri.removeprefix(SQLITE).partition("?")
    return f"{SQLITE}{Path(path).resolve()}{question}{query}"


def connect(uri: str) -> None:
    """Point MLflow at the store, before anything is trained: a store that refuses is known at once."""
    _before_mlflow()
    import mlflow

    if uri.startswith(SQLITE) and not _database(uri).parent.is_dir():
        raise TrainingError(f"the folder of the MLflow store {uri} does not exist", "create it, or give another --tracking-uri")
    with refusals(uri):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        _choose_experiment(uri)


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """What MLflow, its database or its server refuses inside becomes one line for the user, without a password in it."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        raise TrainingError(
            f"the MLflow store {_without_password(uri)} needs the library {error.name}, which is not installed",
            "for PostgreSQL: pip install 'witnessmark[postgres]', and write postgresql+psycopg2://…",
        ) from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        what = f"the MLflow store {_without_password(uri)} refused: {_without_password(first)[:300]}"
        raise TrainingError(what, "check that it is there and may be written, or give another --tracking-uri") from error


def log(training: Training, *, name: str, alias: str | None) -> str:
    """Log the run and the model, register it as `name`, and return its URI. Whatever fails before the end leaves no version."""
    import mlflow

    preset, dataset, fitted = training.preset, training.dataset, training.fitted
    scores = {part: fitted.scores(part) for part in MEASURED}
    threshold = cutoff(dataset, scores["validation"])
    with mlflow.start_run(run_name=name) as run:
        _log_settings(training, threshold)
        _log_history(run.info.run_id, training.history)
        told = None if fitted.references is None else fitted.references.record()
        evaluation = _log_data(training, roles(preset, dataset, threshold=threshold, privacy=fitted.privacy, references=told))
        model_id = fitted.log(metadata(fitted, dataset)).model_id
        for part in MEASURED:
            linked = evaluation if part == "evaluation" else None
            measured = measure(dataset, part, scores[part], threshold)
            if part == "evaluation" and dataset.settings.ranking:
                measured |= ranked(dataset, scores[part])
            mlflow.log_metrics({f"{part}_{k}": v for k, v in measured.items()}, model_id=model_id, dataset=linked)
    return register(name, model_id, alias)


def cutoff(dataset: Dataset, scores: NDArray[np.float64]) -> float | None:
    """Where the score of the positive class is cut: at the rate observed in the validation rows; None where there are not two classes."""
    if dataset.classes != 2:
        return None
    positive = dataset.settings.classes.index(dataset.settings.positive)
    return threshold_at_rate(scores[:, positive], float((dataset.y("validation") == positive).mean()))


def measure(dataset: Dataset, part: Part, scores: NDArray[np.float64], threshold: float | None) -> dict[str, float]:
    """The figures of a part: of classes, macro and of each class up to 20 of them, or of a quantity."""
    classes = dataset.settings.classes
    if not classes:
        return of_quantity(dataset.y(part), scores[:, 0])
    positive = classes.index(dataset.settings.positive) if dataset.settings.positive else 1
    return of_classes(dataset.y(part), scores, labels=classes if len(classes) <= 20 else (), threshold=threshold, positive=positive)


def ranked(dataset: Dataset, scores: NDArray[np.float64]) -> dict[str, float]:
    """How well each user's evaluation rows are ranked, overall and by the sensitive columns (models/ranking.py)."""
    data = dataset.settings
    assert data.ranking is not None
    positive = data.classes.index(data.positive)
    liked = dataset.y("evaluation") == positive
    return figures(dataset.parts["evaluation"], liked, scores[:, positive], data.ranking, list(data.sensitive))


def _log_settings(training: Training, threshold: float | None) -> None:
    import mlflow

    mlflow.set_tag("witnessmark.preset", training.preset.name)
    mlflow.log_params(leaves(training.preset.model_dump(mode="json", exclude={"context"})))
    mlflow.log_dict(training.preset.model_dump(mode="json"), RECIPE)
    mlflow.log_params({"threshold": threshold, "best_epoch": training.fitted.best_epoch})
    mlflow.log_metrics({"fit_seconds": training.seconds} | training.dataset.cleaning | training.fitted.figures)
    promised = training.fitted.privacy or {}
    numbers = {f"privacy.{key}": float(value) for key, value in promised.items() if isinstance(value, (int, float)) and value is not False}
    mlflow.log_metrics(numbers)
    others = {f"privacy.{key}": value for key, value in promised.items() if f"privacy.{key}" not in numbers}
    mlflow.log_params({key: json.dumps(value) if isinstance(value, list) else value for key, value in others.items()})


def _log_history(run_id: str, history: list[tuple[int, int, Epoch]]) -> None:
    """One request for a thousand figures, not one for each: a store far away would cost more than the training."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    metrics = [Metric(key, value, at, epoch) for epoch, at, measured in history for key, value in measured.items()]
    for start in range(0, len(metrics), 1000):
        MlflowClient().log_batch(run_id, metrics=metrics[start : start + 1000])


def _log_data(training: Training, record: dict[str, Any]) -> Any:
    """Store the rows of each part and their roles on the run; return MLflow's handle of the evaluation rows."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            training.dataset.parts[part].to_parquet(Path(folder, f"{part}.parquet"), index=False)
        Path(folder, "roles.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        mlflow.log_artifacts(folder, "audit_data")
    if training.dataset.canaries is not None or training.fitted.references is not None:
        _log_for_privacy(training)
    if training.fitted.source_task is not None:
        _log_source_task(training.fitted.source_task)
    return log_evaluation(training.dataset.parts["evaluation"], training.preset.data.source, training.preset.data.target)


def log_evaluation(rows: pd.DataFrame, source: str, target: str) -> Any:
    """Name the evaluation rows as an input of the current run; MLflow's handle of them."""
    import mlflow

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer", UserWarning)  # a schema for people, enforced nowhere
        evaluation = mlflow.data.from_pandas(rows, name=f"{source}-evaluation", targets=target)
        # A tag, not a `source`: MLflow knows no source for the artifacts of its own server (mlflow-artifacts:/).
        mlflow.log_input(evaluation, context="evaluation", tags={"artifact": "audit_data/evaluation.parquet"})
    return evaluation


def _log_for_privacy(training: Training) -> None:
    """`privacy/members.parquet`: each row of audit_data by its place in the file of its part; `privacy/canaries.parquet`, and what
    models/references.py writes, where there are any."""
    import mlflow
    import pandas as pd

    dataset, fitted = training.dataset, training.fitted
    rows = [pd.DataFrame({"row": range(len(dataset.parts[part])), "split": part}) for part in PARTS]
    with tempfile.TemporaryDirectory() as folder:
        if dataset.canaries is not None:
            dataset.canaries.to_parquet(Path(folder, "canaries.parquet"), index=False)
        if fitted.references is not None:
            from models.references import write

            assert fitted.example is not None, "what has reference models is a net"
            write(fitted.references, Path(folder), fitted.example())
        pd.concat(rows, ignore_index=True).to_parquet(Path(folder, "members.parquet"), index=False)
        mlflow.log_artifacts(folder, "privacy")


def _log_source_task(found: SourceTask) -> None:
    """`source_task/`: the evaluation rows of the task that the net could do before, its target and classes, and the net before and after."""
    import mlflow

    from models.references import save_graph

    settings = found.rows.settings
    with tempfile.TemporaryDirectory() as folder:
        found.rows.parts["evaluation"].to_parquet(Path(folder, "rows.parquet"), index=False)
        Path(folder, "task.json").write_text(json.dumps({"target": settings.target, "classes": list(settings.classes)}), encoding="utf-8")
        for name, module in (("before", found.before), ("after", found.after)):
            save_graph(module, found.example, Path(folder, f"{name}.pt2"))
        mlflow.log_artifacts(folder, "source_task")


def register(name: str, model_id: str, alias: str | None, *, tags: dict[str, str] | None = None) -> str:
    """Register a logged model as the next version of `name`, with tags, and return its URI; without its alias it is no version."""
    import mlflow
    from mlflow import MlflowClient

    version = mlflow.register_model(f"models:/{model_id}", name, tags=tags).version
    try:
        if alias is not None:
            MlflowClient().set_registered_model_alias(name, alias, version)
    except BaseException:
        MlflowClient().delete_model_version(name, version)
        raise
    return f"models:/{name}/{version}"


def _before_mlflow() -> None:
    """What MLflow reads when it is imported: no telemetry, no progress bars, no search for git, and few retries of a dead server."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


def _without_password(text: str) -> str:
    """
    >>> _without_password("postgresql://ann:secret@db/mlflow")
    'postgresql://ann:***@db/mlflow'
    """
    return re.sub(r"(://[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)


def _database(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def _choose_experiment(uri: str) -> None:
    """Beside a SQLite file lie its artifacts: MLflow itself would put them under whatever directory is current."""
    import mlflow
    from mlflow.exceptions import MlflowException

    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        beside = (_database(uri).parent / "mlruns" / EXPERIMENT).as_uri() if uri.startswith(SQLITE) else None
        try:
            mlflow.create_experiment(EXPERIMENT, artifact_location=beside)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another training made it in between
                raise
    mlflow.set_experiment(EXPERIMENT)


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow stamps a metric."""
    return time.time_ns() // 1_000_000
