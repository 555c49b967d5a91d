"""Where audits are found."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dashboard import index, store
from dashboard.index import Found, Index
from dashboard.store import document_of, missing_file
from reports.view import families
from reports.words import LOOKS, Speaker

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
