"""The auditor audited: what is planted is found, figures are kept with what they depend on, stale ones are known, and a broken promise is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audit import listing, run, selftested
from audit.errors import AuditError
from audit.registry import checks
from audit.selftest import __main__ as command
from audit.selftest import explainers, promised, promises, told
from audit.selftest import trial as trials
from audit.selftest.crowds import generated, mortgages, real
from audit.selftest.defects import DECIDING, DEFECTS, Defect
from audit.selftest.trial import joined, trial
from audit.selftested import Cell, Measured, Replayed, Share, documented
from reports.speaker import Speaker
from reports.tested import measured as line
from reports.tested import planted

NAMED = {d.name: d for d in DEFECTS}


@pytest.mark.parametrize("defect", [d for d in DEFECTS if d.name != "memorised"], ids=lambda d: d.name)
def test_what_is_planted_is_found_and_what_is_not_is_not(defect: Defect) -> None:
    """Few runs, so only what is all but certain at this size of data."""
    found = trial(defect, 4_000, generated(0.3), planted=True, runs=2)
    clean = trial(defect, 4_000, generated(0.3), planted=False, runs=2)
    assert found.verdicts[defect.target]["fail"].k == 2
    assert clean.verdicts[defect.target]["fail"].k == 0


def test_what_is_spared_moves_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws and bins of what is not judged are few in a run; the answers are those of the checks as they ship."""
    sets = NAMED["selection"]
    plays = [sets.build(tmp_path / str(i), np.random.default_rng(i), 900, generated(0.3), size) for i, size in enumerate((0.0, 0.48))]
    spared = [trials.verdicts(sets, play, 7) for play in plays]
    slopes = [trials.verdicts(NAMED["overconfident"], play, 7) for play in plays]
    assert set(trials.SPARED) <= set(DECIDING)
    monkeypatch.setattr(trials, "SPARED", {})
    assert [trials.verdicts(sets, play, 7) for play in plays] == spared
    assert [trials.verdicts(NAMED["overconfident"], play, 7) for play in plays] == slopes
    assert len({tuple(v.values()) for v in spared}) > 1


def test_an_honest_explainer_adds_up_and_lies_are_the_share_that_they_should_be(tmp_path: Path) -> None:
    """True attributions are w (x − mean); permuted ones still add up, those of another model do not."""
    for name, adds_up in (("misplaced", True), ("borrowed", False)):
        for size in (0.0, 0.5, 1.0):
            play = NAMED[name].build(tmp_path / f"{name}{size}", np.random.default_rng(1), 400, generated(0.3), size)
            frame = {c: np.asarray(v) for c, v in play.scene.context("explanation.infidelity").sample(400).frame.items()}
            around = {c: v[:20] for c, v in frame.items()}
            found = play.client.attribute(frame, around, method="tree_shap", output=1)  # type: ignore[union-attr]
            true = (np.stack([v - v[:20].mean() for v in frame.values()], axis=1)) * explainers.WEIGHTS
            lied = ~np.isclose(found.values, true).all(axis=1)
            assert lied.mean() == pytest.approx(size, abs=0.08)
            misses = np.abs(found.values.sum(axis=1) + found.base - found.explained) > 1e-9
            assert misses.mean() == pytest.approx(0.0 if adds_up else size, abs=0.08)


def test_records_of_true_claims_are_what_training_would_log() -> None:
    """Batches vary as Poisson samples do, shuffled ones not at all; no noise is noise of 0; the limit's epsilon lies below the bound."""
    from audit.stats.privacy import pld, sampling

    rng = np.random.default_rng(3)
    for _ in range(4):
        record = promised._record(rng, 2_000)
        given = {"rows": 2_000, "rate": record["sample_rate"]}
        assert sampling.p_value(record["drawn_mean"], record["drawn_variance"], record["drawn_batches"], **given) > 1e-4
        bound = pld.epsilon(record["noise_multiplier"], record["sample_rate"], record["steps"], delta=record["delta"])
        assert bound < record["epsilon"] < 1.5 * bound
    assert promised._record(rng, 2_000, shuffled=True)["drawn_variance"] == 0
    assert promised._record(rng, 2_000, silent=True)["noise_added"] == 0
    limit = promised._record(rng, 2_000, by_limit=True)
    assert limit["epsilon"] < pld.epsilon(limit["noise_multiplier"], limit["sample_rate"], limit["steps"], delta=limit["delta"])


def test_runs_in_two_parts_are_the_runs_in_one() -> None:
    used = NAMED["backdoor"]
    whole = trial(used, 600, generated(0.3), planted=True, runs=4)
    parts = joined(trial(used, 600, generated(0.3), planted=True, runs=2), trial(used, 600, generated(0.3), planted=True, runs=2, first=2))
    assert parts.model_dump(exclude={"seconds"}) == whole.model_dump(exclude={"seconds"})


def test_defects_are_of_checks_that_exist_and_have_names_of_their_own() -> None:
    assert {c for d in DEFECTS for c in (d.check, *d.through)} <= set(checks())
    assert len(NAMED) == len(DEFECTS)
    assert {d.clean_of for d in DEFECTS if d.clean_of} <= set(NAMED)


def test_the_probabilities_of_a_crowd_are_those_of_its_outcomes() -> None:
    rng = np.random.default_rng(0)
    for crowd in (generated(0.1), generated(0.9), mortgages()):
        p = crowd.draw(rng, 50_000)
        assert p.mean() == pytest.approx(crowd.base, abs=0.005)
        assert (p >= crowd.cutoff).mean() == pytest.approx(crowd.base, abs=0.01)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of its own."""
    file = tmp_path / "selftest.json"
    monkeypatch.setattr(selftested, "PLACE", file)
    monkeypatch.setattr(command, "load", lambda: selftested.load(file))
    monkeypatch.setattr(command, "save", lambda measured: selftested.save(measured, file))
    selftested._kept.cache_clear()
    return file


def kept(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def test_the_command_measures_keeps_goes_on_and_shows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2
    assert "nothing was measured yet" in capsys.readouterr().err
    assert command.main(["--runs", "2", "--defects", "used"]) == 0
    shown = capsys.readouterr().out
    start = "| `fairness.flip` | by how much the sensitive column moves the score: 0.15 | generated | 0.3 | 10,000 | 100.0 (15.8–100.0) | 0.0 (0.0–84.2) | 0.0 (0.0–84.2) | 2, 2 |"
    assert start in shown
    assert "| mortgages | 0.877 | 2,000 |" in shown
    before = place.read_bytes()
    assert command.main(["--runs", "2", "--defects", "used"]) == 0  # nothing left to do
    assert place.read_bytes() == before
    cut = kept(place)
    cut["used"]["cells"] = cut["used"]["cells"][:3]  # broken off
    place.write_text(json.dumps(cut), "utf-8")
    assert command.main(["--runs", "2", "--defects", "used"]) == 0
    seconds = {"seconds"}
    again, first = (Measured.model_validate(json.loads(text)["used"]).cells for text in (place.read_bytes(), before))
    assert [c.model_dump(exclude=seconds) for c in again] == [c.model_dump(exclude=seconds) for c in first]
    capsys.readouterr()
    assert command.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["broken"] == []


def test_a_stale_figure_is_shown_as_one_and_measured_anew(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share = {"k": 1, "n": 2, "low": 0.0, "high": 1.0}
    verdicts = {"criteria": dict.fromkeys(("fail", "inconclusive", "pass"), share)}
    cells = [
        {"source": "generated", "rows": 600, "base": 0.3, "planted": p, "runs": 2, "verdicts": verdicts, "seconds": 1.0}
        for p in (False, True)
    ]
    used = NAMED["used"]
    place.write_text(json.dumps({"used": {
        "check": used.check, "plant": used.plant, "size": used.size, "build": used.build.__name__, "through": [used.check], "target": "criteria",
        "digest": "0123456789abcdef", "date": "2020-02-02", "cells": cells,
    }}), "utf-8")  # fmt: skip
    assert command.main([]) == 0
    assert "| 2020-02-02 `01234567`, stale |" in capsys.readouterr().out
    (told,) = documented(checks()["fairness.flip"].info).self_tests
    assert (told.stale, told.tried[0].found.value, told.tried[0].false_alarms.n) == (True, 0.5, 2)
    assert "STALE" in listing.detail(checks()["fairness.flip"])
    info = documented(checks()["fairness.flip"].info)
    for lang, stale, since in (("en", "Stale: the check", "has changed since"), ("zh", "已过时", "此后该检查已有改动")):
        (table,) = planted(info, "checks[0]", Speaker(lang))
        assert stale in str(table.caption)
        assert since in str(line(info, "checks[0]", Speaker(lang)))
        assert [str(c) for c in table.rows[0]][3:6] == ["50\u00a0%", "0\u00a0%", "100\u00a0%"]
        assert table.rows[0][3].path == "checks[0].info.self_tests[0].tried[0].found.value"


def test_a_stale_figure_stands_where_its_first_runs_come_out_as_before(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--runs", "1", "--defects", "used"]) == 0
    record = kept(place)
    assert all(set(c["first"]) == {"criteria"} and len(c["first"]["criteria"]) == 5 for c in record["used"]["cells"])
    record["used"]["digest"] = "0123456789abcdef"
    first = record["used"]["cells"][0]["first"]["criteria"]
    record["used"]["cells"][0]["first"]["criteria"] = "f" + first[1:]
    place.write_text(json.dumps(record), "utf-8")
    assert command.main(["--replay", "--defects", "used"]) == 0
    shown = capsys.readouterr()
    assert "used: generated, base 0.3, 600 rows, nothing planted: the first runs come out otherwise" in shown.err
    assert ", stale |" in shown.out
    record["used"]["cells"][0]["first"]["criteria"] = first
    place.write_text(json.dumps(record), "utf-8")
    assert command.main(["--replay", "--defects", "used"]) == 0
    assert ", stale |" not in capsys.readouterr().out
    found = Measured.model_validate(kept(place)["used"])
    assert found.digest == "0123456789abcdef"
    assert found.replayed is not None
    assert not selftested.stale(found)
    assert selftested.stale(found.model_copy(update={"replayed": Replayed(date="2026-01-01", digest="0" * 16)}))


def test_figures_hang_on_code_and_not_on_what_checks_say() -> None:
    text = '''"""Says."""\n\n\n@check("a.b", title="Ä", meaning=("x" "y"), needs=["model"])\ndef f(ctx):\n    """Says."""\n    return 1  # one\n'''
    assert selftested._bare(text) == selftested._bare(text.replace("Says", "Tells").replace("Ä", "Öö").replace('"x"', '"z"'))
    for other in (text.replace("return 1", "return 2"), text.replace('["model"]', "[]")):
        assert selftested._bare(other) != selftested._bare(text)
    behind = [p.name for p in selftested._computing([Path(selftested.__file__).parent / "promise.py"])]
    assert {"assumptions.py", "pld.py", "sampling.py"} <= set(behind)


def test_only_what_stands_between_the_markers_of_a_text_changes(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("before\n<!-- selftest -->\nold\n<!-- /selftest -->\nafter\n", "utf-8")
    assert command.main(["--write", str(file)]) == 0
    once = file.read_text("utf-8")
    assert once.startswith("before\n<!-- selftest -->\nWhole audits")
    assert once.endswith("</details>\n<!-- /selftest -->\nafter\n")
    assert "old" not in once.splitlines()
    columns = [line.count("|") for line in once.splitlines() if line.startswith("|")]
    assert set(columns) == {8, 10}
    for text in ("no markers", "<!-- /selftest --> <!-- selftest -->"):
        with pytest.raises(AuditError, match="markers"):
            told.rewritten(text, {})
    assert command.main(["--write", str(tmp_path / "absent.md")]) == 2


def test_the_readme_has_the_figures_as_they_are_kept() -> None:
    text = (Path(__file__).parent.parent.parent / "README.md").read_text("utf-8")
    assert told.rewritten(text, command._named(selftested.load())) == text, "write it anew: python -m audit.selftest --write README.md"


def test_what_was_not_measured_says_so_and_nothing_else(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = documented(checks()["data.profile"].info)
    assert info == checks()["data.profile"].info
    assert planted(info, "checks[0]", Speaker("en")) == []
    assert str(line(info, "checks[0]", Speaker("en"))) == "Not measured: nothing was planted for it."
    assert run.main(["--list", "--checks", "data.profile"]) == 0
    shown = capsys.readouterr().out
    assert "not measured" in shown
    assert "It does not show: " in shown


def test_every_check_that_was_measured_tells_it() -> None:
    """The record that ships: each figure in its check's own account, none of a check that is no more."""
    selftested._kept.cache_clear()
    shipped = selftested.load()
    assert {m.check for m in shipped.values()} <= set(checks())
    for found in shipped.values():
        told = documented(checks()[found.check].info).self_tests
        assert any(t.plant == found.plant and len(t.tried) == sum(c.planted for c in found.cells) for t in told)


def test_rows_from_elsewhere_are_shown_and_not_kept(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=900)
    rows = pd.DataFrame(
        {"x": x, "town": rng.choice(["a", "b"], 900), "paid": np.where(rng.random(900) < 1 / (1 + np.exp(-x)), "yes", "no")}
    )
    rows.to_csv(tmp_path / "loans.csv", index=False)
    crowd = real(tmp_path / "loans.csv", "paid", "yes")
    assert crowd.base == pytest.approx((rows["paid"] == "yes").mean(), abs=0.02)
    asked = ["--runs", "1", "--defects", "used", "--data", str(tmp_path / "loans.csv"), "--target", "paid"]
    assert command.main([*asked, "--positive", "yes"]) == 0
    assert f"| loans | {crowd.base:g} | 600 |" in capsys.readouterr().out
    assert not place.exists()
    assert command.main(asked) == 2
    assert "loans has 0 rows with paid = '1' and 900 others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--defects", "no"], "there is no defect 'no'"),
        (["--runs", "0"], "--runs is 0"),
        (["--data", "x.csv", "--runs", "1"], "--data needs --target"),
        (["--data", "no-such.csv", "--target", "y", "--runs", "1"], "no-such.csv"),
    ],
)
def test_mistakes_are_refused_in_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_a_broken_promise_is_said_and_chance_is_none() -> None:
    def cell(fails: tuple[float, float], passes: tuple[float, float]) -> Cell:
        shares = {
            "fail": Share(k=9, n=100, low=fails[0], high=fails[1]),
            "inconclusive": Share(k=1, n=100, low=0.0, high=0.1),
            "pass": Share(k=90, n=100, low=passes[0], high=passes[1]),
        }
        return Cell(source="generated", rows=10_000, base=0.3, planted=False, runs=100, verdicts={"audit": shares}, seconds=1.0)

    given = {"check": "fairness.group", "plant": "", "size": 0.5, "build": "", "through": [], "target": "audit", "digest": ""}

    def broken(*found: tuple[float, float]) -> list[str]:
        return promises.promises({"selection": Measured.model_validate(given | {"date": "2026-01-01", "cells": [cell(*found)]})})

    settled = Measured.model_validate(given | {"date": "2026-01-01", "cells": [cell((0.0, 0.04), (0.81, 0.9))]})
    open_ = Measured.model_validate(given | {"date": "2026-01-01", "cells": [cell((0.0, 0.06), (0.79, 0.9))]})
    assert promises.unsettled({"a": settled}) == []
    assert [line.split(": ")[1].split(" of")[0] for line in promises.unsettled({"a": open_})] == ["up to 6.0%", "as few as 79.0%"]
    assert broken((0.04, 0.2), (0.7, 0.85)) == []
    assert "9 of 100 clean runs fail" in broken((0.06, 0.2), (0.7, 0.85))[0]
    weak = settled.model_copy(update={"promised": [(0.1, 10_000), (0.3, 2_000)]})
    planted = weak.cells[0].model_copy(update={"planted": True, "rows": 2_000})
    there = weak.model_copy(update={"cells": [planted]})
    assert "found in 9 of 100 runs, promised are 80%" in promises.promises({"a": there})[0]
    for other in (planted.model_copy(update={"rows": 600}), planted.model_copy(update={"base": 0.1})):  # nothing is promised there
        assert promises.promises({"a": weak.model_copy(update={"cells": [other]})}) == []
    assert promises.short({"a": there}, {"a": 1_000}) == ["a: 1 of 1 cells have fewer than 1,000 runs, 100 at least"]
    assert promises.short({"a": there}, {"a": 100}) == []
    assert "90 of 100 clean runs pass" in broken((0.01, 0.2), (0.6, 0.79))[0]
