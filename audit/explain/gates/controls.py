"""Explanations that an honest one is set beside: attributions that know nothing, what each part does alone, the gradient times the input."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audit.explain.gates.trial import OnTrial, Trial, stacked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.explain.attribute import Explainer

    Floats = NDArray[np.float64]

#: Attributions that know nothing of the model: standard normal numbers.
RANDOM = "(random)"
#: What the answer loses when one part alone is taken away.
ALONE = "(one at a time)"
#: The gradient times the input, where the model has one.
GRADIENT = "(gradient_x_input)"


def at_random(trial: OnTrial, rng: np.random.Generator) -> list[Floats]:
    """Random attributions (d, k) for each row of a trial."""
    return [rng.standard_normal(own.shape) for own in trial.values]


def gradient(explainer: Explainer, trial: Trial) -> dict[str, Floats]:
    """The gradient times the input, (n, d, k), under its name; nothing for models without one."""
    if "gradient_x_input" not in explainer.ctx.settled.methods:
        return {}
    found = replace(explainer, method="gradient_x_input").explain(trial.frame)
    return {GRADIENT: stacked(found)}
