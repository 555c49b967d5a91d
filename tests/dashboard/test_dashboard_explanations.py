"""The page of explanations: what an audit stored of tables, pictures, texts and sequences with the tests of it, and one row of one's own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from pieces import IMG, check, finding
from sample import sample
from streamlit.testing.v1 import AppTest

from audit.measurement import Attribution, Column, Estimate, Evidence, Heatmap, Table
from audit.result import AuditResult, Criterion, Feature
from dashboard import conversation as talks
from dashboard.conversation import Conversation
from dashboard.index import Index

APP = str(Path(__file__).parent.parent.parent / "dashboard" / "app.py")
TALKING = str(Path(__file__).parent / "talking.py")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
Opened = Callable[..., AppTest]


@pytest.fixture
def page(home: Path) -> Iterator[Opened]:
    """Opens the page on a document, with what its address asks for."""

    def opened(document: AuditResult | None = None, lang: str = "en", **address: str) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        if document is not None:
            (home / "audits" / "one" / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
        at = AppTest.from_file(APP, default_timeout=60).run().switch_page("views/explanations_page.py")
        entries = Index(home, "sqlite:////nowhere/m.db").look(60).entries
        at.query_params["audit"] = next(e.key for e in entries if e.where.endswith("one"))
        at.session_state["lang"] = lang
        for name, value in address.items():
            at.query_params[name] = value
        at.run()
        assert not at.exception
        return at

    yield opened
    talks.end_all()


def read(at: AppTest) -> str:
    kinds = ("text", "markdown", "header", "subheader")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(at, kind))


def with_checks(*checks: Any, kind: str = "number") -> AuditResult:
    """The sample with these checks as its explanations."""
    base = sample()
    kept = [c for c in base.checks if not c.info.id.startswith("explanation.")]
    model = base.model.model_copy(update={"features": [Feature(name="x", kind=kind)]})
    return sample(checks=[*kept, *checks], model=model, questions=[])


def shown(evidence: list[Evidence], slice_: dict[str, str], id_: str = "explanation.global") -> Any:
    """An explanation with its evidence and a test of its own."""
    size = Estimate(value=0.2, low=0.1, high=0.3, level=0.95, method="normal", n=80)
    gap = Estimate(value=0.02, low=0.01, high=0.09, level=0.9, method="normal", n=80)
    limit = Criterion(max=0.05, rule="margin", role="warns", severity="major", source="ours")
    return check(
        id_, "What moves the answers", "Something moves them.",
        [finding(id_, "mean_abs_attribution", size, slice_=slice_, evidence=evidence), finding(id_, "completeness_gap", gap, criterion=limit, verdict="inconclusive")],
        about="evidence",
    )  # fmt: skip


def test_a_table_stands_beside_the_tests_of_its_explanation(page: Opened) -> None:
    at = page()
    text = read(at)
    assert "⊘ Evidence rejected" in text, "what fails its tests is crossed out"
    assert "~~" in text
    assert "Do they stay the same when asked again" in text.replace("\\", "")
    assert "Explained again, a row has other reasons." in text
    assert not [m.value for m in at.markdown if "<img" in m.value or m.allow_html], "names are never markup"


def test_pictures_texts_and_sequences_are_drawn_as_in_the_report(page: Opened) -> None:
    def cells(caption: str) -> Heatmap:
        return Heatmap(
            caption=caption,
            row_label="",
            column_label="",
            rows=["1", "2"],
            columns=["1", "2"],
            unit="logit",
            values=[[0.0, 0.1], [0.7, 0.2]],
        )

    picture = [cells("Mean size of attributions by region of the picture"), cells("The mean background picture, by region")]
    at = page(with_checks(shown(picture, {"(region)": "(2, 1)"}), kind="image"))
    text = read(at)
    assert "Mean size of attributions by region of the picture" in text
    assert "The mean background picture" in text
    assert "? Cannot tell yet" in text, "a test of its own stands beside it, in words"
    words = Attribution(caption="Mean attribution of words, where they occur", unit="logit", features=[IMG, "dull"], values=[0.4, -0.3], low=[0.3, -0.4], high=[0.5, -0.2])  # fmt: skip
    table = Table(caption="Words that texts share, and what they move", columns=[Column(name="word", label="word"), Column(name="mean", label="mean attribution", kind="number")], rows=[[IMG, 0.4], ["dull", -0.3]])  # fmt: skip
    at = page(with_checks(shown([words, table], {"(word)": IMG}), kind="text"))
    assert "Of the words" in read(at)
    tables = [list(frame.value.iloc[:, 1]) for frame in at.dataframe if list(frame.value.iloc[:, 0]) == [IMG, "dull"]]
    assert tables[0] == ["0.400", "−0.300"], "each word with its number, not by colour alone"
    events = words.model_copy(
        update={"caption": "Mean size of attributions by event", "features": ["t", "t − 1"], "values": [1.3, 0.7], "low": [], "high": []}
    )
    at = page(with_checks(shown([events], {"(event)": "t"}), kind="sequence"))
    assert "Of the events, t moves the output most" in read(at).replace("\\", "")
    once = [finding("explanation.local", "top_reason_share", Estimate(value=v, low=v, high=v, level=0.95, method="wilson", n=80), slice_={"(event)": t}) for t, v in (("t", 0.8), ("t − 1", 0.1))]  # fmt: skip
    at = page(with_checks(check("explanation.local", "Row by row", "It is the last.", once, about="evidence"), kind="sequence"))
    assert "**Rows for which an input is the main reason" in read(at).split("**What it measures**")[0], (
        "how often each is the reason is drawn"
    )
    at.segmented_control[0].set_value("what-if").run()
    assert [b.label for b in at.button] == ["Load the model"], "events can be given"
    at = page(
        with_checks(check("explanation.local", "Row by row", "It is the last.", once, about="evidence"), kind="audio"), check="what-if"
    )
    assert "is a recording (x)" in read(at)
    assert not at.button


def test_an_address_opens_a_check_and_a_language_keeps_the_place(page: Opened) -> None:
    at = page(check="explanation.stability")
    assert at.query_params["check"] == "tests"
    assert "Explained again, a row has other reasons." in read(at)
    at.segmented_control[0].set_value("explanation.local").run()
    assert at.query_params["check"] == "explanation.local"
    assert "the worker ran out of memory" in read(at)
    at.radio(key="lang").set_value("zh").run()
    assert at.segmented_control[0].value == "explanation.local"
    assert "执行出错" in read(at)
    assert page(check="../../etc").segmented_control[0].value == "explanation.global"


def test_an_audit_without_explanations_says_how_to_get_them(page: Opened) -> None:
    at = page(with_checks())
    assert "python -m audit.run models:/credit/3 --checks explanation" in read(at)
    skipped = check("explanation.global", "What moves", "Not run.", [], status="skipped", reason="No model was asked.")
    at = page(with_checks(skipped), "zh")
    assert "本次审计没有给出任何解释" in read(at)


# --- one row ------------------------------------------------------------------------------------------------------------------------------


def talk(how: str, **limits: float) -> Conversation:
    return talks.kept(Conversation([sys.executable, TALKING, how], **limits))


def loaded(at: AppTest, monkeypatch: pytest.MonkeyPatch, how: str, **limits: float) -> Conversation:
    """Press the button, with a command that needs no model in the place of the real one."""
    begun: list[Conversation] = []
    monkeypatch.setattr(talks, "begin", lambda entry, document: begun.append(talk(how, **limits)) or begun[0])
    at.button[0].click().run()
    begun[0].wait(20)
    at.run()
    return begun[0]


def settled(at: AppTest, conversation: Conversation, values: dict[str, Any]) -> None:
    """Run the page until every part of the answer to these values is there, as the page does by itself in a browser."""
    for _ in range(40):
        at.run()
        assert not at.exception
        if all(conversation.known(op, values) for op in ("predict", "explain", "recourse", "reasons")):
            at.run()
            return
        time.sleep(0.05)
    pytest.fail("not every part came")


def test_a_changed_value_changes_decision_parts_and_ways(page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(check="what-if")
    conversation = loaded(at, monkeypatch, "answers")
    settled(at, conversation, {"income": 4, IMG: "**a**"})
    text = read(at)
    assert "shows no single rows" in text, "the plan allows none"
    assert not [n for n in at.number_input if n.key and n.key.endswith("-row")]
    assert "The decision\\: no" in text.replace("\u2060", "")
    assert "40.00\xa0%; 50.00\xa0% is needed" in text
    assert "⊘ Evidence rejected" in text
    assert "This explanation failed a test and must not be used" in text
    assert "is not the one that was audited" in text, "the digest is another"
    assert [list(f.value.iloc[0]) for f in at.dataframe] == [["income", "4", "5"]], "the nearest way"
    at.number_input[0].set_value(6).run()
    settled(at, conversation, {"income": 6, IMG: "**a**"})
    text = read(at)
    assert "60.00\xa0%; 50.00\xa0% is needed" in text
    assert "Before your changes: no · 40.00\xa0%" in text
    assert "Changed: income" in text
    assert not [m.value for m in at.markdown if "<img" in m.value or "**a**" in m.value or m.allow_html]
    at.radio(key="lang").set_value("zh").run()
    assert at.number_input[0].value == 6, "typed values outlive a change of language"
    assert "改动之前" in read(at)
    at.segmented_control[0].set_value("explanation.local").run()
    at.segmented_control[0].set_value("what-if").run()
    assert at.number_input[0].value == 6, "and a look at another page"
    next(b for b in at.button if b.label == "恢复起始值").click().run()
    assert at.number_input[0].value == 4


def test_a_row_is_picked_only_where_the_plan_shows_rows(page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    base = sample()
    document = base.model_copy(update={"plan": base.plan | {"audit": base.plan.get("audit", {}) | {"rows": True}}})
    at = page(document, check="what-if")
    loaded(at, monkeypatch, "answers")
    next(n for n in at.number_input if n.key and n.key.endswith("-row")).set_value(2).run()
    next(b for b in at.button if b.label == "Take this row").click().run()
    assert not at.exception
    assert [n.value for n in at.number_input if n.label == "income"] == [7]
    assert "70.00\xa0%" in read(at)
    assert "Before your changes" not in read(at), "changes are counted from the picked row"


def test_a_picked_row_is_asked_about_as_it_is_and_then_with_what_is_changed(page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    base = sample()
    document = base.model_copy(update={"plan": base.plan | {"audit": base.plan.get("audit", {}) | {"rows": True}}})
    at = page(document, check="what-if")
    conversation = loaded(at, monkeypatch, "answers")
    next(n for n in at.number_input if n.key and n.key.endswith("-row")).set_value(2).run()
    next(b for b in at.button if b.label == "Take this row").click().run()
    assert conversation.known("predict", {}, 2) is not None, "the row itself, not a copy of its values"
    at.number_input(key=next(n.key for n in at.number_input if n.label == "income")).set_value(3).run()
    asked = conversation.ask("predict", {"income": 3}, 2, wait=10)
    assert asked is not None
    assert "30.00\xa0%" in read(at.run())
    assert "Before your changes: yes · 70.00\xa0%" in read(at)


def test_a_text_is_written_and_its_words_are_marked(page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    at = page(check="what-if")
    conversation = loaded(at, monkeypatch, "reads")
    text = read(at)
    assert "Write a text to see what the model answers: review" in text, "nothing is asked about an empty text"
    assert "is nobody's" in text, "the picture to begin with is explained"
    assert not conversation.took
    written = f"a good {IMG} film"
    values = {"review": written, "photo": PNG, "visits": [{"days": 2.0, "ward": "a"}]}
    at.text_area[0].set_value(written).run()
    settled(at, conversation, values)
    text = read(at)
    assert "The model's score for yes is 70.00\xa0%." in text
    assert "~~What each word added to the answer~~" in text.replace("\\", ""), "it failed a test, and is crossed out"
    assert "Missed of what taking parts away does\\: 70\xa0\\% \\(at most 60" in text.replace("\u2060", "")
    assert "Taken away: the words “good”." in text
    assert "The decision would then be: no." in text
    assert f"a {IMG} film" in text
    assert not [m.value for m in at.markdown if "<img" in m.value or m.allow_html]
    at.text_area[0].set_value("  ").run()
    assert "Write a text to see" in read(at)
    at.text_area[0].set_value(written).run()
    at.radio(key="lang").set_value("zh").run()
    assert at.text_area[0].value == written, "what was written outlives a change of language"
    settled(at, conversation, values)
    assert "去掉：词语“good”。" in read(at)


def test_many_long_questions_and_answers_are_kept_within_bounds_and_do_not_stand_in_each_others_way() -> None:
    """Texts longer than a pipe: they are written while answers are read, their digests name them, and old answers go."""
    conversation = talk("reads")
    conversation.wait(20)
    for k in range(24):
        long = f"{k} " + "good " * 400_000
        assert conversation.ask("predict", {"review": long}, wait=0) is None
        assert conversation.ask("predict", {"review": long}, wait=30) is not None
    assert all(len(key) < 100 for key in conversation._answers)
    assert sum(conversation._sizes.values()) <= talks.KEPT_BYTES
    assert conversation.known("predict", {"review": "0 " + "good " * 400_000}) is None, "the oldest is gone"
    conversation.end()


@pytest.mark.parametrize(
    ("how", "limits", "said"),
    [
        ("refuses", {}, "This page never loads a model that runs code"),
        ("late", {"start_limit": 0.1}, "was not ready after 0 seconds"),
        ("silent", {"answer_limit": 0.1}, "gave no answer within 0 seconds"),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_and_can_be_loaded_again(
    page: Opened, monkeypatch: pytest.MonkeyPatch, how: str, limits: dict[str, float], said: str
) -> None:
    at = page(check="what-if")
    conversation = loaded(at, monkeypatch, how, **limits) if how != "late" else None
    if conversation is None:
        begun = talk(how, **limits)
        monkeypatch.setattr(talks, "begin", lambda entry, document: begun)
        at.button[0].click().run()
        conversation = begun
    for _ in range(30):
        if conversation.look() == "ended":
            break
        time.sleep(0.05)
        at.run()
    at.run()
    assert said in read(at)
    assert [b.label for b in at.button] == ["Load the model again"]


def test_a_model_that_is_gone_is_told_in_the_words_of_the_command(page: Opened) -> None:
    at = page(check="what-if")
    at.button[0].click().run()
    conversation = at.session_state[f"talk-{at.query_params['audit']}"]
    conversation.wait(60)
    at.run()
    assert "The model cannot be asked:" in read(at)
    assert not at.exception


def test_who_only_looks_starts_no_model(page: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard import access

    monkeypatch.setattr(access, "who", lambda: access.Person("v@x.org", "V", "viewer", True))
    at = page(check="what-if")
    assert not at.button
    assert "Your role does not start models" in read(at)


def test_only_so_many_models_stay_loaded(page: Opened) -> None:
    every = [talk("answers") for _ in range(talks.MOST + 1)]
    assert every[0].look() == "ended"
    assert every[0].why[0] == "room"
    assert all(c.look() != "ended" for c in every[1:])


# --- the command itself -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def granting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AuditResult]:
    """Trees that grant for income, as text beside an MLmodel, and the document of an audit of them."""
    import lightgbm
    import numpy as np

    from audit import plan as plans
    from audit.registry import checks

    folder = tmp_path_factory.mktemp("granting")
    rng = np.random.default_rng(0)
    income, age = rng.integers(1, 10, 400), rng.integers(18, 80, 400)
    y = (income + rng.normal(0, 1, 400) > 5).astype(int)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0}, lightgbm.Dataset(np.column_stack([income, age]), y), 10
    )
    (folder / "model").mkdir()
    booster.save_model(str(folder / "model" / "model.lgb"))
    signature = json.dumps([{"type": "double", "name": n, "required": True} for n in ("income", "age")])
    record = {
        "flavors": {"lightgbm": {"data": "model.lgb", "lgb_version": lightgbm.__version__, "model_class": "lightgbm.basic.Booster"}},
        "signature": {"inputs": signature},
    }
    (folder / "model" / "MLmodel").write_text(json.dumps(record))
    (folder / "people.csv").write_text("income,age,granted\n" + "".join(f"{i},{a},{g}\n" for i, a, g in zip(income, age, y, strict=True)))
    written = plans.fixed(plans.load(None), dict.fromkeys(checks(), False), sample=300, seed=0)
    roles = {"target": "granted", "positive": "1", "favourable": ["1"], "decision": "score>=0.5"}
    base = sample()
    document = base.model_copy(
        update={
            "plan": written | {"roles": roles, "columns": {"age": {"immutable": True}}, "reference": {}}, "context": {},
            "model": base.model.model_copy(update={"uri": str(folder / "model"), "features": [Feature(name=n, kind="number") for n in ("income", "age")]}),
            "data": base.data.model_copy(update={"source": str(folder / "people.csv"), "training": None}),
        }
    )  # fmt: skip
    return folder, document


def test_the_real_command_answers_as_the_audit_asked(page: Opened, granting: tuple[Path, AuditResult]) -> None:
    at = page(granting[1], check="what-if")
    at.button[0].click().run()
    conversation = at.session_state[f"talk-{at.query_params['audit']}"]
    conversation.wait(100)
    assert conversation.state == "ready", conversation.why
    first = conversation.ready["inputs"][0]
    assert (first["name"], first["whole"], first["levels"]) == ("income", True, [float(i) for i in range(1, 10)])
    low = conversation.ask("recourse", {"income": 2, "age": 40}, wait=60)
    assert low is not None
    assert low.result is not None, low.error
    assert low.result["decision"]["favourable"] is False
    (change,) = low.result["recourse"]["ways"][0]["changes"]
    assert change["column"] == "income", "age is declared to be fixed"
    high = conversation.ask("predict", {"income": change["after"], "age": 40}, wait=60)
    assert high is not None
    assert high.result is not None
    assert high.result["decision"]["favourable"] is True
    wrong = conversation.ask("predict", {"income": "much", "age": 40}, wait=60)
    assert wrong is not None
    assert wrong.result is None
    assert "is no value for the input 'income'" in wrong.error
    at.run()
    assert not at.exception
    assert at.selectbox(key=next(s.key for s in at.selectbox if s.label == "income")).value is not None


def test_a_row_of_the_data_is_taken_by_its_number_where_the_plan_shows_rows(page: Opened, granting: tuple[Path, AuditResult]) -> None:
    """With the real command: the fields hold what stands in the file, and who took which row is recorded."""
    folder, document = granting
    plan = document.plan | {"audit": document.plan["audit"] | {"rows": True}}
    at = page(document.model_copy(update={"plan": plan}), check="what-if")
    at.button[0].click().run()
    conversation = at.session_state[f"talk-{at.query_params['audit']}"]
    conversation.wait(100)
    assert conversation.state == "ready", conversation.why
    at.run()
    assert conversation.ask("predict", {}, 7, wait=100) is not None  # a busy machine needs longer than a page waits
    next(n for n in at.number_input if n.key and n.key.endswith("-row")).set_value(7).run()
    next(b for b in at.button if b.label == "Take this row").click().run()
    assert not at.exception
    income, age, _ = (folder / "people.csv").read_text().splitlines()[1 + 7].split(",")
    fields = {w.label: w.value for kind in ("selectbox", "number_input") for w in getattr(at, kind)}
    assert (float(fields["income"]), float(fields["age"])) == (float(income), float(age))
    lines = (Path.cwd() / "state" / "witnessmark" / "access.jsonl").read_text().splitlines()
    assert [(e["row"], e["audit"]) for e in map(json.loads, lines) if e["did"] == "row"] == [(7, at.query_params["audit"])]
