"""Rows of any table: splits that keep people together, cleaning that is counted, columns with their kinds, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from models.config import load_preset
from models.data import PARTS, Dataset, load, split
from models.encoding import Column, Encoder, events, signals
from models.errors import TrainingError
from models.settings import Split

SHARES = Split(train=0.6, validation=0.2, evaluation=0.2, seed=0)


def table(path: Path, frame: pd.DataFrame, **changes: Any) -> Dataset:
    frame.to_parquet(path / "rows.parquet")
    return load(load_preset("tabular", None, {"file": str(path / "rows.parquet"), "target": "y"} | changes).data)


def people(n: int = 300) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    return pd.DataFrame({
        "income": stream.normal(size=n), "town": stream.choice(["a", "b"], n), "name": [f"person {i}" for i in range(n)],
        "sex": stream.choice(["f", "m"], n), "who": stream.integers(0, n // 3, n), "y": stream.choice(["no", "yes"], n),
    })  # fmt: skip


@checked(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=40, max_size=200), st.integers(0, 5))
def test_no_group_is_in_two_parts_and_no_row_is_lost(groups: list[int], seed: int) -> None:
    group = np.array([*groups, *range(13)])
    places = split(np.arange(len(group)) % 2, SHARES.model_copy(update={"seed": seed}), group=group)
    assert sorted(np.concatenate(list(places.values())).tolist()) == list(range(len(group)))
    seen = [set(group[places[part]].tolist()) for part in PARTS]
    assert len(set().union(*seen)) == sum(map(len, seen))


def test_columns_get_their_kinds_and_names_are_left_out_and_said(tmp_path: Path) -> None:
    dataset = table(tmp_path, people(), sensitive={"sex": {}}, split={**SHARES.model_dump(), "group": "who"})
    assert [(c.name, c.kind) for c in dataset.columns] == [("income", "number"), ("town", "category")]
    assert "name" in dataset.notes[0]
    assert {"sex", "y"} <= set(dataset.parts["evaluation"].columns)
    assert (dataset.settings.classes, dataset.settings.positive) == (("no", "yes"), "yes")


def test_what_is_cleaned_is_counted(tmp_path: Path) -> None:
    frame = people()
    frame.loc[:4, "income"] = np.inf
    frame.loc[5:7, "income"] = np.nan
    frame.loc[10:19, "y"] = None
    dataset = table(tmp_path, frame, sensitive={"sex": {}})
    assert dataset.cleaning == {
        "data_not_finite": 5.0, "data_missing_values": 8.0, "data_coded_missing": 0.0, "data_rows_without_outcome": 10.0,
    }  # fmt: skip
    assert sum(len(part) for part in dataset.parts.values()) == 290
    assert not np.isinf(pd.concat(dataset.parts.values())["income"]).any()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"target": "z"}, "no columns z"),
        ({"target": "one"}, "one class only, 1"),
        ({"positive": "maybe"}, "none of the classes no, yes"),
        ({"classes": ["yes", "of course"]}, "not among the 2"),
        ({"source": "nowhere"}, "no source 'nowhere'"),
        ({"file": "missing.csv"}, "no file missing.csv"),
        ({"file": None}, "comes without data"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(TrainingError, match=says) as refused:
        table(tmp_path, people().assign(one=1), **changes)
    assert len(str(refused.value).splitlines()) == 1


def test_too_few_rows_for_a_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="none is left for"):
        table(tmp_path, people(3).assign(y=["no", "yes", "no"]))


def test_fewer_rows_are_drawn_by_the_seed_and_stay_in_order(tmp_path: Path) -> None:
    dataset = table(tmp_path, people().assign(place=range(300)), rows=100)
    places = np.sort(pd.concat(dataset.parts.values())["place"].to_numpy())
    assert len(set(places.tolist())) == 100


def test_events_are_the_latest_in_order_and_codes_know_the_unseen() -> None:
    column = Column("visits", "sequence", steps=2, fields=(Column("cost", "number"), Column("kind", "category", ("a", "b"))))
    rows = [[{"cost": 1.0, "kind": "a"}, {"cost": 2.0, "kind": "b"}, {"cost": None, "kind": "new"}], [{"cost": 5, "kind": None}], [], None]
    found = events(rows, column)
    nan = np.nan
    expected = [[[2, 1], [nan, -1]], [[5, -1], [nan, nan]], [[nan, nan]] * 2, [[nan, nan]] * 2]
    assert np.array_equal(found, np.array(expected, dtype=np.float32), equal_nan=True)


def test_sound_is_cut_or_filled_and_a_picture_must_fit() -> None:
    sound = signals([[1, 2, 3], [1], None], Column("sound", "audio", shape=(2,)))
    assert np.array_equal(sound, np.array([[1, 2], [1, np.nan], [np.nan, np.nan]], np.float32), equal_nan=True)
    with pytest.raises(TrainingError, match="row 1 has 3 numbers, expected 1 × 2 × 2"):
        signals([[1, 2, 3, 4], [1, 2, 3]], Column("picture", "image", shape=(1, 2, 2)))


def test_single_values_are_one_input_and_every_other_column_is_its_own() -> None:
    columns = (Column("age", "number"), Column("picture", "image", shape=(1, 1, 1)), Column("town", "category", ("a",)))
    encoder = Encoder(columns)
    assert list(encoder.inputs()) == ["table", "picture"]
    assert [c["input"] for c in encoder.record()] == ["table", "picture", "table"]
    arrays = encoder.arrays(pd.DataFrame({"age": [3.0], "picture": [[7]], "town": ["b"]}))
    assert [a.tolist() for a in arrays] == [[[3.0, -1.0]], [[[[7.0]]]]]
