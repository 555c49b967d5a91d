"""Learners: each turns a preset and a dataset into a fitted model that can score rows and log itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from models.data import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from models.data import Dataset
    from models.references import References


@dataclass(frozen=True)
class SourceTask:
    """For what fine-tuning made a net forget: the net `before`, the fine-tuned one with the same head (`after`), both in evaluation; the rows of
    the source task, and a few of them as the nets take them."""

    before: nn.Module
    after: nn.Module
    rows: Dataset
    example: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Fitted:
    """A trained model. `scores` gives the probabilities (rows, classes) for a part of its dataset, or the values (rows, 1); `log` stores it as a
    model of the current run; `columns` are what the logged model says of its inputs, `privacy` what was promised of the training rows, if anything;
    `references` are reference models for a membership audit, and `example` a few rows as the net takes them;
    `source_task` is the task that the net could do before."""

    scores: Callable[[Part], NDArray[np.float64]]
    log: Callable[[dict[str, Any]], Any]
    outputs: Literal["logit", "probability", "value"]
    architecture: str | None
    columns: list[dict[str, Any]]
    best_epoch: int
    figures: dict[str, float] = field(default_factory=dict)
    privacy: dict[str, Any] | None = None
    references: References | None = None
    example: Callable[[], tuple[NDArray[Any], ...]] | None = None
    source_task: SourceTask | None = None


def installed(*names: str) -> list[str]:
    """Requirements that pin the versions in use, without the build's local part (`2.13.0+cpu` is `2.13.0` on the index)."""
    from importlib.metadata import version

    return [f"{name}=={version(name).partition('+')[0]}" for name in names]
