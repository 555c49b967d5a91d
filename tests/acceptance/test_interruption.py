"""An audit that is killed loses at most the check in progress, and resumes to the document that an undisturbed run gives."""

import fcntl
import json
import os
import signal
import time
from pathlib import Path

import pytest
from at_terminal import User


@pytest.fixture(scope="module")
def model(user: User) -> tuple[str, str]:
    """A trained model, and the digest of its undisturbed audit."""
    whole = user.audit("demo:credit-trees", "--no-log", "--sample", "300", *FEW, "--out", "undisturbed")
    assert whole.status == 0, whole.err
    return "models:/credit-trees@demo", whole.document["digest"]


#: Enough to be interrupted in: counts, questions to the model, sums.
FEW = (
    "--checks",
    "data,performance.overall,performance.baseline,performance.groups,performance.gap,fairness.group,fairness.flip,fairness.inputs,calibration,efficiency.cost",
)


def _begun(uri: str, out: str) -> list[str]:
    return [uri, "--no-log", "--sample", "300", *FEW, "--out", out]


def _finished(folder: Path) -> set[str]:
    """What the journal holds."""
    return {path.stem for path in (folder / ".journal").glob("*.json")}


def _killed_after(user: User, folder: Path, entries: int, arguments: list[str]) -> str:
    """Kill the audit once its journal holds so many finished entries (0: as soon as it has a journal); what it said until then."""
    process = user.start("audit.run", *arguments)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if folder.is_dir() and len(_finished(folder)) >= entries:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert len(_finished(folder)) >= entries
    assert not (folder / "manifest.json").exists()
    return process.communicate()[1]


def _resumed(user: User, folder: Path, digest: str) -> None:
    """The rest is done, what was finished is not run again, and the document is that of an undisturbed audit."""
    kept = _finished(folder)
    resumed = user.audit("--resume", str(folder))
    assert resumed.status == 0, resumed.err
    assert resumed.document["digest"] == digest
    assert not [check for check in kept if f"{check} …" in resumed.err]
    assert not (folder / ".journal").exists()


@pytest.mark.parametrize("entries", [2, pytest.param(11, marks=pytest.mark.slow)])
def test_killed_it_resumes_to_the_same_digest(user: User, model: tuple[str, str], entries: int) -> None:
    folder = user.folder / f"killed-{entries}"
    _killed_after(user, folder, entries, _begun(model[0], folder.name))
    _resumed(user, folder, model[1])


@pytest.mark.slow
def test_killed_at_eight_moments_more_it_resumes_to_the_same_digest(user: User, model: tuple[str, str]) -> None:
    """One audit, killed and resumed eight times: each time further than the last, whatever it was doing."""
    folder = user.folder / "again-and-again"
    arguments = _begun(model[0], folder.name)
    for entries in (3, 4, 5, 6, 7, 9, 12, 13):
        before = _finished(folder)
        said = _killed_after(user, folder, max(entries, len(before) + 1), arguments)
        assert not [check for check in before if f"{check} …" in said]
        arguments = ["--resume", str(folder)]
    _resumed(user, folder, model[1])


@pytest.mark.slow
def test_an_edited_entry_is_not_believed(user: User, model: tuple[str, str]) -> None:
    folder = user.folder / "edited"
    _killed_after(user, folder, 6, _begun(model[0], "edited"))
    entry = next(p for p in (folder / ".journal").glob("data.*.json"))
    entry.write_text(entry.read_text().replace("0.", "0.9", 1))
    resumed = user.audit("--resume", str(folder))
    assert f"{entry.stem} …" in resumed.err
    assert resumed.document["digest"] == model[1]


def test_resume_takes_nothing_else_and_knows_finished_and_foreign_folders(user: User, model: tuple[str, str], tmp_path: Path) -> None:
    for arguments, said in (
        (["--resume", str(user.folder / "undisturbed")], "holds a finished audit"),
        (["--resume", str(tmp_path)], "holds no interrupted audit"),
        (["--resume", str(tmp_path), "--seed", "1"], "give --resume DIR alone"),
    ):
        done = user.audit(*arguments)
        assert done.status == 2
        assert said in done.err


def test_an_interrupt_names_the_line_that_resumes(user: User, model: tuple[str, str]) -> None:
    folder = user.folder / "interrupted"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where whoever started the tests ignores it, the audit would too
    process = user.start("audit.run", *_begun(model[0], "interrupted"))
    while not (folder / ".journal" / "scoring.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"--resume {folder}" in err
    assert "Traceback" not in err
    assert user.audit("--resume", str(folder)).document["digest"] == model[1]


def test_a_folder_that_another_audit_writes_to_is_busy(user: User, model: tuple[str, str]) -> None:
    folder = user.folder / "busy"
    (folder / ".journal").mkdir(parents=True)
    with (folder / ".journal" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = user.audit(model[0], "--no-log", "--out", "busy")
        assert done.status == 75
        assert done.err.startswith("error: another audit is writing")


def test_the_scored_table_is_private(user: User, model: tuple[str, str]) -> None:
    tables = list((user.folder / "state" / "witnessmark" / "scored").glob("*.parquet"))
    assert tables
    assert {t.stat().st_mode & 0o777 for t in tables} == {0o600}
    assert json.loads((user.folder / "undisturbed" / "audit.json").read_bytes())["plan"]["audit"]["rows"] is False
