"""The logged privacy claim: true ones stand, false ones fail at once, and canaries refute what leaks more than it promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scene import Pick, Scene, completed, set_scene
from scipy.stats import binom

from audit.context import Context
from audit.features import FeatureSpec
from audit.privacy.assumptions import assumptions, recount
from audit.privacy.claims import Privacy, find_privacy, read_claim
from audit.probe import collect
from audit.registry import checks
from audit.result import AuditResult, Question
from audit.stats.privacy import onerun
from audit.text import render

#: σ 1.5, q .04, 2,250 steps cost 6.76879 at δ 1e-5.
TRUE = {
    "mechanism": "DP-SGD", "epsilon": 6.78, "delta": 1e-5, "accountant": "prv", "noise_multiplier": 1.5, "sample_rate": 0.04, "steps": 2250, "steps_taken": 2250,
    "rows": 1000, "expected_batch_size": 40, "sampling": "poisson", "clip_norm": 1.0, "adjacency": "one training row more or less", "secure_mode": True,
    "noise_source": "operating system, not kept", "not_covered": [],
}  # fmt: skip
#: A claim so strict that few canaries can test it: one step of much noise.
STRICT = TRUE | {"epsilon": 0.6, "noise_multiplier": 20.0, "sample_rate": 0.04, "steps": 1000, "steps_taken": 900}


def scene(folder: Path, claim: dict[str, Any] | None, **more: Any) -> Scene:
    rng = np.random.default_rng(0)
    score = rng.random(1000)
    made = set_scene(folder, pred=(score > 0.5).astype(int), y=(rng.random(1000) < score).astype(int), score=score)
    privacy = Privacy(claim=None if claim is None else read_claim(claim), **more)
    return replace(made, facts=made.facts.model_copy(update={"privacy": privacy}))


def answered(made: Scene) -> tuple[AuditResult, Question]:
    """The document of the scene, with this check run as the runner would."""
    params = {"guesses": 0.5}
    results = made.results() | {
        "privacy.claim": completed(*collect(made.context("privacy.claim"), params)) | {"params": params, "seconds": 0.0}
    }
    document = made.document(results={id_: results[id_] for id_ in checks()})
    (question,) = [q for q in document.questions if q.id == "privacy_claim"]
    return document, question


def findings_of(document: AuditResult) -> Pick:
    (check,) = [c for c in document.checks if c.info.id == "privacy.claim"]
    return Pick(check.findings)


def plant(folder: Path, *, leak: float, m: int = 200, seed: int = 0) -> str:
    """Canaries of which a share `leak` shows by its input x whether it trained."""
    rng = np.random.default_rng(seed)
    included = rng.random(m) < 0.5
    shown = rng.random(m) < leak
    x = np.where(shown, np.where(included, 1.0, -1.0), rng.normal(0, 0.1, m))
    path = folder / "canaries.parquet"
    pq.write_table(pa.table({"x": x, "outcome": ["0"] * m, "included": included, "row": pa.nulls(m, pa.int64())}), path)
    return str(path)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose belief in class 0 rises with x: it tells what the canaries' x tells."""

    def interpreted(self: Context, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        p0 = 1 / (1 + np.exp(-3 * np.asarray(frame["x"])))
        return (p0 < 0.5).astype(int), np.stack([p0, 1 - p0], axis=1)

    monkeypatch.setattr(Context, "interpreted", interpreted)


def test_a_true_claim_is_supported_and_still_untried_without_canaries(tmp_path: Path) -> None:
    document, question = answered(scene(tmp_path, TRUE))
    found = findings_of(document)
    assert found.value("accounted_epsilon") == pytest.approx(6.76879, abs=1e-5)
    assert found.value("renyi_epsilon") == pytest.approx(7.32911, abs=1e-5)
    assert found("unsupported_epsilon").verdict == "pass"
    assert found("broken_assumptions").verdict == "pass"
    assert question.verdict == "inconclusive"
    assert "No canaries" in str(question.reason)


@pytest.mark.parametrize(("changed", "said"), [
    ({"sampling": "shuffled"}, "Poisson samples: without that, epsilon is 46.2"),
    ({"sampling": "fixed batches"}, "Poisson samples"),
    ({"accountant": "gdp", "epsilon": 6.60}, "GDP accountant"),
    ({"epsilon": 6.60}, "GDP accountant"),
    ({"noise_multiplier": 0}, "switched off"),
    ({"epsilon": 5.0}, "Counted again: 6.77"),
    ({"steps_taken": 2251}, "Steps taken: 2,251; steps counted: 2,250"),
    ({"sample_rate": 0.03, "epsilon": 6.0}, "batch size over rows is 0.040"),
    ({"clip_norm": 0.0}, "clipping norm is 0"),
    ({"drawn_batches": 2250, "times_mean": 90.0, "times_variance": 0.0}, "drawn 90.0 times on average with a standard deviation of 0; Poisson samples would have 90.0 and 9.30"),
    ({"noise_numbers": 1e6, "noise_added": 0.0}, "Noise of 0 clipping norms was added"),
    ({"noise_numbers": 1e6, "noise_added": 1.4}, "Noise of 1.40 clipping norms was added in training; the claim counts 1.50"),
    ({"drawn_batches": 2250, "drawn_mean": 40.0, "drawn_variance": 0.0}, "standard deviation of 0; Poisson samples would have 40.0 and 6.20"),
])  # fmt: skip
def test_what_the_record_itself_shows_fails_at_once(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    document, question = answered(scene(tmp_path, TRUE | changed))
    assert question.verdict == "fail"
    assert document.verdict == "fail"
    (check,) = [c for c in document.checks if c.info.id == "privacy.claim"]
    assert said in check.summary
    assert "verified" not in check.summary


def test_a_claim_without_amplification_may_come_from_shuffled_batches() -> None:
    """σ 1.5, 90 epochs: μ = √90 / 1.5, whose ε at 1e-5 is 46.2; who claims that claims enough."""
    given = read_claim(TRUE | {"sampling": "shuffled", "epsilon": 50.0})
    counted = recount(given)
    assert counted.method == "gaussian_composition"
    read = {a.name: a.state for a in assumptions(Privacy(claim=given), counted, 1000)}
    assert read["each row is drawn by itself (Poisson sampling)"] == "note"
    assert "broken" not in read.values()


@pytest.mark.parametrize(("excepted", "state"), [([], "note"), (["the number of training rows, which the sample rate tells"], "kept")])
def test_a_claim_that_does_not_except_the_number_of_rows_is_noted(excepted: list[str], state: str) -> None:
    """The step is divided by a batch size that follows from the number of rows, which one row more or less changes."""
    given = read_claim(TRUE | {"not_covered": excepted})
    (found,) = [a for a in assumptions(Privacy(claim=given), recount(given), 1000) if a.name == "how many rows trained is no secret"]
    assert found.state == state
    assert (found.said is None) == (state == "kept")


@pytest.mark.parametrize("absent", ["noise_multiplier", "sample_rate", "steps", "delta", "epsilon", "sampling"])
def test_what_was_not_logged_leaves_the_claim_open(tmp_path: Path, absent: str) -> None:
    _, question = answered(scene(tmp_path, {k: v for k, v in TRUE.items() if k != absent}))
    assert question.verdict == "inconclusive"


def test_a_value_that_is_none_is_named(tmp_path: Path) -> None:
    made = scene(tmp_path, TRUE | {"delta": "small"})
    said = "Not logged, or no value that can be read: delta. Log what training did with run and model, as models.train --epsilon does."
    assert said in render(made.summary("privacy.claim"))


def test_guessing_right_refutes_a_strict_claim(tmp_path: Path, model: None) -> None:
    made = scene(tmp_path, STRICT, canaries=plant(tmp_path, leak=1.0))
    document, question = answered(made)
    assert question.verdict == "fail"
    shown = findings_of(document)("epsilon_at_least")
    assert shown.estimate is not None
    assert shown.estimate.value > 2.5
    assert "is refuted" in str(shown.sentence)
    assert shown.test is not None
    assert shown.test.p_value < 0.01


def test_a_model_that_tells_nothing_is_not_refuted_and_not_verified(tmp_path: Path, model: None) -> None:
    document, question = answered(scene(tmp_path, STRICT, canaries=plant(tmp_path, leak=0.0)))
    assert question.verdict == "pass"
    assert "not refuted" in str(findings_of(document)("epsilon_at_least").sentence)
    assert "does not verify" in str(findings_of(document)("epsilon_at_least").sentence)


def test_too_few_canaries_for_a_loose_claim_are_inconclusive_by_construction(tmp_path: Path, model: None) -> None:
    document, question = answered(scene(tmp_path, TRUE, canaries=plant(tmp_path, leak=0.0)))
    assert question.verdict == "inconclusive"
    assert "inconclusive by construction" in str(question.reason)
    assert findings_of(document).value("attainable_epsilon") < TRUE["epsilon"]


def test_weak_evidence_asks_for_fresh_canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: None) -> None:
    """66 right guesses of 100 where e^.25 / (1 + e^.25) = .562 is promised: the chance of as many is .023."""
    monkeypatch.setattr(onerun, "guess", lambda scores, included, *, made: onerun.Guessed(100, 66))
    claim = STRICT | {"epsilon": 0.25, "noise_multiplier": 40.0, "delta": 1e-9}
    document, question = answered(scene(tmp_path, claim, canaries=plant(tmp_path, leak=0.0)))
    assert question.verdict == "inconclusive"
    assert "fresh canaries" in str(question.reason)
    test = findings_of(document)("epsilon_at_least").test
    assert test is not None
    assert test.p_value == pytest.approx(float(binom.sf(65, 100, 0.5621765)), abs=1e-4)


def test_canaries_of_an_unfair_coin_show_nothing(tmp_path: Path, model: None) -> None:
    made = scene(tmp_path, STRICT, canaries=plant(tmp_path, leak=1.0), chance=0.9)
    assert "fair coins" in render(made.summary("privacy.claim"))
    assert Pick(made.measure("privacy.claim"))("epsilon_at_least").estimate is None


def test_without_a_claim_leakage_is_reported_and_nothing_asked(tmp_path: Path, model: None) -> None:
    made = scene(tmp_path, None, canaries=plant(tmp_path, leak=1.0))
    assert Pick(made.measure("privacy.claim")).value("epsilon_at_least") > 2
    params = {"guesses": 0.5}
    results = made.results() | {
        "privacy.claim": completed(*collect(made.context("privacy.claim"), params)) | {"params": params, "seconds": 0.0}
    }
    assert "privacy_claim" not in {q.id for q in made.document(results={id_: results[id_] for id_ in checks()}).questions}


def test_a_claim_stands_on_the_run_and_in_the_model(tmp_path: Path) -> None:
    features = [FeatureSpec(name="x", kind="number", read="float64")]
    assert find_privacy({"logged": {}, "metadata": {}}, features, "outcome") is None
    both = find_privacy({"logged": {"privacy": TRUE}, "metadata": {"privacy": TRUE | {"epsilon": 3.0}}}, features, "outcome")
    assert both is not None
    assert both.differ == ["epsilon"]
    alone = find_privacy({"logged": None, "metadata": {"privacy": TRUE}}, features, "outcome")
    assert alone is not None
    assert alone.claim is not None
    assert not alone.differ
    path = plant(tmp_path, leak=0.0)
    found = find_privacy({"logged": {"canaries": {"chance": 0.5}}, "privacy": {"canaries": path}}, features, "outcome")
    assert found is not None
    assert found.canaries == path
    lacking = find_privacy({"privacy": {"canaries": path}}, [*features, FeatureSpec(name="z", kind="number", read="float64")], "outcome")
    assert lacking is not None
    assert lacking.canaries is None
    assert "z" in str(lacking.without)


@pytest.mark.parametrize(("changed", "differ", "said"), [
    ({"epsilon": None}, [], "The record holds no epsilon."),
    ({"noise_multiplier": 0.0}, [], "The noise was switched off: nothing is promised."),
    ({"steps": None}, [], "Too little was logged to count it: noise, sampling rate, steps and delta are needed."),
    ({"epsilon": 5.0}, ["epsilon"], "Run and model state epsilon differently, so that nobody knows what was promised: log the model again with what its training did."),
])  # fmt: skip
def test_why_a_claim_cannot_be_held_against_its_count_is_the_true_reason(
    tmp_path: Path, changed: dict[str, Any], differ: list[str], said: str
) -> None:
    found = findings_of(answered(scene(tmp_path, TRUE | changed, differ=differ))[0])("unsupported_epsilon")
    assert (found.estimate, found.verdict, found.reason) == (None, "inconclusive", said)


def test_canaries_without_an_epsilon_say_that_there_is_none_to_refute(tmp_path: Path, model: None) -> None:
    made = scene(tmp_path, {k: v for k, v in TRUE.items() if k != "epsilon"}, canaries=plant(tmp_path, leak=0.0))
    found = findings_of(answered(made)[0])("epsilon_at_least")
    assert (found.verdict, found.reason, found.sentence) == ("inconclusive", "The record holds no epsilon.", "The record holds no epsilon.")


def test_a_claim_that_is_no_record_is_one_that_nobody_can_read() -> None:
    found = find_privacy({"logged": {"privacy": "yes"}, "metadata": {}}, [], "outcome")
    assert found is not None
    assert found.claim == read_claim({})


def test_run_and_model_that_disagree_leave_the_claim_open(tmp_path: Path) -> None:
    made = scene(tmp_path, TRUE, differ=["epsilon"])
    assert answered(made)[1].verdict == "inconclusive"
    said = (
        "Run and model state epsilon differently, so that nobody knows what was promised: log the model again with what its training did."
    )
    assert said in render(made.summary("privacy.claim"))
