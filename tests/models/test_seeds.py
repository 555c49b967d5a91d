"""Models of other seeds beside a smaller version: the same recipe on the same rows, pair by pair, and an audit that counts what the pairs say."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from variant_scene import registered

from models import compression
from models.compress import main
from models.config import load_preset
from models.errors import TrainingError
from models.learners import net as nets
from models.loop import Around
from models.registered import Registered
from models.seeds import population, recipe
from models.settings import Preset

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

BASE = registered()


def preset(seed: int = 7) -> Preset:
    return load_preset("tabular", {"hidden": [4], "epochs": 3, "batch_size": 64, "seed": seed, "threads": 1}, {"target": "paid"})


def state(module: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = module.state_dict()
    return found


def pruned(base: Registered, k: int) -> Any:
    return compression.prune(base, 0.5).net


def test_other_seeds_are_the_same_training_but_for_the_seed_and_each_has_its_smaller_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training of seed 8 makes of these rows is, weight by weight, the first of the models that are made beside one of seed 7."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one after the other, in this process
    kept: list[Any] = []
    monkeypatch.setattr(nets, "fitted", lambda net, *_: kept.append(net) or SimpleNamespace())
    monkeypatch.setattr(nets, "replace", lambda found, **_: found)
    nets.train(preset(seed=8), BASE.dataset, device="cpu", around=Around(lambda *_: None))
    found = population(BASE, preset(seed=7), pruned, count=2, device="cpu")
    first, second = (state(net.module) for net in found.base)
    assert all(torch.equal(value, first[name]) for name, value in state(kept[0].module).items())
    assert any(not torch.equal(value, second[name]) for name, value in first.items())
    for base, small in zip(found.base, found.small, strict=True):
        expected = compression.prune(dataclasses.replace(BASE, net=base), 0.5).net.module
        assert all(torch.equal(value, state(small.module)[name]) for name, value in state(expected).items())


def run_of(monkeypatch: pytest.MonkeyPatch, logged: dict[str, Any] | None) -> None:
    """The base's run holds this recipe, or none, and took 12 seconds."""
    files = [] if logged is None else [SimpleNamespace(path="preset.json")]
    run = SimpleNamespace(data=SimpleNamespace(metrics={"fit_seconds": 12.3}))
    monkeypatch.setattr(mlflow, "MlflowClient", lambda: SimpleNamespace(list_artifacts=lambda _: files, get_run=lambda _: run))
    monkeypatch.setattr(mlflow.artifacts, "load_dict", lambda _: logged)


def test_the_cost_is_said_before_it_starts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(monkeypatch, preset().model_dump(mode="json"))
    assert recipe(BASE, 5, students=False) == preset()
    assert "--seeds 5 trains 5 models more by the recipe of models:/made-up/1, whose own training took 12 s;" in capsys.readouterr().err
    recipe(BASE, 5, students=True)
    assert "took 12 s and 5 students of theirs;" in capsys.readouterr().err


def test_what_cannot_be_trained_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(monkeypatch, None)
    with pytest.raises(TrainingError, match="logged without its recipe"):
        recipe(BASE, 5, students=False)
    private = load_preset("tabular", {"training.private": {"epsilon": 1.0, "delta": 1e-3, "clip_norm": 1.0}}, {"target": "paid"})
    run_of(monkeypatch, private.model_dump(mode="json"))
    with pytest.raises(TrainingError, match="promises privacy for one training, and 5 more"):
        recipe(BASE, 5, students=False)


@pytest.mark.parametrize("count", ["4", "31", "0"])
def test_too_few_models_or_too_many_are_one_line(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models:/m/1", "--int8", "--seeds", count]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--seeds expects 5 to 30 models, got {count}" in line


def table(path: Path, n: int = 900) -> None:
    stream = np.random.default_rng(0)
    x, sex = stream.normal(size=(n, 2)), np.where(stream.random(n) < 0.3, "f", "m")
    y = np.where(x[:, 0] + np.where(sex == "f", 2.0, 0.0) * x[:, 1] + stream.normal(size=n) > 0.5, "yes", "no")
    pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "sex": sex, "y": y}).to_csv(path, index=False)


def answers(graph: Any, rows: pd.DataFrame, cutoff: float) -> np.ndarray:
    with torch.inference_mode():
        outputs = graph.module()(torch.from_numpy(rows[["x0", "x1"]].to_numpy(np.float32, copy=True)))
    return (outputs.double().softmax(dim=1).numpy()[:, 1] >= cutoff).astype(int)


@pytest.mark.slow
def test_a_person_asks_for_other_seeds_and_the_audit_counts_their_rows(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    """By the real commands; what the audit says is counted again from the graphs that were logged."""
    table(tmp_path / "rows.csv")
    small = ["--epochs", "3", "--set", "hidden=[8]", "--set", "batch_size=64"]
    done = python(
        "-m", "models.train", "tabular", "--data", "rows.csv", "--target", "y", "--sensitive", "sex", "--name", "tiny", *small, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = python("-m", "models.compress", "models:/tiny/1", "--prune", "0.9", "--seeds", "5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "models:/tiny/2\n"), done.stderr
    assert "trains 5 models more by the recipe of models:/tiny/1, whose own training took" in done.stderr
    data = Path(look_up(tmp_path, "models:/tiny/2")["data"].removeprefix("file://"))
    sides = {side: [torch.export.load(data.parent / "seeds" / side / f"{k:03d}.pt2") for k in range(5)] for side in ("base", "small")}
    for base, smaller in zip(*sides.values(), strict=True):
        for name, weight in base.state_dict.items():
            zero = smaller.state_dict[name] == 0
            assert torch.equal(smaller.state_dict[name][~zero], weight[~zero])

    done = python("-m", "audit.run", "models:/tiny/2", "--checks", "efficiency.exemplars", "--no-log", "--out", "audit", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "audit" / "audit.json").read_text("utf-8"))
    (check,) = [c for c in document["checks"] if c["info"]["id"] == "efficiency.exemplars"]
    assert (check["status"], check["verdict"]) == ("completed", "not_judged")
    rows = pd.read_parquet(data / "evaluation.parquet")
    cutoff = float(json.loads((data / "roles.json").read_text("utf-8"))["decision"].removeprefix("score>="))
    most = [np.mean([answers(graph, rows, cutoff) for graph in graphs], axis=0) > 0.5 for graphs in sides.values()]
    differ = most[0] != most[1]
    assert 0 < differ.sum() < len(rows)
    found = {(f["metric"], f["slice"].get("sex")): f for f in check["findings"]}
    assert found["exemplar_share", None]["estimate"]["value"] == pytest.approx(differ.mean())
    for group in ("f", "m"):
        inside = (rows["sex"] == group).to_numpy()
        ratio = (differ & inside).sum() / differ.sum() / inside.mean()
        assert found["exemplar_share_ratio", group]["estimate"]["value"] == pytest.approx(ratio)
        assert found["exemplar_share_ratio", group]["test"]["tests_in_family"] == 2

    done = python("-m", "models.compress", "models:/tiny/2", "--int8", "--seeds", "5", cwd=tmp_path)
    assert done.returncode == 2
    assert "logged without its recipe" in done.stderr.splitlines()[-1]
