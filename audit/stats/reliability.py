"""Probabilities against observed rates, bin by bin: the reliability curve, calibration error with and without what chance adds, and a test.

Everything is computed from a table of scores in rising order (`ranked.Table`), in pieces where there are many rows.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from audit.measurement import Estimate
from audit.stats._inputs import Floats, Ints, check_share, estimate
from audit.stats.calibration import probabilities
from audit.stats.ranked import Ranked, Table
from audit.stats.rates import wilson

MESH = 4000  # cells of [0, 1] that smooth calibration error works on; its error is below 1 / MESH


class Point(NamedTuple):
    """A bin of the reliability curve: its range of p, its mean p, and the observed rate."""

    low: float
    high: float
    mean: float
    rate: Estimate


class Bins(NamedTuple):
    """Bins that have rows: range of p, rows and sum of p by outcome, and the spread Σ (p − mean)²; arrays of shape (bins,)."""

    low: Floats
    high: Floats
    positives: Ints
    negatives: Ints
    sum_positives: Floats
    sum_negatives: Floats
    spread: Floats

    @property
    def rows(self) -> Ints:
        return self.positives + self.negatives

    @property
    def means(self) -> Floats:
        """Mean p of each bin."""
        return (self.sum_positives + self.sum_negatives) / self.rows


def _cut(piece: Ranked, number: Ints) -> tuple[Ints, Bins]:
    """A piece by the number of the bin that each score is in: the numbers, and what the bins hold."""
    p, rows = piece.scores, piece.positives + piece.negatives
    edges = np.append(np.flatnonzero(np.diff(number, prepend=number[0] - 1)), p.size)
    cuts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    ones, zeros = (np.array([np.sum(v[c] * p[c]) for c in cuts]) for v in (piece.positives, piece.negatives))
    positives, negatives = (np.array([np.sum(v[c]) for c in cuts], dtype=np.int64) for v in (piece.positives, piece.negatives))
    means = (ones + zeros) / (positives + negatives)
    spread = np.array([np.sum(rows[c] * (p[c] - m) ** 2) for c, m in zip(cuts, means, strict=True)])
    return number[edges[:-1]], Bins(p[edges[:-1]], p[edges[1:] - 1], positives, negatives, ones, zeros, spread)


def _together(bins: Bins, number: Ints) -> Bins:
    """Neighbouring bins of one number as one bin; what spreads between them is added to what spreads within (Chan 1983)."""
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    ends = np.append(starts[1:], number.size) - 1
    positives, negatives, ones, zeros, spread = (np.add.reduceat(v, starts) for v in bins[2:])
    means = (ones + zeros) / (positives + negatives)
    between = bins.rows * (bins.means - np.repeat(means, ends - starts + 1)) ** 2
    return Bins(bins.low[starts], bins.high[ends], positives, negatives, ones, zeros, spread + np.add.reduceat(between, starts))


def equal_mass_bins(table: Table, *, bins: int = 15) -> Bins:
    """Rows of equal p are never split: they go to the bin of their middle rank, so there may be fewer bins than asked for."""
    if bins < 1:
        raise ValueError(f"expected bins >= 1, got {bins}")
    total, below, found = table.rows, 0, []
    for piece in probabilities(table):
        rows = piece.positives + piece.negatives
        ranks = np.cumsum(rows) + below
        found.append(_cut(piece, (2 * ranks - rows) * bins // (2 * total)))
        below = int(ranks[-1])
    if not found:
        none, nothing = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Bins(none, none, nothing, nothing, none, none, none)
    if len(found) == 1:
        return found[0][1]
    joined = Bins(*(np.concatenate(part) for part in zip(*(cut for _, cut in found), strict=True)))
    return _together(joined, np.concatenate([number for number, _ in found]))


def of_at_least(bins: Bins, rows: int) -> Bins:
    """Neighbouring bins taken together until each has so many rows; the whole table where it has fewer."""
    number, held, place = [], 0, 0
    for size in bins.rows.tolist():
        number.append(place)
        held += size
        if held >= rows:
            place, held = place + 1, 0
    if held and place:  # what is left over at the top joins its neighbour
        number = [min(n, place - 1) for n in number]
    return _together(bins, np.array(number, dtype=np.int64)) if number else bins


def curve_of(bins: Bins, *, level: float) -> list[Point]:
    """Mean p against the observed rate per bin, with Wilson's band; on the diagonal means calibrated."""
    points = []
    for low, high, one, n, mean in zip(bins.low, bins.high, bins.positives, bins.rows, bins.means, strict=True):
        rate = wilson(int(one), int(n), level=level)
        assert rate is not None
        points.append(Point(float(low), float(high), float(mean), rate))
    return points


def reliability_curve(table: Table, *, level: float, bins: int = 15) -> list[Point]:
    """`curve_of` bins of about equally many rows."""
    return curve_of(equal_mass_bins(table, bins=bins), level=level)


def expected_calibration_error(parts: Bins) -> float | None:
    """Plug-in ECE: mean |mean p − rate| over bins, weighted by rows, in [0, 1]. Naeini 2015; Guo 2017.

    0 means that bins agree on these rows. Biased upwards when bins hold few rows (about .04 at 1,000 rows of a calibrated model): reported,
    never judged; see `calibration_error`. None for no rows.
    """
    n = int(parts.rows.sum())
    if n == 0:
        return None
    gaps = parts.sum_positives + parts.sum_negatives - parts.positives
    return float(np.sum(np.abs(gaps))) / n


def _squares(ones: Floats, zeros: Floats, s1: Floats, s0: Floats, *, debias: bool) -> Floats:
    """Squared error per replicate, (R, bins) -> (R,), without what chance adds if `debias`; that leaves out bins of one row."""
    rows = ones + zeros
    safe = np.maximum(rows, 1)
    terms = (s1 + s0 - ones) ** 2 / safe
    if debias:
        terms = np.where(rows > 1, terms - ones * zeros / safe / np.maximum(rows - 1, 1), 0.0)
    return np.asarray(np.sum(terms, axis=-1) / np.sum(rows, axis=-1))


def calibration_error(parts: Bins, *, level: float, rng: Generator, replicates: int = 2000) -> Estimate | None:
    """√max(0, debiased²): root mean squared gap between mean p and rate over bins, less what chance adds; in [0, 1].

    0 means indistinguishable from calibrated at this n. Kumar, Liang and Ma 2019. Interval: rows are drawn again within the counts of bin
    and outcome; the replicates' distance from the plug-in square, about which they scatter, is subtracted from the debiased square (basic
    bootstrap), which is wide where the model is calibrated. Miscalibration finer than the bins is not seen. None for fewer than 2 rows.
    """
    check_share("level", level)
    n = int(parts.rows.sum())
    if n < 2:
        return None
    counts = np.concatenate([parts.positives, parts.negatives])
    sums = np.concatenate([parts.sum_positives, parts.sum_negatives])
    means = sums / np.maximum(counts, 1)

    def squares(cells: Floats, debias: bool) -> Floats:
        (one, zero), (s1, s0) = np.split(cells, 2, axis=-1), np.split(cells * means, 2, axis=-1)
        return _squares(one, zero, s1, s0, debias=debias)

    debiased, plain = (float(squares(counts.astype(np.float64), d)) for d in (True, False))
    drawn = squares(rng.multinomial(n, counts / n, size=replicates).astype(np.float64), True)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    ends = (debiased - (high - plain), debiased, debiased - (low - plain))
    low, value, high = (math.sqrt(min(max(e, 0.0), 1.0)) for e in ends)
    return estimate(value, low, high, level=level, method="debiased_basic_bootstrap", n=n)


def debiased_square(parts: Bins) -> float | None:
    """Σ n_b/n [(mean p − rate)² − rate(1 − rate)/(n_b − 1)] over bins; below 0 where gaps are smaller than chance makes them.

    Kumar, Liang and Ma 2019. None for no rows.
    """
    if not parts.rows.sum():
        return None
    ones, zeros = parts.positives.astype(np.float64), parts.negatives.astype(np.float64)
    return float(_squares(ones, zeros, parts.sum_positives, parts.sum_negatives, debias=True))


def calibration_test(parts: Bins, *, rng: Generator, draws: int = 1000) -> float | None:
    """p of "every probability is right on average in its bin": how often outcomes drawn from the bins' mean p are at least as far from it.

    Statistic: Σ n_b (mean p − rate)². Outcomes are drawn as binomial, which scatters no less than single probabilities do, so the test does
    not reject too often. Bröcker and Smith 2007. Smallest value 1 / (draws + 1). None for fewer than 2 rows.
    """
    n = parts.rows
    if n.sum() < 2:
        return None
    observed = float(np.sum((n * parts.means - parts.positives) ** 2 / n))
    drawn = rng.binomial(n, np.clip(parts.means, 0, 1), size=(draws, n.size))
    simulated = np.sum((n * parts.means - drawn) ** 2 / n, axis=1)
    return float((1 + np.count_nonzero(simulated >= observed * (1 - 1e-12))) / (draws + 1))


def on_mesh(table: Table) -> tuple[Floats, Floats, Floats]:
    """By cell of the mesh, (MESH,): rows, the sum of their probabilities, and events."""
    rows, sums, events = np.zeros(MESH), np.zeros(MESH), np.zeros(MESH)
    for piece in probabilities(table):
        cell = np.minimum((piece.scores * MESH).astype(np.int64), MESH - 1)
        counts = piece.positives + piece.negatives
        for mesh, weights in ((rows, counts), (sums, counts * piece.scores), (events, piece.positives)):
            mesh += np.bincount(cell, weights=weights, minlength=MESH)
    return rows, sums, events


def fixed_widths(meshes: Floats, *, steps: int = 40) -> Floats:
    """For each mesh of residuals (R, MESH), each divided by the rows: the width at which smoothing leaves as much as the width, (R,)."""
    from scipy.fft import dct, idct

    # Reflected at both ends a mesh is a sum of cosines, and a Gaussian shrinks each by itself.
    waves, frequency = dct(meshes, axis=1), np.pi * np.arange(MESH)

    def smoothed(width: Floats) -> Floats:
        return np.asarray(np.sum(np.abs(idct(waves * np.exp(-0.5 * (frequency * width[:, None]) ** 2), axis=1)), axis=1))

    low, high = np.full(len(meshes), 1 / MESH), np.ones(len(meshes))
    least = smoothed(low)
    for _ in range(steps):
        middle = (low + high) / 2
        above = smoothed(middle) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(least <= 1 / MESH, least, (low + high) / 2)


def smooth_calibration_error(table: Table) -> float | None:
    """smECE in [0, 1]: residuals smoothed by a reflected Gaussian of width σ, integrated in absolute value, at the σ that equals the result.

    Błasiok and Nakkiran 2024. Needs no bins; like the plain error it is biased upwards at few rows. Residuals are taken on a mesh of 4,000
    cells, so values below 0.001 say only that. None for no rows.
    """
    if not table.rows:
        return None
    _, sums, events = on_mesh(table)
    return float(fixed_widths((events - sums)[None] / table.rows)[0])
