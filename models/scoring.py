"""Numbers about a fitted binary model: where to cut its score, and how well it ranks and predicts. Arrays in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def threshold_at_rate(score: NDArray[np.float64], rate: float, *, digits: int = 4) -> float:
    """The cutoff T, rounded, at which the share of rows with score >= T comes nearest to `rate`.

    score: (n,) in [0, 1]. With ties, or scores closer than the digits, the nearest share is the best there is.

    >>> import numpy as np
    >>> threshold_at_rate(np.array([0.1, 0.2, 0.6, 0.9]), 0.5)
    0.4
    """
    import numpy as np

    edges = np.concatenate([[0.0], np.sort(score), [1.0]])
    candidates = np.unique(np.round((edges[:-1] + edges[1:]) / 2, digits))
    shares = (score[None, :] >= candidates[:, None]).mean(axis=1)
    return float(candidates[np.argmin(np.abs(shares - rate))])


def measure(y: NDArray[Any], score: NDArray[np.float64], *, threshold: float) -> dict[str, float]:
    """Accuracy at the threshold, area under the ROC curve, log loss in nats. y: (n,) in {0, 1}; score: (n,), probability of 1."""
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    return {
        "accuracy": float(accuracy_score(y, score >= threshold)),
        "roc_auc": float(roc_auc_score(y, score)),
        "log_loss": float(log_loss(y, score, labels=[0, 1])),
        "selection_rate": float((score >= threshold).mean()),
    }
