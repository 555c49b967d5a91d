"""LIME through Captum (Ribeiro, Singh and Guestrin 2016): a weighted linear model of the answers near a row, with its fit and its spread.

For those who expect it. Unlike Shapley values its coefficients need not add up to anything; how well the linear model fits, and how far
repetitions with other random variants agree, is what there is to judge them by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audit.explain.parts import Game

    Floats = NDArray[np.float64]

#: Linear models that are fitted for each row, each to variants of its own; their mean is given, and its standard error.
REPEATS = 5
#: Width of the kernel in units of √d, as in LIME's own code.
KERNEL = 0.75


class Surrogates(NamedTuple):
    """`values` (n, d, k) and `base` (n, k): coefficients and intercept; `error` (n, d, k) standard errors over the repetitions.

    `fit` (n, k): weighted R² on the variants that each model was fitted to; 1 is a perfect fit, 0 no better than a constant.
    """

    values: Floats
    base: Floats
    error: Floats
    fit: Floats


def lime(games: Sequence[Game], d: int, outputs: int, *, variants: int, rng: np.random.Generator) -> Surrogates:
    """Coefficients for each game from `variants` answers for each output, in `REPEATS` fits; NaN where these are fewer than two for each unknown."""
    shape = (len(games), d, outputs)
    found = Surrogates(
        np.full(shape, np.nan), np.full((len(games), outputs), np.nan), np.full(shape, np.inf), np.zeros((len(games), outputs))
    )
    each = variants // REPEATS
    if each < 2 * (d + 1):
        return found
    for i, play in enumerate(games):
        for output in range(outputs):
            fits = [_fit(play, d, output, each, int(rng.integers(1 << 62))) for _ in range(REPEATS)]
            coefficients = np.stack([fit.coefficients for fit in fits])
            found.values[i, :, output] = coefficients.mean(axis=0)
            found.error[i, :, output] = coefficients.std(axis=0, ddof=1) / np.sqrt(REPEATS)
            found.base[i, output] = np.mean([fit.intercept for fit in fits])
            found.fit[i, output] = np.mean([fit.r2 for fit in fits])
    return found


class _Linear:
    """Weighted least squares, in the shape in which Captum asks for a model."""

    coefficients: Floats
    intercept: float
    r2: float

    def fit(self, train_data: Any, **_: Any) -> None:
        x, y, w = (np.concatenate([part.double().numpy() for part in parts]) for parts in zip(*train_data, strict=True))
        y, w = y.reshape(-1), np.sqrt(w.reshape(-1))
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        if not np.isfinite(y).all():
            self.coefficients, self.intercept, self.r2 = np.full(x.shape[1], np.nan), np.nan, np.nan
            return
        solution = np.linalg.lstsq(design * w[:, None], y * w, rcond=None)[0]
        left, whole = w * (y - design @ solution), w * (y - np.average(y, weights=w**2))
        spread = float(whole @ whole)
        self.coefficients, self.intercept = solution[:-1], float(solution[-1])
        self.r2 = 1 - float(left @ left) / spread if spread > 0 else 1.0

    def representation(self) -> Any:
        import torch

        return torch.from_numpy(self.coefficients)[None]


def _fit(play: Game, d: int, output: int, variants: int, seed: int) -> _Linear:
    """One linear model of the answers with each part on or off by the throw of a coin, weighted by nearness to the row."""
    import torch
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    model = _Linear()
    surrogate: Any = model
    near = get_exp_kernel_similarity_function("euclidean", kernel_width=KERNEL * d**0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Lime(
            lambda masks: torch.from_numpy(play(masks.numpy() > 0.5)[:, output].copy()), interpretable_model=surrogate, similarity_func=near
        ).attribute(torch.ones(1, d), baselines=torch.zeros(1, d), n_samples=variants, perturbations_per_eval=variants)
    return model
