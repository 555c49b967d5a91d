"""Fields, as factorisation machines have them: every column, category or number, is a place in a table of vectors and an amount."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Fields(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) → places (n, columns, 2) int64 within each column, and amounts (n, columns, 2).

    A category of c values has the places 1 … c, and 0 for what is unknown (-1, or NaN); its amount is 1. Between two codes the amounts go in a
    straight line from one place to the next, so that Integrated Gradients has a path; at the codes themselves this is the plain look-up.
    A column of numbers has one place; its amount is the number, scaled to [0, 1] over the training rows, and their mean where it is missing.
    In training a share `unknown` of the codes is taken for unknown.
    """

    def __init__(self, columns: list[dict[str, Any]], unknown: float) -> None:
        super().__init__()
        self.unknown = unknown
        self.categories_at = [i for i, column in enumerate(columns) if column["kind"] == "category"]
        self.numbers_at = [i for i, column in enumerate(columns) if column["kind"] == "number"]
        self.sizes = [len(column["vocabulary"]) + 1 if column["kind"] == "category" else 1 for column in columns]
        category = torch.tensor([column["kind"] == "category" for column in columns])
        self.is_category: Tensor
        self.last: Tensor
        self.low: Tensor
        self.width: Tensor
        self.mean: Tensor
        self.register_buffer("is_category", category)
        self.register_buffer("last", torch.tensor(self.sizes, dtype=torch.float32) - 1)
        for name, start in {"low": 0.0, "width": 1.0, "mean": 0.0}.items():
            self.register_buffer(name, torch.full((len(columns),), start))

    def fit(self, x: Tensor) -> None:
        """Take the range and the mean of each number from training rows (n, columns)."""
        for j in self.numbers_at:
            known = x[:, j][~x[:, j].isnan()]
            if known.numel():
                self.low[j], self.mean[j] = known.min(), known.mean()
                self.width[j] = float(known.max() - known.min()) or 1.0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        missing = torch.isnan(x)
        place = torch.where(missing, torch.zeros_like(x), x + 1)
        if self.training and self.unknown:
            place = torch.where(torch.rand_like(x) < self.unknown, torch.zeros_like(x), place)
        place = torch.minimum(torch.clamp(place, min=0), self.last)
        below = torch.floor(place)
        above = torch.minimum(below + 1, self.last)
        number = (torch.where(missing, self.mean, x) - self.low) / self.width
        first = torch.where(self.is_category, 1 - (place - below), number)
        second = torch.where(self.is_category, place - below, torch.zeros_like(x))
        # A number's last place is 0, so `below` and `above` are 0 there.
        return torch.stack([below, above], dim=2).long(), torch.stack([first, second], dim=2)


class Vectors(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Places and amounts of fields → (n, fields, width): the amount times the vector of the place, one table for all fields."""

    def __init__(self, sizes: list[int], width: int, deviation: float) -> None:
        super().__init__()
        self.start: Tensor
        self.register_buffer("start", (torch.tensor(sizes).cumsum(0) - torch.tensor(sizes)).unsqueeze(1))
        self.table = nn.Embedding(sum(sizes), width)
        nn.init.normal_(self.table.weight, std=deviation)

    def forward(self, places: Tensor, amounts: Tensor) -> Tensor:
        vectors: Tensor = self.table(places + self.start)
        return (vectors * amounts.unsqueeze(-1)).sum(dim=2)


def outputs(score: Tensor, classes: int) -> Tensor:
    """(n, 1) → (n, 1) of a quantity, or the logits (n, 2) of two classes: one sigmoid unit is a softmax over 0 and it."""
    return torch.cat([torch.zeros_like(score), score], dim=1) if classes else score


def require_two(classes: int, what: str) -> None:
    """The papers' networks give one number a row."""
    if classes not in (0, 2):
        raise ValueError(f"{what} tells two classes apart or gives a quantity, got {classes} classes")
