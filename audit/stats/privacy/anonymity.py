"""How alone people stand in a table: classes of rows that are equal in what others may know of them (Sweeney 2002), and what a class gives away."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Classes(NamedTuple):
    """Classes of rows with equal keys: their sizes (c,), and rows by class and outcome (c, outcomes), rows without an outcome left out."""

    sizes: NDArray[np.int64]
    outcomes: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.sizes.sum())

    def smaller_than(self, k: int) -> int:
        """Rows in classes of fewer than k rows: with 2, rows that are alone."""
        return int(self.sizes[self.sizes < k].sum())

    def one_outcome(self) -> int:
        """Rows in classes of two rows and more that all have one outcome: who knows the class knows the outcome."""
        alike = (np.count_nonzero(self.outcomes, axis=1) == 1) & (self.sizes > 1) & (self.outcomes.sum(axis=1) == self.sizes)
        return int(self.sizes[alike].sum())


def classes(keys: NDArray[np.uint64], y: NDArray[np.int64] | None, outcomes: int) -> Classes:
    """Classes of equal keys (n,); `y` (n,) are outcome codes, −1 missing."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(ordered)))
    if y is None:
        return Classes(sizes, np.zeros((len(sizes), 0), np.int64))
    counted = [np.add.reduceat((y[order] == c).astype(np.int64), starts) for c in range(outcomes)] if len(starts) else []
    return Classes(sizes, np.stack(counted, axis=1) if counted else np.zeros((len(sizes), outcomes), np.int64))


def k_anonymity(found: Classes) -> int:
    """Rows of the smallest class: 1 means that somebody is alone."""
    return int(found.sizes.min())


def l_diversity(found: Classes) -> int | None:
    """The fewest different outcomes in a class (Machanavajjhala et al. 2007); None where no row has an outcome."""
    different = np.count_nonzero(found.outcomes, axis=1)
    known = different[different > 0]
    return int(known.min()) if len(known) else None


def t_closeness(found: Classes) -> float | None:
    """The largest distance in total variation, in [0, 1], between the outcomes of a class and those of all rows (Li, Li and
    Venkatasubramanian 2007, every two outcomes equally far apart); 0 means that no class tells anything. None where no row has an outcome."""
    totals = found.outcomes.sum(axis=1)
    known = found.outcomes[totals > 0]
    if not len(known):
        return None
    shares = known / known.sum(axis=1, keepdims=True)
    whole = known.sum(axis=0) / known.sum()
    return float(np.abs(shares - whole).sum(axis=1).max() / 2)
