"""The release gate of the README, run as it stands: a version as good goes through, a worse one is stopped."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from at_terminal import ROOT, Done, User


def gate(user: User, name: str, strength: str) -> Done:
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / "release_gate.sh"), name, strength],
        cwd=user.folder, env=user.environment | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def good(user: User) -> Done:
    return gate(user, "good", "0.5")


@pytest.fixture(scope="module")
def bad(user: User) -> Done:
    return gate(user, "bad", "0.0001")


def failures(path: Path) -> int:
    return int(ElementTree.parse(path).getroot().get("failures", ""))


@pytest.mark.slow
def test_a_version_that_is_as_good_goes_through(user: User, good: Done) -> None:
    assert good.status == 0, good.err
    assert good.out.startswith("Paired: the same 6,000 rows under both models.")
    assert good.out.strip().endswith("version 2 is released")
    found = ElementTree.parse(user.folder / "good" / "gate.xml").getroot().iter("failure")
    assert {f.get("type") for f in found} <= {"persisting"}, "what both versions get wrong stops neither"
    assert (user.folder / "good" / "audit-2" / "junit.xml").is_file()


def test_a_worse_version_is_stopped(user: User, bad: Done) -> None:
    assert bad.status == 1, bad.err
    assert "not released" in bad.err
    assert failures(user.folder / "bad" / "gate.xml") > 0


@pytest.mark.slow
def test_the_folder_with_its_junit_file_verifies(user: User, good: Done) -> None:
    assert user.run("audit.verify", "good/audit-2").status == 0


@pytest.mark.slow
def test_the_comparison_is_the_same_again_and_through_the_installed_command(user: User, good: Done) -> None:
    arguments = ("good/audit-1", "good/audit-2", "--json")
    first, second = user.run("audit.compare", *arguments), user.run("audit.cli", "compare", *arguments)
    assert first.status == second.status == 0
    assert first.out == second.out
    assert json.loads(first.out)["paired"] is True


@pytest.mark.slow
def test_a_model_audited_twice_passes_its_own_gate(user: User, good: Done) -> None:
    done = user.audit(
        "good/version-1", "--out", "again", "--no-log", "--data", "good/people.csv", "--target", "repaid", "--positive", "yes", "--favourable", "yes",
        "--label-source", "outcome", "--decision", "score>=0.5", "--sensitive", "sex", "--skip", "explanation,efficiency",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert user.run("audit.compare", "good/audit-1", "again", "--gate").status == 0


@pytest.mark.slow
def test_other_data_and_forgotten_tables_are_unpaired(user: User, good: Done, bad: Done) -> None:
    """The made-up people of both runs are the same file; without the cache the documents are all there is."""
    done = user.run("audit.compare", "good/audit-1", "bad/audit-2", "--scored-dir", str(user.folder / "good"))
    assert done.out.startswith("Unpaired: the data are the same, but neither audit has a scored table here")
    assert user.run("audit.compare", "good/audit-1", "bad/audit-2").out.startswith("Paired:")


@pytest.mark.slow
def test_audits_of_different_targets_are_refused(user: User, good: Done) -> None:
    rows = (user.folder / "good" / "people.csv").read_text()
    (user.folder / "renamed.csv").write_text(rows.replace("repaid", "paid_back", 1))
    done = user.audit(
        "good/version-1", "--out", "other-target", "--no-log", "--data", "renamed.csv", "--target", "paid_back", "--positive", "yes",
        "--checks", "performance",
    )  # fmt: skip
    assert done.status == 0, done.err
    refused = user.run("audit.compare", "good/audit-1", "other-target", "--gate")
    assert refused.status == 2
    assert refused.out == ""
    assert refused.err.startswith("error: the two audits have a different target: 'repaid' in the old one, 'paid_back' in the new one — ")
