"""Whose rows smaller models decide otherwise, with models that are written down: counted again row by row, told by group, and left aside where little is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.context import Context
from audit.judge import judge_reported
from audit.privacy import reference_models
from audit.privacy.reference_models import Beside
from audit.probe import collect
from audit.roles import parse_decision
from audit.seeds import find_seeds
from audit.text import render

CHECK = "efficiency.exemplars"


def logged(folder: Path, base: int = 5, small: int = 5) -> str:
    """A folder as models.compress logs it, with graphs that nobody opens here."""
    for side, count in (("base", base), ("small", small)):
        (folder / "seeds" / side).mkdir(parents=True)
        for k in range(count):
            (folder / "seeds" / side / f"{k:03d}.pt2").write_bytes(f"{side} {k}".encode())
    return str(folder / "seeds")


class Versions:
    """n rows of men and women with the chance of class 1 that each of five models and its smaller version give, (5, n) each. Every model errs on rows of its
    own; the smaller ones all answer otherwise on a share `everybody` of the rows and `harm` of those of f."""

    def __init__(self, folder: Path, *, harm: float, everybody: float = 0.05, n: int = 3000, decision: str = "predict") -> None:
        rng = np.random.default_rng(2)
        y, self.sex = rng.integers(0, 2, n), np.where(rng.random(n) < 0.2, "f", "m")
        before = np.where(rng.random((5, n)) < 0.1, 1 - y, y)
        self.lost = (rng.random(n) < everybody) | ((self.sex == "f") & (rng.random(n) < harm))
        self.base, self.small = (np.where(votes == 1, 0.9, 0.1) for votes in (before, np.where(self.lost, 1 - before, before)))
        made = set_scene(
            folder, y=y, pred=y, score=np.where(y == 1, 0.9, 0.1), groups={"sex": self.sex}, features={"place": np.arange(float(n))}
        )
        seeds, notes = find_seeds(logged(folder))
        assert not notes
        self.scene: Scene = replace(made, facts=made.facts.model_copy(update={"seeds": seeds, "decision": parse_decision(decision)}))

    def asked(self, monkeypatch: pytest.MonkeyPatch, sample: int = 2000, **params: Any) -> tuple[Pick, str]:
        """The check's measurements and sentence; the models' answers are those above."""

        def asked(_: Context, folder: Path, files: list[str], frames: list[Any]) -> Beside:
            assert all((folder / name).is_file() for name in files)
            both = {"base": self.base, "small": self.small}
            p = np.stack([both[name.split("/")[0]][int(name[-7:-4])] for name in files])[:, np.asarray(frames[0]["place"]).astype(int)]
            return Beside([np.stack([1 - p, p], axis=2)], None)

        monkeypatch.setattr(reference_models, "asked", asked)
        plan = self.scene.plan.model_copy(update={"audit": self.scene.plan.audit.model_copy(update={"sample": sample})})
        found, summary = collect(replace(self.scene, plan=plan).context(CHECK), params)
        return Pick(found), render(summary)


def test_the_rows_are_counted_one_by_one_and_the_group_that_holds_most_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Versions(tmp_path, harm=0.15)
    pick, said = made.asked(monkeypatch)
    female = made.sex == "f"
    assert pick.value("exemplar_share") == pytest.approx(
        made.lost.mean()
    )  # five models of two classes tie nowhere, and the smaller ones change at once
    assert pick("exemplar_share").estimate.method == "clopper_pearson"
    for group, inside in (("f", female), ("m", ~female)):
        assert pick.value("exemplar_share", sex=group) == pytest.approx(made.lost[inside].mean())
        ratio = (made.lost & inside).sum() / made.lost.sum() / inside.mean()
        assert pick.value("exemplar_share_ratio", sex=group) == pytest.approx(ratio)
    own = pick("exemplar_share_ratio", sex="f")
    assert own.estimate.low > 1.5
    assert own.test.adjusted_p_value == pytest.approx(min(1.0, 2 * own.test.p_value))
    assert own.test.tests_in_family == 2
    assert pick("exemplar_share_ratio", sex="m").estimate.high < 1
    (table,) = pick("exemplar_share").evidence
    assert [line[0] for line in table.rows] == ["m (sex)", "f (sex)"]
    assert [line[2] for line in table.rows] == [int((made.lost & ~female).sum()), int((made.lost & female).sum())]
    assert "For its size f (sex) has most of them" in said
    assert "tie" not in said


def test_nothing_is_judged_by_a_limit_that_nobody_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Versions(tmp_path, harm=0.15)
    pick, _ = made.asked(monkeypatch)
    assert {f.verdict for f in judge_reported(CHECK, pick.found, made.scene.plan, judgeable=True)} == {"not_judged"}


def test_equal_changes_point_at_nobody_and_none_at_all_say_how_many_there_could_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pick, _ = Versions(tmp_path, harm=0.0).asked(monkeypatch)
    e = pick("exemplar_share_ratio", sex="f").estimate
    assert e.low < 1 < e.high
    (tmp_path / "none").mkdir()
    pick, said = Versions(tmp_path / "none", harm=0.0, everybody=0.0).asked(monkeypatch)
    e = pick("exemplar_share").estimate
    assert 0 == e.low == e.value < e.high < 0.002
    assert pick("exemplar_share_ratio", sex="f").estimate is None
    assert "No row is decided otherwise" in pick("exemplar_share_ratio", sex="f").reason
    assert said.endswith("their smaller versions another.")


def test_the_rule_in_force_decides_for_every_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smaller models raise every chance of .1 to .4: by the highest score nothing changes, at a cutoff of .3 every row below it does."""
    for decision, share in (("predict", 0.0), ("score>=0.3", None)):
        folder = tmp_path / decision[:5]
        folder.mkdir()
        made = Versions(folder, harm=0.0, everybody=0.0, decision=decision)
        made.small = np.where(made.base < 0.5, 0.4, made.base)
        below = (made.base < 0.5).sum(axis=0) > 2
        pick, _ = made.asked(monkeypatch)
        assert pick.value("exemplar_share") == pytest.approx(below.mean() if share is None else share)


def test_ties_and_rows_without_an_answer_are_counted_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Versions(tmp_path, harm=0.0, everybody=0.0)
    made.base[0, :7] = np.nan
    _, said = made.asked(monkeypatch)
    assert "Left out are 7 rows to which some model gives no answer." in said
    (tmp_path / "six").mkdir()
    six = Versions(tmp_path / "six", harm=0.0, everybody=0.0)
    six.base, six.small = np.full((6, 3000), 0.9), np.full((6, 3000), 0.9)
    six.small[:3, :11] = 0.1  # three against three: the other side's mode is among them
    seeds, _ = find_seeds(logged(tmp_path / "more", 6, 6))
    six.scene = replace(six.scene, facts=six.scene.facts.model_copy(update={"seeds": seeds}))
    pick, said = six.asked(monkeypatch)
    assert pick.value("exemplar_share") == 0
    assert "On 11 rows models tie" in said
    made.base[:] = np.nan
    pick, said = made.asked(monkeypatch)
    assert pick.found == []
    assert "no row to which every model gives an answer" in said


def test_small_groups_are_left_open_and_a_sample_is_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Versions(tmp_path, harm=0.2)
    pick, _ = made.asked(monkeypatch, rows=300, group_rows=150)
    assert pick("exemplar_share").estimate.n == 300
    for metric in ("exemplar_share", "exemplar_share_ratio"):
        assert "Fewer than 150 rows" in pick(metric, sex="f").reason
    pick, _ = made.asked(monkeypatch, sample=60)
    assert pick("exemplar_share").estimate.n == 300  # each is asked about once: five for each of --sample


@pytest.mark.parametrize(
    ("base", "small", "says"),
    [(4, 4, "of 4 models the most frequent answer says little; 5 are needed"), (6, 5, "not each of the 6"), (0, 0, "of 0 models")],
)
def test_too_few_models_and_unequal_sides_are_left_aside_and_said(tmp_path: Path, base: int, small: int, says: str) -> None:
    found, (note,) = find_seeds(logged(tmp_path, base, small))
    assert found is None
    assert says in render(note)


def test_without_models_of_other_seeds_nothing_is_asked_and_the_way_to_them_is_said(tmp_path: Path) -> None:
    scene = set_scene(tmp_path, y=[0, 1] * 20, pred=[0, 1] * 20, score=[0.2, 0.8] * 20, groups={"sex": ["f", "m"] * 20})
    assert find_seeds(None) == (None, [])
    assert "models.compress --seeds K" in str(scene.missing(CHECK))
    (tmp_path / "with").mkdir()
    assert "--seeds" not in str(Versions(tmp_path / "with", harm=0.0).scene.missing(CHECK))


def test_the_digest_is_of_every_file(tmp_path: Path) -> None:
    folder = logged(tmp_path)
    before, _ = find_seeds(folder)
    Path(folder, "small", "004.pt2").write_bytes(b"another")
    after, _ = find_seeds(folder)
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256
