"""What training makes small, and how far off a net is: one loss a name, all as means over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.settings import NetTraining

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


def weights_of(y: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """(classes,): rows / (classes · rows of the class), so that every class weighs alike in sum; 0 for a class without rows."""
    import numpy as np

    counts = np.bincount(y, minlength=classes)
    return np.divide(len(y), classes * counts, out=np.zeros(classes), where=counts > 0).astype(np.float32)


def build_loss(settings: NetTraining, y: NDArray[Any], classes: int) -> nn.Module:
    """The loss of the preset: outputs (n, classes) and places (n,), or outputs (n, 1) and values (n,); gives (n,), weighted.

    Every class weight multiplies its row's loss; the mean over a batch is taken by whoever calls.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    weights = torch.from_numpy(weights_of(y, classes)) if settings.class_weights and classes else None

    class Loss(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
        """Row by row."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weights", weights)

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            output = output.float()  # a sum of small losses in half precision would stop growing
            if settings.loss == "mse" or not classes:
                return (output.squeeze(-1) - target) ** 2
            loss = functional.cross_entropy(output, target, reduction="none", label_smoothing=settings.label_smoothing)
            if settings.loss == "focal":  # Lin et al. 2017: the chance of the right label is not smoothed
                right = functional.softmax(output, dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
                loss = (1 - right) ** settings.focus * loss
            return loss if self.weights is None else loss * self.weights[target]

    return Loss()
