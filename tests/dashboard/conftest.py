"""The sample audit of the report's tests, in a folder as the dashboard finds it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit import config

sys.path += [str(Path(__file__).parent.parent / name) for name in ("reports", "acceptance")]


@pytest.fixture(autouse=True)
def _this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a page that runs without a server cannot know: the shipped configuration's address, and that the reader sits here."""
    monkeypatch.setattr("dashboard.access.asked_from", lambda: (None, {}))
    before = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")
    yield
    config.set_option("server.address", before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two audits and no MLflow store."""
    from sample import sample

    for name, document in {"one": sample(), "two": sample(id="other", verdict="pass", started="2026-10-01T00:00:00Z")}.items():
        folder = tmp_path / "audits" / name
        folder.mkdir(parents=True)
        (folder / "audit.json").write_text(document.model_dump_json(by_alias=True), "utf-8")
    (tmp_path / "audits" / "two" / "manifest.json").write_text('{"signature": "00"}', "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; without it a test fails in CI, and elsewhere is skipped with what to install."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing")
        pytest.skip("chromium is not installed; install it to test the dashboard in a browser")
    return found
