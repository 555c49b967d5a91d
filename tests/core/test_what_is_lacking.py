"""What is lacking is said in one line: what was expected, what came, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bright_halves import MARGIN, Client, Half, N, pictures, scene
from scene import Pick, set_scene

from audit.errors import AuditError
from audit.jobs import JobError
from audit.probe import collect
from audit.progress import Plain
from audit.registry import NEEDS, checks, unmet
from audit.runner import Audit
from audit.text import render

TRAINING = [id_ for id_, check in checks().items() if "training" in check.info.needs]


@pytest.mark.parametrize("id_", TRAINING)
def test_without_training_rows_each_check_says_what_cannot_be_said(id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.registry.available", lambda *_: dict.fromkeys(NEEDS, True) | {"training": False})
    given: Any = {name: [name] for name in (*checks()[id_].columns, *checks()[id_].lists, *checks()[id_].files)}
    assert unmet(checks()[id_], {}, {}, given) == (
        "The rows that the model was trained on are not known, so nothing can be said that compares with them: name them with --training."
    )


def test_without_training_rows_the_document_lists_what_was_not_asked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    score = rng.random(60)
    document = set_scene(tmp_path, pred=(score > 0.5).astype(int), y=rng.integers(0, 2, 60), score=score, trained=False).document()
    assert "privacy.membership" in TRAINING
    (membership,) = [c for c in document.checks if c.info.id == "privacy.membership"]
    assert (membership.status, membership.reason) == ("skipped", NEEDS["training"])


def test_a_group_of_one_class_says_what_it_lacks(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    score, sex = rng.beta(2, 2, 400), rng.choice(["f", "m"], 400)
    y = np.where(sex == "f", 0, rng.random(400) < score).astype(int)
    made = set_scene(tmp_path, pred=(score > 0.5).astype(int), y=y, score=score, groups={"sex": sex})
    for check, metric, said in (
        ("performance.groups", "roc_auc", "All outcomes of this group are of one class: an area needs rows of both."),
        ("fairness.group", "true_positive_rate", "There are no rows that this rate counts here."),
        ("performance.baseline", "brier_skill", "All outcomes are the same on these rows, so there is no trivial forecast to beat."),
        ("calibration.groups", "calibration_slope", "The outcomes are separated by the score, or do not vary: a slope cannot be fitted."),
    ):
        found = Pick(made.measure(check))(metric, sex="f")
        assert (found.estimate, found.reason) == (None, said)
        assert Pick(made.measure(check))(metric, sex="m").estimate is not None


BETWEEN = "The pictures hold numbers from {} to {}, neither within [0, 1] nor whole numbers to 255, and the plan gives no bounds: no picture was changed. "
OUTSIDE = "The pictures hold numbers from {} to {}, outside the plan's bounds of 0 to 1.00: no picture was changed. Correct bounds = [low, high] in the plan."


@pytest.mark.parametrize("check", ["robustness.adversarial", "robustness.certified", "robustness.corruptions"])
@pytest.mark.parametrize(("x", "bounds", "said"), [
    (pictures(MARGIN) + 0.6, None, BETWEEN.format("0.900", "1.30") + "Name the ends of a pixel's range in the plan, as bounds = [low, high]."),
    (pictures(MARGIN) - 0.55, None, BETWEEN.format("−0.250", "0.150") + "Name the ends of a pixel's range in the plan, as bounds = [low, high]."),
    (pictures(MARGIN) + 0.6, [0.0, 1.0], OUTSIDE.format("0.900", "1.30")),
])  # fmt: skip
def test_pictures_outside_0_to_1_are_not_changed_until_somebody_names_their_range(
    tmp_path: Path, check: str, x: Any, bounds: list[float] | None, said: str
) -> None:
    context = scene(tmp_path, x).context(check)
    context.__dict__["client"] = Client(Half())
    found, summary = collect(context, {"bounds": bounds, "rows": N} | ({"sigma": 0.2} if check == "robustness.certified" else {}))
    assert found == []
    assert render(summary) == said


def test_odds_of_a_group_that_never_misses_say_why_they_have_no_ratio(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    score, sex = rng.random(400), rng.choice(["f", "m"], 400)
    y = np.where(sex == "f", score > 0.5, rng.random(400) < score).astype(int)
    made = set_scene(tmp_path, pred=(score > 0.5).astype(int), y=y, score=score, groups={"sex": sex}, reference={"sex": "m"})
    found = Pick(made.measure("fairness.group"))("true_positive_rate", "odds_ratio", sex="f")
    assert (found.estimate, str(found.reason).endswith("or, for the odds ratio, the group has a rate of 1.")) == (None, True)


@pytest.mark.parametrize(("cause", "said", "more"), [
    ("contract", "the tokenizer has no mask token", ""),
    ("timeout", "the worker did not answer in time", " (7 s): give it longer with --check-timeout"),
])  # fmt: skip
def test_why_a_model_could_not_be_loaded_is_told_at_once(cause: str, said: str, more: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*_: Any, **__: Any) -> Any:
        raise JobError("worker", said, cause)

    audit: Any = Audit.__new__(Audit)
    audit.request, audit.facts, audit.inspection = (
        SimpleNamespace(check_timeout=7.0),
        {"recorded": None},
        SimpleNamespace(metadata={}, flavor=""),
    )
    audit.attempts, audit.jobs = SimpleNamespace(worker=lambda: SimpleNamespace(socket=None)), SimpleNamespace(run=run)
    audit.endpoint, audit.progress = None, Plain()
    audit.settle()
    assert capsys.readouterr().err.splitlines() == ["load …", f"  load: The model could not be loaded or asked: {said}{more}"]


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_batch_of_no_rows_is_refused(name: str) -> None:
    with pytest.raises(AuditError) as error:
        checks()["efficiency.latency"].parameters({name: 0})
    assert str(error.value) == (
        f"error: check efficiency.latency has no valid parameter '{name}': Input should be greater than or equal to 1, got '0' — "
        "its parameters are large, seconds, small"
    )
