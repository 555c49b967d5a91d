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


def _killed_after(user: User, uri: str, out: str, entries: int) -> Path:
    """Kill the audit once its journal holds so many finished entries (0: as soon as it has a journal)."""
    folder = user.folder / out
    process = user.start("audit.run", uri, "--no-log", "--sample", "300", *FEW, "--out", out)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        found = list((folder / ".journal").glob("*.json")) if (folder / ".journal").is_dir() else []
        if folder.is_dir() and len(found) >= entries:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return folder


#: Three moments in the default suite, the other seven among the longer proofs.
MOMENTS = [2, 5, 11, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4, 6, 7, 9, 12, 13))]


@pytest.mark.parametrize("entries", MOMENTS)
def test_killed_at_ten_moments_it_resumes_to_the_same_digest(user: User, model: tuple[str, str], entries: int) -> None:
    folder = _killed_after(user, model[0], f"killed-{entries}", entries)
    kept = {p.name: p.stat().st_mtime_ns for p in (folder / ".journal").glob("*.json")}
    assert len(kept) >= entries
    assert not (folder / "manifest.json").exists()
    resumed = user.audit("--resume", str(folder))
    assert resumed.status == 0, resumed.err
    assert resumed.document["digest"] == model[1]
    for name in kept:
        check = name.removesuffix(".json")
        assert f"{check} …" not in resumed.err, "a finished check is not run again"
    assert not (folder / ".journal").exists()


def test_an_edited_entry_is_not_believed(user: User, model: tuple[str, str]) -> None:
    folder = _killed_after(user, model[0], "edited", 6)
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
    process = user.start("audit.run", model[0], "--no-log", "--sample", "300", *FEW, "--out", "interrupted")
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
