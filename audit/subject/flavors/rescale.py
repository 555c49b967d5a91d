"""DeepLIFT-SHAP (Shrikumar, Greenside and Kundaje 2017; Lundberg and Lee 2017): the rescale rule from every row to every background row.

Where a layer bends, its slope is taken between the two answers, Δout / Δin, so contributions add up exactly. The values are those of Captum's
`DeepLiftShap`. It runs row and reference through the net, both ways, for every pair, all pairs at once; here the background runs once, a batch
holds a bounded number of pairs, and only the rows' half goes backwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Attributed, Net, hooked, only

#: Layers that bend each number by itself. Captum's rule covers the first six.
BENDING = (
    nn.ReLU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.GELU,
    nn.SiLU,
    nn.Hardtanh,
    nn.ReLU6,
    nn.SELU,
    nn.CELU,
    nn.Hardswish,
    nn.Mish,
)
POOLING = {nn.MaxPool1d: functional.max_pool1d, nn.MaxPool2d: functional.max_pool2d}
#: Layers whose gradient is the same everywhere.
STRAIGHT = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Unflatten,
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.ZeroPad2d, nn.Upsample,
)  # fmt: skip
#: A difference below this is none, and the slope is the derivative (as in Captum).
EPSILON = 1e-10
#: Numbers of inputs of all pairs that go through the net at once.
NUMBERS = 1 << 17


def uncovered(module: Any) -> list[str]:
    """Names of the kinds of layers that the rule does not cover; layers of the model's own are taken for straight and found out by their sums."""
    leaves = [layer for layer in module.modules() if not list(layer.children())]
    known = (*BENDING, *POOLING, *STRAIGHT)
    return sorted({type(a).__name__ for a in leaves if type(a).__module__.startswith("torch.nn.modules") and not isinstance(a, known)})


def deep_shap(net: Net, x: Any, references: Any, target: Any) -> Attributed:
    """Contributions (n, d) to the score of each row's `target`, averaged over the references (b, …); base is their mean score."""
    lacking = uncovered(net.module)
    if lacking:
        raise ContractError(f"the rescale rule does not cover {', '.join(lacking)}")
    stem = _Stem(net, x, references)
    with torch.no_grad():
        begin = stem.features(references)
        recorded = _Recorded(net, lambda: stem.outputs(begin))
        told = stem.outputs(begin).double().mean(dim=0)
        explained = torch.zeros(len(x), dtype=torch.float64)
    values = torch.zeros(
        len(x), x[0].numel(), dtype=torch.float64
    )  # whole from the start: small pieces would keep freed memory from going back
    rows = max(1, NUMBERS // max(1, len(references) * begin[0].numel()))
    for i in range(0, len(x), rows):
        some = slice(i, i + rows)
        with torch.no_grad():
            own = stem.features(x[some])
            explained[some] = stem.outputs(own).gather(1, target[some].unsqueeze(1)).squeeze(1)
        slope = _slopes(stem, recorded, own, target[some], len(references)).reshape(len(own), len(references), *begin.shape[1:])
        way = own.unsqueeze(1) - begin.unsqueeze(0)
        values[some] = stem.booked((slope * way).double().mean(dim=1).reshape(len(own), -1))
    return Attributed(values.numpy(), told[target].numpy(), explained.numpy())


def _slopes(stem: _Stem, recorded: _Recorded, own: Any, target: Any, references: int) -> Any:
    """What each number of a pair is worth to the score, (rows · references, …)."""
    pairs = own.repeat_interleave(references, dim=0).requires_grad_()
    with torch.enable_grad():
        score = recorded.replayed(lambda: stem.outputs(pairs)).gather(1, target.repeat_interleave(references).unsqueeze(1)).sum()
        (slope,) = torch.autograd.grad(score, pairs)
    return slope


class _Stem:
    """What comes before the first linear layer. Where each number that this layer takes depends on one column alone (scaling, one-hot), the rule
    starts at the layer, and contributions are added up by column: bends before it then need no rule."""

    def __init__(self, net: Net, x: Any, references: Any) -> None:
        self.net, self.layer, self.owner = net, None, None
        first: list[tuple[Any, Any]] = []
        leaves = [a for a in net.module.modules() if isinstance(a, nn.Linear | nn.Conv1d | nn.Conv2d)]
        probe = torch.cat([x[:8], references[:8]])
        hooked([(a, lambda layer, args, out: first.append((layer, args[0]))) for a in leaves], lambda: net.outputs([probe]))
        if not first or x.dim() != 2 or first[0][1] is probe or not isinstance(first[0][0], nn.Linear) or first[0][1].dim() != 2:
            return
        layer, width = first[0][0], x.shape[1]
        owner = torch.full((first[0][1].shape[1],), -1)
        before = first[0][1]
        for j in range(width):
            one = probe.clone()
            one[:, j] = probe[:, j].roll(1)
            moved = (self._before(layer, one) != before).any(dim=0)
            if bool((owner[moved] >= 0).any()):
                return  # a number of two columns: start at the rows themselves
            owner[moved] = j
        self.layer, self.owner, self.width, self.probe = layer, owner, width, probe[:1]

    def _before(self, layer: Any, x: Any) -> Any:
        found: list[Any] = []
        hooked([(layer, lambda _, args, out: found.append(args[0]))], lambda: self.net.outputs([x]))
        return found[0]

    def features(self, x: Any) -> Any:
        """What the rule starts from (n, …)."""
        return x if self.layer is None else self._before(self.layer, x)

    def outputs(self, features: Any) -> Any:
        """The net's outputs (n, k) from there on."""
        if self.layer is None:
            return self.net.outputs([features])
        plain = type(self.layer).forward

        def answer(layer: Any, args: Any, out: Any) -> Any:
            return plain(layer, features)

        def run() -> Any:
            return only(self.net.module(self.probe)).reshape(len(features), -1)

        return hooked([(self.layer, answer)], run, grad=torch.is_grad_enabled())

    def booked(self, values: Any) -> Any:
        """Contributions (n, columns) of contributions (n, features)."""
        if self.owner is None:
            return values
        known = self.owner >= 0
        out = torch.zeros(len(values), self.width, dtype=values.dtype)
        return out.index_add_(1, self.owner[known], values[:, known])


class _Recorded:
    """What the bending layers took and gave for the background, call by call."""

    def __init__(self, net: Net, run: Any) -> None:
        self.layers: list[Any] = [a for a in net.module.modules() if isinstance(a, (*BENDING, *POOLING))]
        self.calls: list[tuple[Any, Any]] = []
        hooked([(a, lambda _, args, out: self.calls.append((args[0], out))) for a in self.layers], run)

    def replayed(self, run: Any) -> Any:
        """`run` over pairs, with the slopes between each row and its reference instead of the layers' own."""
        order = iter(self.calls)
        for layer in self.layers:
            layer.forward = self._rule(layer, type(layer).forward, order)
        try:
            return run()
        finally:
            for layer in self.layers:
                del layer.forward

    @staticmethod
    def _rule(layer: Any, plain: Any, order: Any) -> Any:
        pool = POOLING.get(type(layer))

        def forward(x: Any) -> Any:
            before, after = next(order)
            return _Pooled.apply(x, layer, pool, before) if pool else _Rescaled.apply(x, layer, plain, before, after)

        return forward


class _Rescaled(torch.autograd.Function):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """A bending layer over pairs (rows · b, …) whose slope is Δout / Δin to the pair's reference."""

    @staticmethod
    def forward(ctx: Any, x: Any, layer: Any, plain: Any, before: Any, after: Any) -> Any:
        out = plain(layer, x)
        ctx.save_for_backward(x, out, before, after)  # an output kept otherwise would hold itself in memory
        ctx.layer, ctx.plain = layer, plain
        return out

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        x, out, before, after = ctx.saved_tensors
        pairs = (-1, *before.shape)
        moved = (x.reshape(pairs) - before).reshape(x.shape)
        ratio = (out.reshape(pairs) - after).reshape(x.shape) / moved
        still = moved.abs() < EPSILON
        if bool(still.any()):
            with torch.enable_grad():
                own = x[still].detach().requires_grad_()
                ratio[still] = torch.autograd.grad(ctx.plain(ctx.layer, own).sum(), own)[0]
        return ratio * slope, None, None, None, None


class _Pooled(torch.autograd.Function):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Max pooling over pairs: what the row's maximum lies above the reference's belongs to its own place, what it lies below to the reference's."""

    @staticmethod
    def forward(ctx: Any, x: Any, layer: Any, pool: Any, before: Any) -> Any:
        def pooled(v: Any) -> Any:
            return pool(v, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode, True)

        out, places = pooled(x)
        ctx.save_for_backward(x, out, places, before, *pooled(before))
        return out

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        x, out, places, before, after, other = ctx.saved_tensors
        repeat = len(x) // len(before)
        after, other = after.repeat(repeat, *[1] * (after.dim() - 1)), other.repeat(repeat, *[1] * (other.dim() - 1))
        moved = x - before.repeat(repeat, *[1] * (before.dim() - 1))
        top = torch.maximum(out, after)
        flat = torch.zeros_like(x).flatten(2)
        plain = flat.scatter_add(2, places.flatten(2), slope.flatten(2)).view(x.shape)
        flat = flat.scatter_add(2, places.flatten(2), (slope * (top - after)).flatten(2))
        flat = flat.scatter_add(2, other.flatten(2), (slope * (out - top)).flatten(2)).view(x.shape)
        return torch.where(moved.abs() < EPSILON, plain, flat / moved), None, None, None
