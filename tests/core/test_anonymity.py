"""How alone people stand in a table: classes counted by hand, a slow twin, and columns that name somebody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import Pick, set_scene

from audit.dataset import open_dataset
from audit.privacy.identifiers import direct, quasi_identifiers
from audit.stats.privacy.anonymity import classes, k_anonymity, l_diversity, t_closeness
from audit.text import render

CHECK = "data.anonymity"


def test_classes_by_hand(tmp_path: Path) -> None:
    """Four f/20 with outcomes 0 0 1 1, three f/30 all 1, one m/20 of 0: of eight rows one is alone, three are given away.

    Outcomes overall: 3 of 8 are 0. The class of one has (1, 0): distance 5/8; the class of three (0, 1): 3/8.
    """
    scene = set_scene(
        tmp_path, pred=[0] * 8, y=[0, 0, 1, 1, 1, 1, 1, 0], score=[0.5] * 8, groups={"sex": list("fffffffm")},
        features={"age": [20, 20, 20, 20, 30, 30, 30, 20]},
    )  # fmt: skip
    found = Pick(scene.measure(CHECK))
    assert found.value("k_anonymity") == 1
    assert found.value("unique_row_share") == 1 / 8
    assert found.value("small_class_row_share") == 1.0
    assert found.value("one_outcome_row_share") == 3 / 8
    assert found.value("l_diversity") == 1
    assert found.value("t_closeness") == pytest.approx(5 / 8)
    assert found.value("small_cells") == 4
    assert Pick(scene.measure(CHECK, quasi_identifiers=["sex"])).value("unique_row_share") == 1 / 8
    assert "By age, sex, 1 of 8 rows are alone and 8 stand in classes of fewer than 5" in render(scene.summary(CHECK))
    assert Pick(scene.measure(CHECK, k=2)).value("small_class_row_share") == 1 / 8


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 2)), min_size=1, max_size=40)


@given(rows)
def test_classes_are_what_dictionaries_say(drawn: list[tuple[int, int]]) -> None:
    keys, y = (np.array([row[i] for row in drawn]) for i in (0, 1))
    found = classes(keys.astype(np.uint64), y, 3)
    slow = {key: [b for a, b in drawn if a == key] for key in set(keys.tolist())}
    assert k_anonymity(found) == min(len(v) for v in slow.values())
    assert found.smaller_than(3) == sum(len(v) for v in slow.values() if len(v) < 3)
    assert found.one_outcome() == sum(len(v) for v in slow.values() if len(v) > 1 and len(set(v)) == 1 and -1 not in v)
    known = {key: [b for b in v if b >= 0] for key, v in slow.items()}
    known = {key: v for key, v in known.items() if v}
    assert l_diversity(found) == (min(len(set(v)) for v in known.values()) if known else None)
    if known:
        everybody = [b for v in known.values() for b in v]
        distances = [sum(abs(v.count(c) / len(v) - everybody.count(c) / len(everybody)) for c in range(3)) / 2 for v in known.values()]
        assert t_closeness(found) == pytest.approx(max(distances))


def test_columns_that_name_somebody(tmp_path: Path) -> None:
    n = 40
    columns = {
        "contact": [f"person{i % 7}@example.org" for i in range(n)], "call": [f"+49 30 12345{i % 9}" for i in range(n)], "lastName": ["Doe", "Roe"] * (n // 2),
        "record": list(range(n)), "letter": [f"text {i}" for i in range(n)], "age": [20 + i % 5 for i in range(n)], "income": list(np.linspace(0, 1, n)), "grade": ["a", "b"] * (n // 2),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    dataset = open_dataset(str(tmp_path / "rows.parquet"))
    assert {look.column: look.sign for look in direct(dataset, dataset.columns)} == {
        "contact": "e-mail address", "call": "telephone number", "lastName": "its name", "record": "a value for every row", "letter": "a value for every row",
    }  # fmt: skip


def test_likely_quasi_identifiers_are_sensitive_or_speak_of_people() -> None:
    columns = ["zip_code", "loan", "race", "statement", "maritalStatus", "outcome", "AGE"]
    assert quasi_identifiers(columns, ["race"], "outcome") == ["zip_code", "race", "maritalStatus", "AGE"]
    many = [f"age_{i}" for i in range(20)] + ["sex"]
    assert quasi_identifiers(many, ["sex"], None) == [*many[:7], "sex"]


def test_a_table_without_quasi_identifiers_says_so(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, pred=[0, 1] * 20, y=[0, 1] * 20, score=[0.2, 0.8] * 20)
    assert Pick(scene.measure(CHECK))("k_anonymity").estimate is None
    assert "No quasi-identifier is known" in render(scene.summary(CHECK))
