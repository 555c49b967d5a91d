"""Methods with a rule for each kind of layer, through Captum: LRP (Bach et al. 2015) and Grad-CAM (Selvaraju et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from audit.subject.flavors.gradients import Attributed, Net, blocks, hooked, scored

#: Layers for which Captum has a rule of LRP; a layer of the model's own has none.
PROPAGATED = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.ReLU, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Flatten, nn.BatchNorm2d,
)  # fmt: skip


def applies(method: str, module: Any) -> bool:
    """Whether the net's layers allow it: for LRP all must have a rule and none be used twice, for Grad-CAM one must be a convolution of pictures."""
    leaves = [layer for layer in module.modules() if not list(layer.children())]
    if method == "grad_cam":
        return any(isinstance(layer, nn.Conv2d) for layer in leaves)
    return isinstance(module, nn.Sequential) and all(type(layer) in PROPAGATED for layer in leaves)


def attribute(method: str, net: Net, x: Any, target: Any) -> Attributed:
    """Values (n, d). LRP starts from nothing, so its base is 0; the biases keep a share of it. Grad-CAM says where the last convolution of
    pictures looked: it is no share of the score, and adds up to nothing."""
    one = _relevance if method == "lrp" else _camera
    parts = [one(net, x[some], target[some]) for some in blocks(len(x), x[0].numel())]
    explained = scored(net, [x], target)
    return Attributed(torch.cat(parts).double().reshape(len(x), -1).numpy(), explained * 0.0, explained)


def _relevance(net: Net, x: Any, target: Any) -> Any:
    from captum.attr import LRP

    return LRP(net.module).attribute(x.clone().requires_grad_(), target=target).detach()


def _camera(net: Net, x: Any, target: Any) -> Any:
    """The positive part of Σ mean gradient · activation of the last convolution, brought to the size of the picture; the same in each channel,
    whose sum it is."""
    held: list[Any] = []
    layer = [a for a in net.module.modules() if isinstance(a, nn.Conv2d)][-1]

    def keep(_: Any, args: Any, out: Any) -> Any:
        held.append(out.detach().requires_grad_())
        return held[0]

    score = hooked([(layer, keep)], lambda: net.score([x], target).sum(), grad=True)
    (slope,) = torch.autograd.grad(score, held[0])
    seen = (slope.mean(dim=(2, 3), keepdim=True) * held[0]).sum(dim=1, keepdim=True).relu().detach()
    whole = nn.functional.interpolate(seen, size=x.shape[2:], mode="bilinear", align_corners=False)
    return (whole / x.shape[1]).expand_as(x)
