"""Declared roles to facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from declared import prepared

from audit.cohorts.named import interval
from audit.dataset import MISSING
from audit.errors import AuditError
from audit.prepare import Facts


def test_groups_are_ordered_by_size_and_the_largest_is_the_reference(tmp_path: Path) -> None:
    columns = {"x": [0.0] * 6, "g": ["b", "a", "b", None, None, None], "y": [0, 1] * 3}
    (group,) = prepared(tmp_path, columns, {"target": "y", "sensitive": ["g"]}).groups
    assert (group.levels, group.sizes, group.reference, group.reference_declared) == ([MISSING, "b", "a"], [3, 2, 1], "b", False)
    (declared,) = prepared(tmp_path, columns, {"sensitive": ["g"], "reference": {"g": "a"}}).groups
    assert (declared.reference, declared.reference_declared) == ("a", True)
    with pytest.raises(AuditError, match="reference g=c is a value that no row has"):
        prepared(tmp_path, columns, {"sensitive": ["g"], "reference": {"g": "c"}})
    with pytest.raises(AuditError, match="no sensitive column"):
        prepared(tmp_path, columns, {"reference": {"x": "0"}})


def levels_of(facts: Facts) -> list[str]:
    return [MISSING if row[0] is None else row[0] for row in facts.dataset().ask({"v": facts.groups[0].sql})]


def test_a_number_column_of_many_values_is_cut_at_quintiles(tmp_path: Path) -> None:
    facts = prepared(tmp_path, {"x": [0.0] * 100, "age": np.arange(100)}, {"sensitive": ["age"]})
    assert sorted(facts.groups[0].levels) == ["[0, 19)", "[19, 39)", "[39, 59)", "[59, 79)", "[79, 99]"]
    assert levels_of(facts)[19] == "[19, 39)"


def test_few_numbers_are_groups_of_their_own(tmp_path: Path) -> None:
    facts = prepared(tmp_path, {"x": [0.0] * 4, "n": [1.0, 2.0, 1.0, None]}, {"sensitive": ["n"]})
    assert levels_of(facts) == ["1", "2", "1", MISSING]


def test_intervals_of_long_numbers_have_short_ends_that_say_which_rows_are_in(tmp_path: Path) -> None:
    """Between the rounded quintiles of 500 even numbers lie 100 each, give or take the row at an end, and every label, read as numbers, counts the rows that have it."""
    values = np.linspace(0.0123456789, 1.0123456789, 500)
    data = {"x": values, "y": [0.0] * 500}
    (groups,) = prepared(tmp_path, data, {"sensitive": ["x"]}).groups
    assert max(map(len, groups.levels)) <= len("[0.0123, 0.2123)")
    assert all(abs(size - 100) <= 1 for size in groups.sizes)
    for level, size in zip(groups.levels, groups.sizes, strict=True):
        ends = interval(level)
        assert ends is not None
        low, high, whole = ends
        assert int(((values >= low) & ((values <= high) if whole else (values < high))).sum()) == size
    (kept,) = prepared(tmp_path, data, {"sensitive": ["x"]}, bins={"x": [0.123456789]}).groups
    assert any("0.123456789" in level for level in kept.levels), "what the plan says stays as it is"


def test_bins_of_the_plan_are_used_and_what_is_no_number_is_missing(tmp_path: Path) -> None:
    ages = [18.0, 39.9, 40.0, 90.0, None, float("nan"), float("inf"), float("-inf")]
    facts = prepared(tmp_path, {"x": [0.0] * 8, "age": ages}, {"sensitive": ["age"]}, bins={"age": [40.0]})
    assert levels_of(facts) == ["[18, 40)", "[18, 40)", "[40, 90]", "[40, 90]", *[MISSING] * 4]


@pytest.mark.parametrize("values", [[None, None], [float("nan"), float("nan")], [5.0, 5.0]])
def test_bins_of_a_column_without_two_numbers(tmp_path: Path, values: list[float | None]) -> None:
    table = {"x": [0.0] * 2, "age": pa.array(values, pa.float64())}
    (group,) = prepared(tmp_path, table, {"sensitive": ["age"]}, bins={"age": [40.0]}).groups
    assert len(group.levels) == 1


def test_an_identifier_is_no_sensitive_column(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="more than 200 values"):
        prepared(tmp_path, {"x": [0.0] * 300, "id": [f"p{i}" for i in range(300)]}, {"sensitive": ["id"]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "z"}, "target 'z' is not a column"),
        ({"sensitive": ["z"]}, "sensitive column 'z' is not a column"),
        ({"decision": "column=z"}, "decision column 'z' is not a column"),
        ({"target": "x"}, "target 'x' is one of the model's inputs"),
        ({"target": "one"}, "one value only, '1'"),
        ({"target": "none"}, "missing in every row"),
        ({"features": ["q"]}, "model input 'q' is not a column"),
        ({"decision": "score>=1.2.3"}, "decision rule"),
        ({"decision": "coin"}, "decision rule 'coin' is not known"),
    ],
)
def test_what_can_be_known_from_the_data_is_refused_before_the_model_is_loaded(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    columns = {"x": [0.0, 1.0], "y": [0, 1], "one": [1, 1], "none": pa.array([None, None], pa.string())}
    with pytest.raises(AuditError) as error:
        prepared(tmp_path, columns, {"target": "y"} | given)
    assert said in str(error.value)


def test_labels_of_numbers_are_sorted_as_numbers_and_missing_outcomes_counted(tmp_path: Path) -> None:
    facts = prepared(tmp_path, {"x": [0.0] * 4, "y": [10.0, 2.0, None, 2.0]}, {"target": "y"})
    assert (facts.labels, facts.target_is_number, facts.target_missing, facts.rows) == (["2", "10"], True, 1, 4)


def test_what_is_given_overrules_what_training_logged(tmp_path: Path) -> None:
    logged = {"target": "y", "sensitive": ["g"], "favourable": ["1"], "reference": {"g": "a"}, "unknown_key": 1}
    columns = {"x": [0.0] * 4, "y": [0, 1] * 2, "g": ["a", "b"] * 2, "z": [0, 1] * 2}
    facts = prepared(tmp_path, columns, {"target": "z", "reference": {}}, logged=logged)
    assert (facts.roles.target, facts.roles.favourable, facts.groups[0].reference) == ("z", ["1"], "a")
    with pytest.raises(AuditError, match=r"roles.json of the training run is not valid at target"):
        prepared(tmp_path, columns, logged={"target": 3})
