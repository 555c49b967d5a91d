"""Two encoders, one decision: a table and a text are read apart, and one linear layer decides from both (late fusion).

The layer is linear, so that the logits are a sum of what the table says and what the text says.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.nets.tabular import Numbers, OneHot
from models.networks import LateFusion as Network
from models.networks import read


class Table(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) → (n, width of the last hidden layer)."""

    def __init__(self, columns: list[dict[str, Any]], network: Network) -> None:
        super().__init__()
        self.numbers_at = [i for i, column in enumerate(columns) if column["kind"] == "number"]
        self.categories_at = [i for i, column in enumerate(columns) if column["kind"] == "category"]
        sizes = [len(columns[i]["vocabulary"]) for i in self.categories_at]
        self.numbers = Numbers(len(self.numbers_at), network.bins, network.scaling)
        self.categories = nn.ModuleList(OneHot(size) for size in sizes)
        layers: list[nn.Module] = []
        before = self.numbers.width + sum(sizes)
        for width in network.hidden:
            layers += [nn.Linear(before, width), nn.ReLU(), nn.Dropout(network.dropout)]
            before = width
        self.body, self.width = nn.Sequential(*layers), before

    def forward(self, x: Tensor) -> Tensor:
        one_hot = [layer(x[:, at]) for layer, at in zip(self.categories, self.categories_at, strict=True)]
        found: Tensor = self.body(torch.cat([self.numbers(x[:, self.numbers_at]), *one_hot], dim=1))
        return found


class Text(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, length) token ids → (n, filters): the strongest answer of each convolution over the tokens (Kim 2014, arXiv:1408.5882).

    Padding (id 0) has the vector 0 and no answer, so how far a text is filled up changes nothing; a text without a token gives zeros.
    """

    def __init__(self, tokens: int, network: Network) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, network.embedding, padding_idx=0)
        self.convolution = nn.Conv1d(network.embedding, network.filters, network.span, padding="same")
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(network.dropout)

    def forward(self, ids: Tensor) -> Tensor:
        answers = self.activation(self.convolution(self.embedding(ids).transpose(1, 2)))
        # An answer is at least 0 after the activation: multiplied by 0, padding never is the strongest.
        strongest = (answers * (ids != 0).unsqueeze(1)).amax(dim=2)
        found: Tensor = self.dropout(strongest)
        return found


class LateFusion(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) float32 and (n, length) int64 → logits (n, classes), or one number (n, 1) where there are no classes."""

    def __init__(self, columns: list[dict[str, Any]], classes: int, tokens: int, network: Network) -> None:
        super().__init__()
        single = [column for column in columns if column["kind"] in ("number", "category")]
        if len(single) + 1 != len(columns) or columns[-1]["kind"] != "text":
            raise ValueError("late fusion takes columns of single values, and after them one column of text")
        self.table = Table(single, network)
        self.text = Text(tokens, network)
        self.decision = nn.Linear(self.table.width + network.filters, classes or 1)

    def fit(self, table: Tensor, _: Tensor) -> None:
        """Set the scaling of numbers from training rows."""
        self.table.numbers.fit(table[:, self.table.numbers_at])

    def forward(self, table: Tensor, text: Tensor) -> Tensor:
        logits: Tensor = self.decision(torch.cat([self.table(table), self.text(text)], dim=1))
        return logits


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: columns, classes (0 for a quantity), tokens (how many there are), network. Entry point `latefusion`."""
    return LateFusion(config["columns"], config["classes"], config["tokens"], read(Network, config))
