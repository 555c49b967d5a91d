"""Canaries: wrong labels, a fair and independent coin for each, nothing of those that are out in the training rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from models.canaries import plant
from models.config import load_preset
from models.data import load
from models.errors import TrainingError
from models.train import main

if TYPE_CHECKING:  # at run time `conftest` is whichever was imported last
    from conftest import LookUp, Python

SETTINGS = load_preset("tabular").data.model_copy(update={"target": "y", "canaries": 400})


def rows(n: int = 1000) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    return pd.DataFrame({"x": np.arange(n, dtype=float), "y": stream.choice(["a", "b", "c"], n)})


def test_canaries_have_wrong_labels_and_only_those_that_are_in_train() -> None:
    before = rows()
    train, canaries = plant(before, SETTINGS)
    assert len(canaries) == 400
    assert canaries["x"].is_unique
    assert (canaries["y"].to_numpy() != before["y"].to_numpy()[canaries["x"].astype(int)]).all()
    inside, outside = canaries[canaries["included"]], canaries[~canaries["included"]]
    assert len(train) == 1000 - len(outside)
    assert not set(outside["x"]) & set(train["x"])
    assert (train.iloc[inside["row"].astype(int)][["x", "y"]].to_numpy() == inside[["x", "y"]].to_numpy()).all()
    assert outside["row"].isna().all()
    others = train[~train["x"].isin(canaries["x"])]
    assert (others["y"].to_numpy() == before["y"].to_numpy()[others["x"].astype(int)]).all()
    assert before.equals(rows())  # the rows that were given stay as they are


def test_the_coin_is_fair_tells_nothing_of_the_row_and_is_that_of_the_seed() -> None:
    drawn = [plant(rows(), SETTINGS.model_copy(update={"canary_seed": seed}))[1] for seed in range(20)]
    heads = sum(int(canaries["included"].sum()) for canaries in drawn)
    assert binomtest(heads, 8000).pvalue > 1e-3
    late = sum(int(canaries["included"][canaries["x"] >= 500].sum()) for canaries in drawn)
    assert binomtest(late, sum(int((canaries["x"] >= 500).sum()) for canaries in drawn)).pvalue > 1e-3
    assert drawn[0].equals(plant(rows(), SETTINGS)[1])
    assert not drawn[0].equals(drawn[1])


def test_integer_labels_stay_integers() -> None:
    numbers = rows().assign(y=np.arange(1000) % 2)
    train, canaries = plant(numbers, SETTINGS)
    assert train["y"].dtype == canaries["y"].dtype == numbers["y"].dtype
    assert (canaries["y"].to_numpy() == 1 - np.arange(1000)[canaries["x"].astype(int)] % 2).all()


def test_too_many_and_quantities_are_refused() -> None:
    with pytest.raises(TrainingError, match="plant at most 350"):
        plant(rows(700), SETTINGS)
    with pytest.raises(TrainingError, match="is a quantity"):
        plant(rows(), SETTINGS.model_copy(update={"task": "regression"}))


def test_nothing_else_of_the_rows_changes() -> None:
    without, planted = (load(load_preset("credit", {"data.canaries": count}).data) for count in (0, 100))
    assert planted.canaries is not None
    assert without.canaries is None
    assert all(without.parts[part].equals(planted.parts[part]) for part in ("validation", "evaluation"))
    assert list(planted.canaries.columns) == [*planted.parts["train"].columns, "included", "row"]


@pytest.mark.slow
def test_canaries_and_members_are_logged(python: Python, look_up: LookUp, tmp_path: Path) -> None:
    done = python("-m", "models.train", "credit-trees", "--canaries", "60", "--epochs", "3", "--name", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    data = Path(look_up(tmp_path, "models:/mine/1")["data"].removeprefix("file://"))
    canaries = pd.read_parquet(data.parent / "privacy" / "canaries.parquet")
    members = pd.read_parquet(data.parent / "privacy" / "members.parquet")
    train = pd.read_parquet(data / "train.parquet")
    inside = canaries[canaries["included"]]
    assert train.iloc[inside["row"].astype(int)].reset_index(drop=True).equals(inside[train.columns].reset_index(drop=True))
    assert members["split"].value_counts().to_dict() == {
        p: len(pd.read_parquet(data / f"{p}.parquet")) for p in ("train", "validation", "evaluation")
    }
    recorded = json.loads((data / "roles.json").read_text("utf-8"))["canaries"]
    assert recorded == {"kind": "training rows with a wrong label", "count": 60, "included": len(inside), "chance": 0.5, "seed": 0}


def test_a_negative_number_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["credit", "--canaries", "-1"]) == 2
    assert "data.canaries is not valid" in capsys.readouterr().err
