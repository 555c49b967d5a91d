"""Smaller versions: what 8 bits, zeros and a student leave of a net."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from variant_scene import registered

from models import compression
from models.config import load_preset
from models.encoding import Column
from models.errors import TrainingError
from models.loop import outputs_of
from models.metrics import softmax
from models.registered import _roles, column_of

BASE = registered()


def test_8_bits_take_less_room_and_change_little() -> None:
    variant = compression.quantize(BASE)
    x = BASE.net.encoder.arrays(BASE.dataset.parts["evaluation"])
    before, after = outputs_of(BASE.net.module, x), outputs_of(variant.net.module, x)
    assert 0 < np.abs(after - before).max() < 0.1
    stored = variant.net.module.state_dict()
    assert {str(t.dtype) for name, t in stored.items() if name.endswith("whole")} == {"torch.int8"}
    assert "inner.body.0.weight" not in stored
    assert torch.equal(stored["inner.numbers.center"], BASE.net.module.numbers.center)
    assert variant.figures["bytes_after"] < variant.figures["bytes_before"]
    assert variant.threshold == BASE.threshold
    assert (variant.net.architecture, variant.net.config["inner"]["name"]) == ("quantized", "tabular")


def test_pruning_zeroes_the_share_nearest_to_zero_and_nothing_else() -> None:
    variant = compression.prune(BASE, 0.5)
    before, after = (
        torch.cat([layer.weight.flatten() for layer in net.modules() if isinstance(layer, torch.nn.Linear)])
        for net in (BASE.net.module, variant.net.module)
    )
    zero = after == 0
    assert int(zero.sum()) == variant.figures["zero_weights"] == round(0.5 * len(before))
    assert before[zero].abs().max() <= before[~zero].abs().min()
    assert torch.equal(after[~zero], before[~zero])
    assert variant.net.module.state_dict().keys() == BASE.net.module.state_dict().keys()
    assert "neither smaller in store nor faster" in variant.limits[0]


@pytest.mark.slow
def test_a_student_learns_the_teacher_s_chances() -> None:
    preset = load_preset(
        "tabular", {"hidden": [4], "epochs": 40, "batch_size": 32, "learning_rate": 0.02, "dropout": 0.0}, {"target": "paid"}
    )
    variant = compression.distill(BASE, preset, on_epoch=lambda *_: None)
    x = BASE.net.encoder.arrays(BASE.dataset.parts["evaluation"])
    teacher, student = (softmax(outputs_of(net.module, x))[:, 1] for net in (BASE.net, variant.net))
    assert np.corrcoef(teacher, student)[0, 1] > 0.95
    y = BASE.dataset.y("evaluation")
    assert np.abs(teacher - student).mean() < 0.5 * np.abs(teacher - y).mean()
    rate = (BASE.dataset.y("validation") == 1).mean()
    validation = softmax(outputs_of(variant.net.module, BASE.net.encoder.arrays(BASE.dataset.parts["validation"])))[:, 1]
    assert (validation >= variant.threshold).mean() == pytest.approx(rate, abs=0.01)


def test_a_student_is_a_net_trained_by_cross_entropy() -> None:
    with pytest.raises(TrainingError, match="trains no net"):
        compression.distill(BASE, load_preset("credit-trees"), on_epoch=lambda *_: None)
    with pytest.raises(TrainingError, match="more than cross-entropy"):
        compression.distill(BASE, load_preset("tabular", {"loss": "focal"}, {"target": "paid"}), on_epoch=lambda *_: None)


def test_a_promise_of_privacy_holds_for_what_was_only_processed() -> None:
    private = dataclasses.replace(BASE, roles=BASE.roles | {"privacy": {"epsilon": 1.0}})
    small, cut = compression.quantize(private), compression.prune(private, 0.5)
    again = dataclasses.replace(small, only_processed=False)
    assert [_roles(private, variant).get("privacy") for variant in (small, cut, again)] == [{"epsilon": 1.0}, {"epsilon": 1.0}, None]
    assert "training rows were looked at again" in _roles(private, again)["context"]["known_limits"][-1]
    assert len(_roles(private, small)["context"]["known_limits"]) == 1


def test_a_column_is_read_as_it_was_written() -> None:
    """Every part of a column is in its record: a new one that is not read here would make another net."""
    full = {"vocabulary": ("a", "b"), "shape": (1, 2), "rate": 3, "length": 4, "steps": 5, "fields": (Column("f", "number"),)}
    assert {field.name for field in dataclasses.fields(Column)} == {"name", "kind", *full}
    column = Column("c", "category", **full)
    assert column_of(column.record()) == column
