"""Audits started from a page: what the words are, who may start one, and that a run outlives its page and its server."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_dashboard_access import APP, log, read, visit
from test_dashboard_access import roles as roles

from audit.run import parser
from dashboard import runs
from dashboard.asking import FIELDS, CannotAskError, outside, words
from dashboard.command import environment
from dashboard.store import Source, document_at, entry_of

ROOT = Path(APP).parent.parent


def page(at: AppTest) -> AppTest:
    at.run().switch_page("views/run_page.py").run()
    assert not at.exception
    return at


def test_every_option_is_one_of_the_command_with_its_choices() -> None:
    known = {name.removeprefix("--"): action for action in parser()._actions for name in action.option_strings}
    for field in FIELDS:
        action = known[field.option]
        assert (field.kind == "flag") == (action.nargs == 0), field.option
        if field.kind == "choice":
            assert field.options == tuple(action.choices or ()), field.option


def test_no_value_becomes_an_option() -> None:
    made = words("models:/m/1", {"target": "--trust-pickle", "data": "-x", "sensitive": "a,b", "checks": "data,fairness.group", "seed": 0,
                                 "no-log": True, "format": ["pdf", "sarif"], "lang": None, "plan": ""})  # fmt: skip
    read_back = parser().parse_args(made)
    assert (read_back.target, read_back.data, read_back.trust_pickle) == ("--trust-pickle", "-x", False)
    assert (read_back.model_uri, read_back.seed, read_back.no_log, read_back.format) == ("models:/m/1", 0, True, ["pdf", "sarif"])
    assert read_back.checks == "data,fairness.group"
    for model in ("", "  ", "--help", "-x", "a\nb", "a\0b", "x" * 3000, "http://user:word@host/invocations"):
        with pytest.raises(CannotAskError):
            words(model, {})
    with pytest.raises(CannotAskError):
        words("models:/m/1", {"target": "a\u202eb"})


def test_who_is_logged_in_names_nothing_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.csv").touch()
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "out.csv")
    folders = [tmp_path / "in"]
    for path in ("../out.csv", "/etc/passwd", f"{tmp_path}/in/../out.csv", f"{tmp_path}/*.csv", f"{tmp_path}/in/link.csv"):
        assert outside("models:/m/1", {"data": path}, folders) == path
        assert outside("models:/m/1", {"plan": path}, folders) == path
    assert outside("models:/m/1", {"data": f"{tmp_path}/in/*.csv", "target": "/etc"}, folders) is None
    assert outside("/etc", {}, folders) == "/etc"
    for model in ("runs:/1/m", "demo:credit", "http://127.0.0.1:1/invocations", "predictions"):
        assert outside(model, {}, folders) is None


def test_a_viewer_who_follows_an_auditors_link_is_refused_and_it_is_recorded(roles: Path) -> None:
    st.cache_resource.clear()
    at = visit("vera@example.org")
    at.query_params["run"] = "0123456789ab"
    page(at)
    assert "This page asks for the role auditor; yours is viewer." in read(at)
    assert not at.text_input
    assert [line["action"] for line in log() if line["did"] == "refused"] == ["run"]


def test_what_cannot_be_asked_is_said_and_starts_nothing(roles: Path) -> None:
    st.cache_resource.clear()
    at = page(visit("aud@example.org"))
    assert "No audit was started from this page yet." in read(at)
    for model, data, told in (
        ("--help", "", "No model's address begins with a dash."),
        ("", "", "Name a model"),
        ("/<img src=x>", "", "/<img src=x> lies outside the folder"),
        ("models:/m/1", "/etc/passwd", "/etc/passwd lies outside the folder"),
    ):
        at.text_input(key="model").set_value(model)
        at.text_input(key="run-data").set_value(data)
        at.button[1].click().run()
        assert told in read(at)
        assert not at.exception
        assert [b.label for b in at.button] == ["Log out", "Show the plan and its cost"]
    assert not [m.value for m in at.markdown if "<img" in m.value]
    assert not at.checkbox(key="run-no-log").value
    assert not [c for c in at.checkbox if c.key == "run-trust-pickle"], "that is for approvers"


def kept(home: Path) -> runs.Run:
    """A run of long ago."""
    run = runs.Run("0" * 12, str(home), ["--", "m"], "m", str(home / "audits" / "x"), ["data.profile", "fairness.group", "language.pairs"], "os:me", "2026-01-01T00:00:00Z")  # fmt: skip
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(run.__dict__), "utf-8")
    return run


def test_where_a_run_stands_is_read_off_what_it_wrote(home: Path) -> None:
    run = kept(home)
    assert runs.of(home) == [run]
    assert runs.of(home / "elsewhere") == []
    assert runs.read("../../../etc") is None
    written = run.folder / "progress.log"

    def after(*lines: str) -> runs.Reached:
        written.write_text("\n".join(lines) + "\n", "utf-8")
        return runs.reached(run)

    assert after("model …", "score …", "  10 of 99 rows, 5 rows a second, 18 s left") == runs.Reached(
        "score", "10 of 99 rows, 5 rows a second, 18 s left", 0, []
    )
    assert after("data.profile …", "  data.profile: errored", "fairness.group …") == runs.Reached(
        "fairness.group", "", 1, ["data.profile: errored"]
    )
    assert after("fairness.group …", "judge …").behind == 3
    assert runs.state(run) == "stopped"
    after("# started x", "error: no such model — name another")
    assert runs.state(run) == "refused"
    after("error: of before", "# started x", "model …")
    assert runs.state(run) == "stopped", "what was refused before says nothing of now"
    after("# started x", "judge …", run.out)
    assert runs.state(run) == "gone"
    (home / "audits" / "x" / ".journal").mkdir(parents=True)
    assert runs.state(run) == "interrupted"


def wait(until: Callable[[], object]) -> None:
    for _ in range(3000):
        if until():
            return
        time.sleep(0.1)
    pytest.fail("it did not come to that")


def test_a_run_is_seen_stopped_gone_on_with_and_outlives_its_server(roles: Path, home: Path) -> None:
    """One small audit through its whole life."""
    st.cache_resource.clear()
    draw = random.Random(0)
    scores = [draw.random() for _ in range(300)]
    rows = "\n".join(f"{int(draw.random() < p)},{p:.4f},{int(p > 0.5)},{draw.choice('ab')}" for p in scores)
    (home / "rows.csv").write_text(f"y,p,d,*sex*\n{rows}\n", "utf-8")
    old = kept(home)
    at = page(visit("aud@example.org"))
    assert at.selectbox(key="run-shown").value == old.id
    for key, value in (("model", "predictions"), ("run-data", "rows.csv"), ("run-target", "y"), ("run-positive", "1"), ("run-favourable", "1"),
                       ("run-sensitive", "*sex*"), ("run-prediction", "d"), ("run-score", "p"), ("run-checks", "data.profile,performance.overall,performance.groups,fairness.group")):  # fmt: skip
        at.text_input(key=key).set_value(value)
    at.selectbox(key="run-label-source").set_value("outcome")
    at.checkbox(key="run-no-log").check()
    at.button[1].click().run()
    assert not at.exception
    assert "none of these checks asks the model again" in read(at)
    assert any("--sensitive=*sex*" in c.value for c in at.code)
    assert any('favourable = ["1"]' in c.value for c in at.code), "the resolved plan"
    assert runs.of(home) == [old], "nothing has started"
    next(b for b in at.button if b.label == "Start the audit").click().run()
    assert not at.exception
    run = runs.of(home)[0]
    assert at.selectbox(key="run-shown").value == run.id, "the new one is shown"
    wait(lambda: (Path(run.out) / ".journal" / "data.profile.json").exists())
    at.run()
    assert "▶ Running" in read(at)
    next(b for b in at.button if b.label == "Stop").click().run()
    assert not at.exception
    wait(lambda: not runs.alive(run))
    other = page(visit("app@example.org"))
    assert "? Interrupted" in read(other)
    assert "aud@example.org stopped it." in read(other)
    assert "Go on" in [b.label for b in other.button]
    finished = sorted(p.name for p in (Path(run.out) / ".journal").glob("*.*.json"))
    assert finished

    # A server that is killed as soon as it has begun to go on.
    code = f"import os; from dashboard import runs; runs.resume(runs.read({run.id!r}), 'app@example.org'); os.kill(os.getpid(), 9)"
    server = subprocess.run([sys.executable, "-P", "-c", code], cwd=home, env=dict(os.environ) | environment(), check=False)
    assert server.returncode == -9
    assert runs.alive(run), "the audit is a process of its own"
    wait(lambda: not runs.alive(run))
    assert runs.state(run) == "finished", runs.log_end(run)
    said = runs.log_end(run).rpartition(runs.BEGAN)[2]
    assert not [name for name in finished if f"{name.removesuffix('.json')} …" in said], "what was finished is not measured again"
    other.run()
    assert not other.exception
    assert "■ Completed" in read(other)
    document = document_at(Path(run.out))
    key = entry_of(document, Source(run.out, ""), signed=False).key
    other.switch_page("views/audit_page.py")
    other.query_params["audit"] = key
    other.run()
    assert not other.exception
    assert key in other.query_params["audit"], "it is found at once"
    assert document.data.sensitive == ["*sex*"]
    assert [(line["did"], line["who"]) for line in log() if line["did"] not in ("opened", "refused")] == [
        ("ran", "aud@example.org"),
        ("stopped", "aud@example.org"),
    ]
