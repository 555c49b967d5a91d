"""The layers of a transformer (Vaswani et al. 2017): each row of tokens looks at its own tokens, never at padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, length, width) → the same: every place is a mean of the values of those places that it may see, in `heads` independent ways.

    The softmax is a module of its own, so that the weights (n, heads, length, length) can be read by a hook.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.softmax, self.dropout = nn.Softmax(dim=-1), nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """`visible` (n or 1, 1, length or 1, length) is true where a place may be looked at; a place that sees none takes the mean of all,
        which is a number and not NaN."""
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(2, 3) / self.size**0.5
        weights = self.softmax(scores.masked_fill(~visible, torch.finfo(scores.dtype).min))
        mixed: Tensor = self.output((self.dropout(weights) @ value).transpose(1, 2).flatten(2))
        return mixed

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, self.size)).transpose(1, 2)


class Block(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Attention, then two dense layers, each added to what came in and normalised (as in BERT: Devlin et al. 2019)."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.inner, self.activation, self.outer = nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)
        self.outer_norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, visible)))
        out: Tensor = self.outer_norm(x + self.dropout(self.outer(self.activation(self.inner(x)))))
        return out


class Embeddings(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, length) tokens → (n, length, width): the sum of a vector for the token, its place and, of two sentences, which one it is in."""

    def __init__(self, vocabulary: int, length: int, width: int, dropout: float) -> None:
        super().__init__()
        self.words, self.places, self.segments = nn.Embedding(vocabulary, width), nn.Embedding(length, width), nn.Embedding(2, width)
        for table in (self.words, self.places, self.segments):
            nn.init.normal_(table.weight, std=0.02)
        self.norm, self.dropout = nn.LayerNorm(width, eps=1e-12), nn.Dropout(dropout)

    def forward(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        segments = torch.zeros_like(tokens) if segments is None else segments
        out: Tensor = self.dropout(self.norm(self.words(tokens) + self.places(places) + self.segments(segments)))
        return out
