"""Raw columns to model inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from declared import dataset

from audit.dataset import Dataset
from audit.errors import AuditError
from audit.features import categories, choose, expressions, to_frame, unreadable_numbers
from audit.subject.frame import Categories, Frame


def named(**types: str) -> list[dict[str, Any]]:
    return [{"name": name, "type": kind, "required": True} for name, kind in types.items()]


def frame(data: Dataset, inputs: list[dict[str, Any]]) -> Frame:
    specs, _ = choose(data, inputs, {}, [], set())
    return to_frame(next(data.stream(expressions(data, specs))), specs)


def test_columns_are_matched_by_name_and_reordering_is_noted(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"b": [1.0], "extra": ["e"], "a": [2.0]})
    specs, notes = choose(data, named(a="double", b="double"), {}, [], set())
    assert [s.name for s in specs] == ["a", "b"]
    assert ["matched by name" in n.id for n in notes] == [True]
    assert not choose(data, named(b="double", a="double"), {}, [], set())[1]


def test_a_missing_input_is_refused_and_an_optional_one_is_left_out(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"a": [1.0]})
    with pytest.raises(AuditError, match="model input 'b' is not a column"):
        choose(data, named(a="double", b="double"), {}, [], set())
    optional = [*named(a="double"), {"name": "b", "type": "double", "required": False}]
    assert [s.name for s in choose(data, optional, {}, [], set())[0]] == ["a"]


def test_metadata_of_our_own_nets_comes_before_the_signature(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"a": [1.0], "c": ["x"], "y": [0]})
    metadata = {"columns": [{"name": "c", "kind": "category"}, {"name": "a", "kind": "number"}]}
    specs, _ = choose(data, [{"name": None, "type": "tensor", "shape": [-1, 2]}], metadata, [], {"y"})
    assert [(s.name, s.kind, s.read) for s in specs] == [("c", "category", "text"), ("a", "number", "float64")]


def test_a_tensor_takes_what_is_neither_target_nor_sensitive_if_the_width_agrees(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"a": [1.0], "b": [2.0], "sex": ["f"], "y": [0]})
    tensor = [{"name": None, "type": "tensor", "shape": [-1, 2]}]
    specs, notes = choose(data, tensor, {}, [], {"y", "sex"})
    assert [s.name for s in specs] == ["a", "b"]
    assert notes
    with pytest.raises(AuditError, match=r"2 columns, and the data has 3 .* --features"):
        choose(data, tensor, {}, [], {"y"})
    assert [s.name for s in choose(data, tensor, {}, ["b", "a"], {"y"})[0]] == ["b", "a"]


def test_values_travel_as_the_signature_says(tmp_path: Path) -> None:
    data = dataset(tmp_path, {
        "whole": pa.array([2**60 + 1, 5], pa.int64()), "gap": pa.array([1, None], pa.int64()), "real": [0.5, None], "flag": [True, False],
        "word": ["b", None], "code": [7, 8], "day": pa.array([0, 86_400_000_000], pa.timestamp("us")), "truth": [True, None],
    })  # fmt: skip
    signature = named(whole="long", gap="long", real="double", flag="boolean", word="string", code="string", day="datetime", truth="double")
    read = frame(data, signature)
    assert read["whole"].dtype == np.int64  # type: ignore[union-attr]
    assert read["whole"][0] == 2**60 + 1, "ids above 2^53 are exact"  # type: ignore[index]
    assert np.array_equal(read["gap"], [1.0, np.nan], equal_nan=True)  # type: ignore[arg-type]
    assert np.array_equal(read["real"], [0.5, np.nan], equal_nan=True)  # type: ignore[arg-type]
    assert np.array_equal(read["truth"], [1.0, np.nan], equal_nan=True)  # type: ignore[arg-type]
    assert read["flag"].dtype == bool  # type: ignore[union-attr]
    word, code = read["word"], read["code"]
    assert isinstance(word, Categories)
    assert isinstance(code, Categories)
    assert (word.codes.tolist(), word.vocabulary) == ([0, -1], ("b",))
    assert (code.codes.tolist(), code.vocabulary) == ([0, 1], ("7", "8"))
    assert read["day"][1] == np.datetime64("1970-01-02", "ns")  # type: ignore[index]


def test_text_in_a_number_column_is_counted_and_a_column_of_texts_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"x": ["1.5", "two", "3"], "z": ["a", "b", "c"]})
    specs, _ = choose(data, named(x="double"), {}, [], set())
    (note,) = unreadable_numbers(data, specs)
    assert note.values == {"column": "x", "count": 1}
    assert np.array_equal(frame(data, named(x="double"))["x"], [1.5, np.nan, 3.0], equal_nan=True)  # type: ignore[arg-type]
    specs, _ = choose(data, named(z="double"), {}, [], set())
    with pytest.raises(AuditError, match="'z' must hold numbers"):
        unreadable_numbers(data, specs)


@pytest.mark.parametrize("values", [pa.array([1.0, 2.5]), pa.array([1.0, 1e19]), pa.array([1, 2**64 - 1], pa.uint64())])
def test_what_no_integer_holds_is_refused_where_the_model_wants_one(tmp_path: Path, values: pa.Array) -> None:
    data = dataset(tmp_path, {"x": values})
    specs, _ = choose(data, named(x="long"), {}, [], set())
    with pytest.raises(AuditError, match="'x' is a whole number in the model's signature"):
        unreadable_numbers(data, specs)


def test_whole_numbers_stored_as_reals_travel_as_integers(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"x": [1.0, 2.0]})
    specs, _ = choose(data, named(x="long"), {}, [], set())
    assert not unreadable_numbers(data, specs)
    assert frame(data, named(x="long"))["x"].tolist() == [1, 2]  # type: ignore[union-attr]


def test_a_list_column_is_refused_as_an_input(tmp_path: Path) -> None:
    data = dataset(tmp_path, {"x": [[1.0, 2.0]]})
    with pytest.raises(AuditError, match="'x' holds"):
        choose(data, named(x="double"), {}, [], set())


@pytest.mark.parametrize("values", [["b", "a", None, "b"], [], [None, None], ["é", "z", "A"]])
def test_categories_are_codes_into_sorted_values(values: list[str | None]) -> None:
    for column in (pa.array(values, pa.string()), pa.array(values, pa.string()).dictionary_encode()):
        found = categories(column)
        assert found.vocabulary == tuple(sorted({v for v in values if v is not None}))
        assert [None if c < 0 else found.vocabulary[c] for c in found.codes] == values
