"""Features without linear correlation to a sensitive column, then one linear layer: fairlearn's CorrelationRemover as a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.nets.inner import Features, build_inner, split_group
from models.nets.tabular import OneHot
from models.networks import Decorrelated as Network
from models.networks import read


class Remover(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, width) features and codes (n,) → features - (one-hot of the group - shares of the groups) · slopes.

    `slopes` (groups, width) already hold the strength, 1 for all of the correlation. A group that was not known moves nothing.
    """

    def __init__(self, groups: int, width: int) -> None:
        super().__init__()
        self.one_hot = OneHot(groups)
        self.shares = nn.Parameter(torch.zeros(groups))
        self.slopes = nn.Parameter(torch.zeros(groups, width))

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        belongs = self.one_hot(codes)
        known = belongs.sum(dim=1, keepdim=True)
        removed: Tensor = features - (belongs - known * self.shares) @ self.slopes
        return removed


class Decorrelated(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Raw inputs and the code of the group → logits (n, 2)."""

    def __init__(self, inner: nn.Module, network: Network) -> None:
        super().__init__()
        self.features = Features(inner, network.last)
        self.own, self.at = network.own, network.at
        self.remover = Remover(network.groups, self.features.width)
        self.head = nn.Linear(self.features.width, 2)

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None) -> Tensor:
        inputs, codes = split_group(self.own, self.at, first, (second, third, fourth))
        logits: Tensor = self.head(self.remover(self.features(*inputs), codes))
        return logits


def build(config: dict[str, Any]) -> nn.Module:
    """The remover and a linear layer over the net in `inner`. Entry point `decorrelated`."""
    return Decorrelated(build_inner(config), read(Network, config))
