"""Training rows against audited rows: tests of single columns, of the model's answers and of all inputs together, and what the difference costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit import fitted
from audit.measurement import Estimate
from audit.stats.association import balanced_folds, pooled
from audit.stats.auc import auc_over_folds
from audit.stats.shift import bins_of, homogeneous, kolmogorov, mmd_test, psi, quantile_edges
from audit.subject.frame import Array, Categories, Frame, rows, take
from audit.two_sets import Space, numbers, single, together

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.flips import Asked
    from audit.rows import Rows

    Floats = NDArray[np.float64]

#: Bins of the stability index; values of a category beyond which the rarer ones are one; rows a side for the kernel test.
BINS, LEVELS, KERNEL_ROWS = 10, 20, 1000


class Side(NamedTuple):
    """Rows of one set with what the model says of them: inputs, answers, and what each row costs (k,), NaN where that is not known."""

    frame: Frame
    said: Asked
    losses: Floats


class Compared(NamedTuple):
    """One column in both sets: the largest gap between the distributions (of categories: total variation), the stability index, p and how many
    columns were tested along with it."""

    name: str
    distance: float
    psi: float
    p: float
    tests: int

    @property
    def adjusted(self) -> float:
        """Bonferroni's p."""
        return min(1.0, self.p * self.tests)


@dataclass(frozen=True)
class Domain:
    """A small model that tells the sets apart: AUC out of fold, and each row's log odds (n,) to be an audited row, training rows first."""

    auc: Estimate
    log_odds: Floats


def side(ctx: Context, given: Rows, variance: float) -> Side:
    """What the model says of these rows; `variance` is that of the audited outcomes, in whose unit a quantity's squared errors are."""
    from audit.flips import ask

    said = ask(ctx, given.frame)
    losses = np.full(rows(given.frame), np.nan)
    if given.y is not None and ctx.settled.task == "regression":
        losses = (np.asarray(given.y, dtype=np.float64) - said.number[:, 0]) ** 2 / variance
    elif given.y is not None and said.decision is not None:
        losses = np.where((given.y >= 0) & (said.decision >= 0), (said.decision != given.y).astype(np.float64), np.nan)
    return Side(given.frame, said, losses)


def columns(one: Frame, two: Frame) -> list[Compared]:
    """Every input that holds one value a row, the most telling first."""
    both, first = together(single(one), single(two)), rows(one)
    found = [(name, *_compared(column, first)) for name, column in both.items()]
    return sorted((Compared(*f, tests=len(found)) for f in found), key=lambda c: (c.p, -c.distance, c.name))


def _compared(column: Array | Categories, first: int) -> tuple[float, float, float]:
    """(distance, index, p) of a column of both sets, the first set's rows first; missing is a value of its own."""
    if isinstance(column, Categories):
        codes = pooled(column.codes, most=LEVELS)
        counts = _counts(column.codes + 1, first)
        distance, p = homogeneous(counts)
        return distance, psi(*_counts(codes, first)), p
    x = numbers(column)
    lowest = np.where(np.isfinite(x), x, -np.inf)
    distance, p = kolmogorov(lowest[:first], lowest[first:])
    return distance, psi(*_counts(bins_of(x, quantile_edges(x[:first], BINS)), first)), p


def _counts(codes: NDArray[Any], first: int) -> NDArray[np.int64]:
    size = int(codes.max()) + 1
    return np.stack([np.bincount(part, minlength=size) for part in (codes[:first], codes[first:])])


def answers(ctx: Context, one: Asked, two: Asked) -> dict[str, tuple[Floats, Floats]]:
    """The model's answers in both sets by class ("" where there is one number a row): what shift is best seen by (Lipton, Wang and Smola 2018)."""
    classes = ctx.settled.classes
    if one.number.shape[1] == 1:
        return {"": (one.number[:, 0], two.number[:, 0])}
    if ctx.settled.positive is not None:
        event = classes.index(ctx.settled.positive)
        return {"": (one.number[:, event], two.number[:, event])}
    return {name: (one.number[:, i], two.number[:, i]) for i, name in enumerate(classes)}


def domain(one: Frame, two: Frame, rng: Generator, *, level: float) -> Domain | None:
    """A penalised logistic model, additive in the binned inputs; None where a fold lacks rows."""
    both = together(single(one), single(two))
    place = (np.arange(rows(both)) >= rows(one)).astype(np.int64)
    codes = list(fitted.coded_inputs(both).values())
    folds = balanced_folds(place, fitted.FOLDS, rng)
    scores = fitted.together_out_of_fold(codes, place, folds)
    auc = auc_over_folds(scores, place, folds, level=level)
    return None if auc is None else Domain(auc, scores)


def kernel(one: Frame, two: Frame, rng: Generator, *, draws: int) -> tuple[float, float]:
    """(MMD², p) of all inputs together, on at most `KERNEL_ROWS` rows a side."""
    parts = [take(single(f), slice(0, KERNEL_ROWS)) for f in (one, two)]
    both = together(*parts)
    points = Space(both).points(both)
    return mmd_test(points[: rows(parts[0])], points[rows(parts[0]) :], draws=draws, rng=rng)
