"""From encoded pictures to an audit: what the auditor's confined worker answers is what the training core answered."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from at_terminal import User
from PIL import Image

from models.config import load_preset, parse_change
from models.data import load
from models.learners import net
from models.loop import Around

pytestmark = pytest.mark.slow
CHANGES = [
    "channels=[8,16]", "training.pretraining.epochs=1", "training.pretraining.last_class=2", "data.options.first_class=3", "frozen_epochs=1",
    "split.train=0.3", "split.validation=0.2", "split.evaluation=0.5",
]  # fmt: skip


def jpegs(path: Path) -> Path:
    """Six classes of noise: one of three colours is brighter, above or below."""
    stream = np.random.default_rng(0)
    rows = []
    for i in range(300):
        x = stream.integers(0, 100, (32, 32, 3))
        x[slice(0, 16) if i % 2 else slice(16, 32), :, i % 3] += 120
        out = io.BytesIO()
        Image.fromarray(x.astype(np.uint8)).save(out, format="jpeg")
        rows.append({"label": f"{'below' if i % 2 == 0 else 'above'} {'rgb'[i % 3]}", "jpeg": out.getvalue()})
    pd.DataFrame(rows).to_parquet(path)
    return path


def _few(folder: Path) -> str:
    """A plan under which no check of robustness takes long."""
    (folder / "few.toml").write_text('[checks."robustness.adversarial".params]\nbudget = 2000\n')
    return str(folder / "few.toml")


@pytest.fixture(scope="module")
def trained(user: User) -> tuple[str, list[str]]:
    """A residual net trained by the command: its URI, and how its store is named."""
    file = jpegs(user.folder / "pictures.parquet")
    store = ["--tracking-uri", f"sqlite:///{user.folder}/pictures.db"]
    changes = [part for change in CHANGES for part in ("--set", change)]
    trained = user.run("models.train", "images-resnet", "--data", str(file), "--epochs", "2", *changes, *store)
    assert trained.status == 0, trained.err
    return trained.out.splitlines()[-1], store


@pytest.fixture(scope="module")
def audited(user: User, trained: tuple[str, list[str]]) -> tuple[dict[str, Any], pd.DataFrame, str]:
    """The net audited: the document, the scored table, and the report."""
    uri, store = trained
    done = user.audit(
        uri, *store, "--scored-dir", "kept-pictures", "--sample", "50", "--plan", _few(user.folder), "--out", "pictures", "--lang", "zh"
    )
    assert done.status == 0, done.err
    (table,) = [path for path in (user.folder / "kept-pictures").glob("*.parquet") if "sample" not in path.name]
    return done.document, pd.read_parquet(table), (done.folder / "report.zh.html").read_text("utf-8")


def test_the_audit_sees_what_the_training_saw(user: User, audited: tuple[dict[str, Any], pd.DataFrame, str]) -> None:
    """Pictures decoded by the auditor, the net rebuilt in its worker: the scores of the training core, row by row."""
    document, table, _ = audited
    changes = dict(parse_change(change) for change in CHANGES) | {"epochs": 2}
    preset = load_preset("images-resnet", changes, {"file": str(user.folder / "pictures.parquet")})
    dataset = load(preset.data)
    expected = net.train(preset, dataset, device="cpu", around=Around(lambda *_: None)).scores("evaluation")
    assert np.allclose(table[["score_0", "score_1", "score_2"]].to_numpy(), expected, atol=1e-5)
    assert np.array_equal(table["y"].to_numpy(), dataset.y("evaluation"))
    assert document["model"]["task"] == "multiclass"
    assert document["model"]["classes"] == ["below b", "below g", "below r"]
    assert document["model"]["flavor"] == "pytorch"


def test_every_check_runs_or_says_why_not(audited: tuple[dict[str, Any], pd.DataFrame, str]) -> None:
    document, _, report = audited
    assert {c["status"] for c in document["checks"]} == {"completed", "skipped"}
    assert all(c["reason"] for c in document["checks"] if c["status"] == "skipped")
    (overall,) = [c for c in document["checks"] if c["info"]["id"] == "performance.overall"]
    assert overall["status"] == "completed"
    (attacked,) = [c for c in document["checks"] if c["info"]["id"] == "robustness.adversarial"]
    assert {f["metric"] for f in attacked["findings"]} >= {"robust_accuracy", "accuracy_unattacked"}
    assert "稳健准确率" in report
    assert "准确率" in report


def test_a_picture_of_another_size_is_one_line(user: User, trained: tuple[str, list[str]]) -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(out, format="png")
    frame = pd.DataFrame({"image": [out.getvalue()] * 20, "label": ["below b", "below g"] * 10})
    frame.to_parquet(user.folder / "large.parquet")
    uri, store = trained
    done = user.audit(uri, *store, "--data", "large.parquet", "--target", "label", "--out", "large")
    assert done.status == 2, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "40 × 48 pixels, and the model takes 32 × 32 — resize" in line
    assert not (user.folder / "large").exists()
