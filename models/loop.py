"""The training loop: seeded, deterministic, stopped early on the validation loss. It knows arrays and nets, no files and no MLflow."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.config import NetTraining
from models.errors import TrainingError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

#: What one epoch measured, by name; losses are mean cross-entropy in nats.
Epoch = dict[str, float]
#: Called after each epoch with its number from 1 on and what it measured.
OnEpoch = Callable[[int, Epoch], None]


@dataclass(frozen=True)
class Rows:
    """Inputs (n, …) and the place of each row's label among the classes (n,)."""

    x: NDArray[Any]
    y: NDArray[np.int64]


def pick_device(name: Literal["auto", "cpu", "cuda"]) -> str:
    """The device to train on; `auto` takes a GPU where torch sees one."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda expects a GPU that torch can use, got none", "use --device cpu or --device auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def deterministic(seed: int, *, threads: int) -> Iterator[None]:
    """Inside: torch draws from `seed`, uses deterministic algorithms and `threads` threads; afterwards everything is as before."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts; without it its sums are unordered
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])


def fit(
    net: nn.Module, train: Rows, validation: Rows, *, settings: NetTraining, epochs: int, seed: int, device: str, on_epoch: OnEpoch
) -> int:
    """Train `net` in place and return the epoch whose weights it keeps: the one with the lowest validation loss.

    The net ends on the CPU, in evaluation mode. Call it inside `deterministic`; `seed` orders the rows.
    """
    import torch

    net.to(device)
    loss_of = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    order = torch.Generator().manual_seed(seed)
    x, y = _tensors(train, device)
    held_out = _tensors(validation, device)
    best, best_loss, best_state = 0, float("inf"), copy.deepcopy(net.state_dict())
    for epoch in range(1, epochs + 1):
        net.train()
        total = torch.zeros((), device=device)
        for batch in torch.randperm(len(y), generator=order).split(settings.batch_size):
            loss = loss_of(net(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        loss_now = _loss(net, loss_of, *held_out)
        on_epoch(epoch, {"train_loss": float(total) / len(y), "validation_loss": loss_now})
        if loss_now < best_loss:
            best, best_loss, best_state = epoch, loss_now, copy.deepcopy(net.state_dict())
        elif not loss_now < float("inf") or epoch - best >= settings.patience:
            break
    if not best:
        raise TrainingError(f"the validation loss of epoch 1 is {loss_now}, expected a number", "lower training.learning_rate with --set")
    net.load_state_dict(best_state)
    net.to("cpu").eval()
    return best


def _loss(net: nn.Module, loss_of: nn.Module, x: Tensor, y: Tensor) -> float:
    import torch

    net.eval()
    with torch.inference_mode():
        return float(loss_of(net(x), y))


def _tensors(rows: Rows, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    return torch.from_numpy(rows.x).to(device), torch.from_numpy(rows.y).to(device)
