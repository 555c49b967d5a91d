"""Rows moved within a box so that a net changes its answer: FGSM (Goodfellow et al. 2015), PGD (Madry et al. 2018) and APGD (Croce and Hein 2020).

What is climbed is the log-odds against the answer, log Σ exp(z of the others) − z of the answer. Its gradient has the direction of that of
cross-entropy, which is (1 − p) times as long and in single precision 0 where the net is sure of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net, blocks

#: Probabilities are kept this far from 0 and 1 before their logarithm is taken.
TINY = 1e-12
#: APGD: when steps are looked back on, as shares of all, how many of them must have gained, and the weight of the last move.
FIRST_LOOK, LESS, LEAST, GAINED, MOMENTUM = 0.22, 0.03, 0.06, 0.75, 0.75


@dataclass(frozen=True)
class Goal:
    """When a row's answer is another one. `probability`: what the net returns; `event`: the class whose log-odds are held against `cutoff` in a
    model of two classes, -1 where the greatest output is the answer."""

    net: Net
    probability: bool = False
    event: int = -1
    cutoff: float = 0.0

    def scores(self, x: Any) -> Any:
        """Log-odds of the event (n, 1), or the logarithms of all classes' scores (n, k) up to a constant; in double precision."""
        found = self.net.outputs([x]).double()
        if self.probability:
            found = found.clamp(TINY, 1 - TINY)
            found = torch.logit(found) if found.shape[1] == 1 else found.log()
        if self.event < 0 or found.shape[1] > 2:
            return found
        odds = found if found.shape[1] == 1 else found[:, self.event : self.event + 1] - found[:, 1 - self.event : 2 - self.event]
        return odds - self.cutoff

    def answer(self, scores: Any) -> Any:
        """(n,): the greatest output, or whether the event is at its cutoff or above."""
        return (scores[:, 0] >= 0).long() if scores.shape[1] == 1 else scores.argmax(dim=1)

    def against(self, scores: Any, own: Any) -> Any:
        """Log-odds (n,) against the answer `own`."""
        if scores.shape[1] == 1:
            return torch.where(own == 1, -scores[:, 0], scores[:, 0])
        mine = torch.nn.functional.one_hot(own, scores.shape[1]).bool()
        return scores.masked_fill(mine, -torch.inf).logsumexp(dim=1) - scores[mine]

    def slope(self, x: Any, own: Any) -> tuple[Any, Any, Any]:
        """Log-odds against the answer (n,), their gradient like x, and which rows have another answer (n,)."""
        at = x.detach().clone().requires_grad_()
        with torch.enable_grad():
            scores = self.scores(at)
            loss = self.against(scores, own)
            if not loss.requires_grad:
                raise ContractError("no gradient reaches the model's inputs")
            (found,) = torch.autograd.grad(loss.sum(), at)
        return loss.detach(), found.nan_to_num(), self.answer(scores.detach()) != own

    def turned(self, x: Any, own: Any) -> Any:
        """Which rows have another answer (n,)."""
        with torch.no_grad():
            return self.answer(self.scores(x)) != own


@dataclass(frozen=True)
class Box:
    """Where each number may go: `low` and `high` like the rows, `reach` (1, …) or like them is half the width where no end cuts it."""

    low: Any
    high: Any
    reach: Any

    def of(self, rows: Any) -> Box:
        """For some rows only."""
        return Box(self.low[rows], self.high[rows], self.reach)

    def inside(self, x: Any) -> Any:
        """Numbers brought back to their ends; what is missing stays missing."""
        return torch.minimum(torch.maximum(x, self.low), self.high)

    def anywhere(self, random: torch.Generator) -> Any:
        """A random place (Madry et al. 2018)."""
        return self.low + (self.high - self.low) * torch.rand(self.low.shape, generator=random, dtype=self.low.dtype)


Start = Callable[[Any, Box], Any]


def climb(goal: Goal, x: Any, own: Any, box: Box, *, steps: int, size: float, start: Start) -> Any:
    """Steps by the gradient's sign, of `size` times the reach; a row that has another answer goes no further."""
    out = start(x, box)
    left = torch.arange(len(x))
    for _ in range(steps):
        _, slope, turned = goal.slope(out[left], own[left])
        left, slope = left[~turned], slope[~turned]
        if not len(left):
            return out
        out[left] = box.of(left).inside(out[left] + size * box.reach * slope.sign())
    return out


def apgd(goal: Goal, x: Any, own: Any, box: Box, *, steps: int, start: Start) -> Any:
    """Auto-PGD: a step is halved, and the best place gone back to, where the last ones gained too little."""
    at = start(x, box)
    best, before = at.clone(), at.clone()
    loss, slope, turned = goal.slope(at, own)
    most, shape = loss.clone(), (-1, *[1] * (x.dim() - 1))
    size, size_then, most_then = torch.full_like(loss, 2.0), torch.full_like(loss, 2.0), loss.clone()
    best_slope, gains, last = slope.clone(), torch.zeros_like(loss), loss.clone()
    look, gap, since = max(1, int(FIRST_LOOK * steps)), max(1, int(FIRST_LOOK * steps)), 0
    for step in range(steps):
        if bool(turned.all()):
            break
        z = box.inside(at + size.reshape(shape).to(x.dtype) * box.reach * slope.sign())
        weight = MOMENTUM if step else 1.0
        new = box.inside(at + weight * (z - at) + (1 - weight) * (at - before))
        keep = turned.reshape(shape)
        before, at = torch.where(keep, before, at), torch.where(keep, at, new)
        loss, slope, other = goal.slope(at, own)
        gains += loss > last
        last = loss.clone()
        better = (loss > most) & ~turned | other & ~turned
        best = torch.where(better.reshape(shape), at, best)
        best_slope = torch.where(better.reshape(shape), slope, best_slope)
        most = torch.maximum(most, loss)
        turned |= other
        since += 1
        if since == look:
            stuck = (gains < GAINED * look) | (size == size_then) & (most <= most_then)
            size_then, most_then = size.clone(), most.clone()
            size = torch.where(stuck, size / 2, size)
            at = torch.where(stuck.reshape(shape), best, at)
            slope = torch.where(stuck.reshape(shape), best_slope, slope)
            last = torch.where(stuck, most, last)
            gap = max(gap - int(LESS * steps), int(LEAST * steps), 1)
            look, since, gains = gap, 0, torch.zeros_like(gains)
    return best


def attack(
    goal: Goal,
    x: Any,
    *,
    method: str,
    reach: Any,
    low: Any,
    high: Any,
    down: Any = 1.0,
    up: Any = 1.0,
    steps: int = 20,
    restarts: int = 1,
    skip: int = 0,
    seed: int = 0,
) -> Any:
    """Rows like x (n, …) within `reach` of it and between `low` and `high`, each of another answer where one was found.

    `reach`, `low`, `high`, `down` and `up` are one number, or one for each number of a row; `down` and `up` are 0 where it may not fall or not rise.
    Restart 0 of PGD starts at the row, all others at random; the restarts from `skip` on are made.
    """
    if not x.is_floating_point():
        raise ContractError("gradients need inputs of a floating type")
    with torch.no_grad():
        own = torch.cat([goal.answer(goal.scores(x[some])) for some in blocks(len(x), x[0].numel())])
    whole, random = x.clone(), torch.Generator().manual_seed(seed)
    far, least, most, fall, rise = (_like(x, v) for v in (reach, low, high, down, up))
    for some in blocks(len(x), x[0].numel()):
        rows = x[some]
        box = Box(
            torch.maximum(rows - far * fall, torch.minimum(rows, least)), torch.minimum(rows + far * rise, torch.maximum(rows, most)), far
        )
        whole[some] = _tried(goal, rows, own[some], box, method, steps, range(skip, restarts), random)
    return whole


def _like(x: Any, value: Any) -> Any:
    """One number, or one for each number of a row, as a tensor that goes with x."""
    found = torch.as_tensor(value, dtype=x.dtype)
    return found.reshape(1, *x.shape[1:]) if found.dim() else found


def _tried(goal: Goal, x: Any, own: Any, box: Box, method: str, steps: int, runs: range, random: torch.Generator) -> Any:
    """One block of rows."""
    if method == "fgsm":
        return climb(goal, x, own, box, steps=1, size=1.0, start=_here)
    out = x.clone()
    left = torch.arange(len(x))
    for run in runs:
        begin: Start = _here if run == 0 and method == "pgd" else lambda _, within: within.anywhere(random)
        rows, mine, within = x[left], own[left], box.of(left)
        if method == "pgd":
            out[left] = climb(goal, rows, mine, within, steps=steps, size=2.5 / steps, start=begin)
        else:
            out[left] = apgd(goal, rows, mine, within, steps=steps, start=begin)
        left = left[~goal.turned(out[left], mine)]
        if not len(left):
            break
    return out


def _here(x: Any, _: Box) -> Any:
    return x.clone()
