"""What a training leaves in MLflow: the model, how to ask it, the rows and roles for the audit, and nothing where it failed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from models.config import load_preset
from models.encoding import Column, table
from models.errors import TrainingError
from models.nets.tabular import build
from models.tracking import store_uri

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python, Trained

    Train = Callable[[str], Trained]

PRESETS = ("credit", "credit-trees")


def mlmodel(trained: Trained) -> dict[str, Any]:
    record: dict[str, Any] = yaml.safe_load((trained.model / "MLmodel").read_text("utf-8"))
    return record


def evaluation(trained: Trained) -> pd.DataFrame:
    return pd.read_parquet(trained.data / "evaluation.parquet")


def codes(trained: Trained) -> np.ndarray:
    columns = tuple(Column(c["name"], c["kind"], tuple(c.get("vocabulary", ()))) for c in mlmodel(trained)["metadata"]["columns"])
    return table(evaluation(trained), columns)


def positive_scores(trained: Trained) -> np.ndarray:
    """(n,): the score of the positive class, from the stored model alone."""
    if "pytorch" in mlmodel(trained)["flavors"]:
        exported = torch.export.load(trained.model / "data" / "model.pt2").module()
        return exported(torch.from_numpy(codes(trained))).softmax(dim=1)[:, 1].detach().numpy()
    import lightgbm

    booster = lightgbm.Booster(model_file=str(trained.model / "model.lgb"))
    return np.asarray(booster.predict(evaluation(trained)[trained.roles["features"]].astype("float64")))


@pytest.mark.parametrize("preset", PRESETS)
def test_stdout_is_the_uri_alone_and_the_alias_is_demo(train: Train, preset: str) -> None:
    trained = train(preset)
    assert trained.stdout == f"models:/{preset}/1\n"
    assert trained.store["aliases"] == ["demo"]
    assert trained.store["status"] == ["FINISHED"]
    assert "Warning" not in trained.stderr


@pytest.mark.parametrize("preset", PRESETS)
def test_roles_are_complete(train: Train, preset: str) -> None:
    trained = train(preset)
    roles = trained.roles
    assert list(roles) == [
        "schema_version", "target", "positive", "favourable", "decision", "label_source", "task", "classes",
        "sensitive", "features", "reference", "row_key", "cluster", "columns", "context",
    ]  # fmt: skip
    assert roles | {"features": [], "columns": {}, "context": {}, "decision": ""} == {
        "schema_version": 1, "target": "approve", "positive": "1", "favourable": ["1"], "decision": "", "label_source": "human_decision",
        "task": "binary", "classes": ["0", "1"], "sensitive": ["race", "sex", "marital"], "features": [], "reference": {"race": "white"},
        "row_key": None, "cluster": None, "columns": {}, "context": {},
    }  # fmt: skip
    assert re.fullmatch(r"score>=0\.\d{4}", roles["decision"])
    assert all(roles["context"].values())
    assert roles["context"]["domain"] == "credit"
    assert roles["context"]["jurisdictions"] == ["US"]
    assert set(roles["context"]["legitimate_factors"]) <= set(roles["features"])


@pytest.mark.parametrize("preset", PRESETS)
def test_metadata_say_how_to_ask_the_model(train: Train, preset: str) -> None:
    trained = train(preset)
    metadata = mlmodel(trained)["metadata"]
    assert [column["name"] for column in metadata["columns"]] == trained.roles["features"]
    assert (metadata["classes"], metadata["task"]) == (["0", "1"], "binary")
    assert metadata["outputs"] == {"credit": "logit", "credit-trees": "probability"}[preset]
    assert metadata.get("architecture") == {"credit": "tabular", "credit-trees": None}[preset]
    for column in metadata["columns"]:
        assert column["kind"] in {"number", "category"}
        assert ("vocabulary" in column) == (column["kind"] == "category")


def test_both_presets_store_the_same_rows_in_the_order_of_roles(train: Train) -> None:
    def digests(trained: Trained) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(trained.data.glob("*.parquet"))}

    net, trees = train("credit"), train("credit-trees")
    assert digests(net) == digests(trees)
    assert list(digests(net)) == ["evaluation.parquet", "train.parquet", "validation.parquet"]
    assert list(evaluation(net).columns) == [*net.roles["features"], "approve", "race", "sex", "marital"]
    assert [len(pd.read_parquet(net.data / f"{part}.parquet")) for part in ("train", "validation", "evaluation")] == [994, 299, 696]


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_but_the_model_lies_in_the_model(train: Train, preset: str) -> None:
    files = {str(path.relative_to(train(preset).model)) for path in train(preset).model.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith((".parquet", ".pkl", ".pickle", ".skops", ".csv", ".py"))]
    assert "audit_data" not in " ".join(files)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_stored_model_gives_the_figures_of_the_run(train: Train, preset: str) -> None:
    from sklearn.metrics import roc_auc_score

    trained = train(preset)
    score, y = positive_scores(trained), evaluation(trained)["approve"]
    threshold = float(trained.roles["decision"].removeprefix("score>="))
    metrics = trained.store["metrics"]
    assert roc_auc_score(y, score) == pytest.approx(metrics["evaluation_roc_auc"], abs=1e-4)
    assert (score >= threshold).mean() == pytest.approx(metrics["evaluation_selection_rate"], abs=0.002)
    assert metrics["evaluation_roc_auc"] > 0.75
    assert abs(metrics["validation_selection_rate"] - pd.read_parquet(trained.data / "validation.parquet")["approve"].mean()) < 0.005


def test_the_exported_net_takes_any_number_of_rows(train: Train) -> None:
    x = codes(train("credit"))
    exported = torch.export.load(train("credit").model / "data" / "model.pt2").module()
    many = np.tile(x, (15, 1))[:10_000]
    with torch.inference_mode():
        whole = exported(torch.from_numpy(many))
        assert whole.shape == (10_000, 2)
        assert torch.allclose(exported(torch.from_numpy(x[:1])), whole[:1], atol=1e-6)


def test_the_net_is_rebuilt_from_its_two_files_and_gives_the_same(train: Train) -> None:
    from safetensors.torch import load_file

    folder = train("credit").model / "extra_files"
    architecture = json.loads((folder / "architecture.json").read_text("utf-8"))
    assert architecture["name"] == "tabular"
    net = build(architecture["config"])
    net.load_state_dict(load_file(folder / "weights.safetensors"))
    net.eval()
    x = torch.from_numpy(codes(train("credit")))
    exported = torch.export.load(train("credit").model / "data" / "model.pt2").module()
    with torch.inference_mode():
        assert torch.allclose(net(x), exported(x), atol=1e-6)
        assert net(torch.full((1, x.shape[1]), torch.nan)).isfinite().all()


def test_the_booster_s_signature_names_its_columns(train: Train) -> None:
    record = mlmodel(train("credit-trees"))
    inputs = json.loads(record["signature"]["inputs"])
    assert [column["name"] for column in inputs] == train("credit-trees").roles["features"]
    assert {column["type"] for column in inputs} == {"double"}
    assert record["flavors"]["lightgbm"]["model_class"] == "lightgbm.basic.Booster"
    assert (train("credit-trees").model / "model.lgb").read_bytes().startswith(b"tree\n")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_run_tells_how_the_model_came_about(train: Train, preset: str) -> None:
    trained = train(preset)
    parameters, metrics = trained.store["params"], trained.store["metrics"]
    assert parameters["training.learning_rate"] == str(load_preset(preset).training.learning_rate)
    assert parameters["seed"] == "0"
    assert parameters["data.exclude.action"].startswith("leak")
    assert {"train_loss", "validation_loss", "fit_seconds"} <= set(metrics)
    assert trained.store["inputs"] == [
        ["loanapp-evaluation", {"mlflow.data.context": "evaluation", "artifact": "audit_data/evaluation.parquet"}]
    ]
    linked = trained.store["linked"]
    assert linked["evaluation_log_loss"] == "loanapp-evaluation"
    assert {"evaluation_accuracy", "evaluation_roc_auc", "validation_accuracy", "validation_roc_auc", "validation_log_loss"} <= set(linked)


def test_every_epoch_is_logged(train: Train) -> None:
    store = train("credit").store
    best, patience = int(store["params"]["best_epoch"]), int(store["params"]["training.patience"])
    assert sorted(store["steps"]) == list(range(1, best + patience + 1))


def test_a_failure_half_way_leaves_no_version_and_a_failed_run(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    """The model is already logged when its figures cannot be: the worst moment before the last."""
    code = (
        "import models.tracking, models.train\n"
        "def broken(*a, **k): raise RuntimeError('half-way')\n"
        "models.tracking.measure = broken\n"
        "models.train.main(['credit-trees', '--epochs', '2'])\n"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert look_up(tmp_path) == {"versions": [], "names": [], "status": ["FAILED"]}


def test_the_store_is_named_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert store_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"
    assert store_uri("sqlite:///a/b.db?timeout=9") == f"sqlite:///{tmp_path}/a/b.db?timeout=9"
    assert store_uri(f"sqlite:///{tmp_path}/x.db") == f"sqlite:///{tmp_path}/x.db"
    assert store_uri("http://host:5000") == "http://host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store_uri(None) == f"sqlite:///{tmp_path}/other.db"


def test_refusals_hide_passwords() -> None:
    from models.tracking import refusals

    with pytest.raises(TrainingError) as refused, refusals("postgresql://ann:secret@db/mlflow"):
        raise OSError("cannot reach postgresql://ann:secret@db/mlflow")
    assert "secret" not in str(refused.value)
