"""A recurrent net over sequences of events as they are stored: each event's numbers scaled, its categories embedded, then LSTM or GRU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from models.nets.tabular import Numbers, perceptron
from models.networks import Recurrent as Network
from models.networks import read


class Codes(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Codes 0 … size - 1 of any shape → one learned vector each, on a new last axis; -1 (not known) and NaN are the zero vector."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size, self.width = size, min(width, (size + 1) // 2)
        self.vectors = nn.Embedding(size + 1, self.width, padding_idx=0)

    def forward(self, codes: Tensor) -> Tensor:
        places = torch.clamp(torch.nan_to_num(codes, nan=-1.0) + 1, min=0, max=self.size)
        found: Tensor = self.vectors(places.long())
        return found


class Events(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """(n, steps, fields) float32, NaN after the last event → logits (n, classes), or one number (n, 1) where there are no classes.

    The state after a row's last event decides; of a row without events it is zero. What comes after the last event is never seen: eager, the
    events are packed. In an exported graph, whose shapes cannot depend on lengths, and in private training, where every layer must be given
    rows and not a heap of events of all rows, the padding runs through the net after everything that is read from it: the same state.
    """

    def __init__(self, column: dict[str, Any], classes: int, network: Network) -> None:
        super().__init__()
        fields = column["fields"]
        self.numbers_at = [i for i, field in enumerate(fields) if field["kind"] == "number"]
        self.categories_at = [i for i, field in enumerate(fields) if field["kind"] == "category"]
        self.numbers = Numbers(len(self.numbers_at), 0)
        self.categories = nn.ModuleList(Codes(len(fields[i]["vocabulary"]), network.embedding) for i in self.categories_at)
        width = self.numbers.width + sum(layer.width for layer in self.categories)
        kind = nn.LSTM if network.cell == "lstm" else nn.GRU
        between = network.dropout if network.layers > 1 else 0.0
        self.recurrent = kind(width, network.hidden, network.layers, batch_first=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(network.dropout), perceptron([network.hidden, *network.dense, classes or 1], network.dropout))

    def fit(self, x: Tensor) -> None:
        """Set the scaling from the events of training rows."""
        events = x.flatten(0, 1)
        self.numbers.fit(events[~events.isnan().all(dim=1)][:, self.numbers_at])

    def features(self, events: Tensor) -> Tensor:
        """(…, fields) → (…, width): the input of the recurrent layers."""
        vectors = [layer(events[..., at]) for layer, at in zip(self.categories, self.categories_at, strict=True)]
        numbers = self.numbers(events[..., self.numbers_at].flatten(0, -2)).unflatten(0, events.shape[:-1])
        return torch.cat([numbers, *vectors], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        length = lengths(x)
        padded = torch.compiler.is_compiling() or not isinstance(self.recurrent, nn.LSTM | nn.GRU)  # Opacus' layers are others
        state = self._padded(x, length) if padded else self._packed(x, length)
        logits: Tensor = self.head(torch.where((length > 0).unsqueeze(1), state, torch.zeros_like(state)))
        return logits

    def _packed(self, x: Tensor, length: Tensor) -> Tensor:
        """(n, hidden): the last layer's state after the last event, without a step for padding."""
        if not len(x):
            return x.new_zeros(0, self.recurrent.hidden_size)
        packed = pack_padded_sequence(x, length.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        _, state = self.recurrent(packed._replace(data=self.features(packed.data)))
        last: Tensor = (state[0] if isinstance(state, tuple) else state)[-1]
        return last

    def _padded(self, x: Tensor, length: Tensor) -> Tensor:
        """The same, read off the outputs of all steps."""
        outputs, _ = self.recurrent(self.features(x))
        at = torch.clamp(length - 1, min=0).view(-1, 1, 1).expand(-1, 1, outputs.shape[2])
        return outputs.gather(1, at).squeeze(1)


def lengths(x: Tensor) -> Tensor:
    """(n,) int64: events of each row of x (n, steps, fields), up to the last step at which any field is known."""
    known = ~x.isnan().all(dim=2)
    places = torch.arange(1, x.shape[1] + 1, device=x.device)
    return (known * places).amax(dim=1)


def build(config: dict[str, Any]) -> nn.Module:
    """The net that `config` describes: the one sequence column's steps and fields, classes, network. Entry point `events`."""
    return Events(config["columns"][0], config["classes"], read(Network, config))
