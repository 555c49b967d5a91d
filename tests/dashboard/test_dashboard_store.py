"""Where audits are found."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import index, store
from dashboard.index import Found, Index
from dashboard.store import Entry, Source, document_at, document_of, entry_of, missing_file
from reports.speaker import Speaker
from reports.view import families
from reports.words import LOOKS

NO_STORE = "sqlite:////nowhere/mlflow.db"


def looked(root: Path, uri: str = NO_STORE) -> Found:
    """What a new index finds, its file kept from one to the next."""
    return Index(root, uri, root / "state" / "index.sqlite").look(60)


@pytest.mark.parametrize("uri", ["sqlite:///{}/mlflow.db", "{}/mlruns", "file://{}/mlruns"])
def test_a_local_store_that_is_missing_is_named(tmp_path: Path, uri: str) -> None:
    assert missing_file(uri.format(tmp_path)) is not None


def test_what_is_there_or_remote_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert missing_file(f"sqlite:///{tmp_path}/mlflow.db") is None
    assert missing_file("https://mlflow.example") is None


def test_newest_first_and_each_once(home: Path) -> None:
    assert [e.state for e in looked(home).entries] == ["fail", "pass"]
    again = home / "audits" / "copy"
    again.mkdir()
    (again / "audit.json").write_bytes((home / "audits" / "one" / "audit.json").read_bytes())
    assert len(looked(home).entries) == 2


def test_an_entry_says_what_the_document_says(home: Path) -> None:
    (entry, _) = looked(home).entries
    document = document_of(entry)
    assert document.checks
    assert not entry.head.checks
    assert entry.head.model == document.model.model_copy(update={"features": []})
    assert (entry.head.data, entry.head.answered) == (document.data, document.answered)
    assert entry.families == {
        f.anchor.removeprefix("family-"): next(k for k, v in LOOKS.items() if v is f.look) for f in families(document, Speaker("en"))
    }


def test_what_was_read_is_not_read_again_unless_it_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked(home)
    read: list[str] = []
    monkeypatch.setattr(index, "read", lambda source: read.append(source.name) or store.read(source))
    before = looked(home).entries
    assert read == []
    changed = home / "audits" / "two" / "audit.json"
    changed.write_text(changed.read_text("utf-8") + "\n", "utf-8")
    assert looked(home).entries == before
    assert read == [str(changed.parent)]


def test_what_is_gone_is_forgotten_and_what_is_half_written_is_named(home: Path) -> None:
    looked(home)
    shutil.rmtree(home / "audits" / "two")
    (home / "audits" / "three").mkdir()
    (home / "audits" / "three" / "audit.json").write_text("{", "utf-8")
    found = looked(home)
    assert [e.state for e in found.entries] == ["fail"]
    assert any("could not be read as an audit" in template for template, _ in found.problems)


def test_a_record_of_another_version_is_read_again(home: Path) -> None:
    looked(home)
    with closing(sqlite3.connect(home / "state" / "index.sqlite")) as table:
        table.execute("UPDATE heads SET record = '[]'")
        table.commit()
    assert [e.state for e in looked(home).entries] == ["fail", "pass"]


def test_without_a_place_for_its_file_it_works_all_the_same(home: Path) -> None:
    assert len(Index(home, NO_STORE, Path("/proc/nowhere/index.sqlite")).look(60).entries) == 2


def test_a_slow_source_does_not_hold_up_what_is_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked(home)
    go_on = threading.Event()

    def slow(uri: str, tell: object) -> Iterator[store.Source]:
        go_on.wait(30)
        return iter(())

    monkeypatch.setattr(index, "stored", slow)
    one = Index(home, NO_STORE, home / "state" / "index.sqlite")
    found = one.look(1)
    assert found.looking
    assert len(found.entries) == 2
    go_on.set()
    assert not one.look(30).looking


def remembered(home: Path, uri: str) -> Entry:
    """An audit of a store that this folder's memory has from an earlier look."""
    one, document = Index(home, uri), document_at(home / "audits" / "one")
    source = Source(f"{uri} r1", "FINISHED 1", run=(uri, "r1"))
    entry = entry_of(document.model_copy(update={"id": "stored"}), source, signed=False)
    with closing(one._open()) as table:
        table.execute("INSERT INTO heads VALUES (?, ?, ?, ?)", (one._place, source.name, source.stamp, index._record(entry)))
        table.commit()
    return entry


def test_a_store_that_is_silent_for_a_while_loses_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://127.0.0.1:1"
    entry = remembered(home, uri)

    def silent(uri: str, tell: store.Tell) -> Iterator[Source]:
        tell(("The MLflow store {uri} could not be read: {error}", {"uri": uri, "error": "no answer"}))
        return iter(())

    monkeypatch.setattr(index, "stored", silent)
    monkeypatch.setattr(index, "unaudited", lambda uri: [])
    for _ in range(2):  # neither in this look nor in what is kept for the next
        found = Index(home, uri).look(60)
        assert entry.key in {e.key for e in found.entries}
        assert len(found.problems) == 1
    monkeypatch.setattr(index, "stored", lambda uri, tell: iter(()))
    assert entry.key not in {e.key for e in Index(home, uri).look(60).entries}, "gone where the store says so"


@pytest.mark.filterwarnings("ignore")
def test_a_link_to_an_audit_of_a_server_that_hangs_says_so_in_bounded_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes calls and never answers
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        entry = remembered(home, uri)
        for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
            monkeypatch.setenv(name, "unset")  # so that they are as before when this ends
            monkeypatch.delenv(name)
        store._client(uri)
        assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) * (1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])) <= 20
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        st.cache_resource.clear()
        at = AppTest.from_file(str(Path(index.__file__).with_name("app.py")), default_timeout=60).run().switch_page("views/audit_page.py")
        at.query_params["audit"] = entry.key
        started = time.monotonic()
        at.run()
        assert time.monotonic() - started < 30
    assert not at.exception
    assert at.query_params["audit"] == entry.key, "and no other audit in its place"
    assert any("This audit is known and cannot be read now" in t.value for t in at.text)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_audits_of_a_store_are_read_from_their_runs_and_versions_without_one_are_named(home: Path, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/store.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("audits", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"witnessmark.audit": "20261121"})
    client.log_artifact(run.info.run_id, str(home / "audits" / "one" / "audit.json"), "audit")
    client.create_run(experiment)
    client.create_registered_model("loans")
    for _ in range(2):
        client.create_model_version("loans", source=(tmp_path / "model").as_uri())
    client.set_model_version_tag("loans", "1", "witnessmark.verdict", "pass")
    (tmp_path / "elsewhere").mkdir()
    found = looked(tmp_path / "elsewhere", uri)
    assert [e.state for e in found.entries] == ["fail"]
    assert found.problems == []
    assert [(v.name, v.version) for v in found.unaudited] == [("loans", "2")]
    assert document_of(found.entries[0]).checks
