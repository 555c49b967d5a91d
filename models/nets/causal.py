"""A causal language model: a transformer in which every place sees only what stands before it, and says what comes next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.nets.attention import Block, Embeddings
from models.networks import Causal as Network
from models.networks import read

PADDING = 0


class Causal(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, length) token ids, filled with 0 on the right → logits (n, classes) of what follows the last token.

    Without any token it is what follows the beginning: one and the same answer for every empty text.
    """

    def __init__(self, length: int, vocabulary: int, classes: int, network: Network, class_of: list[int]) -> None:
        super().__init__()
        self.length = length
        self.class_of = class_of
        self.embeddings = Embeddings(vocabulary, length, network.width, network.dropout)
        self.blocks = nn.ModuleList(Block(network.width, network.heads, network.inner, network.dropout) for _ in range(network.layers))
        self.head = nn.Linear(network.width, classes)

    def everywhere(self, tokens: Tensor) -> Tensor:
        """(n, length, classes): for every place the logits of what follows it."""
        length = tokens.shape[1]
        before = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()[None, None]
        x = self.embeddings(tokens)
        for block in self.blocks:
            x = block(x, before)
        logits: Tensor = self.head(x)
        return logits

    def foretold(self, tokens: Tensor) -> Tensor:
        """(n, length, vocabulary): for every place the log-probability of each token to come next; minus infinity for what is no class."""
        known = [i for i, k in enumerate(self.class_of) if k >= 0]
        logs = self.everywhere(tokens).log_softmax(dim=-1)
        found = logs.new_full((*tokens.shape, len(self.class_of)), float("-inf"))
        found[..., known] = logs[..., [self.class_of[i] for i in known]]
        return found

    def forward(self, tokens: Tensor) -> Tensor:
        last = ((tokens != PADDING) * torch.arange(tokens.shape[1], device=tokens.device)).amax(dim=1)
        logits = self.everywhere(tokens)
        return logits.gather(1, last[:, None, None].expand(-1, 1, logits.shape[2])).squeeze(1)


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: the one text column's length, size of the vocabulary, classes, the class of each token (negative for
    none; empty where nobody says), network. Entry point `causal`."""
    return Causal(
        config["columns"][0]["length"], config["vocabulary"], config["classes"], read(Network, config), config.get("class_of", [])
    )
