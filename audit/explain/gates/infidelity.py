"""Gate 2: do attributions predict how the answer changes when parts are taken away (Yeh, Hsieh, Suggala, Inouye and Ravikumar 2019)?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.parts import Game

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


def infidelity(predicted: Floats, change: Floats) -> float:
    """Mean of (predicted − change)² over m perturbations, both (m,), in the unit of the answer squared; 0 is faithful."""
    return float(np.mean((predicted - change) ** 2))


def scale_free(predicted: Floats, change: Floats) -> float | None:
    """Infidelity at the best scale β ≥ 0 of `predicted` (m,), over the mean of `change`² (m,): 0 is faithful, 1 no better than no explanation.

    Attributions with the wrong sign get no scale and so 1 (Captum's `normalize=True` takes any β, which forgives the sign). None where the
    answer never changed: there was nothing to predict.
    """
    whole = float(np.mean(change**2))
    if whole == 0:
        return None
    size, common = float(np.mean(predicted**2)), float(np.mean(predicted * change))
    return 1.0 if size == 0 or common <= 0 else max(0.0, 1 - common**2 / (size * whole))


def faithfulness_correlation(predicted: Floats, change: Floats) -> float | None:
    """Pearson correlation of `predicted` and `change` (m,) (Bhatt, Weller and Moura 2020): 1 where a linear model is explained by its own terms.

    None where either is constant.
    """
    a, b = predicted - predicted.mean(), change - change.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 1e-12 else None


def subsets(d: int, m: int, rng: np.random.Generator) -> Bools:
    """m masks (m, d) of which parts stay: sizes uniform between 1 and d − 1, subsets uniform within a size; each with its complement."""
    half = (m + 1) // 2
    size = rng.integers(1, max(2, d), half)
    keep = rng.random((half, d)).argsort(axis=1).argsort(axis=1) < size[:, None]
    return np.concatenate([keep, ~keep])[:m]


def change_of(play: Game, masks: Bools) -> Floats:
    """How far the answer falls when the parts outside each mask are taken away, (m, k)."""
    found = play(np.concatenate([np.ones((1, masks.shape[1]), dtype=bool), masks]))
    return found[:1] - found[1:]


def predicted_by(values: Floats, masks: Bools) -> Floats:
    """What attributions (d, k) say of the same, (m, k)."""
    return (~masks).astype(np.float64) @ values
