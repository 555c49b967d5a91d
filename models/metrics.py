"""Numbers about a fitted model: where to cut its score, and how well it ranks and predicts. Arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Figures of which more is better; of all others less is.
HIGHER = frozenset({"accuracy", "precision", "recall", "f1", "roc_auc", "r2", "selection_rate"})


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
    shares = 1 - np.searchsorted(np.sort(score), candidates, side="left") / len(score)
    return float(candidates[np.argmin(np.abs(shares - rate))])


def softmax(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """(n, classes) logits as probabilities."""
    from scipy.special import softmax as scipy_softmax

    found: NDArray[np.float64] = scipy_softmax(outputs, axis=1)
    return found


def figures(y: NDArray[Any], outputs: NDArray[Any], *, classes: int) -> dict[str, float]:
    """What an epoch may be judged by: y (n,) and raw outputs (n, k), by the largest output of each row; 0 classes is a quantity."""
    if not classes:
        return of_quantity(y, outputs[:, 0])
    return {k: v for k, v in of_classes(y, softmax(outputs)).items() if "_of_" not in k}


def of_classes(
    y: NDArray[Any], probability: NDArray[np.float64], *, labels: Sequence[str] = (), threshold: float | None = None, positive: int = 1
) -> dict[str, float]:
    """Accuracy, precision, recall and F1 (macro, and of each class where `labels` names them), ROC AUC, log loss in nats.

    y: (n,) places among the classes; probability: (n, classes). Two classes are decided at `threshold` of `positive`, where it is given, more by the
    largest; a figure that the rows do not define (a class without a row, AUC of one class) is left out.
    """
    import numpy as np
    from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support, roc_auc_score

    classes = probability.shape[1]
    decided = probability.argmax(axis=1)
    if classes == 2 and threshold is not None:
        decided = np.where(probability[:, positive] >= threshold, positive, 1 - positive)
    there = np.unique(y)
    precision, recall, f1, _ = precision_recall_fscore_support(y, decided, labels=there, average=None, zero_division=0.0)
    found = {
        "accuracy": float(accuracy_score(y, decided)),
        "precision": float(precision.mean()), "recall": float(recall.mean()), "f1": float(f1.mean()),
        "log_loss": float(log_loss(y, probability, labels=list(range(classes)))),
    }  # fmt: skip
    if len(there) == classes:
        found["roc_auc"] = float(
            roc_auc_score(y == positive, probability[:, positive]) if classes == 2 else roc_auc_score(y, probability, multi_class="ovr")
        )
    if classes == 2 and threshold is not None:
        found["selection_rate"] = float((decided == positive).mean())
    for i, place in enumerate(there if labels else []):
        name = "".join(c if c.isalnum() or c in "_-. /" else "_" for c in labels[place])
        found |= {f"precision_of_{name}": float(precision[i]), f"recall_of_{name}": float(recall[i]), f"f1_of_{name}": float(f1[i])}
    return found


def of_quantity(y: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Mean absolute error, root mean squared error and R², in the unit of y (R² without)."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    return {
        "mean_absolute_error": float(mean_absolute_error(y, predicted)),
        "root_mean_squared_error": float(root_mean_squared_error(y, predicted)),
        "r2": float(r2_score(y, predicted)) if len(y) > 1 else float("nan"),
    }
