"""The nearest place of another decision, by gradient: min λ · hinge(margin) + Σ|x′ − x| / MAD (Wachter, Mittelstadt and Russell 2018).

Adam moves the free numbers, and after each step they are brought back into their box and onto the simplex of their one-hot group. λ doubles
for the rows that have not arrived. What comes back is a place between values; whether it holds at values that occur is for the caller to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from audit.subject.flavors.attacks import Goal
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net, blocks

#: Adam's step, in units of a number's scale, and steps of a round; after each round λ doubles.
RATE, ROUND = 0.05, 100
#: λ of the first round, in units of the least with which, by the slope at the row, the hinge outweighs the distance at all.
FIRST = 2.0
#: The margin that is aimed at, so that a row arrives and does not only come near.
AIM = 1e-3
BETAS = (0.9, 0.999)


@dataclass(frozen=True)
class Wanted:
    """The decision that is looked for: the class `event` at log-odds of at least `cutoff`; or, of a `value`, `sign` times it at least `cutoff`."""

    net: Net
    probability: bool = False
    event: int = 1
    cutoff: float = 0.0
    value: bool = False
    sign: int = 1

    def margin(self, x: Any) -> Any:
        """How far each row is on the wanted side (n,), in log-odds or in the value's unit; below 0 on the other."""
        if self.value:
            return self.sign * self.net.outputs([x])[:, 0].double() - self.cutoff
        scores = Goal(self.net, self.probability).scores(x)
        if scores.shape[1] == 1:
            return (scores[:, 0] if self.event == 1 else -scores[:, 0]) - self.cutoff
        own = torch.nn.functional.one_hot(torch.tensor(self.event), scores.shape[1]).bool()
        return scores[:, self.event] - scores[:, ~own].amax(dim=1) - self.cutoff


def nearest(
    wanted: Wanted, x: Any, *, free: list[int], low: list[list[float]], high: list[list[float]], scale: list[float], groups: list[list[int]],
    steps: int = 1000, norm: int = 1,
) -> Any:  # fmt: skip
    """Rows like x (n, d), each at the nearest place found that is wanted; a row for which none was found stays as it is.

    `free` are the f numbers that may move, between `low` and `high` (n, f); `scale` (f,) is what a unit of distance is of each; `groups` are
    places in `free` whose numbers are shares of 1. `norm` 1 adds distances up, 2 takes the Euclidean length.
    """
    if not x.is_floating_point() or x.dim() != 2:
        raise ContractError("gradients need one row of floating numbers")
    out = x.clone()
    for some in blocks(len(x), x.shape[1]):
        ends = [torch.as_tensor(v, dtype=torch.float64)[some] for v in (low, high)]
        box = Box(free, ends[0], ends[1], torch.as_tensor(scale, dtype=torch.float64), groups)
        out[some] = _descended(wanted, x[some], box, steps, norm)
    return out


@dataclass(frozen=True)
class Box:
    """Where the free numbers of rows may be, as `nearest` says."""

    free: list[int]
    low: Any
    high: Any
    scale: Any
    groups: list[list[int]]

    def of(self, rows: Any) -> Box:
        """For some rows only."""
        return Box(self.free, self.low[rows], self.high[rows], self.scale, self.groups)

    def inside(self, at: Any) -> Any:
        """Numbers (n, f) brought back into the box, those of a group onto the simplex."""
        at = torch.minimum(torch.maximum(at, self.low), self.high)
        for group in self.groups:
            at[:, group] = on_simplex(at[:, group])
        return at


def on_simplex(at: Any) -> Any:
    """The nearest shares (n, k) that add up to 1 (Duchi et al. 2008)."""
    ordered = at.sort(dim=1, descending=True).values
    over = (ordered.cumsum(dim=1) - 1) / torch.arange(1, at.shape[1] + 1)
    count = (ordered > over).sum(dim=1, keepdim=True)
    return (at - over.gather(1, count - 1)).clamp(min=0)


def _descended(wanted: Wanted, x: Any, box: Box, steps: int, norm: int) -> Any:
    """One block of rows, round by round; a row that has arrived at the end of a round goes no further."""
    out, left = x.clone(), torch.arange(len(x))
    steepest = (_slope(wanted, x, box.free)[1] * box.scale).abs().amax(dim=1)
    weight = FIRST / steepest.clamp(min=1e-3)
    for done in range(0, steps, ROUND):
        best, arrived = _round(wanted, x[left], box.of(left), weight, min(ROUND, steps - done), norm)
        place = left[arrived]
        moved = out[place]
        moved[:, box.free] = best[arrived].to(x.dtype)
        out[place] = moved
        left, weight = left[~arrived], 2 * weight[~arrived]
        if not len(left):
            break
    return out


def _round(wanted: Wanted, x: Any, box: Box, weight: Any, steps: int, norm: int) -> tuple[Any, Any]:
    """Adam from the row itself: the nearest wanted place (n, f) that it passed, and which rows passed one (n,). What is missing stays missing."""
    missing = torch.isnan(x[:, box.free])
    own = x[:, box.free].double().nan_to_num()
    at, first, second = own.clone(), torch.zeros_like(own), torch.zeros_like(own)
    best, least = own.clone(), torch.full((len(x),), torch.inf, dtype=torch.float64)
    for step in range(1, steps + 1):
        whole = x.clone()
        whole[:, box.free] = at.masked_fill(missing, torch.nan).to(x.dtype)
        margin, slope = _slope(wanted, whole, box.free)
        moved = (at - own) / box.scale
        distance = moved.abs().sum(dim=1) if norm == 1 else moved.norm(dim=1)
        nearer = (margin >= 0) & (distance < least)
        best, least = torch.where(nearer[:, None], at, best), torch.where(nearer, distance, least)
        pull = moved.sign() if norm == 1 else moved / distance.clamp(min=1e-9)[:, None]
        down = pull - (weight * (margin < AIM))[:, None] * slope * box.scale
        first, second = (b * m + (1 - b) * down**k for b, m, k in zip(BETAS, (first, second), (1, 2), strict=True))
        drift = (first / (1 - BETAS[0] ** step)) / ((second / (1 - BETAS[1] ** step)).sqrt() + 1e-8)
        at = box.inside(at - RATE * (1 - (step - 1) / steps) ** 0.5 * box.scale * drift)
    return best.masked_fill(missing, torch.nan), torch.isfinite(least)


def _slope(wanted: Wanted, x: Any, free: list[int]) -> tuple[Any, Any]:
    """The margin (n,) and its gradient by the free numbers (n, f)."""
    at = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        margin = wanted.margin(at)
        if not margin.requires_grad:
            raise ContractError("no gradient reaches the model's inputs")
        (found,) = torch.autograd.grad(margin.sum(), at)
    return margin.detach(), found[:, free].double().nan_to_num()
