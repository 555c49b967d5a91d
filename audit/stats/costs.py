"""What decisions cost: expected cost, the cutoff that costs imply, and net benefit (decision-curve analysis)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audit.stats._inputs import Floats, Ints


class Costs(NamedTuple):
    """Cost of one row by what was decided and what happened, each from 0 up, in one unit of the reader's choice."""

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0

    @property
    def of_cells(self) -> Floats:
        """(4,) in the order of cells: true negative, false positive, false negative, true positive."""
        return np.array([self.true_negative, self.false_positive, self.false_negative, self.true_positive])

    @property
    def cutoff(self) -> float | None:
        """The probability above which predicting the event costs less, if probabilities are right; Elkan 2001.

        (c_fp − c_tn) / (c_fp − c_tn + c_fn − c_tp). None where an error costs no more than the right decision.
        """
        wrong, missed = self.false_positive - self.true_negative, self.false_negative - self.true_positive
        return wrong / (wrong + missed) if wrong >= 0 and missed >= 0 and wrong + missed > 0 else None


def expected_cost(cells: ArrayLike, costs: Costs) -> Floats:
    """Mean cost of a row, (R,), from counts (R, 4) of true negatives, false positives, false negatives and true positives."""
    table = np.asarray(cells, dtype=np.float64)
    return np.asarray(np.sum(table * costs.of_cells, axis=-1) / np.sum(table, axis=-1))


def net_benefit(cells: ArrayLike, cutoff: float) -> Floats:
    """TP/n − FP/n · t/(1 − t), (R,): true positives a row, less false ones at the exchange rate that the cutoff t in [0, 1) stands for.

    0 is as good as predicting no event; the share of events is the most that can be reached. Vickers and Elkin 2006.
    """
    table = np.asarray(cells, dtype=np.float64)
    return np.asarray((table[..., 3] - table[..., 1] * cutoff / (1 - cutoff)) / np.sum(table, axis=-1))


def at_cutoffs(counts: Ints) -> Ints:
    """Counts (…, 2, bins) of outcome and rising score bin → cells (…, bins + 1, 4) of the rule "in bin i or above", the last choosing nobody."""
    above = np.flip(np.cumsum(np.flip(counts, axis=-1), axis=-1), axis=-1)
    above = np.concatenate([above, np.zeros((*above.shape[:-1], 1), dtype=above.dtype)], axis=-1)
    zeros, ones = above[..., 0, :], above[..., 1, :]
    return np.stack([zeros[..., :1] - zeros, zeros, ones[..., :1] - ones, ones], axis=-1)
