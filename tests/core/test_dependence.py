"""Rows that belong together: how keys that repeat are found, what they keep from passing, and what clusters change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from counts import Judged, a_case, good
from scene import Pick, Scene, set_scene

from audit.dataset import open_dataset
from audit.dependence import Coder, Repeats, cluster_of, duplicates, hashed, repeating, says_identifier
from audit.errors import AuditError
from audit.judge import DEPENDENT, TOO_FEW_CLUSTERS
from audit.pairing import OTHERS
from audit.roles import Roles, merge, parse_decision

PREDICT = parse_decision("predict")


def data(folder: Path, **columns: Any) -> Any:
    pd.DataFrame(columns).to_parquet(folder / "rows.parquet")
    return open_dataset(str(folder / "rows.parquet"))


# --- what looks like an identifier -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["id", "ID", "patient_nbr", "PatientID", "customerId", "customerid", "SK_ID_CURR", "user_id:token", "school", "Hospital", "member no", "case-number", "MRN", "household_key"],
)  # fmt: skip
def test_names_of_identifiers(name: str) -> None:
    assert says_identifier(name)


@pytest.mark.parametrize(
    "name",
    ["age", "income", "fnlwgt", "num_procedures", "number_diagnoses", "patient_age", "paid", "valid", "family_size", "bid", "zip", "credit_amount", "school_type", "priors_count",
     "students_enrolled", "class", "grid", "Oral", "sex"],
)  # fmt: skip
def test_names_of_other_columns(name: str) -> None:
    assert not says_identifier(name)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("adult_train", []), ("compas_two_years", []), ("german_credit", []), ("acs_employment_MA_2015_2018", []), ("oulad_students", []), ("loanapp_boston_hmda", []),
        ("heart_cleveland", []), ("ricci_promotion", []), ("arrests_toronto", []), ("ml100k_user", []), ("diabetes130_us_hospitals", ["patient_nbr"]),
        ("cdnow_transactions", ["customer_id"]), ("ml100k_inter", ["user_id:token", "item_id:token"]),
    ],
)  # fmt: skip
def test_real_data(data_folder: Path, file: str, found: list[str]) -> None:
    """fnlwgt, incomes, ages, codes of admissions, jail times as texts, zip codes and unique ids are none; patients and customers are."""
    dataset = open_dataset(str(data_folder / f"{file}.parquet"))
    assert [r.name for r in repeating(dataset, Roles(), PREDICT)] == found


def test_counts_of_a_repeating_identifier(tmp_path: Path) -> None:
    keys = [f"p{i}" for i in range(50)] * 2 + ["p0", None, None]
    dataset = data(tmp_path, person=keys, x=np.arange(103.0))
    assert repeating(dataset, Roles(), PREDICT) == [Repeats(name="person", values=50, rows=101, largest=3)]


def test_texts_that_are_nearly_all_different_are_identifiers_and_frequent_ones_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"anna{i}" for i in rng.integers(0, 700, 1000)]
    codes = [f"D{i}" for i in rng.zipf(1.3, 1000) % 500]
    dates = [f"2013-08-{1 + i % 28:02d} 06:{i % 60:02d}:{i % 59:02d}" for i in rng.integers(0, 10_000, 1000)]
    dataset = data(tmp_path, who=names, diagnosis=codes, arrested=dates, weight=rng.integers(0, 700, 1000))
    assert [r.name for r in repeating(dataset, Roles(), PREDICT)] == ["who"]


def test_texts_that_the_model_reads_are_no_identifier(tmp_path: Path) -> None:
    """Two equal reviews are two opinions: of 100 texts 99 differ, and no interval hangs on that."""
    dataset = data(tmp_path, review=[f"a film of {min(i, 98)} minutes" for i in range(100)])
    assert [r.name for r in repeating(dataset, Roles(), PREDICT)] == ["review"]
    assert not repeating(dataset, Roles(), PREDICT, ["review"])


def test_the_target_and_sensitive_columns_are_none_and_a_logged_row_key_is_one(tmp_path: Path) -> None:
    dataset = data(tmp_path, school=list(range(100)) * 2, q=[1, 2, 3, 4] * 50)
    assert not repeating(dataset, Roles(sensitive=["school"]), PREDICT)
    assert not repeating(dataset, Roles(target="school"), PREDICT)
    assert [r.name for r in repeating(dataset, Roles(row_key="q"), PREDICT)] == ["school", "q"]


def test_duplicates_are_rows_equal_to_an_earlier_one(tmp_path: Path) -> None:
    dataset = data(tmp_path, a=[1.0, 1.0, 1.0, None, None, 2.0], b=["x", "x", "y", "x", "x", "x"])
    assert duplicates(dataset) == 2


# --- the declared column ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [("absent", [1, 2], "'absent' is not a column"), ("c", [1, 1], "one value only, '1'"), ("c", [None, None], "missing in every row"), ("y", [0, 1], "is the target")],
)  # fmt: skip
def test_columns_that_divide_nothing_are_refused(tmp_path: Path, column: str, values: list[Any], said: str) -> None:
    dataset = data(tmp_path, c=pd.array(values, dtype="Int64"), y=[0, 1])
    with pytest.raises(AuditError, match=said):
        cluster_of(dataset, Roles(cluster=column, target="y"))


def test_the_command_line_wins_over_what_was_logged() -> None:
    logged = {"cluster": "school"}
    assert merge(logged, {}).cluster == "school"
    independent = merge(logged, {"independent": True, "cluster": None})
    assert (independent.cluster, independent.independent) == (None, True)
    assert merge({"independent": True}, {"cluster": "house"}).independent is False


def test_codes_are_those_of_first_appearance_and_missing_rows_stand_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    keys: list[Any] = [f"k{i}" for i in rng.integers(0, 40, 300)]
    for i in (5, 6, 250):
        keys[i] = None
    dataset = data(tmp_path, key=keys)
    (batch,) = list(dataset.stream({"h": hashed(dataset.text("key"))}))
    coder, column = Coder(), batch.column(0)
    codes = np.concatenate([coder.codes(column.slice(start, 70)) for start in range(0, 300, 70)])
    slow: dict[Any, int] = {}
    expected = [slow.setdefault(key if key is not None else ("row", i), len(slow)) for i, key in enumerate(keys)]
    assert codes.tolist() == expected
    assert coder.clusters == len(slow)
    assert pa.types.is_uint64(column.type)


# --- keys that repeat, and nothing declared --------------------------------------------------------------------------------------------


def test_nothing_that_rests_on_an_interval_passes_while_keys_repeat() -> None:
    assert Judged(good()).verdict == "pass"
    judged = Judged(good(), a_case(repeats=("patient_nbr",)))
    assert judged.verdict == "inconclusive"
    assert judged.questions["fairness_inputs"].verdict == "pass", "counted, not estimated"
    for id_ in ("performance_baseline", "fairness_selection", "fairness_opportunity", "calibration_large"):
        assert judged.questions[id_].verdict == "inconclusive"
        for text in ("patient_nbr", "--cluster patient_nbr", "--independent"):
            assert text in (judged.questions[id_].reason or "")
        for f in judged.findings(id_):
            assert f.reason == DEPENDENT
            assert "assumes independent rows; patient_nbr repeats" in (f.sentence or "")
            assert "cannot tell" not in f"{f.sentence} {f.reason_msg}"


# --- clusters --------------------------------------------------------------------------------------------------------------------------


def schools(
    folder: Path,
    *,
    clusters: int = 300,
    size: int = 8,
    alike: bool = True,
    groups: int = 2,
    cluster: bool = True,
    gap: float = 0.0,
    seed: int = 0,
) -> Scene:
    """Schools whose own rates differ (or do not), each with pupils of one group; a calibrated score of what the pupil does."""
    rng = np.random.default_rng(seed)
    own = rng.beta(1.5, 1.5, clusters) if alike else np.full(clusters, 0.5)
    school = np.repeat(np.arange(clusters), size)
    group = np.repeat(rng.integers(0, groups, clusters), size)
    p = np.clip(own[school] * 0.8 + 0.1 + np.where(group == 1, -gap, 0), 0.02, 0.98)
    score = np.clip(p + rng.normal(0, 0.05, len(p)), 0.01, 0.99)
    y = rng.random(len(p)) < p
    return set_scene(
        folder, pred=(score >= 0.5).astype(int), y=y.astype(int), score=score, groups={"g": [f"g{i}" for i in group]}, cluster=school if cluster else None
    )  # fmt: skip


def test_clusters_widen_the_intervals_of_groups_and_move_no_value(tmp_path: Path) -> None:
    with_, without = schools(tmp_path), schools(tmp_path, cluster=False)
    for check in ("fairness.group", "performance.baseline", "calibration.overall", "calibration.groups"):
        mine, plain = Pick(with_.measure(check)), without.measure(check)
        for m in plain:
            if (
                m.estimate is None
                or m.metric not in ("selection_rate", "true_positive_rate", "brier_skill", "calibration_in_the_large")
                or (m.metric == "brier_skill" and m.slice)
            ):
                continue
            other = mine(m.metric, m.compare, **m.slice)
            assert other.estimate.value == pytest.approx(m.estimate.value, abs=1e-12)
            assert other.estimate.method == "cluster_bootstrap"
            if check == "fairness.group":  # decisions of a school are alike; what the score does not explain is not
                assert other.clusters.design_effect > 1.2
                assert other.estimate.high - other.estimate.low > m.estimate.high - m.estimate.low


def test_with_clusters_of_one_row_everything_is_as_if_independent(tmp_path: Path) -> None:
    with_ = schools(tmp_path, clusters=2500, size=1)
    without = schools(tmp_path, clusters=2500, size=1, cluster=False)
    for check in ("fairness.group", "performance.baseline", "calibration.overall", "calibration.groups"):
        mine = Pick(with_.measure(check))
        for m in without.measure(check):
            if m.estimate is None or m.estimate.method == "exact":
                continue
            other, width = mine(m.metric, m.compare, **m.slice), m.estimate.high - m.estimate.low
            assert other.estimate.low == pytest.approx(m.estimate.low, abs=0.1 * width)
            assert other.estimate.high == pytest.approx(m.estimate.high, abs=0.1 * width)
    assert {q.id: q.verdict for q in with_.document().questions} == {q.id: q.verdict for q in without.document().questions}


def test_too_few_clusters_are_no_verdict(tmp_path: Path) -> None:
    """Fifteen schools of 400 pupils: thousands of rows, and not enough to judge anything by."""
    document = schools(tmp_path, clusters=15, size=400, gap=0.3).document()
    questions = {q.id: q for q in document.questions}
    assert questions["performance_baseline"].verdict == "inconclusive"
    assert "15 clusters" in (questions["performance_baseline"].reason or "")
    assert questions["fairness_selection"].verdict == "inconclusive"
    assert "too few clusters" in (questions["fairness_selection"].reason or "")
    assert document.verdict == "inconclusive"
    found = [f for c in document.checks for f in c.findings if f.reason == TOO_FEW_CLUSTERS]
    assert found
    assert all(f.verdict == "inconclusive" for f in found)


def test_a_large_difference_over_many_clusters_fails(tmp_path: Path) -> None:
    document = schools(tmp_path, gap=0.2).document()
    question = next(q for q in document.questions if q.id == "fairness_selection")
    assert question.verdict == "fail"
    (f,) = [f for c in document.checks for f in c.findings if f.key in question.findings]
    assert f.test is not None
    assert f.test.method == "rao_scott"
    assert "whole clusters were drawn" in (f.sentence or "")


def test_groups_that_are_small_over_clusters_are_pooled(tmp_path: Path) -> None:
    """Many groups of a few schools each: one by one too few, together enough."""
    rng = np.random.default_rng(1)
    own, size = rng.beta(2, 2, 900), 6
    of_school = np.where(np.arange(900) < 700, 0, 1 + np.arange(900) % 12)
    school = np.repeat(np.arange(900), size)
    p = own[school]
    scene = set_scene(
        tmp_path, pred=(p >= 0.5).astype(int), y=(rng.random(len(p)) < p).astype(int), score=p, groups={"g": [f"g{i:02d}" for i in of_school[school]]}, cluster=school
    )  # fmt: skip
    pooled = [m for m in scene.measure("fairness.group") if OTHERS in m.slice.values()]
    assert {(m.metric, m.compare) for m in pooled} == {("selection_rate", "ratio"), ("true_positive_rate", "difference")}
    for m in pooled:
        assert m.clusters is not None
        assert m.clusters.fewest > 150
    document = scene.document()
    question = next(q for q in document.questions if q.id == "fairness_selection")
    judged = [f for c in document.checks for f in c.findings if f.key in question.findings]
    assert [f.slice for f in judged] == [{"g": OTHERS}]
    assert not any("the favourable decision" in text for text in document.not_assessed), "they are judged together"


def test_the_page_says_what_intervals_assume(tmp_path: Path) -> None:
    notes = " ".join(schools(tmp_path).document().notes)
    assert "300 clusters in 2,400 rows" in notes
    assert "all other findings assume independent rows" in notes


def test_correlation_and_design_effect_of_schools(tmp_path: Path) -> None:
    found = Pick(schools(tmp_path).measure("data.dependence"))
    assert found.value("clusters") == 300
    effect, alike = found("outcome_design_effect").estimate, found("outcome_correlation").estimate
    assert effect.value == pytest.approx(1 + 7 * alike.value)
    assert 0.05 < alike.low < alike.value < alike.high < 0.3, alike
    none = Pick(schools(tmp_path, alike=False).measure("data.dependence"))("outcome_correlation").estimate
    assert none.low < 0 < none.high
