"""Nets around a trained net: with another last layer, with several of them, or with a layer behind it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from models.encoding import Encoder
from models.errors import TrainingError
from models.learners.net import Net
from models.mitigation.task import Task
from models.registered import Registered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import nn


def margins(base: Registered, rows: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) log-odds of the positive label by the net of the base."""
    from models.loop import outputs_of

    outputs = outputs_of(base.net.module, base.net.encoder.arrays(rows))
    margin: NDArray[np.float64] = outputs[:, base.positive] - outputs[:, 1 - base.positive]
    return margin


def around(base: Registered, name: str, encoder: Encoder, network: dict[str, Any], *, prefix: str) -> Net:
    """A net of architecture `name` around the base's, whose weights go under `prefix`; its own are still to be set."""
    config = {
        "columns": encoder.record(), "classes": base.dataset.classes, "network": network,
        "inner": {"name": base.net.architecture, "config": base.net.config},
    }  # fmt: skip
    module = importlib.import_module(f"models.nets.{name}").build(config)
    inside = {f"{prefix}{key}": tensor for key, tensor in base.net.module.state_dict().items()}
    own = module.state_dict()
    module.load_state_dict({key: inside.get(key, tensor) for key, tensor in own.items()})
    return Net(module.eval(), encoder, config, name, base.net.prepared)


class Heads:
    """The features of the net's last layer for the training rows, and nets with other last layers."""

    def __init__(self, what: Task) -> None:
        import numpy as np

        self.base, self.what = what.base, what
        self.last, features = last_layer(what.base, what.train)
        self.center = features.mean(axis=0)
        self.spread = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
        self.scaled = (features - self.center) / self.spread

    def unscaled(self, fitted: Any) -> tuple[NDArray[np.float64], float]:
        """Weights (width,) and bias of a fitted classifier for the features as they are; a constant one has no weights."""
        import numpy as np

        if not hasattr(fitted, "coef_"):
            return np.zeros(len(self.center)), 1.0 if int(fitted.predict(self.scaled[:1])[0]) else -1.0
        weight = fitted.coef_[0] / self.spread
        return weight, float(fitted.intercept_[0] - weight @ self.center)

    def mixture(self, drawn: list[tuple[Any, float]]) -> Net:
        """Classifiers with their shares as one net."""
        import numpy as np
        import torch

        network = {"last": self.last, "heads": len(drawn), "positive": self.base.positive}
        net = around(self.base, "mixture", self.base.net.encoder, network, prefix="features.net.")
        found = [self.unscaled(fitted) for fitted, _ in drawn]
        with torch.no_grad():
            net.module.heads.weight.copy_(torch.from_numpy(np.stack([weight for weight, _ in found])))
            net.module.heads.bias.copy_(torch.tensor([bias for _, bias in found]))
            net.module.shares.copy_(torch.tensor([share for _, share in drawn]))
        return net

    def replaced(self, fitted: Any) -> Net:
        """The base with another last layer."""
        import copy

        import torch

        own = self.base.net
        module = copy.deepcopy(own.module)
        weight, bias = self.unscaled(fitted)
        with torch.no_grad():
            two_rows(module.get_submodule(self.last), weight, bias, self.base.positive)
        return Net(module, own.encoder, own.config, own.architecture, own.prepared)


def two_rows(layer: nn.Linear, weight: NDArray[np.float64], bias: float, positive: int) -> None:
    """Log-odds of the positive label into a layer of two outputs, or of one, which is the second class's."""
    import torch

    layer.weight.zero_()
    layer.bias.zero_()
    row, sign = (positive, 1.0) if layer.out_features == 2 else (0, 1.0 if positive else -1.0)
    layer.weight[row] = sign * torch.from_numpy(weight)
    layer.bias[row] = sign * bias


def last_layer(base: Registered, rows: pd.DataFrame) -> tuple[str, NDArray[np.float64]]:
    """The name of the linear layer that gives the net's outputs, and what it takes for these rows (n, width)."""
    import numpy as np
    import torch
    from torch import nn

    net = base.net.module
    names = [name for name, layer in net.named_modules() if type(layer) is nn.Linear and layer.out_features in (1, 2)]
    refused = TrainingError(f"the outputs of {base.uri} are not those of one linear layer", "use --method threshold_optimizer")
    if not names:
        raise refused
    layer, taken = net.get_submodule(names[-1]), []
    hook = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].detach()))
    with torch.inference_mode():
        outputs = net(*(torch.from_numpy(x) for x in base.net.encoder.arrays(rows)))
        hook.remove()
        features = torch.cat(taken)
        same = features.ndim == 2 and torch.allclose(layer(features), outputs[:, -layer.out_features :], atol=1e-5)
    if not same:
        raise refused
    return names[-1], np.asarray(features.double().numpy())
