"""The training rows and the time column of a request: how they are read, what is noted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit.dataset import open_dataset
from audit.errors import AuditError
from audit.fingerprint import Fingerprints
from audit.periods import periods
from audit.prepare import Facts, prepare
from audit.rows import readable
from audit.stats.fingerprints import matches
from audit.text import render

INPUTS = [{"name": "age", "type": "double", "required": True}, {"name": "job", "type": "string", "required": True}]


def frame(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "age": rng.integers(20, 60, rows).astype(float), "job": rng.choice(["cook", "judge"], rows), "sex": rng.choice(["f", "m"], rows),
        "y": np.arange(rows) % 2, "when": pd.date_range("2020-01-15", periods=rows, freq="W").strftime("%Y-%m-%d"),
    })  # fmt: skip


def prepared(folder: Path, training: Any = None, *, logged: dict[str, Any] | None = None, given: bool = True, **roles: Any) -> Facts:
    """Facts of the frame as audited rows; `training` is a frame or a path."""
    folder.mkdir(exist_ok=True)
    frame().to_csv(folder / "data.csv", index=False)
    if isinstance(training, pd.DataFrame):
        training.to_parquet(folder / "train.parquet")
        training = folder / "train.parquet"
    arguments = {
        "data": str(folder / "data.csv"), "source": "here", "logged": logged, "given": {"target": "y", "sensitive": ["sex"]} | roles, "inputs": INPUTS,
        "metadata": {}, "bins": {}, "flavor": "sklearn", "training": str(training) if training else None, "training_given": given,
    }  # fmt: skip
    return Facts.model_validate(prepare(arguments, None))


# --- training rows -------------------------------------------------------------------------------------------------------------------


def test_training_rows_are_read_by_the_same_columns(tmp_path: Path) -> None:
    facts = prepared(tmp_path, frame(40))
    assert facts.training is not None
    assert (facts.training.rows, facts.training.target) == (40, "y")
    assert sum(facts.training.sizes["sex"].values()) == 40
    assert not facts.notes


def test_training_rows_that_lack_an_input_are_refused_by_name(tmp_path: Path) -> None:
    for column in ("age", "y"):
        with pytest.raises(AuditError, match=f"lack '{column}'"):
            prepared(tmp_path, frame().drop(columns=[column]))


def test_logged_training_rows_that_do_not_fit_are_left_aside_and_noted(tmp_path: Path) -> None:
    facts = prepared(tmp_path, frame().drop(columns=["age"]), given=False)
    assert facts.training is None
    assert "left aside" in render(facts.notes[0])


def test_the_same_file_for_both_is_noted(tmp_path: Path) -> None:
    facts = prepared(tmp_path, tmp_path / "data.csv")
    assert facts.training is not None
    assert facts.training.sha256 == facts.sha256
    assert "the same file" in render(facts.notes[0])


def test_the_same_rows_have_the_same_fingerprints_in_csv_and_parquet(tmp_path: Path) -> None:
    """Whole numbers, fractions, texts and gaps, stored as texts in one file and typed in the other."""
    rows = frame(50)
    rows.loc[3, "age"], rows.loc[4, "job"], rows.loc[5, "age"] = np.nan, None, 33.25
    rows["code"] = np.arange(50)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.iloc[::-1].to_parquet(tmp_path / "rows.parquet")
    facts = prepared(tmp_path / "more")
    specs = [*facts.features, facts.features[1].model_copy(update={"name": "code"})]
    one, other = open_dataset(str(tmp_path / "rows.csv")), open_dataset(str(tmp_path / "rows.parquet"))
    ours, theirs = Fingerprints(one, specs, other), Fingerprints(other, readable(other, specs), one)
    assert (ours.rows() == theirs.rows()[::-1]).all()
    assert matches(ours.near(), theirs.near()).pairs == 50


def test_near_is_three_digits_and_trimmed_texts(tmp_path: Path) -> None:
    pd.DataFrame({"age": [1234.0, 0.0, -0.012345, 50.0], "job": ["cook", "a", "b", "c"]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"age": [1231.0, 0.0, -0.012344, 50.6], "job": [" Cook", "A ", "b", "c"]}).to_parquet(tmp_path / "b.parquet")
    specs = prepared(tmp_path / "more").features
    ours, theirs = (Fingerprints(open_dataset(str(tmp_path / name)), specs, None) for name in ("a.parquet", "b.parquet"))
    assert (ours.near() == theirs.near()).tolist() == [True, True, True, False]
    assert not matches(ours.rows(), theirs.rows()).seen.any()


# --- the time column -----------------------------------------------------------------------------------------------------------------


def read(folder: Path, values: Any, form: str = "csv") -> list[str]:
    table = pd.DataFrame({"t": values})
    path = folder / f"t.{form}"
    table.to_csv(path, index=False) if form == "csv" else table.to_parquet(path)
    dataset = open_dataset(str(path))
    sql, levels = periods(dataset, "t")
    counted = dict(dataset.ask({"p": sql, "n": "count(*)"}, tail="GROUP BY 1"))
    assert set(levels) == {p for p in counted if p is not None}, "every row falls into a period that is named"
    return levels


def days(start: str, count: int, every: str = "D") -> list[str]:
    return pd.date_range(start, periods=count, freq=every).strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_dates_fall_into_the_finest_unit_of_at_most_twelve(tmp_path: Path, form: str) -> None:
    assert read(tmp_path, days("2020-03-01", 5) * 4, form) == days("2020-03-01", 5)
    assert read(tmp_path, days("2020-01-01", 360), form) == [f"2020-{m:02d}" for m in range(1, 13)]
    assert read(tmp_path, days("2019-01-01", 1000), form)[:2] == ["2019-Q1", "2019-Q2"]
    assert read(tmp_path, days("2010-06-01", 10, "YS"), form) == [str(y) for y in range(2011, 2021)]
    assert read(tmp_path, days("1990-01-01", 30, "YS"), form) == [f"{y}–{min(y + 2, 2019)}" for y in range(1990, 2020, 3)]
    assert read(tmp_path, ["2020-01", "2020-02"] * 3, form) == ["2020-01", "2020-02"]


def test_timestamps_and_gaps(tmp_path: Path) -> None:
    moments = [*pd.date_range("2020-01-31 23:59", periods=2, freq="2min"), pd.NaT]
    assert read(tmp_path, moments, "parquet") == ["2020-01", "2020-02"], "the coarsest unit that divides them as well"


def test_numbers_are_periods_as_they_are_or_at_their_quintiles(tmp_path: Path) -> None:
    assert read(tmp_path, [2018, 9, 2015, 2018]) == ["9", "2015", "2018"]
    assert len(read(tmp_path, np.linspace(0, 1, 100))) == 5
    assert len(read(tmp_path, range(21))) == 5


def test_a_period_is_coded_in_order_with_gaps_last(tmp_path: Path) -> None:
    facts = prepared(tmp_path, time="when")
    assert facts.period is not None
    assert facts.period.levels == sorted(facts.period.levels)
    assert sum(facts.period.sizes) == 60
    assert dict(facts.divisions())["t"] == facts.period


@pytest.mark.parametrize(("column", "said"), [("nope", "not a column"), ("job", "neither dates nor numbers"), ("one", "only one period")])
def test_a_time_column_that_cannot_serve_is_refused(tmp_path: Path, column: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = frame().assign(one=2020)
    monkeypatch.setattr(f"{__name__}.frame", lambda rows=60: plain)
    with pytest.raises(AuditError, match=said):
        prepared(tmp_path, time=column)


@pytest.mark.parametrize("column", ["nope", "job"])
def test_a_logged_time_column_that_cannot_serve_is_noted(tmp_path: Path, column: str) -> None:
    facts = prepared(tmp_path, logged={"time": column})
    assert facts.period is None
    assert "by period" in render(facts.notes[0])
