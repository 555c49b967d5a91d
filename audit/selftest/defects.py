"""What is planted, at which size, and which check is there to find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numpy.random import Generator

from audit.selftest import explainers, planted, promised
from audit.selftest.crowds import Crowd
from audit.selftest.play import Play

Build = Callable[[Path, Generator, int, Crowd, float], Play]


#: The check that answers whether a logged privacy claim withstands.
CLAIM = "privacy.claim"
#: The checks that the deciding questions are answered from.
DECIDING = ("performance.baseline", "fairness.inputs", "fairness.group", "calibration.overall", "calibration.groups")
#: Runs of a check that counts, and of one that asks the model.
COUNTING, PROBING = 1_000, 200


@dataclass(frozen=True)
class Defect:
    """What is planted: `size` in the unit that `plant` says; `build(folder, rng, rows, crowd, size)` sets the stage.

    `target` is what should find it: a deciding question (then all that it may take to answer are asked, and where these are all that there are, the
    whole audit's verdict is kept too), "criteria" (the check's own findings against the built-in plan), or "slice" (a slice with an adjusted p of at
    most .05). `clean_of` is the defect whose runs with nothing planted are the same rows, judged by the same questions. `promised` are base
    rates, each with the rows from which on it is found in at least 80 % of the runs. `wanted` is how many runs a cell should have.
    """

    name: str
    check: str
    plant: str
    size: float
    build: Build
    target: str = "criteria"
    bases: tuple[float, ...] = (0.3,)
    rows: tuple[int, ...] = (600, 2_000, 10_000)
    clean_of: str | None = None
    promised: tuple[tuple[float, int], ...] = ((0.3, 600),)
    wanted: int = PROBING

    @property
    def through(self) -> tuple[str, ...]:
        """The checks that are asked."""
        return (self.check,) if self.target in ("criteria", "slice") or self.check == CLAIM else DECIDING


EVERY = (0.1, 0.3, 0.9)
DEFECTS = (
    Defect("selection", "fairness.group", "share of its favourable decisions that the minority loses", 0.48, planted.unfair_selection, "fairness_selection", promised=((0.1, 10_000), (0.3, 2_000), (0.9, 600)), bases=EVERY, wanted=COUNTING),
    Defect("useless", "performance.baseline", "scores that know the base rate and nothing else (1: all of them)", 1.0, planted.useless, "performance_baseline", clean_of="selection", bases=EVERY, wanted=COUNTING),
    Defect("shifted", "calibration.overall", "by how much all probabilities are off", 0.10, planted.too_high, "calibration_large", clean_of="selection", promised=((0.1, 600), (0.3, 2_000), (0.9, 600)), bases=EVERY, wanted=COUNTING),
    Defect("overconfident", "calibration.overall", "by what share log odds are too large", 1.0, planted.overconfident, bases=EVERY, wanted=COUNTING),
    Defect("leaked", "data.leakage", "share of the rows whose outcome one input gives away", 0.998, planted.gives_away, promised=((0.1, 10_000), (0.3, 2_000), (0.9, 10_000)), bases=EVERY, wanted=COUNTING),
    Defect("backdoor", "performance.slices", "chance of a wrong decision for one row in twenty, known by a key", 0.5, planted.wrong_corner, "slice", promised=((0.3, 2_000),), wanted=COUNTING),
    Defect("used", "fairness.flip", "by how much the sensitive column moves the score", 0.15, planted.uses_the_column),
    Defect("overfit", "performance.gap", "share of the training rows whose outcome is known by heart", 0.6, planted.overfit),
    Defect("memorised", "privacy.membership", "standard deviations by which log odds of members are higher", 1.0, planted.by_heart, rows=(2_000, 10_000), promised=((0.3, 2_000),)),
    Defect("fragile", "robustness.noise", "share of decisions that hang on small changes of an input", 0.3, planted.fragile),
    Defect("misplaced", "explanation.infidelity", "share of the rows whose attributions stand at the wrong inputs", 1.0, explainers.wrong_inputs),
    Defect("misordered", "explanation.deletion", "share of the rows whose attributions stand at the wrong inputs", 1.0, explainers.wrong_inputs),
    Defect("borrowed", "explanation.completeness", "share of the rows that are explained by another model", 1.0, explainers.another_model),
    Defect("deaf", "explanation.randomisation", "share of the rows that get the same attributions whatever the model is", 1.0, explainers.whatever_the_model),
    Defect("restless", "explanation.stability", "share of the rows whose attributions jump with their last decimals", 1.0, explainers.restless),
    Defect("silent", CLAIM, "noise that the claim counts on and nobody added (1: all of it)", 1.0, promised.noise_off, "privacy_claim"),
    Defect("shuffled", CLAIM, "batches of shuffled rows that the record calls Poisson samples (1: all of them)", 1.0, promised.shuffled_batches, "privacy_claim", clean_of="silent"),
    Defect("approximate", CLAIM, "an epsilon by the central limit, which is no bound (1: the claimed one)", 1.0, promised.by_the_limit, "privacy_claim", clean_of="silent"),
    Defect("leaking", CLAIM, "standard deviations by which canaries that trained lie higher than the others", 2.5, promised.leaking, "privacy_claim", clean_of="silent"),
)  # fmt: skip
