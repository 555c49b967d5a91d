"""A net whose large weights are stored as whole numbers of 8 bits, one scale an output channel (Jacob et al. 2018, CVPR: symmetric, weights only).

Each layer multiplies its weights out before it is used: a quarter of the size, no fewer operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.nets.inner import build_inner
from models.networks import Quantized as Network
from models.networks import read


class Weight8(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Whole numbers in [-127, 127] and one scale for each row of the weight; scale 0 marks a row of zeros."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.whole = nn.Parameter(torch.zeros(shape, dtype=torch.int8), requires_grad=False)
        self.scale = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1)), requires_grad=False)

    def store(self, weight: Tensor) -> None:
        """Round (rows, …) to the nearest step; the largest of each row stays exact."""
        largest = weight.abs().flatten(1).amax(dim=1).reshape(self.scale.shape)
        self.scale.copy_(largest / 127)
        steps = torch.where(self.scale > 0, weight / self.scale, torch.zeros_like(weight))
        self.whole.copy_(steps.round().clamp(-127, 127).to(torch.int8))

    def forward(self) -> Tensor:
        return self.whole.to(self.scale.dtype) * self.scale


class _Layer(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """What all three have: the stored weight, the bias as it was, and `weight` for whoever reads it from outside."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.stored = Weight8(layer.weight.shape)
        self.bias = getattr(layer, "bias", None)

    @property
    def weight(self) -> Tensor:
        found: Tensor = self.stored()
        return found


class Linear8(_Layer):
    """nn.Linear."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


class Convolution8(_Layer):
    """nn.Conv1d and nn.Conv2d, padded with zeros."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(layer)
        self.options = (layer.stride, layer.padding, layer.dilation, layer.groups)
        self.dimensions = layer.weight.ndim - 2

    def forward(self, x: Tensor) -> Tensor:
        convolve = functional.conv1d if self.dimensions == 1 else functional.conv2d
        return convolve(x, self.weight, self.bias, *self.options)


class Embedding8(_Layer):
    """nn.Embedding."""

    def forward(self, places: Tensor) -> Tensor:
        return self.stored.whole[places].to(self.stored.scale.dtype) * self.stored.scale[places]


KINDS: dict[type[nn.Module], type[_Layer]] = {
    nn.Linear: Linear8, nn.Conv1d: Convolution8, nn.Conv2d: Convolution8, nn.Embedding: Embedding8,
}  # fmt: skip


def layers_of(net: nn.Module) -> list[str]:
    """Names of the layers that can be stored in 8 bits, in order; subclasses of torch's layers may read their weights elsewhere, and stay."""
    return [name for name, layer in net.named_modules() if type(layer) in KINDS and getattr(layer, "padding_mode", "zeros") == "zeros"]


class Quantized(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """As the net inside, with `layers` of it stored in 8 bits."""

    def __init__(self, inner: nn.Module, network: Network) -> None:
        super().__init__()
        for name in network.layers:
            layer = inner.get_submodule(name)
            inner.set_submodule(name, KINDS[type(layer)](layer))
        self.inner = inner

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None) -> Tensor:
        found: Tensor = self.inner(*(x for x in (first, second, third, fourth) if x is not None))
        return found


def build(config: dict[str, Any]) -> nn.Module:
    """The net in `inner`, some layers stored in 8 bits. Entry point `quantized`."""
    return Quantized(build_inner(config), read(Network, config))
