"""A net over raw columns: what happens to a value before the first weight is part of the net, so attributions speak of raw columns."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from models.networks import Tabular as Network
from models.networks import read


class Numbers(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, d) amounts, NaN where missing → (n, d (2 + bins)): scaled values, missing indicators, and places within the training rows.

    Robust scaling is by median and interquartile range and through asinh: straight near the median, logarithmic far out, so that a
    fortune of a thousand ranges neither saturates the net nor loses its gradient. The others are straight: `standard` to mean 0 and deviation
    1, `minmax` to [0, 1] and `symmetric` to [-1, 1] over the training rows. A missing value stands at the center. A value's places are one ramp from 0 to 1 for each bin
    between quantiles of the training rows (piecewise linear encoding: Gorishniy et al. 2022, arXiv:2203.05556), so that a limit such as
    "debt above 40 % of income" costs one weight. An indicator or bin that training never saw stays 0: its untrained weight cannot speak.
    """

    def __init__(self, width: int, bins: int, scaling: str = "robust", indicators: bool = True) -> None:
        super().__init__()
        self.scaling, self.indicators = scaling, indicators
        for name, start in {"center": 0.0, "scale": 1.0, "seen_missing": 0.0}.items():
            self.register_buffer(name, torch.full((width,), start))
        for name, start in {"bin_low": 0.0, "bin_width": 1.0, "bin_used": 0.0}.items():
            self.register_buffer(name, torch.full((width, bins), start))
        self.center: Tensor
        self.scale: Tensor
        self.seen_missing: Tensor
        self.bin_low: Tensor
        self.bin_width: Tensor
        self.bin_used: Tensor

    def fit(self, x: Tensor) -> None:
        """Take medians, spreads, quantiles and missing columns from training rows (n, d)."""
        self.seen_missing.copy_(x.isnan().any(dim=0).to(x.dtype))
        for j in range(x.shape[1]):
            known = x[:, j][~x[:, j].isnan()]
            if known.numel() > 1:
                self.center[j], self.scale[j] = self._center_and_scale(known)
                self._fit_bins(j, known)

    def _center_and_scale(self, known: Tensor) -> tuple[float, float]:
        low, high = float(known.min()), float(known.max())
        if self.scaling == "standard":
            return float(known.mean()), float(known.std(correction=0)) or 1.0
        if self.scaling == "minmax":
            return low, high - low or 1.0
        if self.scaling == "symmetric":
            return (low + high) / 2, (high - low) / 2 or 1.0
        lower, upper = torch.quantile(known, torch.tensor([0.25, 0.75], device=known.device))
        return float(known.median()), float(upper - lower) or float(known.std()) or 1.0

    def _fit_bins(self, j: int, known: Tensor) -> None:
        bins = self.bin_low.shape[1]
        if not bins:
            return
        edges = torch.quantile(known, torch.linspace(0, 1, bins + 1, device=known.device)).unique()
        used = len(edges) - 1  # fewer than `bins` where values repeat: a 0/1 column has one
        self.bin_low[j, :used] = edges[:-1]
        self.bin_width[j, :used] = edges.diff()
        self.bin_used[j, :used] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        missing = torch.isnan(x)
        filled = torch.where(missing, self.center, x)
        scaled = (filled - self.center) / self.scale
        if self.scaling == "robust":
            scaled = torch.asinh(scaled)
        parts = [scaled, missing.to(x.dtype) * self.seen_missing] if self.indicators else [scaled]
        if not self.bin_low.shape[1]:
            return torch.cat(parts, dim=1)
        ramps = torch.clamp((filled.unsqueeze(2) - self.bin_low) / self.bin_width, min=0, max=1) * self.bin_used
        return torch.cat([*parts, ramps.flatten(1)], dim=1)

    @property
    def width(self) -> int:
        """Numbers that come out for one row."""
        return int(self.center.numel() * (1 + int(self.indicators) + self.bin_low.shape[1]))


class OneHot(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n,) codes → (n, size): one-hot at 0 … size - 1, zeros at -1 and at NaN, straight lines in between.

    The lines give Integrated Gradients a path from one category to another; at the codes themselves it is the plain one-hot.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.places: Tensor
        self.register_buffer("places", torch.arange(size, dtype=torch.float32))

    def forward(self, codes: Tensor) -> Tensor:
        known = torch.where(torch.isnan(codes), torch.full_like(codes, -1.0), codes)
        return torch.clamp(1 - torch.abs(known.unsqueeze(1) - self.places), min=0)


class Tabular(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) float32 → logits (n, classes), or one number (n, 1) where there are no classes."""

    def __init__(self, columns: list[dict[str, Any]], classes: int, network: Network) -> None:
        super().__init__()
        self.numbers_at = [i for i, column in enumerate(columns) if column["kind"] == "number"]
        self.categories_at = [i for i, column in enumerate(columns) if column["kind"] == "category"]
        sizes = [len(columns[i]["vocabulary"]) for i in self.categories_at]
        self.numbers = Numbers(len(self.numbers_at), network.bins, network.scaling, network.indicators)
        self.categories = nn.ModuleList(OneHot(size) for size in sizes)
        self.one = network.one_output
        outputs = 1 if self.one or not classes else classes
        self.body = perceptron([self.numbers.width + sum(sizes), *network.hidden, outputs], network.dropout, network.activation)

    def fit(self, x: Tensor) -> None:
        """Set the buffers from training rows (n, raw columns); weights are not touched."""
        self.numbers.fit(x[:, self.numbers_at])

    def features(self, x: Tensor) -> Tensor:
        """(n, width): numbers scaled and placed, categories one-hot; the input of the first layer."""
        one_hot = [layer(x[:, at]) for layer, at in zip(self.categories, self.categories_at, strict=True)]
        return torch.cat([self.numbers(x[:, self.numbers_at]), *one_hot], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(self.features(x))
        # One sigmoid unit is a softmax over it and 0.
        return torch.cat([torch.zeros_like(logits), logits], dim=1) if self.one else logits


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: columns (name, kind, vocabulary), classes (0 for a quantity), network. Entry point `tabular`."""
    return Tabular(config["columns"], config["classes"], read(Network, config))


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}


def perceptron(widths: list[int], dropout: float, activation: str = "relu") -> nn.Sequential:
    """Linear, activation, Dropout, …, Linear; every activation is a module of its own, as DeepLift and its kin require."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation](), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
