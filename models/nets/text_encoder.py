"""A transformer encoder over tokens, and a linear classifier on the mean of what it makes of them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models.nets.attention import Block, Embeddings
from models.networks import TextEncoder as Network
from models.networks import read

PADDING = 0


class TextEncoder(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, length) token ids, 0 is padding → logits (n, classes), or one number (n, 1). A row of padding alone has the features 0."""

    def __init__(self, length: int, vocabulary: int, classes: int, network: Network) -> None:
        super().__init__()
        self.embeddings = Embeddings(vocabulary, length, network.width, network.dropout)
        self.blocks = nn.ModuleList(Block(network.width, network.heads, network.inner, network.dropout) for _ in range(network.layers))
        self.head = nn.Sequential(nn.Dropout(network.dropout), nn.Linear(network.width, classes or 1))

    def encode(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """(n, length, width): every token in its context."""
        visible = (tokens != PADDING)[:, None, None, :]
        x = self.embeddings(tokens, segments)
        for block in self.blocks:
            x = block(x, visible)
        return x

    def pooled(self, encoded: Tensor, tokens: Tensor) -> Tensor:
        """(n, width): the mean over the tokens that are no padding."""
        here = (tokens != PADDING).unsqueeze(2).to(encoded.dtype)
        return (encoded * here).sum(dim=1) / here.sum(dim=1).clamp(min=1)

    def features(self, tokens: Tensor) -> Tensor:
        """(n, width): what the classifier sees of a text."""
        return self.pooled(self.encode(tokens), tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(tokens))
        return logits


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: the one text column's length, size of the vocabulary, classes, network. Entry point `text_encoder`."""
    return TextEncoder(config["columns"][0]["length"], config["vocabulary"], config["classes"], read(Network, config))
