"""Where audits are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.store import audits, missing_file


@pytest.mark.parametrize("uri", ["sqlite:///{}/mlflow.db", "{}/mlruns", "file://{}/mlruns"])
def test_a_local_store_that_is_missing_is_named(tmp_path: Path, uri: str) -> None:
    assert missing_file(uri.format(tmp_path)) is not None


def test_what_is_there_or_remote_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert missing_file(f"sqlite:///{tmp_path}/mlflow.db") is None
    assert missing_file("https://mlflow.example") is None


def test_newest_first_and_each_once(home: Path) -> None:
    found = audits(home)
    assert [e.document.verdict for e in found.entries] == ["fail", "pass"]
    again = home / "audits" / "copy"
    again.mkdir()
    (again / "audit.json").write_bytes((home / "audits" / "one" / "audit.json").read_bytes())
    assert len(audits(home).entries) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_audits_of_a_store_are_read_from_their_runs(home: Path, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path}/store.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("audits", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"witnessmark.audit": "20261121"})
    client.log_artifact(run.info.run_id, str(home / "audits" / "one" / "audit.json"), "audit")
    client.create_run(experiment)
    found = audits(tmp_path / "nowhere", uri)
    assert [e.document.verdict for e in found.entries] == ["fail"]
    assert found.problems == []
