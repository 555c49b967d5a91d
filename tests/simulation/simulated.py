"""Audits of simulated rows: what the files beside this one share.

A model is simulated as rows (probability, outcome drawn from it, decision, group) and judged by the built-in plan as any audit is: counts
become measurements and findings, the questions are answered, and the verdict follows. What no verdict rests on (tables, how many rows would
be needed) is worked out where it is read, and nobody reads it here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from counts import Judged, a_case, good, of_rows, rates
from numpy.random import Generator
from numpy.typing import NDArray

#: Base rate → parameters of the Beta distribution of the true probabilities: calibrated scores with an AUC of about .8.
SHAPES = {0.1: (0.35, 3.15), 0.3: (0.75, 1.75), 0.9: (3.15, 0.35)}
SHARE = 0.1
VERDICTS = ("fail", "inconclusive", "pass")
GROUPS = ["majority", "minority"]
_REST = good()


def _cutoff(base: float) -> float:
    """The decision selects as many as there are events."""
    from scipy.stats import beta

    return float(beta.isf(base, *SHAPES[base]))


def membership(rng: Generator, n: int) -> NDArray[np.int64]:
    """Codes of `GROUPS`."""
    return np.asarray(rng.random(n) < SHARE, dtype=np.int64)


def fair(rng: Generator, n: int, base: float) -> Judged:
    """A calibrated model and two groups that are equal in everything."""
    p = rng.beta(*SHAPES[base], n)
    return Judged(of_rows(rng.random(n) < p, p, p >= _cutoff(base), membership(rng, n), GROUPS))


def unfair(rng: Generator, n: int, base: float, ratio: float = 0.52) -> Judged:
    """The same model, but a favourable decision is taken back from a member of the minority with chance 1 − ratio."""
    p, group = rng.beta(*SHAPES[base], n), membership(rng, n)
    decided = (p >= _cutoff(base)) & ((group == 0) | (rng.random(n) < ratio))
    return Judged(of_rows(rng.random(n) < p, p, decided, group, GROUPS))


def ten_equal(rng: Generator, size: int, base: float) -> Judged:
    """Ten groups of one size and one rate; label-based questions are not asked, so that the level of each question is at its largest."""
    return selected({f"g{i}": (int(rng.binomial(size, base)), size) for i in range(10)})


def selected(counts: dict[str, tuple[int, int]]) -> Judged:
    """An audit of labels that are no outcomes, in which all but the selection of these groups (k of n) is in order."""
    return Judged(_REST | {"fairness.group": rates("selection_rate", "group", counts)}, a_case(label_source=None))


def shares(run: Callable[[Generator, int, float], Judged], n: int, base: float, runs: int) -> dict[str, float]:
    """Share of each verdict over audits with streams of their own, printed as one line of the table."""
    rng = np.random.default_rng([n, round(100 * base), runs])
    seen = Counter(run(rng, n, base).verdict for _ in range(runs))
    found = {verdict: seen[verdict] / runs for verdict in VERDICTS}
    print(f"{run.__name__:9} base {base:.1f}  {n:6,} rows  {runs:4} runs  " + "  ".join(f"{v} {100 * s:5.1f} %" for v, s in found.items()))
    return found
