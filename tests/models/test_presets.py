"""Presets: complete, strict, and refused in one line that says how to mend it."""

from __future__ import annotations

import pytest

from models.config import full_key, load_preset, parse_change, preset_names
from models.errors import TrainingError
from models.settings import NetTraining, TreeTraining


def test_all_presets_are_valid_and_named_after_their_file() -> None:
    for name in preset_names():
        preset = load_preset(name)
        assert preset.name == name
        assert "\n" not in preset.description


def test_both_credit_presets_share_rows_roles_and_context() -> None:
    net, trees = load_preset("credit"), load_preset("credit-trees")
    assert (net.data, net.context) == (trees.data, trees.context)
    assert isinstance(net.training, NetTraining)
    assert isinstance(trees.training, TreeTraining)


def test_every_excluded_column_has_a_reason() -> None:
    for column, reason in load_preset("credit").data.exclude.items():
        kind, _, why = reason.partition(" ")
        assert kind.rstrip(":") in {"leak", "lender's", "sensitive", "stands", "copy", "constant"}, column
        assert len(why) > 5, column


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dropout=0.5", ("dropout", 0.5)),
        ("training.network.hidden=[8, 4]", ("training.network.hidden", [8, 4])),
        ("a=true", ("a", True)),
        ("a = b=c", ("a", "b=c")),
    ],
)
def test_a_change_is_read_as_toml_and_else_as_text(text: str, expected: tuple[str, object]) -> None:
    assert parse_change(text) == expected


def test_changes_reach_the_setting_by_full_and_by_short_name() -> None:
    short = load_preset("credit", {"hidden": [8], "split.seed": 3})
    full = load_preset("credit", {"training.network.hidden": [8], "data.split.seed": 3})
    assert short == full
    assert isinstance(short.training, NetTraining)
    assert (short.training.network["hidden"], short.data.split.seed) == ([8], 3)


def test_an_integer_will_do_for_a_real_number() -> None:
    assert load_preset("credit", {"weight_decay": 1}).training.model_dump()["weight_decay"] == 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nope": 1}, "has no key 'nope'"),
        ({"target": "reject"}, "has no key 'target'"),
        ({"learner": "trees"}, "has no key 'learner'"),
        ({"dropout": "high"}, "training.network.dropout is not valid"),
        ({"dropout": True}, "training.network.dropout is not valid"),
        ({"dropout": 1.0}, "less than 1"),
        ({"hidden": 3}, "training.network.hidden"),
        ({"hidden": [3.5]}, "training.network.hidden.0"),
        ({"learning_rate": float("nan")}, "training.learning_rate"),
        ({"epochs": 0}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"train": 0.6}, "sum to 1"),
    ],
)
def test_unknown_keys_and_wrong_values_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(TrainingError, match=says) as refused:
        load_preset("credit", changes)
    assert str(refused.value).startswith("error: ")
    assert " — " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_short_name_that_fits_twice_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"ambiguous.*training\.a\.rate, training\.b\.rate"):
        full_key("rate", {"training.a.rate": 1, "training.b.rate": 2}, "some")


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="credit, credit-trees"):
        load_preset("../credit")
