"""Model inversion (Fredrikson, Jha and Ristenpart 2015): from a row, up the gradient of log p of a class and of a prior, within a box.

The prior is that of independent normals about the row: −weight/2 · Σ ((x′ − x) / scale)².
"""

from __future__ import annotations

from typing import Any

import torch

from audit.subject.flavors.attacks import Goal
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net

#: First step, in scales for each number on average; a step that gains is followed by a longer one, one that loses is taken back and halved.
FIRST, LONGER = 0.1, 1.2


def invert(
    net: Net, x: Any, *, probability: bool, event: int, classes: list[int], free: list[int], low: list[float], high: list[float],
    scale: list[float], prior: float, steps: int,
) -> Any:  # fmt: skip
    """Rows like x (n, …), row i where the climb for class `classes[i]` ends: `free` are the f numbers of a row that move, between `low` and `high` (f,),
    `scale` (f,) what a unit is. `event` is the class that a single output speaks for."""
    if not x.is_floating_point():
        raise ContractError("gradients need inputs of a floating type")
    flat, unit = x.reshape(len(x), -1), torch.as_tensor(scale, dtype=torch.float64)
    start = flat[:, free].double()
    ends = [(torch.as_tensor(end, dtype=torch.float64) - start) / unit for end in (low, high)]
    wanted, goal = torch.as_tensor(classes), Goal(net, probability)

    def rows(at: Any) -> Any:
        return flat.index_copy(1, torch.as_tensor(free), (start + at * unit).to(x.dtype)).reshape(x.shape)

    def height(at: Any) -> tuple[Any, Any]:
        """What is climbed (n,), and its gradient (n, f) without what would lead out of the box."""
        at = at.detach().requires_grad_()
        with torch.enable_grad():
            found = log_share(goal.scores(rows(at)), wanted, event) - prior / 2 * (at**2).sum(dim=1)
            if not found.requires_grad:
                raise ContractError("no gradient reaches the model's inputs")
            (slope,) = torch.autograd.grad(found.sum(), at)
        at = at.detach()
        out = (at <= ends[0]) & (slope < 0) | (at >= ends[1]) & (slope > 0)
        return found.detach(), slope.nan_to_num().masked_fill(out, 0.0)

    at = torch.zeros_like(start)
    step = torch.full((len(x), 1), FIRST * len(free) ** 0.5, dtype=torch.float64)
    most, slope = height(at)
    for _ in range(steps):
        way = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-300)
        new = torch.minimum(torch.maximum(at + step * way, ends[0]), ends[1])
        then, slope_then = height(new)
        gains = (then > most).unsqueeze(1)
        at, slope = torch.where(gains, new, at), torch.where(gains, slope_then, slope)
        most, step = torch.maximum(most, then.nan_to_num(-torch.inf)), step * torch.where(gains, LONGER, 0.5)
    return rows(at)


def log_share(scores: Any, wanted: Any, event: int) -> Any:
    """Logarithm (n,) of the probability of the class `wanted` (n,), from what `Goal.scores` gives."""
    if scores.shape[1] == 1:
        return torch.nn.functional.logsigmoid(torch.where(wanted == event, scores[:, 0], -scores[:, 0]))
    found: Any = scores.log_softmax(dim=1).gather(1, wanted.unsqueeze(1)).squeeze(1)
    return found
