"""Privacy loss distribution of DP-SGD, discretised against the claim and composed by FFT: an upper bound on ε, close to exact.

One step adds Gaussian noise to a Poisson sample. Its loss ln dP/dQ is put on a grid so that the grid's pair of distributions dominates the
true one: the mass between two grid points goes to both of them, with P's and Q's mass kept (Doroshenko, Ghazi, Kamath, Kumar and Manurangsi
2022, arXiv:2207.04380). What leaves the grid above counts as a loss without bound. Koskela, Jälkö and Honkela 2020, arXiv:1906.03049.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtr

from audit.stats.privacy.gaussian import composed_mu, epsilon_of

Floats = NDArray[np.float64]
#: Distance of two points of the grid, in nats, and the most points of one.
STEP, MOST = 1e-4, 1 << 23
#: Standard deviations of noise beyond which a step's outcome is put at the ends of the grid.
REACH = 12.0
#: Chance that a composed loss leaves the grid; it is added to δ.
TAIL = 1e-15
Direction = Literal["remove", "add"]


class Losses(NamedTuple):
    """Chances (k,) of the losses (first + 0, 1, 2, …) · step; `endless` is the chance of a loss without bound."""

    first: int
    step: float
    chances: Floats
    endless: float


def one_step(noise: float, rate: float, direction: Direction, step: float) -> Losses:
    """The loss of one step: noise multiplier σ > 0, rate 0 < q < 1. "remove" compares with the row against without, "add" the reverse."""
    ends = np.array([-REACH * noise, 1 + REACH * noise])
    reach = np.sort((1 if direction == "remove" else -1) * _log_ratio(ends, noise, rate))
    first, last = math.floor(reach[0] / step), math.ceil(reach[1] / step)
    grid = np.arange(first, last + 1) * step
    cut = _where(grid if direction == "remove" else -grid, noise, rate)  # outcome at which the loss passes each grid point
    without = _between(cut, noise)
    within = (1 - rate) * without + rate * _between(cut - 1, noise)
    p, q = (within, without) if direction == "remove" else (without, within)
    low, high = np.exp(-grid[:-1]), np.exp(-grid[1:])
    # b at the upper end and p − b at the lower: b e^{−high} + (p − b) e^{−low} = q
    upper = np.clip((p * low - q) / (low - high), 0.0, p)
    chances = np.zeros(len(grid))
    chances[1:] += upper
    chances[:-1] += p - upper
    return Losses(first, step, chances, max(0.0, 1.0 - float(chances.sum())))


def _log_ratio(x: Floats, noise: float, rate: float) -> Floats:
    """ln of the density with the row over that without it, at outcome x."""
    return np.asarray(np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * x - 1) / (2 * noise**2)))


def _where(loss: Floats, noise: float, rate: float) -> Floats:
    """The outcome at which `_log_ratio` is `loss`; −∞ below all of its values."""
    above = np.expm1(loss) + rate
    inside = np.log(np.where(above > 0, above, 1.0)) - math.log(rate)
    return np.asarray(np.where(above > 0, noise**2 * inside + 0.5, -np.inf))


def _between(cuts: Floats, noise: float) -> Floats:
    """The chances that N(0, σ²) lies between neighbouring cuts, rising or falling, taken from the nearer tail."""
    below, above = ndtr(cuts / noise), ndtr(-cuts / noise)
    return np.asarray(np.where(cuts[1:] + cuts[:-1] > 0, np.abs(above[1:] - above[:-1]), np.abs(below[1:] - below[:-1])))


def compose(one: Losses, times: int) -> Losses:
    """The loss of `times` independent steps. A window holds all but `TAIL` of it; what lies below is moved up into it, never down."""
    losses: Floats = np.arange(one.first, one.first + len(one.chances), dtype=np.float64) * one.step
    low, high = _window(losses, one.chances, times)
    first, size = math.floor(low / one.step), next_fast_len(math.ceil((high - low) / one.step) + 2, real=True)
    wrapped = np.zeros(size)
    np.add.at(wrapped, np.arange(len(one.chances)) % size, one.chances)
    power = irfft(rfft(wrapped) ** times, n=size)
    # The power's place 0 stands for times·first, counted around the circle.
    chances = np.maximum(np.roll(power, (times * one.first - first) % size), 0.0)
    return Losses(first, one.step, chances, min(1.0, times * one.endless + 2 * TAIL))


def _window(losses: Floats, chances: Floats, times: int) -> tuple[float, float]:
    """Ends outside of which the sum of `times` losses lies with a chance of `TAIL` each, by Chernoff's bound."""
    with np.errstate(divide="ignore"):
        log_chances = np.log(chances)
    ends = []
    for side in (1.0, -1.0):
        best = math.inf
        for order in np.geomspace(0.05, 500.0, 60):
            weighted = log_chances + side * order * losses
            top = float(weighted.max())
            moment = top + math.log(float(np.exp(weighted - top).sum()))
            best = min(best, (times * moment - math.log(TAIL)) / order)
        ends.append(side * best)
    return ends[1], ends[0]


def delta_at(losses: Losses, epsilon: float) -> float:
    """The δ in [0, 1] with which the mechanism is (ε, δ)-private: P[L = ∞] + Σ_{L > ε} P[L] (1 − e^{ε−L})."""
    values = (losses.first + np.arange(len(losses.chances))) * losses.step
    over = values > epsilon
    return min(1.0, losses.endless + float(np.sum(losses.chances[over] * -np.expm1(epsilon - values[over]))))


def epsilon_at(losses: Losses, delta: float) -> float:
    """The least ε >= 0 with δ(ε) <= `delta`; infinity where losses without bound are likelier than that."""
    if losses.endless >= delta:
        return math.inf
    low, high = 0.0, max(0.0, (losses.first + len(losses.chances)) * losses.step)
    if delta_at(losses, low) <= delta:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if delta_at(losses, middle) <= delta else (middle, high)
    return high


def epsilon(noise: float, rate: float, steps: int, *, delta: float) -> float:
    """The least ε at `delta`, rounded up, of `steps` steps of noise multiplier σ > 0 on rows drawn at `rate` in (0, 1]; one row more or less."""
    if rate == 1.0:
        return epsilon_of(composed_mu(noise, steps), delta)
    width = min(STEP, 0.03 / math.sqrt(steps))
    reach = float(np.ptp(_log_ratio(np.array([-REACH * noise, 1 + REACH * noise]), noise, rate)))
    width = max(width, reach / MOST)
    return max(epsilon_at(compose(one_step(noise, rate, side, width), steps), delta) for side in ("remove", "add"))
