"""Cut-offs by group as one net: what ThresholdOptimizer returns (Hardt, Price and Srebro 2016, NeurIPS). It uses the group at decision time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.nets.inner import build_inner, split_group, steps, two_columns
from models.networks import Thresholds as Network
from models.networks import read


class Thresholds(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Raw inputs and the code of the group → (n, 2): the chance of each decision.

    With margin z (log-odds of the positive label) group g decides for it with chance
    ignore · constant + (1 - ignore) · (share · [sign (z - cut) > 0] + share' · [sign' (z - cut') > 0]).
    Row `groups` of the tables holds whoever has no group that was known when the cut-offs were chosen.
    """

    def __init__(self, inner: nn.Module, network: Network) -> None:
        super().__init__()
        self.inner, self.own, self.at, self.positive, self.groups = inner, network.own, network.at, network.positive, network.groups
        rows = network.groups + 1
        self.cuts = nn.Parameter(torch.zeros(rows, 2))
        self.signs = nn.Parameter(torch.ones(rows, 2))
        self.shares = nn.Parameter(torch.full((rows, 2), 0.5))
        self.ignore = nn.Parameter(torch.zeros(rows))
        self.constant = nn.Parameter(torch.zeros(rows))

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None) -> Tensor:
        inputs, codes = split_group(self.own, self.at, first, (second, third, fourth))
        outputs = self.inner(*inputs)
        margin = outputs[:, self.positive] - outputs[:, 1 - self.positive]
        known = (codes >= 0) & (codes < self.groups)
        row = torch.where(known, codes, torch.full_like(codes, self.groups)).round().long()
        passed = steps(self.signs[row] * (margin.unsqueeze(1) - self.cuts[row]))
        drawn = (passed * self.shares[row]).sum(dim=1)
        return two_columns(self.ignore[row] * self.constant[row] + (1 - self.ignore[row]) * drawn, self.positive)


def build(config: dict[str, Any]) -> nn.Module:
    """Cut-offs over the net in `inner`. Entry point `thresholds`."""
    return Thresholds(build_inner(config), read(Network, config))
