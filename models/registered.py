"""A registered version that this core trained as a net: loaded with its rows and roles, and its variants logged beside it."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.data import PARTS, Dataset
from models.encoding import Column, Encoder, text_of
from models.errors import TrainingError
from models.learners.net import Net, Prepared
from models.settings import DataSettings, Split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from models.seeds import Seeds

FILES = ("architecture.json", "weights.safetensors")
OWN = "give a version that models.train trained as a net"
#: What every net of this core needs; the rest of its requirements are carried over to its variants.
USUAL = ("mlflow", "torch", "numpy", "safetensors")


@dataclass(frozen=True)
class Registered:
    """A version, its net in evaluation, and what was logged with it. `rows` is the folder of its audit_data, `threshold` cuts the score, `model_id` is the store's own number of the model, `run_id` that of the run that logged it."""

    name: str
    version: str
    net: Net
    dataset: Dataset
    roles: dict[str, Any]
    metadata: dict[str, Any]
    source: str
    preset: str
    rows: Path
    model_id: str | None = None
    run_id: str = ""

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"

    @property
    def threshold(self) -> float | None:
        """T of the decision rule `score>=T`; None where there are not two classes."""
        found = re.fullmatch(r"score>=(.+)", self.roles["decision"])
        return float(found[1]) if found else None

    def y_of(self, rows: pd.DataFrame) -> NDArray[np.int64]:
        """(n,): the place of each row's label among the classes; -1 for a label that is none of them."""
        import numpy as np

        place = {label: i for i, label in enumerate(self.dataset.settings.classes)}
        return np.array([place.get(str(text_of(label)), -1) for label in rows[self.dataset.settings.target]], dtype=np.int64)

    @property
    def positive(self) -> int:
        """The place of the positive label among the classes."""
        return self.dataset.settings.classes.index(self.dataset.settings.positive)


@dataclass(frozen=True)
class Variant:
    """A net made from a registered version: what is logged, and `said`, which stands in the version's tags and the model's metadata.

    `score_of` is what its score was made for, `outcome` or `decision`; None where that is as in the version that it was made from.
    `seeds` are models of other seeds, as trained and made into variants alike, where somebody asked for them.
    `only_processed` says that no row was looked at again: what was promised of the privacy of training rows then holds for the variant too.
    """

    net: Net
    outputs: str
    threshold: float | None
    said: dict[str, str]
    limits: tuple[str, ...]
    reports: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    only_processed: bool = False
    score_of: str | None = None
    seeds: Seeds | None = None


def require_store(uri: str) -> None:
    """MLflow would make a store that is not there; whoever asks for a version of it has mistyped its name."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    if uri.startswith("sqlite:///") and not Path(path).is_file():
        raise TrainingError(f"no MLflow store at {path}", "train a model first or give --tracking-uri")


@contextmanager
def opened(uri: str) -> Iterator[Registered]:
    """The version that `uri` names, in the store that MLflow is connected to; its files are there until the end of the block."""
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name, version = _version(uri)
    with tempfile.TemporaryDirectory() as folder:
        try:
            registered = MlflowClient().get_model_version(name, version)
            model = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=f"{folder}/model"))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise TrainingError(f"there is no model {uri} in this store", "check name and version, or give --tracking-uri") from error
        files = {path.name: path for path in (model / "extra_files").glob("*")}
        if not set(FILES) <= set(files):
            raise TrainingError(f"{uri} is no net of this core: it has no {FILES[0]}", OWN)
        run_id = _run_of(registered)
        rows = _rows(run_id, folder)
        if rows is None:
            raise TrainingError(f"{uri} was logged without its rows and roles (audit_data)", OWN)
        found = _read(name, version, model, files, rows, MlflowClient().get_run(run_id))
        yield replace(found, model_id=_model_id(registered), run_id=run_id)


def _version(uri: str) -> tuple[str, str]:
    """Name and version of models:/NAME/VERSION or models:/NAME@ALIAS."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    numbered = re.fullmatch(r"models:/([^/@]+)/(\d+)", uri)
    named = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if numbered:
        return numbered[1], numbered[2]
    if named is None:
        raise TrainingError(f"expected models:/NAME/VERSION or models:/NAME@ALIAS, got {uri!r}", "name a registered version")
    try:
        return named[1], str(MlflowClient().get_model_version_by_alias(named[1], named[2]).version)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise TrainingError(f"there is no model {uri} in this store", "check name and alias, or give --tracking-uri") from error


def _run_of(registered: Any) -> str:
    from mlflow import MlflowClient

    model_id = _model_id(registered)
    found = MlflowClient().get_logged_model(model_id).source_run_id if model_id else registered.run_id
    return str(found or registered.run_id)


def _model_id(registered: Any) -> str | None:
    named = str(registered.source).rpartition("/")[2]
    return named if named.startswith("m-") else None


def _rows(run_id: str, folder: str) -> Path | None:
    """A copy of the run's audit_data; None where it has none."""
    import mlflow
    from mlflow import MlflowClient

    wanted = {f"audit_data/{name}" for name in ("roles.json", *(f"{part}.parquet" for part in PARTS))}
    if not wanted <= {file.path for file in MlflowClient().list_artifacts(run_id, "audit_data")}:
        return None
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="audit_data", dst_path=f"{folder}/rows"))


def _read(name: str, version: str, model: Path, files: dict[str, Path], rows: Path, run: Any) -> Registered:
    import pandas as pd
    import yaml
    from safetensors.torch import load_file

    metadata = yaml.safe_load((model / "MLmodel").read_text("utf-8"))["metadata"]
    described = json.loads(files["architecture.json"].read_text("utf-8"))
    roles = json.loads((rows / "roles.json").read_text("utf-8"))
    parts = {part: pd.read_parquet(rows / f"{part}.parquet") for part in PARTS}
    columns = tuple(column_of(c) for c in metadata["columns"])
    tokenizer = files["tokenizer.json"].read_text("utf-8") if "tokenizer.json" in files else None
    module = importlib.import_module("models.nets.inner").build_inner({"inner": described})
    module.load_state_dict(load_file(files["weights.safetensors"]))
    prepared = Prepared(tokenizer=tokenizer, libraries=_libraries(model))
    net = Net(module.eval(), Encoder(columns, _tokenizer(tokenizer)), described["config"], described["name"], prepared)
    dataset = Dataset(parts, columns, _settings(roles, parts), {})
    source = run.data.params.get("data.source", "rows")
    return Registered(name, version, net, dataset, roles, metadata, source, run.data.tags.get("witnessmark.preset", name), rows)


def column_of(record: dict[str, Any]) -> Column:
    """A column as `Column.record` wrote it."""
    return Column(
        record["name"], record["kind"], vocabulary=tuple(record.get("vocabulary", ())), shape=tuple(record.get("shape", ())),
        rate=record.get("rate", 0), length=record.get("length", 0), steps=record.get("steps", 0),
        fields=tuple(column_of(field) for field in record.get("fields", ())),
    )  # fmt: skip


def _tokenizer(text: str | None) -> Any:
    if text is None:
        return None
    from tokenizers import Tokenizer

    return Tokenizer.from_str(text)


def _libraries(model: Path) -> tuple[str, ...]:
    lines = (model / "requirements.txt").read_text("utf-8").splitlines()
    names = [re.split(r"[=<>!~\[; ]", line, maxsplit=1)[0] for line in lines if line.strip()]
    return tuple(name for name in names if name not in USUAL)


def _settings(roles: dict[str, Any], parts: dict[Any, pd.DataFrame]) -> DataSettings:
    """What the roles say of the columns; the shares of the parts are counted."""
    total = sum(map(len, parts.values()))
    train, validation = (len(parts[part]) / total for part in ("train", "validation"))
    return DataSettings(
        source="table", target=roles["target"], task="classification" if roles["classes"] else "regression", positive=roles["positive"] or "",
        favourable=tuple(roles["favourable"]), classes=tuple(roles["classes"]), label_source=roles["label_source"],
        sensitive={name: {} for name in roles["sensitive"]}, reference=roles["reference"],
        split=Split(train=train, validation=validation, evaluation=1 - train - validation, seed=0),
    )  # fmt: skip


def publish(base: Registered, variant: Variant) -> str:
    """Log the variant on a run of its own with the very rows of its base, register it as the next version, and return that URI."""
    import mlflow

    from models.learners.net import log
    from models.loop import outputs_of
    from models.tracking import MEASURED, log_evaluation, measure, register

    dataset, net = base.dataset, variant.net
    outputs = {part: outputs_of(net.module, net.encoder.arrays(dataset.parts[part])) for part in MEASURED}
    scores = {part: _scores(found, variant.outputs) for part, found in outputs.items()}
    tags = {f"witnessmark.{key}": value for key, value in variant.said.items()}
    with mlflow.start_run(run_name=base.name, tags={"witnessmark.preset": base.preset, **tags}):
        mlflow.log_params({**variant.said, "threshold": variant.threshold})
        mlflow.log_metrics({"parameters": float(sum(p.numel() for p in net.module.parameters()))} | variant.figures)
        for file, record in variant.reports.items():
            mlflow.log_dict(record, file)
        _log_rows(base, _roles(base, variant))
        if variant.seeds is not None:
            variant.seeds.log(net.encoder.arrays(dataset.parts["train"].head(4)))
        evaluation = log_evaluation(dataset.parts["evaluation"], base.source, dataset.settings.target)
        outputs_are = {} if variant.outputs == "value" else {"outputs": variant.outputs}
        outputs_are |= {} if variant.score_of is None else {"score_of": variant.score_of}
        metadata = (
            base.metadata | outputs_are | {"columns": net.encoder.record(), "architecture": net.architecture, "variant": variant.said}
        )
        logged = log(net, net.encoder.arrays(dataset.parts["train"].head(4)), metadata)
        for part in MEASURED:
            found = measure(dataset, part, scores[part], variant.threshold)
            linked = evaluation if part == "evaluation" else None
            mlflow.log_metrics({f"{part}_{k}": v for k, v in found.items()}, model_id=logged.model_id, dataset=linked)
    return register(base.name, logged.model_id, None, tags=variant.said)


def _scores(outputs: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Probabilities (n, classes) that sum to 1 in float64 too, or values (n, 1)."""
    from models.metrics import softmax

    if kind == "logit":
        return softmax(outputs)
    return outputs / outputs.sum(axis=1, keepdims=True) if kind == "probability" else outputs


def _still(record: dict[str, Any], variant: Variant) -> dict[str, Any]:
    """A record of the base without what does not hold for the variant."""
    return {key: value for key, value in record.items() if key != "privacy" or variant.only_processed}


def _roles(base: Registered, variant: Variant) -> dict[str, Any]:
    """The roles of the base, with the variant's inputs and rule, and with what a reader must know of it."""
    context = base.roles["context"]
    lost = "privacy" in base.roles and not variant.only_processed
    voided = [f"The privacy promised of {base.uri} does not hold: training rows were looked at again, without noise"] if lost else []
    limits = [*context.get("known_limits", []), *variant.limits, *voided]
    decision = {} if variant.threshold is None else {"decision": f"score>={variant.threshold:.4f}"}
    features = [column.name for column in variant.net.encoder.columns]
    sensitive = list(dict.fromkeys([*base.roles["sensitive"], *filter(None, [variant.said.get("sensitive")])]))
    return (
        _still(base.roles, variant)
        | decision
        | {"features": features, "sensitive": sensitive, "context": context | {"known_limits": limits}}
    )


def _log_rows(base: Registered, roles: dict[str, Any]) -> None:
    """The files of the base as they are, byte for byte, so that audits of both know that the rows are the same."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            shutil.copy(base.rows / f"{part}.parquet", folder)
        Path(folder, "roles.json").write_text(json.dumps(roles, indent=1, ensure_ascii=False), encoding="utf-8")
        mlflow.log_artifacts(folder, "audit_data")
