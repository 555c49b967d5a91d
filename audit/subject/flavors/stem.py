"""The first linear layer of a net, where each number that it takes depends on one column of the row alone: scaled amounts, one-hot codes, places in
bins, or the columns themselves.

What such a layer gives is a sum over columns. Contributions to it can be added up column by column, and only the rest of the net need run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from audit.subject.flavors.gradients import NUMBERS, Net, hooked, only

#: Columns up to which a net is tried, one column at a time.
MOST_COLUMNS = 512
#: Rows at most, as many references and as many places between them, on which it is tried; and where that missed something.
PROBED, THOROUGH = 48, 1024


class _ReachedError(Exception):
    """The layer was reached; what comes behind it need not run."""


class Stem:
    """`layer` is the linear layer, `owner` (features,) the column that each number it takes depends on, −1 where it never moved."""

    def __init__(self, net: Net, layer: Any, owner: Any, columns: int, probe: Any) -> None:
        self.net, self.layer, self.owner, self.columns = net, layer, owner, columns
        #: Whether the layer takes the rows themselves.
        self.plain = bool(len(owner) == columns) and layer_takes(net, layer, probe) is probe
        self._one = probe[:1]

    def features(self, x: Any) -> Any:
        """What the layer takes (n, features) of rows (n, columns)."""
        return x if self.plain else layer_takes(self.net, self.layer, x)

    def behind(self, answers: Any) -> Any:
        """The net's outputs (n, k) where the layer gives `answers` (n, width)."""

        def run() -> Any:
            return only(self.net.module(self._one)).reshape(len(answers), -1)

        return hooked([(self.layer, lambda layer, args, out: answers)], run, grad=torch.is_grad_enabled())

    def booked(self, values: Any) -> Any:
        """Contributions (n, columns) of contributions (n, features)."""
        known = self.owner >= 0
        out = torch.zeros(len(values), self.columns, dtype=values.dtype)
        return out.index_add_(1, self.owner[known], values[:, known])


def layer_takes(net: Net, layer: Any, x: Any) -> Any:
    """What a layer of a net is given (n, features); what comes behind it does not run."""
    found: list[Any] = []

    def reached(_: Any, args: Any) -> None:
        found.append(args[0])
        raise _ReachedError

    held = layer.register_forward_pre_hook(reached)
    try:
        with torch.no_grad():
            net.module(x)
    except _ReachedError:
        pass
    finally:
        held.remove()
    return found[0]


def stem(net: Net, x: Any, references: Any, probed: int = PROBED) -> Stem | None:
    """The stem of a net that takes rows (n, columns), tried on some of them; None where it has none, or the row is used elsewhere as well."""
    if x.dim() != 2 or x.shape[1] > MOST_COLUMNS or not x.is_floating_point():
        return None
    probe = _probe(x, references, probed)
    calls: list[tuple[Any, Any]] = []
    straight = [a for a in net.module.modules() if isinstance(a, nn.Linear | nn.Conv1d | nn.Conv2d)]
    hooked([(a, lambda layer, args, out: calls.append((layer, args[0]))) for a in straight], lambda: net.outputs([probe]))
    if not calls:
        return None
    layer, before = calls[0]
    if type(layer) is not nn.Linear or before.dim() != 2 or len(before) != len(probe) or sum(a is layer for a, _ in calls) > 1:
        return None
    owner = torch.arange(x.shape[1]) if before is probe else _owners(net, layer, probe, before)
    if owner is None:
        return None
    found = Stem(net, layer, owner, x.shape[1], probe)
    with torch.no_grad():
        told, same = net.outputs([probe]), found.behind(layer(found.features(probe)))
    return found if torch.allclose(told, same, rtol=1e-4, atol=1e-5, equal_nan=True) else None


def _probe(x: Any, references: Any, probed: int) -> Any:
    """Rows, references, and places between them, where codes and bins that lie between show themselves."""
    pairs = torch.arange(probed)
    own, other = x[pairs % len(x)], references[pairs % len(references)]
    share = (pairs % 31 + 1).to(x.dtype)[:, None] / 32
    return torch.cat(
        [x[:probed], references[:probed], torch.where(torch.isnan(own) | torch.isnan(other), own, other + share * (own - other))]
    )


def _owners(net: Net, layer: Any, probe: Any, before: Any) -> Any:
    """The column that each number depends on (features,), −1 where it never moved; None where one depends on two.

    Every column in turn takes its values in a row that stays otherwise the same; the numbers so found must be those of the whole rows.
    """
    rows, columns = probe.shape
    start = layer_takes(net, layer, probe[:1])
    owner, alone = torch.full((before.shape[1],), -1), start.repeat(rows, 1)
    at_once = max(1, NUMBERS // (rows * before.shape[1]))
    for i in range(0, columns, at_once):
        some = range(i, min(columns, i + at_once))
        tried = probe[:1].repeat(len(some) * rows, 1)
        for k, j in enumerate(some):
            tried[k * rows : (k + 1) * rows, j] = probe[:, j]
        found = layer_takes(net, layer, tried).reshape(len(some), rows, -1)
        for k, j in enumerate(some):
            moved = ~torch.isclose(found[k], start, rtol=0, atol=0, equal_nan=True).all(dim=0)
            if bool((owner[moved] >= 0).any()):
                return None
            owner[moved] = j
            alone[:, moved] = found[k][:, moved]
    return owner if torch.allclose(alone, before, rtol=1e-5, atol=1e-6, equal_nan=True) else None
