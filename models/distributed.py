"""Several processes on one training, started by PyTorch's own launcher (`torchrun --nproc-per-node 2 -m models.train …`).

Every process draws the same batches and takes every world-th row of each; gradients are summed. So the processes together take the steps
that one would take, up to the order of a sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """Which of how many processes this is; the first alone speaks, logs and writes."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch."""
        return rows[self.rank :: self.size] if self.size > 1 else rows

    def sum_gradients(self, net: nn.Module) -> None:
        """Gradients summed over the processes, in place; a process without rows adds zeros."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        for parameter in net.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)

    def sum(self, value: Tensor) -> Tensor:
        """A tensor summed over the processes."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(value)
        return value


@contextmanager
def joined(device: str = "cpu") -> Iterator[World]:
    """The world that the launcher's variables describe; one process alone without them. On `cuda` each process takes a GPU of its own."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    import torch
    from torch import distributed

    if device == "cuda":
        place = int(os.environ.get("LOCAL_RANK", "0"))
        if place >= torch.cuda.device_count():
            raise TrainingError(
                f"process {place + 1} of this machine finds {torch.cuda.device_count()} GPUs",
                "start one process a GPU, or give --device cpu",
            )
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
