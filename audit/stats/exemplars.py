"""Rows that models of several seeds answer otherwise once they were made smaller: compression-identified exemplars (Hooker et al. 2019).

Answers are class codes (k, n): k models, n rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.measurement import Estimate
from audit.stats import scores
from audit.stats._inputs import check_count, check_share, estimate


def modes(answers: NDArray[np.integer], classes: int) -> NDArray[np.bool_]:
    """(n, classes): whether no class is answered by more of the k models; several are true where models tie."""
    counts = np.stack([np.count_nonzero(answers == c, axis=0) for c in range(classes)], axis=1)
    return np.asarray(counts == counts.max(axis=1, keepdims=True))


def tied(most: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,): whether more than one class is a mode."""
    return np.asarray(most.sum(axis=1) > 1)


def exemplars(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,): whether no class is a mode of both. A tie that holds the other side's mode is no difference: nothing depends on the order of classes."""
    return np.asarray(~(before & after).any(axis=1))


def share_ratio(k1: int, n1: int, k0: int, n0: int, *, level: float) -> Estimate | None:
    """A group's share of the k1 + k0 rows that count over its share of all n1 + n0 rows; 1 means that it holds as many as its size says.

    With r the ratio of the group's rate to everybody else's and π = n1 / (n1 + n0), it is r / (π r + 1 − π), which rises with r: the limits are Koopman's
    (1984) of r, carried over, with the sizes of the groups as they are. 0 where none of the group counts, at most 1 / π. None where nobody counts or one
    side has no rows. ValueError unless 0 <= k <= n.
    """
    (k1, n1), (k0, n0) = check_count(k1, n1), check_count(k0, n0)
    check_share("level", level)
    if k1 + k0 == 0 or n1 == 0 or n0 == 0:
        return None
    share = n1 / (n1 + n0)
    low, high = (float(limit) for limit in scores.ratio_limits(k1, n1, k0, n0, level=level, corrected=False))
    value = k1 / (k1 + k0) / share
    return estimate(value, _carried(low, share), _carried(high, share), level=level, method="koopman_shares", n=n1 + n0)


def _carried(ratio: float, share: float) -> float:
    return 1 / (share + (1 - share) / ratio) if ratio > 0 else 0.0
