"""Membership: a model that learnt rows by heart is found out, one that did not is not, and few rows are reported without a judgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, completed, set_scene

from audit.context import Context
from audit.privacy.claims import Privacy
from audit.probe import collect
from audit.registry import checks
from audit.text import render
from audit.training import LOGGED

CHECK = "privacy.membership"


def scene(folder: Path, *, heart: float, n: int = 2600, seed: int = 0, groups: bool = True) -> Scene:
    """Outcomes at random for x; of training rows the model knows the outcome with log odds `heart`, written into the input z as its memory."""
    rng = np.random.default_rng(seed)

    def rows(shift: float) -> dict[str, np.ndarray]:
        x, y = rng.normal(size=n), rng.integers(0, 2, n)
        return {"x": x, "y": y, "z": (2 * y - 1) * (rng.normal(size=n) + shift), "sex": np.array(["f", "m"])[rng.integers(0, 2, n)]}

    inside, outside = rows(heart), rows(0.0)
    p = 1 / (1 + np.exp(-outside["z"]))
    training = {"x": inside["x"], "z": inside["z"], "outcome": inside["y"].astype(str), "sex": inside["sex"]}
    return set_scene(
        folder, pred=(p > 0.5).astype(int), y=outside["y"], score=p, features={"x": outside["x"], "z": outside["z"]}, training=training,
        groups={"sex": outside["sex"]} if groups else {},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers what z holds."""

    def interpreted(self: Context, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        p = 1 / (1 + np.exp(-np.asarray(frame["z"])))
        return (p > 0.5).astype(int), np.stack([1 - p, p], axis=1)

    monkeypatch.setattr(Context, "interpreted", interpreted)


def judged(made: Scene, **params: Any) -> Pick:
    given = {"rows": 10_000} | params
    results = made.results() | {CHECK: completed(*collect(made.context(CHECK), given)) | {"params": given, "seconds": 0.0}}
    (check,) = [c for c in made.document(results={id_: results[id_] for id_ in checks()}).checks if c.info.id == CHECK]
    return Pick(check.findings)


def test_rows_learnt_by_heart_are_found_out(tmp_path: Path) -> None:
    """Members' log odds are shifted by 2: AUC .92135 and 37.2 % found at 1 % false positives (normal scores)."""
    found = judged(scene(tmp_path, heart=2.0))
    auc, hit = found("attack_auc"), found("tpr_at_fpr_1")
    assert auc.estimate.low <= 0.92135 <= auc.estimate.high
    assert hit.estimate.low <= 0.37208 <= hit.estimate.high
    assert (auc.verdict, hit.verdict) == ("fail", "fail")
    assert auc.criterion.role == "warns"
    assert found.value("implied_epsilon") == pytest.approx(np.log(hit.estimate.value / 0.01))
    assert found("tpr_at_fpr_1", sex="f").verdict == "fail"
    assert found("tpr_at_fpr_01").estimate is None


def test_a_model_that_learnt_nobody_by_heart_is_not_accused(tmp_path: Path) -> None:
    found = judged(scene(tmp_path, heart=0.0))
    assert found("attack_auc").verdict == "inconclusive"
    assert "fewer than 4 reference models" in render(found("attack_auc").reason_msg)
    assert found("tpr_at_fpr_1").verdict != "fail"
    assert found.value("attack_auc") == pytest.approx(0.5, abs=0.04)


def test_few_rows_are_reported_and_not_judged(tmp_path: Path) -> None:
    made = scene(tmp_path, heart=2.0, n=600)
    found = judged(made)
    assert found("attack_auc").verdict == "not_judged"
    assert found("tpr_at_fpr_5").verdict == "not_judged"
    assert found("tpr_at_fpr_5").reason == (
        "600 members and 600 others: with fewer than 1,000 on either side the figures are reported and not judged. "
        "Give more rows with --training and --data, or a larger --sample."
    )
    assert {f.metric for f in found.found} == {"attack_auc", "tpr_at_fpr_5", "implied_epsilon", "tpr_at_fpr_01"}
    assert str(found("tpr_at_fpr_5").reason) in render(made.summary("privacy.membership"))


def test_a_group_needs_500_rows_a_side(tmp_path: Path) -> None:
    found = judged(scene(tmp_path, heart=1.0, n=1600))
    assert {tuple(f.slice.items()) for f in found.found} == {()}


def test_the_training_rows_themselves_tell_nothing(tmp_path: Path) -> None:
    made = scene(tmp_path, heart=1.0, n=300)
    training = made.facts.training
    assert training is not None
    same = replace(made, facts=made.facts.model_copy(update={"training": training.model_copy(update={"sha256": made.facts.sha256})}))
    assert "nobody who was not in training" in render(same.summary(CHECK))
    assert same.measure(CHECK) == []


def test_planted_canaries_are_no_members(tmp_path: Path) -> None:
    """The first 600 training rows are canaries that the model knows by heart: without them it knows nobody."""
    made = scene(tmp_path, heart=0.0, n=2000)
    training = made.facts.training
    assert training is not None
    rows = pq.read_table(training.files[0]).to_pydict()
    y = np.array(rows["outcome"], dtype=int)
    rows["z"] = np.where(np.arange(2000) < 600, (2 * y - 1) * 9.0, rows["z"])
    pq.write_table(pa.table(rows), training.files[0])
    assert Pick(made.measure(CHECK)).value("attack_auc") > 0.6
    path = tmp_path / "canaries.parquet"
    pq.write_table(pa.table({"row": list(range(600)), "included": [True] * 600}), path)
    facts = made.facts.model_copy(
        update={"privacy": Privacy(canaries=str(path)), "training": training.model_copy(update={"source": LOGGED})}
    )
    assert Pick(replace(made, facts=facts).measure(CHECK)).value("attack_auc") == pytest.approx(0.5, abs=0.05)


def test_rows_that_are_asked_about_once_are_five_for_each_of_the_sample(tmp_path: Path) -> None:
    """--sample 100: 500 a side, of which one half measures; so few are reported and not judged."""
    made = scene(tmp_path, heart=1.0, n=2000)
    plan = made.plan.model_copy(update={"audit": made.plan.audit.model_copy(update={"sample": 100})})
    found = Pick(replace(made, plan=plan).measure(CHECK))
    assert 400 < found("attack_auc").estimate.n < 600
    assert "tpr_at_fpr_1" not in {m.metric for m in found.found}


def test_two_runs_agree_to_the_last_digit(tmp_path: Path) -> None:
    one, other = (scene(tmp_path, heart=1.0, n=1200).measure(CHECK) for _ in range(2))
    assert one == other
