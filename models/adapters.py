"""Low-rank adapters (LoRA: Hu et al. 2021) by peft: put into a net before training, and added into its plain weights afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from models.errors import TrainingError
from models.settings import Adapters

if TYPE_CHECKING:
    from torch import nn


def adapted(net: nn.Module, settings: Adapters) -> Any:
    """peft's wrapper around `net`, whose layers it changes in place: only the adapters and the parts named in `trained` learn."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise TrainingError("LoRA needs the package peft, which is not installed", "pip install 'witnessmark[text]'") from error
    ends = tuple(f".{name}" for name in settings.layers)
    if not any(f".{name}".endswith(ends) for name, _ in net.named_modules()):
        raise TrainingError(
            f"training.adapters.layers names {', '.join(settings.layers)}, none of which is a layer of the net", "name layers of it"
        )
    wrapped = get_peft_model(
        net, LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=list(settings.layers))
    )
    for name, parameter in net.named_parameters():
        if name.startswith(settings.trained):
            parameter.requires_grad_(True)
    return wrapped


def held(net: nn.Module) -> tuple[str, ...]:
    """The names of the parameters that do not learn."""
    return tuple(name for name, parameter in net.named_parameters() if not parameter.requires_grad)


def merged(wrapped: Any) -> nn.Module:
    """The net as it was built, with the adapters' products added to its weights: it computes the same, and needs no peft."""
    net: nn.Module = wrapped.merge_and_unload()
    return net
