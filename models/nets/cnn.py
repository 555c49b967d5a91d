"""A convolutional net over pictures as they are stored: scaling is its first layer, so attributions speak of pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.networks import Convolutional as Network
from models.networks import read


class Pixels(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, c, h, w) pixels of 0 to 255 → mean 0 and deviation 1 of each channel over the training rows; a missing pixel is 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))

    def fit(self, x: Tensor) -> None:
        """Take mean and deviation of each channel from training rows."""
        flat = x.transpose(0, 1).flatten(1)
        flat = flat[:, ~flat.isnan().any(dim=0)]
        self.mean.copy_(flat.mean(dim=1).view(-1, 1, 1))
        self.scale.copy_(flat.std(dim=1).clamp(min=1e-6).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.nan_to_num((x - self.mean) / self.scale)


class Cnn(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, c, h, w) float32 → logits (n, classes)."""

    def __init__(self, shape: list[int], classes: int, network: Network) -> None:
        super().__init__()
        channels, height, width = shape
        self.pixels = Pixels(channels)
        layers: list[nn.Module] = []
        for out in network.channels:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            channels, height, width = out, height // 2, width // 2
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(channels * height * width, network.dense), nn.ReLU(), nn.Dropout(network.dropout), nn.Linear(network.dense, classes)
        )
        self.to(memory_format=torch.channels_last)  # a fifth less time on a CPU; the same numbers to rounding

    def fit(self, x: Tensor) -> None:
        """Set the scaling from training rows."""
        self.pixels.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.pixels(x)))
        return logits


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: the one image column's shape, classes, network. Entry point `cnn`."""
    return Cnn(config["columns"][0]["shape"], config["classes"], read(Network, config))
