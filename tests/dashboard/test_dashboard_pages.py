"""The pages, run without a browser."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.index import Index

APP = str(Path(__file__).parent.parent.parent / "dashboard" / "app.py")


@pytest.fixture
def app(home: Path) -> AppTest:
    st.cache_data.clear()
    st.cache_resource.clear()
    return AppTest.from_file(APP, default_timeout=60)


def read(at: AppTest) -> str:
    kinds = ("text", "markdown", "header", "subheader")
    return "\n".join(str(e.value) for kind in kinds for e in getattr(at, kind))


def test_the_list_names_every_audit_with_its_verdict(app: AppTest) -> None:
    at = app.run()
    assert not at.exception
    frame = at.dataframe[0].value
    assert list(frame["verdict"]) == ["✕ Fails", "✓ Passes"]
    assert list(frame["answered"]) == ["3 of 5 deciding questions answered"] * 2
    assert list(frame["signed"]) == ["unsigned", "signed, not checked here"]
    assert "There is no MLflow store at" in read(at)


def test_a_folder_without_audits_says_how_to_make_one(app: AppTest, home: Path) -> None:
    shutil.rmtree(home / "audits")
    at = app.run()
    for page in (
        "models",
        "audit_page",
        "fairness_page",
        "explanations_page",
        "errors_page",
        "compliance_page",
        "checks_page",
        "compare_page",
    ):
        at = at.switch_page(f"views/{page}.py").run()
        assert not at.exception, page
        assert "python -m audit.run MODEL_URI" in read(at), page


def test_five_hundred_audits_are_listed_and_filtered(app: AppTest, home: Path) -> None:
    from sample import sample

    for n in range(498):
        folder = home / "audits" / f"more-{n}"
        folder.mkdir()
        few = sample(id=f"more-{n}", started=f"2026-09-{1 + n % 28:02d}T00:00:00Z").model_copy(update={"checks": []})
        (folder / "audit.json").write_text(few.model_dump_json(by_alias=True), "utf-8")
    at = app.run()
    assert not at.exception
    deadline = time.monotonic() + 300
    while "500 of 500 audits" not in read(at):
        assert time.monotonic() < deadline, read(at)
        at.run()
    assert len(at.dataframe[0].value) == 500
    at.session_state["verdict"] = ["pass"]
    at.run()
    assert "1 of 500 audits" in read(at)


def test_no_store_is_made(app: AppTest, home: Path) -> None:
    app.run()
    assert sorted(p.name for p in home.iterdir()) == ["audits", "state"], "its own memory apart from what it reads"


def test_one_audit_starts_with_its_first_screen(app: AppTest) -> None:
    at = app.run().switch_page("views/audit_page.py").run()
    assert not at.exception
    text = read(at)
    for words in (
        "✕ Fails",
        "3 of 5 deciding questions answered",
        "refused 3.5 times as often",
        "What this audit does not show",
        "unsigned",
    ):
        assert words in text
    assert "Who gets the favourable decision" in text.replace("\\", "")


def test_the_address_names_the_audit(app: AppTest, home: Path) -> None:
    key = Index(home, "sqlite:////nowhere/m.db").look(60).entries[1].key
    at = app.run().switch_page("views/audit_page.py")
    at.query_params["audit"] = key
    at.run()
    assert "✓ Passes" in at.markdown[0].value
    at.query_params["audit"] = "../../etc"
    assert not at.run().exception
    assert "The audit that this address names is not known here" in read(at)
    assert "✓ Passes" not in read(at), "no other audit in its place"
    at.selectbox[0].select_index(0).run()
    assert "✕ Fails" in read(at)


@pytest.mark.parametrize("family", ["data", "performance", "calibration", "fairness", "explanation", "efficiency"])
def test_every_family_can_be_shown(app: AppTest, family: str) -> None:
    at = app.run().switch_page("views/audit_page.py")
    at.session_state["family"] = family
    at.session_state["lang"] = "zh"
    at.run()
    assert not at.exception
    assert "不通过" in read(at)


def test_names_are_never_markdown(app: AppTest) -> None:
    at = app.run().switch_page("views/audit_page.py")
    at.session_state["family"] = "explanation"
    at.run()
    assert not [m.value for m in at.markdown if "<img" in m.value or m.allow_html]


def test_an_unreadable_audit_is_named_and_the_rest_is_shown(app: AppTest, home: Path) -> None:
    (home / "audits" / "three").mkdir()
    (home / "audits" / "three" / "audit.json").write_text("{", "utf-8")
    at = app.run()
    assert "could not be read as an audit" in read(at)
    assert len(at.dataframe[0].value) == 2


def test_nothing_heavy_is_imported(home: Path) -> None:
    import subprocess
    import sys

    code = "import sys; import dashboard.show, reports.html, reports.figures; "
    code += "print(sorted({'torch', 'shap', 'captum', 'mlflow'} & set(sys.modules)))"
    root = Path(APP).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_escaped_text_is_only_text() -> None:
    from dashboard.show import escaped

    for text in (
        "**b**",
        "[a](http://b)",
        ":red[x]",
        ":smile:",
        ":material/home:",
        "$x$",
        "<b>",
        "![i](http://a/b.png)",
        "www.a.b",
        "# h",
        "a@b.c",
    ):
        shown: Any = escaped(text)
        assert "://" not in shown
        assert not [i for i, c in enumerate(shown) if c in "*[]<>#$!`_(" and shown[i - 1] != "\\"]


def with_scores(home: Path) -> None:
    """The first audit, with scores by outcome beside the selection rate of its reference group."""
    path = home / "audits" / "one" / "audit.json"
    document = json.loads(path.read_text("utf-8"))
    check = next(c for c in document["checks"] if c["info"]["id"] == "fairness.group")
    finding = next(f for f in check["findings"] if f["compare"] == "value" and len(f["slice"]) == 1)
    group = next(iter(finding["slice"].values()))
    for outcome, counts in (("event", [5, 10, 85]), ("no_event", [60, 30, 10])):
        finding["evidence"].append(
            {
                "kind": "histogram",
                "outcome": outcome,
                "caption": "Scores",
                "x_label": "score",
                "edges": [0, 0.4, 0.6, 1],
                "series": {group: counts},
            }
        )
    path.write_text(json.dumps(document), "utf-8")


def test_a_moved_cutoff_changes_every_rate(app: AppTest, home: Path) -> None:
    with_scores(home)
    at = app.run().switch_page("views/fairness_page.py").run()
    assert not at.exception
    (slider,) = at.select_slider
    before = at.dataframe[0].value
    slider.set_value(2).run()
    after = at.dataframe[0].value
    assert after.iloc[0, 3].startswith("85\xa0%"), "of 100 with the event, 85 have scores from 0.6 up"
    assert after.iloc[0, 4].startswith("10\xa0%")
    assert before.iloc[0, 3] != after.iloc[0, 3]


def test_a_column_has_room_for_its_head_and_its_cells() -> None:
    from dashboard.show import WIDEST, across, pixels

    assert across("n", ["1", "12,345"]) == pixels("12,345") > pixels("n")
    assert across("获得有利决定的比例", ["1"]) > 9 * 14, "a Chinese character is as wide as it is high"
    assert across("reason", ["a long reason " * 20]) == WIDEST < pixels("a long reason " * 20), "and is broken into lines"


def test_where_nobody_said_what_is_favourable_the_fairness_page_says_so_and_leads_on(app: AppTest, home: Path) -> None:
    path = home / "audits" / "one" / "audit.json"
    document = json.loads(path.read_text("utf-8"))
    document["data"]["favourable"] = []
    for finding in (f for c in document["checks"] for f in c["findings"]):
        finding["evidence"] = [e for e in finding["evidence"] if e["kind"] != "histogram"]
    path.write_text(json.dumps(document), "utf-8")
    at = app.run().switch_page("views/fairness_page.py").run()
    assert "Audit the model again with --favourable" in read(at)
    others = [c["info"]["id"] for c in document["checks"] if c["info"]["id"].startswith("fairness.") and c["status"] != "skipped"]
    links = [p.proto.query_string for p in at.get("page_link")]
    assert others
    assert sorted(link.rpartition("check=")[2] for link in links) == sorted(id_ for id_ in others if id_ != "fairness.group")


def test_fairness_by_metric_and_without_outcomes(app: AppTest) -> None:
    at = app.run().switch_page("views/fairness_page.py").run()
    assert not at.exception
    assert "only who gets the favourable decision is known at other cutoffs" in read(at)
    at.selectbox(key="metric").select_index(1).run()
    assert not at.exception


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_audit_is_held_against_the_law_of_a_day(app: AppTest, lang: str) -> None:
    import datetime

    from reports.obligations.catalogue import built_in

    at = app.run().switch_page("views/compliance_page.py")
    at.session_state["lang"] = lang
    for control in built_in()["euaia"].controls:
        at.session_state[f"item-{control.id}"] = True  # opened
    at.run()
    assert not at.exception
    law = at.selectbox[1]
    law.select_index(next(i for i, name in enumerate(law.options) if ("AI Act" if lang == "en" else "人工智能法") in name)).run()
    now = read(at)
    at.date_input[0].set_value(datetime.date(2026, 1, 1)).run()
    assert not at.exception
    assert read(at) != now, "the law of another day"
    assert ("Draft" if lang == "en" else "草稿") in read(at)


def test_each_check_says_what_it_does_not_show_and_how_reliable_it_is(app: AppTest) -> None:
    at = app.run().switch_page("views/checks_page.py")
    at.session_state["about-fairness.group"] = True  # opened
    at.run()
    assert not at.exception
    text = read(at)
    for words in ("What it does not show", "How reliable this check is", "Not measured: nothing was planted for it."):
        assert words in text
    whole = len(at.expander)
    at.text_input[0].set_value("fairness.group").run()
    assert 0 < len(at.expander) < whole


@pytest.mark.parametrize("edition", ["internal", "public"])
def test_every_document_is_offered(app: AppTest, edition: str) -> None:
    from reports.formats import FORMATS

    at = app.run().switch_page("views/audit_page.py")
    at.session_state["documents"] = True
    at.run()
    next(r for r in at.radio if r.label == "Edition").set_value(edition).run()
    assert not at.exception
    names = [b.label for b in at.get("download_button")]
    assert len(names) == len(FORMATS) - (edition == "public"), "what holds the whole document is not offered as public"
    assert names[0] == "Full report, for a browser · HTML"
