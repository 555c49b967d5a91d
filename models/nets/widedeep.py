"""Wide & Deep: H.-T. Cheng et al. (2016), "Wide & deep learning for recommender systems", DLRS. Both parts are trained jointly, by one optimiser
(the paper has FTRL for the wide part and AdaGrad for the deep one)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from models.nets.fields import Fields, Vectors, outputs, require_two
from models.nets.tabular import perceptron
from models.networks import WideDeep as Network
from models.networks import read


class Crosses(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Places and amounts of fields → (n, 1): a weight for each combination of values of two columns, times the product of their amounts.

    Of two categories it memorises combinations (this user, this director); of a category and a flag, what the flag means to each (this user,
    comedies). All weights start at 0: a combination that training never saw says nothing.
    """

    def __init__(self, sizes: list[int], pairs: list[tuple[int, int]]) -> None:
        super().__init__()
        self.first: Tensor
        self.second: Tensor
        self.size: Tensor
        self.register_buffer("first", torch.tensor([a for a, _ in pairs]))
        self.register_buffer("second", torch.tensor([b for _, b in pairs]))
        self.register_buffer("size", torch.tensor([sizes[b] for _, b in pairs]).view(-1, 1, 1))
        self.weights = Vectors([sizes[a] * sizes[b] for a, b in pairs], 1, 0.0)

    def forward(self, places: Tensor, amounts: Tensor) -> Tensor:
        place = places[:, self.first].unsqueeze(3) * self.size + places[:, self.second].unsqueeze(2)
        amount = amounts[:, self.first].unsqueeze(3) * amounts[:, self.second].unsqueeze(2)
        found: Tensor = self.weights(place.flatten(2), amount.flatten(2))
        return found.sum(dim=1)


class WideDeep(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) float32 → logits (n, 2) or a quantity (n, 1): a linear model of values and crosses, plus a perceptron over vectors."""

    def __init__(self, columns: list[dict[str, Any]], classes: int, network: Network) -> None:
        super().__init__()
        require_two(classes, "Wide & Deep")
        self.classes = classes
        self.fields = Fields(columns, network.unknown)
        crossed = pairs_of([column["name"] for column in columns], network.crosses)
        self.wide = Vectors(self.fields.sizes, 1, 0.0)
        self.crosses = Crosses(self.fields.sizes, crossed) if crossed else None
        self.vectors = Vectors(self.fields.sizes, network.embedding, 0.05)
        categories, numbers = len(self.fields.categories_at), len(self.fields.numbers_at)
        self.deep = perceptron([categories * network.embedding + numbers, *network.hidden, 1], network.dropout)

    def fit(self, x: Tensor) -> None:
        """Set the scaling of numbers from training rows."""
        self.fields.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        places, amounts = self.fields(x)
        wide = self.wide(places, amounts).sum(dim=1)
        if self.crosses is not None:
            wide = wide + self.crosses(places, amounts)
        vectors = self.vectors(places, amounts)[:, self.fields.categories_at].flatten(1)
        deep = self.deep(torch.cat([vectors, amounts[:, self.fields.numbers_at, 0]], dim=1))
        return outputs(wide + deep, self.classes)


def pairs_of(names: list[str], crosses: tuple[tuple[str, str], ...]) -> list[tuple[int, int]]:
    """Places of the two columns of each cross; a pattern that no column has is refused.

    >>> pairs_of(["user", "item", "genre_a", "genre_b"], (("user", "genre_*"), ("user", "item")))
    [(0, 2), (0, 3), (0, 1)]
    """
    found = []
    for first, second in crosses:
        pairs = [(i, j) for i, a in enumerate(names) for j, b in enumerate(names) if fnmatchcase(a, first) and fnmatchcase(b, second)]
        if not pairs:
            raise ValueError(f"no two columns are named like the cross {first} × {second}")
        found += [(i, j) for i, j in pairs if i != j]
    return found


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: columns (name, kind, vocabulary), classes (2, or 0 for a quantity), network. Entry point `widedeep`."""
    return WideDeep(config["columns"], config["classes"], read(Network, config))
