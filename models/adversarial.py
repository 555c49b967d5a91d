"""Training rows moved against the net, so that it learns to hold there: FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.settings import Adversarial

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def attacked(
    net: nn.Module, inputs: list[Tensor], y: Tensor, loss_of: Any, settings: Adversarial, generator: torch.Generator
) -> list[Tensor]:
    """The inputs with the first `share` of the rows moved by at most `epsilon` in every number; missing numbers and tokens stay.

    FGSM is one step of `epsilon` from the row itself; PGD starts at random within the ball and takes `steps` steps of 2.5 epsilon / steps.
    """
    import torch

    moved = max(1, round(settings.share * len(y)))
    chosen = [x[:moved] for x in inputs]
    at = [i for i, x in enumerate(chosen) if x.dtype.is_floating_point]
    if not at:
        return inputs
    training = net.training
    net.eval()  # moving a row must not move the running figures of a normalisation
    change = [torch.zeros_like(chosen[i]) for i in at]
    if settings.method == "pgd":
        change = [(torch.rand(c.shape, generator=generator).to(c.device) * 2 - 1) * settings.epsilon for c in change]
    steps, length = (1, settings.epsilon) if settings.method == "fgsm" else (settings.steps, 2.5 * settings.epsilon / settings.steps)
    for _ in range(steps):
        change = [c.detach().requires_grad_() for c in change]
        loss = loss_of(net(*_moved(chosen, at, change)), y[:moved]).sum()
        slopes = torch.autograd.grad(loss, change)
        change = [
            (c + length * s.nan_to_num().sign()).clamp(-settings.epsilon, settings.epsilon) for c, s in zip(change, slopes, strict=True)
        ]
    net.train(training)
    far = _moved(chosen, at, [c.detach() for c in change])
    return [torch.cat([f, x[moved:]]) for f, x in zip(far, inputs, strict=True)]


def _moved(inputs: list[Tensor], at: list[int], change: list[Tensor]) -> list[Tensor]:
    out = list(inputs)
    for i, c in zip(at, change, strict=True):
        out[i] = inputs[i] + c
    return out
