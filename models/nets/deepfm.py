"""DeepFM: H. Guo, R. Tang, Y. Ye, Z. Li and X. He (2017), "DeepFM: a factorization-machine based neural network for CTR prediction", IJCAI."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models.nets.fields import Fields, Vectors, outputs, require_two
from models.nets.tabular import perceptron
from models.networks import DeepFM as Network
from models.networks import read


class Pairs(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, fields, width) → (n, 1): the sum of ⟨v_i, v_j⟩ over all pairs i < j of fields.

    Half of (Σv)² - Σv², summed over the width: linear in the number of fields, where the double sum is quadratic (Rendle 2010, lemma 3.1).
    """

    def forward(self, vectors: Tensor) -> Tensor:
        both = vectors.sum(dim=1) ** 2 - (vectors**2).sum(dim=1)
        return both.sum(dim=1, keepdim=True) / 2


class DeepFM(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, raw columns) float32 → logits (n, 2) or a quantity (n, 1): weights, pairs and a perceptron, the latter two over the same vectors."""

    def __init__(self, columns: list[dict[str, Any]], classes: int, network: Network) -> None:
        super().__init__()
        require_two(classes, "DeepFM")
        self.classes = classes
        self.fields = Fields(columns, network.unknown)
        self.weights = Vectors(self.fields.sizes, 1, 0.0)
        self.vectors = Vectors(self.fields.sizes, network.embedding, 0.05)
        self.pairs = Pairs()
        self.deep = perceptron([len(columns) * network.embedding, *network.hidden, 1], network.dropout)

    def fit(self, x: Tensor) -> None:
        """Set the scaling of numbers from training rows."""
        self.fields.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        places, amounts = self.fields(x)
        vectors = self.vectors(places, amounts)
        score = self.weights(places, amounts).sum(dim=1) + self.pairs(vectors) + self.deep(vectors.flatten(1))
        return outputs(score, self.classes)


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: columns (name, kind, vocabulary), classes (2, or 0 for a quantity), network. Entry point `deepfm`."""
    return DeepFM(config["columns"], config["classes"], read(Network, config))
