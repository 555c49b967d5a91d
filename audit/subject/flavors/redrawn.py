"""A net with its weights drawn again, as before any training (Adebayo et al. 2018), for as long as an explanation of it takes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def redrawn(module: Any, seed: int) -> Iterator[None]:
    """All weights of `module` drawn anew with `seed`, and put back at the end; what is no weight (scaling, imputation, codes) stays.

    A layer that knows how to begin draws as it would (`reset_parameters`); every other weight is drawn normal with its own mean and spread, whole
    numbers are shuffled.
    """
    import torch

    kept = copy.deepcopy(module.state_dict())
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(seed)
        with torch.no_grad():
            begun: set[int] = set()
            for layer in module.modules():
                if callable(getattr(layer, "reset_parameters", None)):
                    layer.reset_parameters()
                    begun |= {id(p) for p in layer.parameters(recurse=False)}
            for weight in module.parameters():
                if id(weight) in begun:
                    continue
                if not weight.is_floating_point():
                    weight.copy_(weight.flatten()[torch.randperm(weight.numel())].view_as(weight))
                else:
                    spread = weight.std() if weight.numel() > 1 else weight.abs().mean()
                    weight.copy_(weight.mean() + torch.randn_like(weight) * spread)
        yield
    finally:
        torch.random.set_rng_state(state)
        module.load_state_dict(kept)
