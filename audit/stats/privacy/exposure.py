"""Exposure of secrets that were planted in training data (Carlini, Liu, Erlingsson, Kos and Song 2019), in bits.

0 bits: a secret is no likelier than the median of what was never trained on by half a bit or so; the mean without memorisation is log₂ e = 1.44.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


def by_rank(secrets: ArrayLike, references: ArrayLike) -> NDArray[np.float64]:
    """log₂ |R| − log₂ rank for each secret (k,), rank = 1 + references of lower (or equal) perplexity; at most log₂ |R|.

    Perplexities: low means likely. A reference wins a tie.
    """
    others = np.sort(np.asarray(references, dtype=np.float64))
    return of_rank(1 + np.searchsorted(others, np.asarray(secrets, dtype=np.float64), side="right"), len(others))


def of_rank(rank: ArrayLike, references: int) -> NDArray[np.float64]:
    """log₂ |R| − log₂ rank for ranks (k,) from 1 to references + 1."""
    return np.asarray(math.log2(references) - np.log2(np.asarray(rank, dtype=np.float64)))


class Extrapolated(NamedTuple):
    """Exposure (k,) by a skew-normal distribution of the references, and the p value of Kolmogorov and Smirnov's test that it fits them."""

    bits: NDArray[np.float64]
    fit_p: float


def by_distribution(secrets: ArrayLike, references: ArrayLike) -> Extrapolated:
    """−log₂ of the chance that a reference is at most as perplexing; not capped by the number of references, and worth as much as the fit."""
    from scipy.stats import kstest, skewnorm

    others = np.asarray(references, dtype=np.float64)
    fitted = skewnorm(*skewnorm.fit(others))
    return Extrapolated(
        np.asarray(-fitted.logcdf(np.asarray(secrets, dtype=np.float64)) / math.log(2)), float(kstest(others, fitted.cdf).pvalue)
    )
