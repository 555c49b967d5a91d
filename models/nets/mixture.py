"""A randomised classifier as one net: the mixture of linear heads that ExponentiatedGradient returns (Agarwal et al. 2018, ICML)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.nets.inner import Features, build_inner, steps, two_columns
from models.networks import Mixture as Network
from models.networks import read


class Mixture(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Raw inputs → (n, 2): the chance of each decision when one of the heads is drawn with its share and decides.

    A head grants where its linear score is above 0. The chance is a sum of shares, so it has steps: its gradient is 0.
    """

    def __init__(self, inner: nn.Module, network: Network) -> None:
        super().__init__()
        self.features = Features(inner, network.last)
        self.heads = nn.Linear(self.features.width, network.heads)
        self.shares = nn.Parameter(torch.full((network.heads,), 1 / network.heads))
        self.positive = network.positive

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None) -> Tensor:
        inputs = [x for x in (first, second, third, fourth) if x is not None]
        scores = self.heads(self.features(*inputs))
        return two_columns(steps(scores) @ self.shares, self.positive)


def build(config: dict[str, Any]) -> nn.Module:
    """The mixture over the net in `inner`. Entry point `mixture`."""
    return Mixture(build_inner(config), read(Network, config))
