"""The auditor audited: what is planted is found, figures are kept with what they depend on, and a broken promise is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.registry import checks
from audit.selftest import __main__ as command
from audit.selftest import record
from audit.selftest.defects import DEFECTS, Defect
from audit.selftest.record import Measured
from audit.selftest.trial import Cell, Share, trial

NAMED = {d.name: d for d in DEFECTS}


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d.name != "memorised"], ids=lambda d: d.name)
def test_what_is_planted_is_found_and_what_is_not_is_not(defect: Defect) -> None:
    """Few runs, so only what is all but certain at this size of data."""
    found = trial(defect, 4_000, 0.3, planted=True, runs=3)
    clean = trial(defect, 4_000, 0.3, planted=False, runs=3)
    target = defect.targets[0]
    assert found.verdicts[target]["fail"].k == 3
    assert clean.verdicts[target]["fail"].k == 0
    assert trial(defect, 4_000, 0.3, planted=True, runs=3).model_dump(exclude={"seconds"}) == found.model_dump(exclude={"seconds"})


def test_defects_are_of_checks_that_exist_and_have_names_of_their_own() -> None:
    assert {d.check for d in DEFECTS} <= set(checks())
    assert len(NAMED) == len(DEFECTS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of its own."""
    file = tmp_path / "selftest.json"
    monkeypatch.setattr(command, "load", lambda: record.load(file))
    monkeypatch.setattr(command, "save", lambda measured: record.save(measured, file))
    return file


def test_the_command_measures_keeps_and_shows(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NAMED, "used", NAMED["used"])
    assert command.main([]) == 2
    assert "nothing was measured yet" in capsys.readouterr().err
    assert command.main(["--runs", "2", "--defects", "used"]) == 0
    shown = capsys.readouterr().out
    assert (
        "| fairness.flip | by how much the sensitive column moves the score: 0.15 | criteria | 0.3 | 10,000 | 0.0 / 0.0 / 100.0 | 100.0 / 0.0 / 0.0 | 2 |"
        in shown
    )
    before = place.read_bytes()
    assert command.main(["--runs", "2", "--defects", "used", "--changed"]) == 0
    assert place.read_bytes() == before
    capsys.readouterr()
    assert command.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["broken"] == []
    monkeypatch.setattr(command, "digest", lambda defect: "another")
    assert command.main([]) == 0
    assert ", stale |" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "said"), [(["--defects", "no"], "there is no defect 'no'"), (["--runs", "0"], "--runs is 0")])
def test_mistakes_are_refused_in_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_a_broken_promise_is_said_and_chance_is_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cell(fails: tuple[float, float], passes: tuple[float, float]) -> Cell:
        shares = {
            "fail": Share(k=9, n=100, low=fails[0], high=fails[1]),
            "inconclusive": Share(k=1, n=100, low=0.0, high=0.1),
            "pass": Share(k=90, n=100, low=passes[0], high=passes[1]),
        }
        return Cell(defect="selection", rows=10_000, base=0.3, planted=False, runs=100, verdicts={"audit": shares}, seconds=1.0)

    def broken(*found: tuple[float, float]) -> list[str]:
        return command.promises({"selection": Measured(digest="", date="2026-01-01", cells=[cell(*found)])})

    assert broken((0.04, 0.2), (0.7, 0.85)) == []
    assert "9 of 100 clean runs fail" in broken((0.06, 0.2), (0.7, 0.85))[0]
    assert "90 of 100 clean runs pass" in broken((0.01, 0.2), (0.6, 0.79))[0]
