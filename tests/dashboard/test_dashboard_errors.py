"""The page of errors and cohorts on the other pages, run without a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import pytest
import streamlit as st
from people import COLUMN, VALUE, People, audited
from streamlit.testing.v1 import AppTest

from audit.cohorts.named import Cohort, Condition, of_slice
from audit.result import document_digest
from dashboard.cohorts import Shelf
from dashboard.index import Index

APP = str(Path(__file__).parents[2] / "dashboard" / "app.py")
PAGE = "views/errors_page.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audits of two versions of a model, the second right about everybody below 40."""
    folder, people = tmp_path_factory.mktemp("errors"), People.drawn()
    audited(folder, "one", people)
    better = people.pred.copy()
    better[people.age < 40] = people.y[people.age < 40]
    audited(folder, "two", people, pred=better, started="2026-11-01T00:00:00Z")
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("audits", "state"):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    st.cache_data.clear()
    st.cache_resource.clear()
    yield tmp_path
    st.cache_resource.clear()  # ends the process that counts


def read(at: AppTest) -> str:
    said = "\n".join(str(e.value) for kind in ("text", "markdown", "header", "subheader") for e in getattr(at, kind))
    return said.replace("\\", "").replace("\u2060", "")


def opened(page: str = PAGE, lang: str = "en", **address: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=120).run().switch_page(page)
    at.session_state["lang"] = lang
    for name, value in address.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def labelled(at: AppTest, kind: str, label: str) -> object:
    return next(e for e in getattr(at, kind) if e.label == label)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", ("Where the model is wrong", "What it does not show")), ("zh", ("模型错在何处", "未说明的内容"))]
)
def test_worst_slices_come_first_with_their_names_as_text(home: Path, lang: str, words: tuple[str, ...]) -> None:
    at = opened(lang=lang)
    text = read(at)
    for word in words:
        assert word in text
    assert not [m.value for m in at.markdown if m.allow_html]
    assert any("age" in str(cell) for frame in at.dataframe for cell in frame.value.to_numpy().ravel())


def test_the_address_names_the_part(home: Path) -> None:
    assert "What errors depend on" in read(opened(part="performance.error_tree"))
    assert "Where the model is wrong" in read(opened(part="<b>"))


def test_a_cohort_is_made_of_columns_looked_at_and_removed(home: Path) -> None:
    at = opened(audit="")
    at.button_group(key="cohort-way").set_value("columns").run()
    at.multiselect(key="cohort-columns").set_value(["age", COLUMN]).run()
    assert at.button(key="cohort-save").disabled, "nothing chosen, no name"
    at.select_slider(key="cohort-of-age").set_range(7, 10).run()
    at.multiselect(key=f"cohort-of-{COLUMN}").set_value([VALUE]).run()
    at.text_input(key="cohort-new").set_value("older <b>x</b>").run()
    at.button(key="cohort-save").click().run()
    assert not at.exception
    (cohort,) = Shelf(home).cohorts()
    assert [c.column for c in cohort.conditions] == ["age", COLUMN]
    assert cohort.conditions[0].high is None
    assert at.query_params["cohort"] == "older <b>x</b>"
    assert "of 1,200 rows." in read(at)
    assert "chosen after looking" in read(at)
    assert not [m.value for m in at.markdown if m.allow_html]
    at.button(key="cohort-remove").click().run()
    assert not at.exception
    assert Shelf(home).cohorts() == []


def test_a_cohort_is_made_of_a_slice_where_the_rows_are_gone(home: Path) -> None:
    shutil.rmtree(home / "state" / "witnessmark" / "scored")
    at = opened()
    assert "The scored rows of this audit are not on this machine" in read(at)
    assert not [e for e in at.button_group if e.key == "cohort-way" and len(e.options) > 1]
    at.text_input(key="cohort-new").set_value("worst").run()
    at.button(key="cohort-save").click().run()
    assert not at.exception
    assert Shelf(home).cohorts()[0].conditions
    assert "nothing can be counted" in read(at)
    filtered = opened("views/audit_page.py", **{"for": "cohort worst", "check": "performance.overall"})
    assert "This check says nothing of these rows by themselves." in read(filtered)


@pytest.mark.parametrize(("town", "words"), [("hamlet", "Withheld: fewer than 10 rows"), ("nowhere", "No row of this audit")])
def test_a_small_cohort_is_withheld(home: Path, town: str, words: str) -> None:
    Shelf(home).save(Cohort(name="few", conditions=[Condition(column="town", values=[town])]))
    at = opened(cohort="few")
    assert words in read(at)
    assert "chosen after looking" not in read(at), "no figures"
    assert not [row for f in at.dataframe for row in f.value.to_numpy().tolist() if "(zero-one loss)" in str(row[0])]


def test_a_cohort_of_another_audit_and_a_damaged_file_are_said(home: Path) -> None:
    Shelf(home).save(Cohort(name="shoes", conditions=[Condition(column="shoe", values=["44"])]))
    assert "no column shoe" in read(opened(cohort="shoes"))
    Shelf(home).file.write_text("{")
    assert "could not be read" in read(opened())


def test_the_choice_follows_to_other_pages(home: Path) -> None:
    Shelf(home).save(of_slice("group b", {COLUMN: VALUE}))
    at = opened(cohort="group b")
    assert at.selectbox(key="address-cohort").value == "group b"
    at.switch_page("views/fairness_page.py").run()
    assert not at.exception
    assert at.selectbox(key="address-cohort").value == "group b"


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", ("On the frontier: ", "made to differ less between groups", "version two")), ("zh", ("位于前沿：", "版本\u2009two"))],
)
def test_versions_stand_beside_each_other_and_link_to_their_audits(home: Path, lang: str, words: tuple[str, ...]) -> None:
    path = home / "audits" / "two" / "audit.json"
    record = json.loads(path.read_bytes())
    record["context"]["known_limits"] = ["Mitigated version of models:/scene/one: correlation_remover (fairlearn)"]
    path.write_text(json.dumps(record))
    at = opened("views/fairness_page.py", lang, part="versions")
    shown = read(at) + str([f.value.to_numpy().tolist() for f in at.dataframe])
    for word in words:
        assert word in shown
    assert len(at.get("page_link")) == 2


def test_one_version_alone_says_how_to_make_another(home: Path) -> None:
    shutil.rmtree(home / "audits" / "two")
    assert "python -m models.mitigate" in read(opened("views/fairness_page.py", part="versions"))


def test_versions_are_compared_with_one_another_on_a_cohort_and_by_plan(home: Path) -> None:
    Shelf(home).save(Cohort(name="30 and more", conditions=[Condition(column="age", low=30)]))
    third = home / "audits" / "three"
    shutil.copytree(home / "audits" / "one", third)
    record = json.loads((third / "audit.json").read_bytes())
    record |= {"id": "three", "seed": 77, "model": record["model"] | {"version": "three"}}
    (third / "audit.json").write_text(json.dumps(record | {"digest": document_digest(record)}))
    keys = {e.head.id: e.key for e in Index(home, "sqlite:////nowhere/m.db").look(60).entries}
    at = opened("views/compare_page.py", old=keys["one"], new=keys["two"], more=keys["three"], cohort="30 and more")
    text = read(at)
    for word in (
        "All versions against the old one",
        "rows of the cohort under both models, paired",
        "What is not the same in the two audits",
        "Better: ",
    ):
        assert word in text
    rows = [row for f in at.dataframe for row in f.value.to_numpy().tolist()]
    assert [row[3:] for row in rows if "the same rows, paired" in row] == [[ANY] * 4] * 2, "the gate of two versions"
    assert ["model", "version", "one", "two"] in rows
    (moved,) = [row for row in rows if len(row) == 5 and row[0].startswith("How often the model is wrong")]
    assert moved[3].startswith("−"), "fewer errors"


def test_an_audit_without_these_checks_says_what_to_do(home: Path) -> None:
    for path in (home / "audits").glob("*/audit.json"):
        record = json.loads(path.read_bytes())
        record["checks"] = [c for c in record["checks"] if c["info"]["id"].startswith("fairness")]
        path.write_text(json.dumps(record))
    assert "python -m audit.run MODEL_URI --checks performance" in read(opened())


def test_a_cohort_names_rows_to_explain_only_where_the_plan_shows_rows(home: Path) -> None:
    Shelf(home).save(Cohort(name="hamlet", conditions=[Condition(column="town", values=["hamlet"])]))
    address = {"check": "what-if", "cohort": "hamlet"}
    assert "Sampled rows of this cohort" not in read(opened("views/explanations_page.py", **address))
    for path in (home / "audits").glob("*/audit.json"):
        record = json.loads(path.read_bytes())
        record["plan"]["audit"]["rows"] = True
        path.write_text(json.dumps(record))
    st.cache_resource.clear()
    assert "Sampled rows of this cohort: 5. Their numbers, the first 40 at most: 0, 1, 2, 3, 4" in read(
        opened("views/explanations_page.py", **address)
    )
