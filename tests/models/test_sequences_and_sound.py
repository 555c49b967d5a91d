"""Presets events-rnn and speech on real rows: they learn, equal seeds give equal weights, and an audit hears and sees what the training did."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from models.config import load_preset
from models.data import Dataset, load
from models.encoding import Encoder
from models.learners import net
from models.loop import Around, outputs_of
from models.nets import events, speech

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

DATA = Path(os.environ.get("WITNESSMARK_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
FILES = {"events-rnn": DATA / "diabetes130_us_hospitals.parquet", "speech": DATA / "fsdd_speakers.parquet"}
BUILD: dict[str, Callable[[dict[str, Any]], torch.nn.Module]] = {"events-rnn": events.build, "speech": speech.build}
CHANGES: dict[str, dict[str, Any]] = {
    "events-rnn": {"epochs": 3, "data.rows": 10_000, "batch_size": 64},
    "speech": {"epochs": 8},
}
#: Accuracy (speech, chance is 0.1) and area under the curve (chance is 0.5) that so short a training reaches at least.
REACHED = {"events-rnn": ("evaluation_roc_auc", 0.56), "speech": ("evaluation_accuracy", 0.5)}


def _present(preset: str) -> Path:
    if not FILES[preset].exists():
        if os.environ.get("CI"):
            pytest.fail(f"{FILES[preset]} is missing, and CI is set")
        pytest.skip(f"no {FILES[preset].name}: set WITNESSMARK_TEST_DATA")
    return FILES[preset]


def data(preset: str) -> Dataset:
    return load(load_preset(preset, CHANGES[preset], data={"file": str(_present(preset))}).data)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in ("events-rnn", "speech")])
def trained(request: pytest.FixtureRequest, python: Python, look_up: LookUp, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A short training by the command, and an audit of what it registered; `scored` is the audit's scored table."""
    preset, folder = str(request.param), tmp_path_factory.mktemp("run")
    changes = [f"--set={key}={value}" for key, value in CHANGES[preset].items()]
    done = python("-m", "models.train", preset, "--data", str(_present(preset)), *changes, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    uri = done.stdout.splitlines()[-1]
    audit = python("-m", "audit.run", uri, "--checks", "performance.overall", "--out", "audit", cwd=folder)
    assert audit.returncode in (0, 1, 3), audit.stderr
    (scored,) = (p for p in (folder / "state" / "witnessmark" / "scored").glob("*.parquet") if ".sample" not in p.name)
    return {"preset": preset, "store": look_up(folder, uri), "scored": pd.read_parquet(scored)}


def test_it_learns(trained: dict[str, Any]) -> None:
    name, least = REACHED[trained["preset"]]
    assert trained["store"]["metrics"][name] > least


def test_the_audit_s_scores_are_those_of_the_training(trained: dict[str, Any]) -> None:
    """The rows travel by parquet, the auditor's decoder and the model's process; the net of this process takes them from the source."""
    from safetensors.torch import load_file

    folder = Path(trained["store"]["model"].removeprefix("file://")) / "extra_files"
    module = BUILD[trained["preset"]](json.loads((folder / "architecture.json").read_text("utf-8"))["config"])
    module.load_state_dict(load_file(folder / "weights.safetensors"))
    dataset = data(trained["preset"])
    inputs = Encoder(dataset.columns).arrays(dataset.parts["evaluation"])
    expected = softmax(outputs_of(module.eval(), inputs), axis=1)
    scored = trained["scored"]
    names = ["score"] if dataset.classes == 2 else [f"score_{i}" for i in range(dataset.classes)]
    assert np.abs(scored[names].to_numpy() - expected[:, -len(names) :]).max() < 1e-5
    assert scored["y"].tolist() == dataset.y("evaluation").tolist()
    assert expected[:, -1].std() > 0.01


def test_the_exported_graph_takes_any_number_of_rows(trained: dict[str, Any]) -> None:
    path = Path(trained["store"]["model"].removeprefix("file://")) / "data" / "model.pt2"
    exported = torch.export.load(path).module()
    dataset = data(trained["preset"])
    x = torch.from_numpy(Encoder(dataset.columns).arrays(dataset.parts["evaluation"])[0][:50])
    with torch.inference_mode():
        whole = exported(x)
        assert whole.shape == (50, dataset.classes)
        assert torch.allclose(exported(x[:1]), whole[:1], atol=1e-5)


@pytest.mark.parametrize("preset", ["events-rnn", "speech"])
def test_the_seed_decides_the_weights(preset: str) -> None:
    def scores(seed: int) -> np.ndarray:
        rows = {"events-rnn": 1500, "speech": 150}[preset]
        changed = load_preset(preset, {"seed": seed, "epochs": 1, "data.rows": rows}, data={"file": str(_present(preset))})
        return net.train(changed, load(changed.data), device="cpu", around=Around(lambda *_: None)).scores("evaluation")

    first = scores(1)
    assert np.array_equal(first, scores(1))
    assert not np.array_equal(first, scores(2))


def test_a_take_is_in_one_part_and_every_speaker_in_all() -> None:
    """25 takes by each of three speakers, of ten digits each: 45, 9 and 21 takes."""
    parts = data("speech").parts
    takes = {part: set(rows["take"]) for part, rows in parts.items()}
    assert {part: (len(takes[part]), len(rows)) for part, rows in parts.items()} == {
        "train": (45, 450), "validation": (9, 90), "evaluation": (21, 210),
    }  # fmt: skip
    assert len(set().union(*takes.values())) == 75
    assert all(rows["speaker"].nunique() == 3 for rows in parts.values())
    assert all({"index", "n_samples", "speaker_gender", "wav"}.isdisjoint(rows.columns) for rows in parts.values())


def test_a_patient_is_one_row_and_the_dead_are_left_out() -> None:
    from models.sources import read

    rows = read(load_preset("events-rnn", data={"file": str(_present("events-rnn"))}).data)
    assert rows["patient_nbr"].is_unique
    assert (len(rows), int((rows["readmitted_within_30_days"] == "yes").sum())) == (69_169, 3198)
    assert rows["race"].isna().sum() > 1000
    assert set(rows["gender"].dropna()) == {"Female", "Male"}
    assert {"11", "13", "14", "19", "20", "21"}.isdisjoint({str(row[-1]["discharge_disposition_id"]) for row in rows["encounters"]})
