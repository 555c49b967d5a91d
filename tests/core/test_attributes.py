"""Sensitive inputs guessed from the rest of a row: a model that holds them by heart gives them away, one that does not depend on them adds nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, completed, set_scene
from scipy.special import expit

from audit.context import Context
from audit.probe import collect
from audit.registry import checks
from audit.text import render

CHECK = "privacy.attributes"
N = 1200
AT = {"(feature)": "sex"}


def scene(folder: Path, *, strange: bool = False) -> Scene:
    """`sex` goes with x and with the outcome; `secret` of each training row tells the planted model what sex that row has."""
    rng = np.random.default_rng(3)

    def rows() -> dict[str, np.ndarray]:
        sex, x = rng.integers(0, 2, N), rng.normal(size=N)
        return {
            "x": x + 0.5 * sex,
            "sex": sex,
            "secret": sex + 10.0 * np.arange(N),
            "y": (rng.random(N) < expit(0.8 * sex - 0.4)).astype(int),
        }

    inside, outside = rows(), rows()
    names = np.array(["f", "m"])
    training = {"x": inside["x"], "secret": inside["secret"], "sex": names[inside["sex"]], "outcome": inside["y"].astype(str)}
    inputs: dict[str, Any] = {"x": outside["x"], "secret": outside["secret"]}
    return set_scene(
        folder, pred=outside["y"], y=outside["y"], score=np.full(N, 0.5), training=training, groups={"sex": names[outside["sex"]]},
        features=inputs if strange else inputs | {"sex": names[outside["sex"]]},
    )  # fmt: skip


def install(monkeypatch: pytest.MonkeyPatch, *, heart: float, population: float) -> None:
    """A model whose odds of 1 rise with sex (`population`), and which is `heart` surer of a training row's outcome where the sex asked is its own."""

    def interpreted(self: Context, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        column = frame["sex"]
        asked = np.asarray([column.vocabulary[c] == "m" for c in column.codes]) if hasattr(column, "codes") else np.asarray(column) == "m"
        own = np.asarray(frame["secret"]).astype(int) % 10 == 1
        outcome = OUTCOME[np.asarray(frame["secret"]).astype(int) // 10]
        p = expit(population * (asked - 0.5) + heart * np.where(asked == own, 1, -1) * (2 * outcome - 1))
        return (p > 0.5).astype(int), np.stack([1 - p, p], axis=1)

    monkeypatch.setattr(Context, "interpreted", interpreted)


OUTCOME = np.zeros(N, dtype=int)


def judged(made: Scene) -> tuple[Pick, str]:
    params = {"rows": 2000, "values": 10, "budget": 5_000_000}
    results = made.results(skip=("data", "performance", "calibration", "fairness", "explanation")) | {
        CHECK: completed(*collect(made.context(CHECK), params)) | {"params": params, "seconds": 0.0}
    }
    (check,) = [c for c in made.document(results={id_: results[id_] for id_ in checks()}).checks if c.info.id == CHECK]
    return Pick(check.findings), check.summary


@pytest.fixture
def made(tmp_path: Path) -> Scene:
    found = scene(tmp_path)
    import pyarrow.parquet as pq

    assert found.facts.training is not None
    OUTCOME[:] = pq.read_table(found.facts.training.files[0])["outcome"].to_numpy(zero_copy_only=False).astype(int)
    return found


def test_a_model_that_does_not_depend_on_the_attribute_adds_nothing(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, heart=0.0, population=0.0)
    found, _ = judged(made)
    gain = found("attribute_gain", **AT)
    assert gain.estimate.value == 0
    assert gain.estimate.low < 0 < gain.estimate.high
    assert found.value("attribute_guessed", **AT) == found.value("attribute_imputed", **AT) > 0.5


def test_what_the_population_tells_is_no_gain(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome goes with sex in everybody, and the imputation knows it as well as the model."""
    install(monkeypatch, heart=0.0, population=0.8)
    gain = judged(made)[0]("attribute_gain", **AT)
    assert gain.verdict != "fail"
    assert gain.estimate.low < 0.02


def test_a_model_that_holds_the_attribute_by_heart_gives_it_away(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, heart=2.0, population=0.8)
    found, said = judged(made)
    assert found("attribute_gain", **AT).verdict == "fail"
    assert found.value("attribute_guessed", **AT) > 0.95
    assert "a gain of" in said


def test_no_more_rows_are_guessed_than_the_sample(made: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, heart=0.0, population=0.8)
    plan = made.plan.model_copy(update={"audit": made.plan.audit.model_copy(update={"sample": 300})})
    n = Pick(replace(made, plan=plan).measure(CHECK))("attribute_gain", **AT).estimate.n
    assert 100 < n < 200  # the half that measures


def test_a_column_that_is_no_input_is_not_guessed(tmp_path: Path) -> None:
    made = scene(tmp_path, strange=True)
    (gain,) = made.measure(CHECK)
    assert gain.metric == "attribute_guessed"
    assert gain.estimate is None
    assert "does not depend on it" in str(gain.reason)
    assert "takes none of the sensitive columns" in render(made.summary(CHECK))
