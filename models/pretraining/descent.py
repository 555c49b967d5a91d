"""The few lines that every pre-training shares: AdamW, a rate that rises over a tenth of the steps and then falls to 0, bounded gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from models.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn


def descend(net: nn.Module, losses: Callable[[int], Iterator[Tensor]], *, epochs: int, batches: int, rate: float) -> None:
    """Train `net` in place, with one step for each loss that `losses(epoch)` yields: `batches` in each epoch."""
    import torch

    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01)
    total, step = epochs * batches, 0
    net.train()
    for epoch in range(epochs):
        for loss in losses(epoch):
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the pre-training's loss in epoch {epoch + 1} is {float(loss)}", "lower training.pretraining.learning_rate with --set"
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = rate * min(step / (0.1 * total), (total - step) / (0.9 * total))
            optimizer.step()
    net.eval()
