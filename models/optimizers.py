"""Optimisers and the course of the learning rate, by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from models.settings import NetTraining


def build_optimizer(parameters: Iterable[Any], settings: NetTraining) -> Any:
    """The optimiser of the preset; `weight_decay` is L2 for all but AdamW, which decays the weights themselves."""
    import torch

    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, weight_decay=decay)
    if settings.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, lr=rate, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=decay)


def rate_at(step: int, steps: int, settings: NetTraining) -> float:
    """The share of the learning rate at a step from 0 on, of `steps` in all: a rise in the warm-up, then the schedule down to 0.

    >>> from models.settings import NetTraining
    >>> linear = NetTraining(learner="net", learning_rate=1.0, batch_size=1, patience=1, schedule="linear", warmup=0.5)
    >>> [rate_at(step, 8, linear) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    rising = round(settings.warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if settings.schedule == "constant":
        return 1.0
    done = min(1.0, (step - rising) / max(1, steps - rising))
    return 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
