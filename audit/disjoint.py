"""Whether two data sets share rows, where both can still be read: equal rows beyond what coincidence makes of such columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from audit.errors import AuditError
from audit.result import AuditResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Pairs of equal rows beyond this many times what twins within the data sets lead one to expect, and this many more, are no coincidence.
TIMES, MORE = 2, 3


def require_disjoint(documents: Sequence[AuditResult]) -> bool:
    """Refuse audits of data that share rows; False where the data of one cannot be read as they were, so that it is taken on the auditors' word."""
    found = [rows_of(d) for d in documents]
    for (i, ours), (j, theirs) in combinations(enumerate(found), 2):
        if ours is None or theirs is None:
            continue
        shared, expected = shared_rows(ours, theirs)
        if shared > TIMES * expected + MORE:
            raise AuditError(
                f"data {i + 1} and {j + 1} are not disjoint: {shared:,} pairs of equal rows, where twins within them would make about {expected:,.0f}",
                "pool audits of data that share no row",
            )
    return all(rows is not None for rows in found)


def rows_of(document: AuditResult) -> NDArray[np.uint64] | None:
    """A hash of each row over the columns in their order of names; None where the data are no longer there, or are not what was audited."""
    import numpy as np

    from audit.dataset import data_digest, open_dataset
    from audit.dependence import hashes_of

    try:
        dataset = open_dataset(document.data.source)
    except AuditError:  # it was said to be somewhere that is not here: nothing is known of it, and the caller says so
        return None
    if data_digest(dataset.files) != document.data.sha256:
        return None
    columns = ", ".join(dataset.text(name) if dataset.is_scalar(name) else dataset.value(name) for name in sorted(dataset.columns))
    return np.sort(hashes_of(dataset, f"hash({columns})"))


def shared_rows(ours: NDArray[np.uint64], theirs: NDArray[np.uint64]) -> tuple[int, float]:
    """Pairs of equal rows across two data sets, and as many as there would be if rows of both were as often alike as rows of one."""
    from audit.stats.fingerprints import matches, twins

    n, m = len(ours), len(theirs)
    within = n * (n - 1) / 2 + m * (m - 1) / 2
    expected = (twins(ours).pairs + twins(theirs).pairs) / within * n * m if within else 0.0
    return matches(ours, theirs).pairs, expected
