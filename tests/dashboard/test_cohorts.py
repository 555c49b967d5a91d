"""Cohorts: what is kept of them, which findings speak of them, and what the scored rows say of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from people import COLUMN, VALUE, People, audited
from pydantic import ValidationError

from audit.cohorts.__main__ import reply
from audit.cohorts.kept import Kept, NotHereError, kept
from audit.cohorts.measured import by_group, measured, members
from audit.cohorts.named import Changes, Cohort, Condition, Question, Reply, of_slice
from audit.result import AuditResult
from dashboard.cohorts import Shelf, UnreadableError
from dashboard.counting import about


def of(**conditions: object) -> Cohort:
    return Cohort(name="c", conditions=[Condition.model_validate({"column": c, **v}) for c, v in conditions.items()])  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def people() -> People:
    return People.drawn()


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, people: People) -> AuditResult:
    return audited(tmp_path_factory.mktemp("cohorts"), "one", people)


@pytest.fixture
def rows(document: AuditResult, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setenv("XDG_STATE_HOME", str(next(tmp_path_factory.getbasetemp().glob("cohorts*")) / "state"))
    found = kept(about(document))
    assert found is not None
    return found


# --- what is kept


def test_saved_replaced_removed_and_no_row_in_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.cohorts() == []
    assert not (tmp_path / "audits").exists(), "looking makes no file"
    shelf.save(Cohort(name="b", conditions=[Condition(column="age", low=60)]))
    shelf.save(of_slice("a", {"sex": "f", "age": "[25, 37)"}))
    shelf.save(Cohort(name="b", conditions=[Condition(column="age", low=65)]))
    assert [(c.name, c.conditions[0].low) for c in shelf.cohorts()] == [("a", None), ("b", 65)]
    assert [p.name for p in (tmp_path / "audits").iterdir()] == ["cohorts.json"]
    shelf.remove("a")
    assert [c.name for c in shelf.cohorts()] == ["b"]


def test_two_who_save_at_once_lose_nothing(tmp_path: Path) -> None:
    shelves = [Shelf(tmp_path), Shelf(tmp_path)]

    def save(n: int) -> None:
        shelves[n % 2].save(Cohort(name=f"cohort {n}", conditions=[Condition(column="town", values=["a"])]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(40)))
    assert len(shelves[0].cohorts()) == 40


def test_each_person_has_a_file_whose_name_does_not_tell_who(tmp_path: Path) -> None:
    one, other = Shelf(tmp_path, "ann@example.org"), Shelf(tmp_path, "../../bob@example.org")
    one.save(of_slice("mine", {"sex": "f"}))
    assert other.cohorts() == []
    other.save(of_slice("his", {"sex": "m"}))
    assert {p.parent for p in (one.file, other.file)} == {tmp_path / "audits"}
    assert "ann" not in one.file.name
    assert [c.name for c in one.cohorts()] == ["mine"]


def test_a_damaged_file_is_named_and_never_overwritten(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.file.parent.mkdir()
    shelf.file.write_text('{"version": 1, "cohorts": [{"name": "x"}]}')
    with pytest.raises(UnreadableError, match=r"cohorts\.json"):
        shelf.cohorts()
    with pytest.raises(UnreadableError):
        shelf.save(of_slice("a", {"sex": "f"}))
    assert "x" in shelf.file.read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"column": "a"},
        {"column": "a", "values": ["x"], "low": 1},
        {"column": "a", "low": 2, "high": 2},
        {"column": "a", "low": float("nan")},
    ],
)
def test_a_condition_is_values_or_a_range(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(wrong)


def test_which_findings_speak_of_it() -> None:
    cohort = of(sex={"values": ["f"]}, age={"low": 30, "high": 60})
    for slice_, speaks in (
        ({"sex": "f"}, True), ({"sex": "m"}, False), ({"age": "[25, 37)"}, True), ({"age": "[20, 30)"}, False), ({"age": "[20, 30]"}, True),
        ({"age": "[60, 80]"}, False), ({"age": "(missing)"}, False), ({"age": "45"}, True), ({"sex": "f", "age": "[60, 80]"}, False), ({"town": "hill"}, False),
        ({"sex": "f", "town": "hill"}, True), ({}, False),
    ):  # fmt: skip
        assert cohort.speaks_of(slice_) is speaks, slice_


# --- what the rows say


def test_counts_are_those_of_a_slow_twin(rows: Kept, document: AuditResult, people: People) -> None:
    cohort = of(**{COLUMN: {"values": [VALUE]}, "age": {"low": 60}})
    found = measured(rows, about(document), cohort)
    inside = (people.group == VALUE) & (people.age >= 60)
    assert found.withheld is None
    assert (found.n, found.rows, found.sampled) == (inside.sum(), 1200, False)
    figures = {f.metric: f for f in found.figures}
    wrong = people.y != people.pred
    for metric, counted, among in (
        ("zero_one_loss", wrong, np.full(1200, True)), ("false_positive_rate", wrong, people.y == 0), ("false_negative_rate", wrong, people.y == 1),
        ("selection_rate", people.pred == 1, np.full(1200, True)),
    ):  # fmt: skip
        own, rest = figures[metric].inside, figures[metric].outside
        assert own is not None
        assert rest is not None
        assert (own.value, own.n) == (pytest.approx(counted[inside & among].mean()), (inside & among).sum())
        assert (rest.value, rest.n) == (pytest.approx(counted[~inside & among].mean()), (~inside & among).sum())
        assert figures[metric].apart is not None
    score = figures["mean_score"].inside
    assert score is not None
    assert score.value == pytest.approx(people.score[inside].mean())
    assert members(rows, cohort) == np.flatnonzero(inside).tolist()


def test_the_levels_of_a_document_mean_the_same_rows(rows: Kept, document: AuditResult, people: People) -> None:
    """A slice that the search found, turned into a cohort, holds the rows that the search counted on both halves."""
    check = next(c for c in document.checks if c.info.id == "performance.slices")
    table = next(e for f in check.findings for e in f.evidence if e.kind == "table")
    counted = [row[1] for row in table.rows]
    assert counted
    for finding, n in zip(check.findings, counted, strict=True):
        assert len(members(rows, of_slice("s", finding.slice))) == n, finding.slice
    assert len(members(rows, of(age={"values": ["(missing)"]}))) == 4


def test_few_people_are_never_shown(rows: Kept, document: AuditResult) -> None:
    def why(**conditions: object) -> str | None:
        found = measured(rows, about(document), of(**conditions))
        assert found.withheld is None or (found.n, found.figures) == (0, [])
        return found.withheld

    assert why(town={"values": ["hamlet"]}) == "few"
    assert why(town={"values": ["hill", "port"]}) == "nearly_all", "all but the five"
    assert why(town={"values": ["nowhere"]}) == "nobody"
    everyone_old = {"low": 60.0}
    assert why(age=everyone_old) is None
    assert why(age=everyone_old, town={"values": ["hill", "port"]}) == "near_another", "those of 60 and more but for the five"
    assert why(age={"low": 20.0}, town={"values": ["hill"]}) == "near_another", "all but the four of unknown age"


def test_a_rate_of_very_few_errors_is_withheld_and_the_rest_is_shown(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred = people.y.copy()
    young = np.flatnonzero(people.age < 40)
    pred[young[:2]] = 1 - pred[young[:2]]
    pred[people.age >= 60] = 1 - people.y[people.age >= 60]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    document = audited(tmp_path, "few", people, ran=(), pred=pred, score=None, decision="predict")
    rows = kept(about(document))
    assert rows is not None
    figures = {f.metric: f for f in measured(rows, about(document), of(age={"high": 40})).figures}
    assert figures["zero_one_loss"].withheld
    assert figures["zero_one_loss"].inside is None
    assert not figures["selection_rate"].withheld


def test_groups_within_a_cohort_cannot_be_computed_back(rows: Kept, document: AuditResult, people: People) -> None:
    found = by_group(rows, about(document), of(age={"low": 60}), COLUMN)
    assert {g: m.n for g, m in found.items()} == {g: int(((people.group == g) & (people.age >= 60)).sum()) for g in ("a", VALUE)}
    assert by_group(rows, about(document), of(**{COLUMN: {"values": ["a"]}}), COLUMN).keys() == {"a"}, "nobody of the other group is in it"


def test_stops_and_values_have_enough_rows(rows: Kept) -> None:
    stops = rows.offer("age", 10).stops
    assert len(stops) == 9
    assert stops == sorted(set(stops))
    assert rows.offer("town", 10).values == ["hill", "port"], "the hamlet is too small to be chosen"
    assert set(rows.offer(COLUMN, 10).values) == {"a", VALUE}
    assert rows.columns == [COLUMN, "age", "town"]


def test_a_column_that_is_not_there_is_refused(rows: Kept, document: AuditResult) -> None:
    for cohort in (of(shoe={"values": ["44"]}), of(town={"low": 1}), of(**{COLUMN: {"low": 1}})):
        with pytest.raises(NotHereError):
            measured(rows, about(document), cohort)


def test_quantities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y, age = rng.normal(size=400), np.repeat([20.0, 70.0], 200)
    pred = y + rng.normal(size=400) * np.where(age > 60, 2.0, 0.5)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    document = audited(
        tmp_path, "amounts", People.drawn(400), ran=(), pred=pred, y=y, score=None, task="regression", favourable=["high"], decision="predict", positive=None,
        groups={}, features={"age": age},
    )  # fmt: skip
    rows = kept(about(document))
    assert rows is not None
    figures = {f.metric: f for f in measured(rows, about(document), of(age={"low": 60})).figures}
    assert figures.keys() == {"large_error_rate", "selection_rate", "mean_absolute_error", "mean_prediction"}
    large, mean = figures["large_error_rate"].inside, figures["mean_absolute_error"].inside
    assert large is not None
    assert mean is not None
    error = abs(pred - y)
    assert large.value == pytest.approx((error > np.median(error))[age >= 60].mean())
    assert mean.value == pytest.approx(error[age >= 60].mean())


def test_rows_that_are_gone_or_name_no_file_are_none(document: AuditResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert kept(about(document)) is None
    for name in (None, "../../one", "one.sample"):
        elsewhere = document.model_copy(update={"environment": document.environment.model_copy(update={"scored": name})})
        assert kept(about(elsewhere)) is None


# --- the command


def test_a_line_answers_a_line_and_a_wrong_one_ends_nothing(rows: Kept, document: AuditResult) -> None:
    def asked(**more: object) -> Reply:
        return reply(Question.model_validate({"about": about(document), **more}).model_dump_json())

    columns = asked(do="columns")
    assert columns.answer == {"names": [COLUMN, "age", "town"], "groups": {COLUMN: ["a", VALUE]}}
    assert asked(do="measure", cohort=of(shoe={"values": ["44"]})).column == "shoe"
    assert asked(do="measure").refused
    assert asked(do="offer", column="shoe").refused
    assert reply("{").refused
    assert not reply(Question(do="columns", about=about(document).model_copy(update={"scored": "gone"})).model_dump_json()).kept


def test_the_same_rows_under_two_models_are_paired(
    rows: Kept, document: AuditResult, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = people.pred.copy()
    better[people.age < 40] = people.y[people.age < 40]
    home = tmp_path / "home"
    other = audited(home, "two", people, ran=(), pred=better, score=None, decision="predict")
    for file in (home / "state" / "witnessmark" / "scored").iterdir():
        (rows.table.parent / file.name).write_bytes(file.read_bytes())
    question = Question(do="changes", about=about(other), old=about(document), cohort=of(age={"low": 30}))
    found = Changes.model_validate(reply(question.model_dump_json()).answer)
    inside, wrong = people.age >= 30, people.y != people.pred
    (moved, _) = found.moved
    assert found.n == inside.sum()
    assert moved.metric == "zero_one_loss"
    assert moved.change is not None
    assert moved.change.value == pytest.approx((better != people.y)[inside].mean() - wrong[inside].mean())
    assert moved.change.high < 0
    assert moved.p is not None
    assert moved.p < 0.001
    few = Changes.model_validate(reply(question.model_copy(update={"cohort": of(town={"values": ["hamlet"]})}).model_dump_json()).answer)
    assert (few.withheld, few.moved) == ("few", [])
