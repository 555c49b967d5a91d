"""Reference models: halves that are halves, trainings that know their own rows, and files that an auditor can load."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from models.config import load_preset
from models.data import Dataset
from models.encoding import Column
from models.errors import TrainingError
from models.learners.net import Prepared, uncovered
from models.loop import outputs_of
from models.metrics import softmax
from models.references import halves, trained, write
from models.settings import DataSettings, Split
from models.train import main

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

COLUMNS = tuple(Column(f"x{i}", "number") for i in range(10))


def dataset(train: int = 100, validation: int = 30, evaluation: int = 60, *, group: str | None = None) -> Dataset:
    """Noise, and labels that have nothing to do with it: whoever knows a label knew the row."""
    stream = np.random.default_rng(0)

    def rows(n: int) -> pd.DataFrame:
        found = pd.DataFrame(stream.normal(size=(n, 10)), columns=[c.name for c in COLUMNS])
        return found.assign(y=np.where(stream.random(n) < 0.5, "no", "yes"), person=stream.integers(0, 15, n))

    settings = DataSettings(
        source="table", target="y", positive="yes", classes=("no", "yes"),
        split=Split(train=0.5, validation=0.2, evaluation=0.3, seed=0, group=group),
    )  # fmt: skip
    parts = {"train": rows(train), "validation": rows(validation), "evaluation": rows(evaluation)}
    return Dataset(parts, COLUMNS, settings, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_each_row_is_in_half_of_the_trainings_and_validation_rows_in_none(count: int) -> None:
    keep = halves(count, dataset(1000, 300, 600), seed=3)
    assert (keep.shape, keep.dtype) == ((count, 1900), np.dtype(bool))
    assert not keep[:, 1000:1300].any()
    drawn = np.delete(keep, slice(1000, 1300), axis=1)
    assert set(drawn.sum(axis=0)) <= {count // 2, (count + 1) // 2}
    for k in range(count):
        assert binomtest(int(drawn[k].sum()), 1600).pvalue > 1e-4
    if count > 1:  # and which half a row is in tells nothing of the next row
        assert abs(np.corrcoef(drawn[0, :-1], drawn[0, 1:])[0, 1]) < 0.1
    assert (keep == halves(count, dataset(1000, 300, 600), seed=3)).all()
    assert (keep != halves(count, dataset(1000, 300, 600), seed=4)).any()


def test_rows_of_one_person_are_in_the_same_trainings() -> None:
    data = dataset(group="person")
    keep = np.delete(halves(4, data, seed=0), slice(100, 130), axis=1)
    person = pd.concat([data.parts["train"], data.parts["evaluation"]])["person"].to_numpy()
    for one in range(15):
        assert len(np.unique(keep[:, person == one], axis=1).T) == 1


def test_a_reference_knows_the_rows_of_its_half_and_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # one after the other, in this process
    data = dataset()
    changes = {
        "epochs": 60,
        "hidden": [64],
        "dropout": 0.0,
        "weight_decay": 0.0,
        "patience": 100,
        "monitor": "accuracy",
        "learning_rate": 0.01,
    }
    preset = load_preset("credit", changes)
    found = trained(preset, data, Prepared(), count=3, device="cpu")
    every = pd.concat(list(data.parts.values()), ignore_index=True)
    y = np.concatenate([data.y(part) for part in data.parts])
    for keep, net in zip(found.keep, found.nets, strict=True):
        right = softmax(outputs_of(net.module, net.encoder.arrays(every)))[np.arange(len(y)), y]
        assert right[keep].mean() > right[~keep].mean() + 0.03
    (one, other) = (net.module.state_dict() for net in found.nets[:2])
    assert any(not torch.equal(one[name], other[name]) for name in one)
    again = trained(preset, data, Prepared(), count=3, device="cpu")
    assert all(torch.equal(value, again.nets[2].module.state_dict()[name]) for name, value in found.nets[2].module.state_dict().items())
    assert any("3 reference models" in said for said in uncovered(preset, data, found.nets[0], 3))
    assert found.record()["rows"] == found.keep.sum(axis=1).tolist()

    arrays = found.nets[0].encoder.arrays(every)
    write(found, tmp_path, tuple(x[:4] for x in arrays))
    assert (np.load(tmp_path / "keep.npy", allow_pickle=False) == found.keep).all()
    for k, net in enumerate(found.nets):
        graph = torch.export.load(tmp_path / "references" / f"{k:03d}.pt2").module()
        inputs = [torch.from_numpy(x) for x in arrays]
        assert torch.allclose(graph(*inputs), net.module(*inputs), atol=1e-5)


@pytest.mark.slow
def test_references_are_trained_side_by_side_and_logged(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    done = python("-m", "models.train", "credit", "--epochs", "2", "--references", "2", "--name", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: 2 reference models in" in done.stderr
    data = Path(look_up(tmp_path, "models:/mine/1")["data"].removeprefix("file://"))
    folder = data.parent / "privacy"
    members = pd.read_parquet(folder / "members.parquet")
    keep = np.load(folder / "keep.npy", allow_pickle=False)
    assert keep.shape == (2, len(members))
    assert not keep[:, (members["split"] == "validation").to_numpy()].any()
    assert members.groupby("split", sort=False).size().to_dict() == {
        part: len(pd.read_parquet(data / f"{part}.parquet")) for part in ("train", "validation", "evaluation")
    }
    assert sorted(path.name for path in (folder / "references").iterdir()) == ["000.pt2", "001.pt2"]
    roles = json.loads((data / "roles.json").read_text("utf-8"))
    assert (roles["references"]["count"], roles["references"]["rows"]) == (2, keep.sum(axis=1).tolist())

    done = python("-m", "audit.run", "models:/mine/1", "--checks", "privacy.membership", "--no-log", "--out", "audit", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "audit" / "audit.json").read_text("utf-8"))
    (check,) = [c for c in document["checks"] if c["info"]["id"] == "privacy.membership"]
    assert (check["status"], check["reason"]) == ("completed", None)
    assert "Reference models: 2." in check["summary"]  # asked in a worker of their own
    assert "another number of weights" not in check["summary"]


def test_too_few_rows_and_bad_requests_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match="30 rows are too few"):
        trained(load_preset("credit"), dataset(20, 10, 10), Prepared(), count=2, device="cpu")
    for arguments, says in ((["credit", "--references", "-1"], "from 0 to 1000"), (["credit-trees", "--references", "2"], "trains trees")):
        assert main(arguments) == 2
        assert says in capsys.readouterr().err
