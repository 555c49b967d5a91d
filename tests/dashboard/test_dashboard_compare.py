"""The page that compares two audits, run without a browser and in one."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from serving import BROWSER, serving
from streamlit.testing.v1 import AppTest

from dashboard.index import Index

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "core"))
APP = str(ROOT / "dashboard" / "app.py")
PAGE = "views/compare_page.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The audits of two versions, the new one worse for one group, with their scored tables."""
    from two_audits import People, audited

    folder, people = tmp_path_factory.mktemp("versions"), People.drawn(1500, seed=1)
    flipped = (people.group == "b") & (np.random.default_rng(1).random(1500) < 0.4)
    audited(folder, "old", people)
    audited(folder, "new", people, score=np.where(flipped, 1 - people.score, people.score))
    return folder


@pytest.fixture
def versions(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with both audits, their scored tables in the private cache."""
    for name, started in (("old", "2026-10-01T00:00:00Z"), ("new", "2026-11-01T00:00:00Z")):
        kept = tmp_path / "audits" / name
        kept.mkdir(parents=True)
        document = json.loads((made / name / "audit.json").read_bytes()) | {"started": started}
        (kept / "audit.json").write_text(json.dumps(document), "utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(made / "cache", tmp_path / "state" / "witnessmark" / "scored")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    st.cache_data.clear()
    st.cache_resource.clear()
    return tmp_path


def read(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in ("text", "markdown", "header", "subheader") for e in getattr(at, kind))


def opened(lang: str = "en") -> AppTest:
    at = AppTest.from_file(APP, default_timeout=300).run().switch_page(PAGE)
    at.session_state["lang"] = lang
    return at.run()


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ("Paired: the same 1,500 rows", "The gate stops it", "Worse: ", "No difference established: ", "What changed")),
        ("zh", ("配对：两个模型使用相同的", "门禁不放行", "变差：", "未证实有差异：")),
    ],
)
def test_the_newest_is_held_against_the_one_before(versions: Path, lang: str, words: tuple[str, ...]) -> None:
    at = opened(lang)
    assert not at.exception
    text = read(at).replace("\\", "").replace("\u2060", "")
    for word in words:
        assert word in text
    assert len(at.dataframe) >= 3


def test_the_address_names_both_and_one_audit_twice_is_not_compared(versions: Path) -> None:
    new, old = Index(versions, "sqlite:////nowhere/m.db").look(60).entries
    at = AppTest.from_file(APP, default_timeout=300).run().switch_page(PAGE)
    at.query_params["old"], at.query_params["new"] = new.key, old.key
    at.run()
    assert "Better" in read(at)
    assert "Worse" not in read(at).replace("Worse than the margin", "")
    at.query_params["old"] = at.query_params["new"] = old.key
    again = AppTest.from_file(APP, default_timeout=300).run().switch_page(PAGE)
    again.query_params["old"] = again.query_params["new"] = old.key
    assert "Choose two different audits." in read(again.run())


def test_a_link_to_an_audit_that_is_not_known_compares_no_other_one(versions: Path) -> None:
    at = AppTest.from_file(APP, default_timeout=300).run().switch_page(PAGE)
    at.query_params["old"] = "0" * 16
    at.run()
    assert not at.exception
    assert "The audit that this address names is not known here" in read(at)
    assert not at.dataframe
    at.selectbox(key="compare-old").select_index(1).run()
    assert "Paired: the same 1,500 rows" in read(at)


def test_what_the_command_refuses_is_said(versions: Path) -> None:
    path = versions / "audits" / "new" / "audit.json"
    path.write_text(path.read_text("utf-8").replace('"verdict": "fail"', '"verdict": "pass"', 1), "utf-8")
    at = opened()
    assert not at.exception
    assert "These audits cannot be compared: " in read(at)
    assert "was altered after it was written" in read(at)


def test_one_audit_is_not_enough(versions: Path) -> None:
    shutil.rmtree(versions / "audits" / "old")
    assert "Two audits are needed." in read(opened())


def test_in_a_browser(versions: Path, chromium: str) -> None:
    """The chart is drawn with its numbers in words, and the page asks nothing of any other machine."""
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with serving(versions) as (address, _), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        page = browser.new_page(viewport={"width": 1200, "height": 3200}, locale="en-US")
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/compare")
        page.get_by_text("Paired: the same 1,500 rows").first.wait_for(timeout=120_000)
        page.locator("[role='graphics-document']").first.wait_for(timeout=60_000)
        assert "worse" in (page.locator("[role='graphics-document']").first.get_attribute("aria-label") or "")
        assert page.get_by_text("encountered an error").count() == 0
        browser.close()
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))]
