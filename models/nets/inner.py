"""What variants of a net share: the net inside, built from its own record, and its last layer taken off."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from models.networks import NETWORKS, VARIANTS


def build_inner(config: dict[str, Any]) -> nn.Module:
    """The net that `config["inner"]` names and describes, as its own architecture.json did."""
    name = config["inner"]["name"]
    if name not in {**NETWORKS, **VARIANTS}:
        raise ValueError(f"there is no architecture {name!r}")
    net: nn.Module = importlib.import_module(f"models.nets.{name}").build(config["inner"]["config"])
    return net


class Features(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """A net without its last linear layer, which is named `last`: (n, width), what that layer took.

    A net that puts columns before its last outputs (a sigmoid unit beside a zero) keeps them: the last `width` columns are the features.
    """

    def __init__(self, net: nn.Module, last: str) -> None:
        super().__init__()
        self.width = int(net.get_submodule(last).in_features)
        net.set_submodule(last, nn.Identity())
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.net(*inputs)
        return found[:, -self.width :]


def split_group(own: int, at: int, first: Tensor, others: tuple[Tensor | None, ...]) -> tuple[list[Tensor], Tensor]:
    """The inputs of the net inside, and the codes (n,) of the sensitive column, which is column `at` of the first input.

    The net inside takes the first `own` columns; with 0 it takes none of this input (it has no table of its own).
    """
    rest = [x for x in others if x is not None]
    return ([first[:, :own], *rest] if own else rest), first[:, at]


def steps(score: Tensor) -> Tensor:
    """1 above 0, else 0. The gradient of a step is 0, and whoever asks for it is told so."""
    return (score > 0).to(score.dtype) + 0 * score.clamp(-1, 1)


def two_columns(chance: Tensor, positive: int) -> Tensor:
    """(n,) the chance of the positive label → (n, 2) in the order of the classes."""
    return torch.stack([1 - chance, chance] if positive else [chance, 1 - chance], dim=1)
