"""How unlike the rows that a model learnt from a row is: scores that are higher for rows of another kind."""

from __future__ import annotations

import numpy as np

from audit.stats._inputs import Floats

#: Which of the nearest rows measures the distance: the fifth is little moved by one stray row.
NEIGHBOUR = 5


def doubt(probabilities: Floats) -> Floats:
    """1 − the highest class probability of each row, (n,) from (n, classes); 0 is certainty. Hendrycks and Gimpel 2017."""
    return np.asarray(1.0 - probabilities.max(axis=1))


def energy(logits: Floats) -> Floats:
    """−ln Σ exp of the logits of each row, (n,) from (n, classes); higher is more unlike. Liu et al. 2020."""
    from scipy.special import logsumexp

    return np.asarray(-logsumexp(logits, axis=1))


class Reference:
    """Points (m, d) of the rows that are usual, m >= 2, and how far others lie from them."""

    def __init__(self, points: Floats) -> None:
        from sklearn.covariance import LedoitWolf
        from sklearn.neighbors import NearestNeighbors

        self._covariance = LedoitWolf().fit(points)
        self._near = NearestNeighbors(n_neighbors=min(NEIGHBOUR, len(points)), algorithm="brute").fit(points)

    def mahalanobis(self, points: Floats) -> Floats:
        """Squared Mahalanobis distance to the mean (n,), with Ledoit and Wolf's covariance (2004): collinear columns do no harm. After Lee et al. 2018."""
        return np.asarray(self._covariance.mahalanobis(points))

    def neighbour(self, points: Floats) -> Floats:
        """Distance to the `NEIGHBOUR`-th nearest usual row (n,). Sun et al. 2022."""
        return np.asarray(self._near.kneighbors(points)[0][:, -1])
