"""Learners: the same seed gives the same model, another seed another; early stopping keeps the best epoch; doctests hold."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import load_preset
from models.data import load
from models.errors import TrainingError
from models.learners import net, trees
from models.loop import Around, Rows, deterministic, fit, pick_device
from models.metrics import of_classes, threshold_at_rate
from models.nets.tabular import build
from models.settings import NetTraining

SILENT = Around(lambda *_: None)


def scores(preset: str, seed: int) -> np.ndarray:
    settings = load_preset(preset, {"seed": seed, "epochs": 4})
    dataset = load(settings.data)
    if settings.training.learner == "net":
        fitted = net.train(settings, dataset, device="cpu", around=SILENT)
    else:
        fitted = trees.train(settings, dataset, on_epoch=lambda *_: None)
    return fitted.scores("evaluation")


@pytest.mark.parametrize("preset", ["credit", "credit-trees"])
def test_the_seed_decides_the_model(preset: str) -> None:
    first = scores(preset, 1)
    assert np.array_equal(first, scores(preset, 1))
    assert not np.array_equal(first, scores(preset, 2))
    assert first.sum(axis=1) == pytest.approx(np.ones(len(first)))


def toy(n: int, seed: int) -> Rows:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(n, 2)).astype(np.float32)
    return Rows((x,), (x[:, 0] + stream.normal(size=n) > 0).astype(np.int64))


def toy_net() -> torch.nn.Module:
    columns = [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}]
    return build({"columns": columns, "classes": 2, "network": {"bins": 8, "hidden": [32], "dropout": 0.0}})


SETTINGS = load_preset("credit", {"learning_rate": 0.05, "patience": 3}).training


def run(seed: int, settings: NetTraining = SETTINGS) -> tuple[torch.nn.Module, int, list[float]]:
    losses: list[float] = []
    with deterministic(seed, threads=1):
        module = toy_net()
        kept = fit(
            module, toy(100, 0), toy(100, 1), settings=settings, epochs=200, seed=seed, device="cpu", classes=2,
            around=Around(lambda _, measured: losses.append(measured["validation_loss"])),
        )  # fmt: skip
    return module, kept, losses


def test_training_stops_early_and_keeps_the_best_weights() -> None:
    module, kept, losses = run(0)
    assert len(losses) == kept + 3 < 200
    assert losses[kept - 1] == min(losses)
    held_out = toy(100, 1)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(held_out.x[0])), torch.from_numpy(held_out.y))
    assert float(loss) == pytest.approx(min(losses), rel=1e-6)
    assert not module.training


def test_equal_seeds_give_equal_weights_and_leave_torch_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (run(seed)[0].state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_a_loss_that_is_no_number_is_an_error() -> None:
    broken = Rows((np.full((100, 2), np.inf, np.float32),), toy(100, 0).y)
    with deterministic(0, threads=1), pytest.raises(TrainingError, match=r"loss of batch 1 of epoch 1 is nan at learning rate 0\.05"):
        fit(toy_net(), broken, broken, settings=SETTINGS, epochs=2, seed=0, device="cpu", around=SILENT, classes=2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_auto_does_without() -> None:
    assert pick_device("auto") == "cpu"
    with pytest.raises(TrainingError, match="--device cuda"):
        pick_device("cuda")


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, 100), min_size=1, max_size=50), st.floats(0, 1))
def test_no_cutoff_comes_nearer_to_the_rate(hundredths: list[int], rate: float) -> None:
    score = np.array(hundredths) / 100
    cut = threshold_at_rate(score, rate)
    assert round(cut, 4) == cut
    others = np.arange(0, 1.0001, 0.005)
    assert all(abs((score >= cut).mean() - rate) <= abs((score >= other).mean() - rate) + 1e-12 for other in others)


def test_measures_by_hand() -> None:
    """Of four pairs of a 1 and a 0, three are in order: AUC 3/4. At 0.5 two of four are right."""
    y, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    found = of_classes(y, np.column_stack([1 - score, score]), threshold=0.5)
    assert (found["roc_auc"], found["accuracy"], found["selection_rate"]) == (0.75, 0.5, 0.5)
    assert found["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.4, 0.4, 0.9])))


@pytest.mark.parametrize("module", ["models.data", "models.metrics", "models.optimizers", "models.tracking"])
def test_doctests(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
