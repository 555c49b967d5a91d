"""Single rows from the command line: where the plan allows them they lie beside the document for their owner alone, and nowhere else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from at_terminal import Done, User

from audit.explain.rows_file import Rows
from reports.disclose import public
from reports.write import load

HOSTILE = "<script>alert(1)</script>"
ASKED = (
    "--target",
    "granted",
    "--sensitive",
    "town",
    "--positive",
    "1",
    "--favourable",
    "1",
    "--decision",
    "score>=0.5",
    "--no-log",
    "--sample",
    "200",
)


@pytest.fixture(scope="module")
def granting(user: User) -> User:
    """Trees that grant for income, as text beside an MLmodel, rows of people, and a plan that allows single rows."""
    rng = np.random.default_rng(0)
    income, age = rng.integers(1, 10, 300), rng.integers(18, 80, 300)
    y = (income + rng.normal(0, 1, 300) > 5).astype(int)
    given = lightgbm.Dataset(np.column_stack([income, age]), y)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0}, given, 10)
    (user.folder / "model").mkdir()
    booster.save_model(str(user.folder / "model" / "model.lgb"))
    record = {
        "flavors": {"lightgbm": {"data": "model.lgb", "lgb_version": lightgbm.__version__, "model_class": "lightgbm.basic.Booster"}},
        "signature": {"inputs": json.dumps([{"type": "double", "name": n, "required": True} for n in ("income", "age")])},
    }
    (user.folder / "model" / "MLmodel").write_text(json.dumps(record))
    town = np.where(np.arange(300) % 2 == 0, HOSTILE, "hill")
    lines = [f"{i},{a},{t},{g}\n" for i, a, t, g in zip(income, age, town, y, strict=True)]
    (user.folder / "people.csv").write_text("income,age,town,granted\n" + "".join(lines))
    (user.folder / "plan.toml").write_text("[audit]\nrows = true\n")
    return user


def audit(user: User, out: str, *more: str, checks: str = "data.profile,explanation.local") -> Done:
    done = user.audit("model", "--data", "people.csv", *ASKED, "--checks", checks, "--plan", "plan.toml", "--out", out, *more)
    assert done.status == 0, done.err
    return done


@pytest.fixture(scope="module")
def audited(granting: User) -> Done:
    return audit(granting, "allowed", "--format", "markdown", "--format", "evidence", "--lang", "zh")


def rows(folder: Path) -> Rows:
    return Rows.model_validate_json((folder / "rows.json").read_bytes())


def test_the_rows_are_those_of_the_data_and_belong_to_this_document(granting: User, audited: Done) -> None:
    found, document = rows(audited.folder), audited.document
    assert (audited.folder / "rows.json").stat().st_mode & 0o777 == 0o600
    assert (found.audit, found.document_digest) == (document["id"], document["digest"])
    assert (found.model_sha256, found.data_sha256) == (document["model"]["sha256"], document["data"]["sha256"])
    assert document["plan"]["audit"]["rows"] is True
    assert "[audit] rows = true" in next(c["info"]["limits"] for c in document["checks"] if c["info"]["id"] == "explanation.local")
    people = (granting.folder / "people.csv").read_text().splitlines()[1:]
    for row in found.rows:
        income, age, _, granted = people[row.row].split(",")
        assert [v.value for v in row.inputs] == [income, age]
        assert row.outcome == granted
        assert row.score is not None
        assert row.answer == str(int(row.score >= 0.5))
    (local,) = [c for c in document["checks"] if c["info"]["id"] == "explanation.local"]
    shares = {f["slice"]["(feature)"]: f["estimate"] for f in local["findings"] if f["metric"] == "top_reason_share"}
    told = [max(row.accounts[0].parts, key=lambda p: abs(p.value)).place for row in found.rows]
    assert shares["income"]["n"] == found.explained == len(found.rows)
    assert told.count("income") / len(told) == pytest.approx(shares["income"]["value"])
    (note,) = [n for n in document["notes"] if "rows.json" in n]
    assert f"{len(found.rows)} of those that explanation.local explained" in note


def test_a_changed_byte_is_named_and_a_copy_may_do_without(granting: User, audited: Done, tmp_path: Path) -> None:
    def told(folder: Path) -> dict[str, str]:
        done = granting.run("audit.verify", str(folder))
        return {line[13:].split(":")[0]: line[:12].strip() for line in done.out.splitlines()}

    assert told(audited.folder)["rows.json"] == "OK"
    copy = tmp_path / "copy"
    shutil.copytree(audited.folder, copy)
    content = (copy / "rows.json").read_bytes()
    (copy / "rows.json").write_bytes(content.replace(b'"agrees": true', b'"agrees": null', 1))
    assert told(copy)["rows.json"] == "FAILED"
    (copy / "rows.json").unlink()
    assert told(copy)["rows.json"] == "NOT CHECKED"
    assert "FAILED" not in told(copy).values()
    (copy / "rows.json").symlink_to(audited.folder / "rows.json")
    assert told(copy)["rows.json"] == "FAILED", "a link is no file of the folder"


def test_no_report_no_edition_and_no_zip_carries_rows(audited: Done, tmp_path: Path) -> None:
    folder = audited.folder
    secret = json.dumps(rows(folder).rows[0].accounts[0].parts[0].value)
    assert secret in (folder / "rows.json").read_text()
    others = [p for p in folder.iterdir() if p.is_file() and p.name != "rows.json"]
    assert {p.name for p in others} >= {"audit.json", "report.html", "report.zh.html", "report.zh.md"}
    assert not [p.name for p in others if secret.encode() in p.read_bytes()]
    assert secret not in public(load(folder)).model_dump_json()
    (packed,) = folder.glob("evidence*.zip")
    with zipfile.ZipFile(packed) as archive:
        assert not [n for n in archive.namelist() if n.endswith("rows.json")]
        assert not [n for n in archive.namelist() if secret.encode() in archive.read(n)]
        pages = {name: archive.read(name).decode() for name in ("README.txt", "README.zh.txt")}
        archive.extractall(tmp_path)
    assert all("rows.json:" in p or "rows.json：" in p for p in pages.values()), "it says what is left out"
    (line,) = [line.strip().removeprefix("$ ") for line in pages["README.txt"].splitlines() if "['files'].items()" in line]
    checked = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "evidence/audit.json: OK" in checked.stdout


def test_an_audit_that_is_stopped_leaves_no_half_of_it_and_resumes(granting: User, audited: Done) -> None:
    """Stopped after the check has run: what it found waits in the journal, for the user alone, and the file comes with the manifest."""
    more = ("--checks", "data.profile,explanation.local,fairness.group,explanation.stability", "--plan", "plan.toml", "--out", "stopped")
    process = granting.start("audit.run", "model", "--data", "people.csv", *ASKED, *more)
    folder = granting.folder / "stopped"
    entry = folder / ".journal" / "explanation.local.json"
    deadline = time.monotonic() + 120
    while process.poll() is None and not entry.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert entry.stat().st_mode & 0o777 == 0o600
    assert not (folder / "rows.json").exists()
    done = granting.audit("--resume", str(folder))
    assert done.status == 0, done.err
    assert "explanation.local …" not in done.err, "a finished check is not run again"
    assert rows(folder).rows == rows(audited.folder).rows
    assert not (folder / ".journal").exists()
    assert "OK           rows.json" in granting.run("audit.verify", str(folder)).out
