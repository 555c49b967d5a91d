"""The presets that need no data of the user's, trained: exclusive or exactly, and a table of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.config import load_preset
from models.data import load
from models.errors import TrainingError
from models.learners import Fitted, net
from models.loop import Around
from models.settings import Preset


def trained(preset: Preset) -> tuple[Fitted, np.ndarray, np.ndarray]:
    dataset = load(preset.data)
    fitted = net.train(preset, dataset, device="cpu", around=Around(lambda *_: None))
    return fitted, fitted.scores("evaluation"), dataset.y("evaluation")


def test_xor_is_learned_exactly_by_five_weights_and_two_times_two_biases() -> None:
    fitted, scores, y = trained(load_preset("xor"))
    assert (scores.argmax(axis=1) == y).all()
    assert len(y) == 400
    assert fitted.figures["parameters"] == 2 * 2 + 2 + 2 + 1


def test_noise_is_refused_where_it_would_make_other_categories() -> None:
    with pytest.raises(TrainingError, match="categories of codes"):
        trained(load_preset("credit", {"noise": 0.1}))


def test_any_table_of_three_classes(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    kind = stream.choice(["red", "green", "blue"], 600)
    frame = pd.DataFrame(
        {"x": stream.normal(size=600) + 3 * (kind == "red"), "shape": np.where(kind == "blue", "round", "square"), "y": kind}
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    preset = load_preset("tabular", {"epochs": 20, "batch_size": 64, "hidden": [10]}, {"file": str(tmp_path / "rows.csv"), "target": "y"})
    _, scores, y = trained(preset)
    assert scores.shape[1] == 3
    assert (scores.argmax(axis=1) == y).mean() > 0.85
