"""Slices that the plan names: which rows they are, what is found of them by hand, and what of a plan is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scene import Pick, Scene, set_scene

from audit import plan as plans
from audit.cohorts.named import Cohort, Condition
from audit.dataset import open_dataset
from audit.errors import AuditError
from audit.named_slices import NamedRows, cohorts, named_rows, of_cohort
from audit.result import Finding
from audit.stats.compare import newcombe
from audit.text import render
from audit.toml import dumps

CHECK = "performance.named_slices"
REST = {"(rows)": "(rest)"}


def plan_of(folder: Path, text: str) -> plans.Plan:
    path = folder / "plan.toml"
    path.write_text(text)
    return plans.load(path)


def scene(folder: Path, text: str, **given: Any) -> Scene:
    """400 rows: of the 100 with shop 1 the model is wrong about 40, of the others about 30."""
    shop = np.repeat([1.0, 2.0, 3.0, 4.0], 100)
    wrong = np.concatenate([np.arange(100) < 40, np.arange(300) < 30])
    y = np.tile([0, 1], 200)
    rows = {
        "y": y,
        "pred": np.where(wrong, 1 - y, y),
        "features": {"shop": shop, "age": np.arange(400.0)},
        "groups": {"sex": ["f", "m"] * 200},
    }
    return set_scene(folder, **(rows | given), plan=plan_of(folder, text))


def judged(made: Scene, metric: str, name: str) -> Finding:
    checks = {c.info.id: c for c in made.document().checks}
    (one,) = [f for f in checks[CHECK].findings if (f.metric, f.compare, f.slice) == (metric, "difference", {"(slice)": name})]
    return one


def test_figures_of_a_slice_by_hand(tmp_path: Path) -> None:
    found = Pick(scene(tmp_path, '[slices."first shop"]\nshop = [1]').measure(CHECK))
    own = {"(slice)": "first shop"}
    assert found.value("zero_one_loss", **own) == 0.4
    difference = found("zero_one_loss", "difference", **own)
    assert difference.against == REST
    assert [(p.k, p.n) for p in difference.parts] == [(40, 100), (30, 300)]
    expected = newcombe(40, 100, 30, 300, level=difference.estimate.level)
    assert expected is not None
    assert (difference.estimate.value, difference.estimate.low, difference.estimate.high) == (expected.value, expected.low, expected.high)
    # wrong is decided the other way: of 20 even rows without the event all 20 wrong ones are false positives
    assert [(p.k, p.n) for p in found("false_positive_rate", "difference", **own).parts] == [(20, 50), (15, 150)]
    assert [(p.k, p.n) for p in found("selection_rate", "difference", **own).parts] == [(50, 100), (150, 300)]


def test_a_slice_that_is_plainly_worse_fails_and_one_that_is_not_passes(tmp_path: Path) -> None:
    made = scene(tmp_path, "[slices.first]\nshop = [1]\n[slices.last]\nshop = [4]")
    assert judged(made, "zero_one_loss", "first").verdict == "fail"
    assert judged(made, "zero_one_loss", "last").verdict == "pass"
    said = render(made.summary(CHECK))
    assert "“first” fares worst: the model is wrong about 40 % of 100 rows, +30" in said.replace("\u202f", " ").replace("\u00a0", " ")


def test_two_tests_in_one_family_are_adjusted(tmp_path: Path) -> None:
    first = judged(scene(tmp_path, "[slices.first]\nshop = [1]\n[slices.last]\nshop = [4]"), "zero_one_loss", "first")
    assert first.test is not None
    assert first.test.tests_in_family == 2


def test_quantities_have_errors_and_values(tmp_path: Path) -> None:
    error = np.concatenate([np.tile([4.0, 6.0], 50), np.tile([1.0, 3.0], 150)])
    made = scene(tmp_path, "[slices.first]\nshop = [1]", y=np.zeros(400), pred=error, task="regression", favourable=["high"])
    found = Pick(made.measure(CHECK))
    assert found.value("mean_absolute_error", **{"(slice)": "first"}) == 5.0
    assert found.value("mean_absolute_error", "difference", **{"(slice)": "first"}) == 3.0
    assert found.value("selection_rate", **{"(slice)": "first"}) == 1.0


def test_probabilities_are_held_against_what_happened(tmp_path: Path) -> None:
    score = np.concatenate([np.tile([0.6, 0.8], 50), np.tile([0.4, 0.6], 150)])
    found = Pick(scene(tmp_path, "[slices.first]\nshop = [1]", score=score).measure(CHECK))
    assert found.value("calibration_in_the_large", **{"(slice)": "first"}) == pytest.approx(0.2)
    assert found.value("calibration_in_the_large", "difference", **{"(slice)": "first"}) == pytest.approx(0.2)


def test_a_slice_of_nobody_says_so_and_stops_nothing(tmp_path: Path) -> None:
    made = scene(tmp_path, '[slices.none]\nsex = ["x"]\n[slices.first]\nshop = [1]')
    assert Pick(made.measure(CHECK))("zero_one_loss", **{"(slice)": "none"}).estimate is None
    assert render(made.summary(CHECK)).endswith("No row is in none.")
    alone = scene(tmp_path, '[slices.none]\nsex = ["x"]')
    assert render(alone.summary(CHECK)) == "No row of these data is in a slice that the plan names: none."


def test_without_slices_the_check_is_passed_over(tmp_path: Path) -> None:
    missing = scene(tmp_path, "").missing(CHECK)
    assert missing is not None
    assert "[slices.NAME]" in missing


def test_without_outcome_decisions_are_compared(tmp_path: Path) -> None:
    made = scene(tmp_path, "[slices.first]\nshop = [1]", y=None)
    assert {m.metric for m in made.measure(CHECK)} == {"selection_rate"}
    assert "by the model's errors" in render(made.summary(CHECK))


def rows_of(folder: Path, text: str, target: str | None = None) -> list[NamedRows]:
    return named_rows(open_dataset(str(folder / "rows.csv")), cohorts(plan_of(folder, text).slices), target)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    frame = pd.DataFrame({
        "age": [17, 18, 29.5, 30, None, 64], "sex": ["f", "m", "f", None, "m", "f"], "code": ["007", "8", "007", "9", "8", "x"],
        "member": [True, False, True, True, False, None], "y": [0, 1, 0, 1, 0, 1],
    })  # fmt: skip
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("age = { low = 18, high = 30 }", 2), ("age = { high = 18 }", 1), ("age = { low = 30 }", 2), ("age = [18]", 1), ("age = 29.5", 1),
        ('age = ["(missing)"]', 1), ('age = ["[17, 30)"]', 3), ('sex = "f"', 3), ('sex = ["(missing)", "m"]', 3), ('code = ["007"]', 2),
        ("code = [8]", 2), ("member = true", 3), ('age = { low = 18 }\nsex = ["f"]', 2), ('sex = ["it\'s"]', 0),
    ],
)  # fmt: skip
def test_which_rows_a_slice_is(rows: Path, said: str, count: int) -> None:
    (named,) = rows_of(rows, f"[slices.some]\n{said}")
    assert named.rows == count


def test_a_slice_says_in_a_line_which_rows_it_is(rows: Path) -> None:
    (named,) = rows_of(rows, '[slices.some]\nage = { low = 18, high = 30 }\nsex = ["f", "m"]')
    assert named.told == "age ≥ 18, age < 30, sex = f | m"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('colour = ["red"]', "names 'colour', which is no column of the data"), ("sex = { low = 1 }", "gives a range of 'sex', which holds no numbers"),
        ("y = [1]", "names 'y', which is the target"),
    ],
)  # fmt: skip
def test_what_the_data_cannot_say_is_refused(rows: Path, said: str, what: str) -> None:
    with pytest.raises(AuditError, match=what.replace("[", r"\[")):
        rows_of(rows, f"[slices.some]\n{said}", target="y")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("age = { low = 3, high = 3 }", "the range is empty"), ("age = {}", "needs low, high or both"), ("age = []", "at least 1 item"),
        ("age = { least = 3 }", "Extra inputs"), ("", "at least 1 item"), ("a = 1\nb = 1\nc = 1\nd = 1\ne = 1", "at most 4 items"),
        ("age = { low = nan }", "finite"),
    ],
)  # fmt: skip
def test_what_names_no_rows_is_refused(tmp_path: Path, said: str, what: str) -> None:
    with pytest.raises(AuditError, match=what) as refusal:
        plan_of(tmp_path, f"[slices.some]\n{said}")
    assert "slices.some" in str(refusal.value)


def test_more_slices_than_can_be_named_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="at most 50 items"):
        plan_of(tmp_path, "\n".join(f"[slices.s{i}]\nage = {i}" for i in range(51)))


def test_a_resolved_plan_is_read_again_with_its_slices(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '[slices."young women"]\nage = { high = 30 }\nsex = "f"\nmember = true')
    written = plans.fixed(plan, plans.asked(plan, None, None), sample=100, seed=0)
    again = plan_of(tmp_path, dumps({"slices": written["slices"]}))
    assert again.slices == plan.slices
    assert again.slices["young women"]["member"] == ["true"]
    assert json.dumps(written)


def test_a_plan_without_slices_keeps_its_digest(tmp_path: Path) -> None:
    """What was committed to before plans could name slices is found again."""
    plan = plans.load(None)
    assert "slices" not in plans.fixed(plan, plans.asked(plan, None, None), sample=100, seed=0)


def test_a_cohort_as_a_slice_and_back() -> None:
    cohort = Cohort(name='a "b"', conditions=[Condition(column="sex", values=["f", "(missing)"]), Condition(column="x.y", low=1.5)])
    written = tomllib.loads(dumps({"slices": {cohort.name: of_cohort(cohort)}}))
    assert cohorts(plans.Plan.model_validate(plans.load(None).model_dump() | written).slices) == [cohort]
