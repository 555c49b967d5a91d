"""Single rows on the page of explanations: shown where the plan allowed them, to who may see them, and only as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from pieces import IMG
from sample import sample
from streamlit.testing.v1 import AppTest

from audit import manifest
from audit.explain.rows_file import NAME, Account, Gate, Part, Picture, Row, Rows, Value
from audit.result import AuditResult, Feature
from dashboard import access, show
from dashboard.access import Person
from dashboard.index import Index
from reports.charts import Chart

APP = str(Path(__file__).parent.parent.parent / "dashboard" / "app.py")
Opened = Callable[..., AppTest]


def account(*parts: Part, **given: Any) -> Account:
    made = {
        "method": "leverage_shap",
        "unit": "probability",
        "output": "yes",
        "base": 0.5,
        "answer": 0.7,
        "gap": 0.0,
        "tied": False,
    } | given
    return Account(**made, parts=list(parts))


def row(number: int, answer: str, outcome: str | None, *accounts: Account, pictures: tuple[Picture, ...] = (), **inputs: str | None) -> Row:
    return Row(
        row=number, answer=answer, score=0.7, outcome=outcome, agrees=None if outcome is None else outcome == answer,
        inputs=[Value(column=name, value=value) for name, value in inputs.items()], pictures=list(pictures), accounts=list(accounts),
    )  # fmt: skip


def table() -> list[Row]:
    def parts(income: float) -> Account:
        return account(
            Part(column="income", place="income", holds="7", value=income, error=0.01),
            Part(column=IMG, place=IMG, holds=None, value=-0.1, error=0.02),
        )

    return [
        row(3, "yes", "yes", parts(0.3), income="7", town="**bold** <b>x</b>"), row(11, "yes", "no", parts(0.2), income="7", town=None),
        row(40, "no", None, parts(-0.4), income="1", town="hill"),
    ]  # fmt: skip


def written(folder: Path, rows: list[Row], *, allowed: bool = True, kinds: dict[str, str] | None = None, **given: Any) -> AuditResult:
    """An audit with single rows beside it, and the manifest of both."""
    base = sample()
    model = base.model.model_copy(update={"features": [Feature(name=n, kind=k) for n, k in (kinds or {"income": "number"}).items()]})
    document = base.model_copy(update={"plan": base.plan | {"audit": base.plan.get("audit", {}) | {"rows": allowed}}, "model": model})
    made = {
        "explained": 80, "score_of": "yes", "audit": document.id, "document_digest": document.digest, "model_sha256": None, "data_sha256": "0" * 64, "target": "granted",
        "gates": [Gate(check="explanation.completeness", verdict="pass"), Gate(check="explanation.stability", verdict="fail")], "rejected": None, "rejected_msg": None,
    } | given  # fmt: skip
    (folder / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
    (folder / NAME).write_text(Rows(rows=rows, **made).model_dump_json(), "utf-8")
    plain = json.loads((folder / "audit.json").read_bytes())
    (folder / manifest.NAME).write_text(json.dumps(manifest.make(folder, plain, ["audit.json", NAME])), "utf-8")
    return document


@pytest.fixture
def page(home: Path) -> Opened:
    """Opens the page of the audit in the folder `one`, with what its address asks for."""

    def opened(lang: str = "en", **address: str) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        at = AppTest.from_file(APP, default_timeout=60).run().switch_page("views/explanations_page.py")
        entries = Index(home, "sqlite:////nowhere/m.db").look(60).entries
        at.query_params["audit"] = next(e.key for e in entries if e.where.endswith("one"))
        at.session_state["lang"] = lang
        for name, value in ({"check": "rows"} | address).items():
            at.query_params[name] = value
        at.run()
        assert not at.exception
        return at

    return opened


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Chart]:
    """The charts of the page, as they come."""
    found: list[Chart] = []
    draw = show.chart
    monkeypatch.setattr(show, "chart", lambda chart, key, **how: (found.append(chart), draw(chart, key, **how)))
    return found


def read(at: AppTest) -> str:
    kinds = ("text", "markdown", "header", "subheader")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(at, kind)).replace("\\", "").replace("\u2060", "")


def views(at: AppTest) -> list[str]:
    return list(at.segmented_control[0].options)


def box(at: AppTest, label: str) -> Any:
    return next(s for s in at.selectbox if s.label.startswith(label))


def lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "state" / "witnessmark" / "access.jsonl").read_text().splitlines()]


def test_a_row_stands_with_its_values_answer_outcome_and_what_moved_it(home: Path, page: Opened) -> None:
    written(home / "audits" / "one", table())
    at = page()
    text = read(at)
    assert "3 of the 80 rows that were explained" in text
    assert "### Row 3" in text
    assert "Answer: yes; score of yes: 70 %" in text.replace("\u00a0", " ")
    assert "Outcome: yes; the same as the answer" in text
    assert "income = 7 moves the output most (+0.300)" in text
    assert "whiskers: intervals" in text
    assert "✓ Passes" in text
    assert "✕ Fails" in text, "each test by sign and word"
    assert list(at.dataframe[0].value.iloc[:, 1]) == ["7", "**bold** <b>x</b>"], "values are text"
    assert not [m.value for m in at.markdown if "<img" in m.value or "<b>" in m.value or m.allow_html]
    at = page("zh", row="11")
    assert "第\u200911\u2009行" in read(at)
    assert "与回答不同" in read(at)
    assert "未知" in list(at.dataframe[0].value.iloc[:, 1])


def test_rows_are_picked_by_number_answer_and_outcome_and_each_that_is_opened_is_recorded(home: Path, page: Opened) -> None:
    written(home / "audits" / "one", table())
    at = page()
    assert box(at, "Row of the data").options == ["3", "11", "40"]
    box(at, "Outcome").set_value("other").run()
    assert box(at, "Row of the data").options == ["11"]
    assert "not the same as the answer" in read(at)
    box(at, "Outcome").set_value("").run()
    box(at, "Answer").set_value("no").run()
    assert "### Row 40" in read(at)
    assert "Outcome: not known" in read(at)
    box(at, "Outcome").set_value("same").run()
    assert "No row is like this." in read(at)
    box(at, "Outcome").set_value("").run()
    box(at, "Answer").set_value("").run()
    assert at.query_params["row"] == "40" == box(at, "Row of the data").value
    opened = [line for line in lines(home) if line["did"] == "row"]
    assert [(line["row"], line["audit"]) for line in opened] == [(n, at.query_params["audit"]) for n in (3, 11, 40)], "once a visit"


def test_nobody_sees_rows_that_the_plan_did_not_allow_or_that_do_not_lie_here(home: Path, page: Opened) -> None:
    folder = home / "audits" / "one"
    written(folder, table(), allowed=False)
    at = page()
    assert "Single rows" not in views(at)
    assert "Row 3" not in read(at)
    written(folder, table())
    assert "Single rows" in views(page())
    (folder / NAME).unlink()
    assert "Single rows" not in views(page())


def test_who_only_looks_sees_no_rows(home: Path, page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / "audits" / "one", table())
    monkeypatch.setattr(access, "who", lambda: Person("v@x.org", "V", "viewer", True))
    at = page()
    assert "Single rows" not in views(at)
    assert at.query_params["check"] != "rows"
    assert "Row 3" not in read(at)
    assert not [line for line in lines(home) if line["did"] == "row"]
    monkeypatch.setattr(access, "who", lambda: Person("a@x.org", "A", "auditor", True))
    assert "### Row 3" in read(page())


@pytest.mark.parametrize("fault", ["byte", "other", "unlisted", "form"])
def test_a_file_that_is_not_as_it_was_written_is_not_shown(home: Path, page: Opened, fault: str) -> None:
    folder = home / "audits" / "one"
    written(folder, table(), **({"document_digest": "1" * 64} if fault == "other" else {}))
    content = (folder / NAME).read_text("utf-8")
    if fault == "byte":
        (folder / NAME).write_text(content.replace('"holds":"7"', '"holds":"8"', 1), "utf-8")
    if fault == "unlisted":
        (folder / manifest.NAME).write_text('{"files": {}}')
    if fault == "form":
        (folder / NAME).write_text(content.replace('"explained":80', '"explained":-1'), "utf-8")
        sealed = json.loads((folder / manifest.NAME).read_bytes())
        sealed["files"][NAME] = manifest.measured(folder / NAME)
        (folder / manifest.NAME).write_text(json.dumps(sealed))
    text = read(page())
    assert "rows.json is not as it was written, so none of it is shown" in text
    assert "Row 3" not in text


def test_words_stand_in_their_order_each_with_what_it_added(home: Path, page: Opened, drawn: list[Chart]) -> None:
    words = (("good ", 0.4), ("film, ", 0.001), ("<b>bad</b> ", -0.2), (":material/home: ", 0.3))
    parts = [Part(column="review", place=str(i + 1), holds=word, value=value) for i, (word, value) in enumerate(words)]
    written(
        home / "audits" / "one",
        [row(0, "yes", "yes", account(*parts), review="good film, <b>bad</b> :material/home:")],
        kinds={"review": "text"},
    )
    at = page()
    tiles = drawn[0].spec["data"]["values"]
    assert [(t["word"], t["said"]) for t in tiles] == [
        ("good", "+0.400"),
        ("film,", "+0.00100"),
        ("<b>bad</b>", "−0.200"),
        (":material/home:", "+0.300"),
    ]
    assert "good +0.400" in drawn[0].alt
    assert "“good” moves the output most (+0.400)" in read(at)
    assert not [m for m in at.markdown if m.allow_html or "<b>" in m.value]


def test_a_picture_stands_beside_what_speaks_for_and_against_the_answer(home: Path, page: Opened, drawn: list[Chart]) -> None:
    shown = Picture(column="image", down=2, across=2, cells=[[0.0, 1.0], [0.5, 0.2]])
    places = {"(1, 1)": 0.3, "(1, 2)": -0.2, "(2, 1)": 0.0, "(2, 2)": 0.1}
    parts = [Part(column="image", place=place, value=value) for place, value in places.items()]
    written(
        home / "audits" / "one",
        [row(5, "cat", "cat", account(*parts, output="cat"), pictures=(shown,))],
        kinds={"image": "image"},
        rejected="It failed.",
    )
    at = page()
    text = read(at)
    for title in ("The picture in cells", "What each region of the picture added to the answer"):
        assert title in text
    assert "⊘ Evidence rejected" in text
    assert "It failed." in text
    (cells,) = [[cell["text"] for cell in chart.spec["data"]["values"]] for chart in drawn[1:]]
    assert cells == ["+0.30", "−0.20", "0.00", "+0.10"], "signs, and no bars beside the map"


def test_steps_stand_in_their_order_by_event_and_by_field(home: Path, page: Opened) -> None:
    events = [Part(column="visits", place=p, holds=f"drug = {d}", value=v) for p, d, v in (("t − 1", "a", 0.1), ("t", IMG, 0.5))]
    fields = [Part(column="visits", place="drug", value=0.6)]
    two = (account(*events), account(*fields, by_field=True))
    written(home / "audits" / "one", [row(1, "yes", None, *two)], kinds={"visits": "sequence"})
    at = page()
    assert "t moves the output most (0.500)" in read(at)
    assert read(at).index(f"drug = {IMG}") < read(at).index("drug = a"), "what happened, the last first"
    assert "drug moves the output most (0.600)" in read(at)
    at.session_state["row-0-parts"] = True
    at.run()
    cells = [list(f.value.iloc[:, 0]) + list(f.value.iloc[:, 1]) for f in at.dataframe]
    assert ["visits: t − 1", "visits: t", "drug = a", f"drug = {IMG}"] in cells
