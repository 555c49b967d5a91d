"""Sums of clipped gradients: each row's gradient is held to a norm before the rows are added, so that no row can say more than that.

Four ways to the same sum, of which the fastest depends on the network:

bookkeeping  one backward pass down to what each layer gave; weights get their gradient once, already weighted (Bu et al. 2023, arXiv:2210.00038)
ghost        Opacus' ghost clipping: norms from one backward pass, the weighted sum from a second (Li et al. 2022, arXiv:2110.05679)
hooks        Opacus' hooks: every row's gradient of every layer, by a formula of the layer's own (Yousefpour et al. 2021, arXiv:2109.12298)
functorch    the same by vmap: slower, but for any layer
"""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

MODES = ("bookkeeping", "ghost", "hooks", "functorch")
#: As Opacus has it: a row without a gradient is not divided by 0.
TINY = 1e-6


@dataclass(frozen=True)
class Bound:
    """The largest norm of a row's gradient: over all parameters together, or of each alone, such that together they keep it too."""

    norm: float
    per_layer: bool = False

    def weights(self, norms: list[Tensor]) -> list[Tensor]:
        """The factor (n,) in [0, 1] of each row, for each parameter, from the norms (n,) of the row's gradients."""
        import torch

        if self.per_layer:
            of_each = self.norm / math.sqrt(len(norms))
            return [(of_each / (norm + TINY)).clamp(max=1.0) for norm in norms]
        total = torch.stack(norms).norm(dim=0)
        return [(self.norm / (total + TINY)).clamp(max=1.0)] * len(norms)


class Clipper(ABC):
    """While it is open, `add` takes the losses (n,) of rows that went through the net in training, and adds the sum of their clipped
    gradients to every parameter's `grad`."""

    def __init__(self, net: nn.Module, bound: Bound) -> None:
        self.net, self.bound = net, bound
        self.parameters = [p for p in net.parameters() if p.requires_grad]

    @abstractmethod
    def add(self, losses: Tensor) -> None:
        """One backward pass, or two."""

    @abstractmethod
    def close(self) -> None:
        """Take every hook off the net."""


class _Packed:
    """Where packed sequences sort the rows, what Opacus' hooks say of a recurrent layer's rows stands in that order, not in the batch's.

    Left so, the clipped row is one row's recurrent layer with another row's head: one person would move two of them.
    """

    def __init__(self, net: nn.Module) -> None:
        from opacus.layers.dp_rnn import DPRNNBase

        self.places: dict[nn.Parameter, Tensor] = {}
        self.handles = [m.register_forward_pre_hook(self._note) for m in net.modules() if isinstance(m, DPRNNBase)]

    def _note(self, layer: nn.Module, given: tuple[Any, ...]) -> None:
        places = getattr(given[0], "unsorted_indices", None)
        if places is not None and layer.training:
            self.places |= dict.fromkeys(layer.parameters(), places)

    def back(self, parameter: nn.Parameter, rows: Tensor) -> Tensor:
        """`rows` (n, …) of a parameter in the order of the batch."""
        return rows[self.places[parameter]] if parameter in self.places else rows

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Samples(Clipper):
    """Opacus' hooks, by its formulas or all by functorch."""

    def __init__(self, net: nn.Module, bound: Bound, functorch: bool) -> None:
        from opacus.grad_sample import GradSampleHooks
        from torch import nn

        super().__init__(net, bound)
        tables = [m for m in net.modules() if isinstance(m, nn.Embedding) and m.padding_idx is not None]
        self.padding = {table.weight: table.padding_idx for table in tables}
        self.hooks = GradSampleHooks(net, loss_reduction="sum", force_functorch=functorch)
        self.packed = _Packed(net)

    def add(self, losses: Tensor) -> None:
        import torch

        before = [p.grad for p in self.parameters]
        losses.sum().backward()
        for table, at in self.padding.items():  # the vector of padding does not learn, which Opacus' formula does not know
            if table.grad_sample is not None:
                table.grad_sample[:, at] = 0
        samples = {p: self.packed.back(p, p.grad_sample) for p in self.parameters if p.grad_sample is not None}
        weights = self.bound.weights([sample.flatten(1).norm(dim=1) for sample in samples.values()])
        for parameter, old in zip(self.parameters, before, strict=True):
            parameter.grad, parameter.grad_sample = old, None
        for (parameter, sample), weight in zip(samples.items(), weights, strict=True):
            _add(parameter, torch.einsum("n,n...->...", weight, sample))

    def close(self) -> None:
        self.packed.close()
        self.hooks.remove_hooks()
        _forget(self.net)


class _Ghost(Clipper):
    """Opacus' ghost clipping; it knows one norm for all parameters together."""

    def __init__(self, net: nn.Module, bound: Bound) -> None:
        from opacus.grad_sample import GradSampleHooksFastGradientClipping

        super().__init__(net, bound)
        self.hooks = GradSampleHooksFastGradientClipping(net, loss_reduction="sum", max_grad_norm=bound.norm)
        self.packed = _Packed(net)

    def add(self, losses: Tensor) -> None:
        before = [p.grad for p in self.parameters]
        losses.sum().backward(retain_graph=True)
        weight = self.bound.weights([self.packed.back(p, p._norm_sample) for p in self.parameters])[0]
        for parameter, old in zip(self.parameters, before, strict=True):
            parameter.grad = old
        self.hooks.disable_hooks()
        (weight * losses).sum().backward()
        self.hooks.enable_hooks()

    def close(self) -> None:
        self.packed.close()
        self.hooks.remove_hooks()
        _forget(self.net)


@dataclass
class _Part:
    """What rows say about one parameter: the norm (n,) of each row's gradient, and the sum with given weights (n,)."""

    parameter: nn.Parameter
    norm: Tensor
    weighted: Callable[[Tensor], Tensor]


class _Bookkeeping(Clipper):
    """Notes what each layer was given and gave; one pass gives the slopes of the loss in what it gave."""

    def __init__(self, net: nn.Module, bound: Bound) -> None:
        super().__init__(net, bound)
        self.calls: list[tuple[nn.Module, Tensor, Tensor]] = []
        layers = [m for m in net.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
        self.shared = {p for p, times in Counter(p for layer in layers for p in layer.parameters(recurse=False)).items() if times > 1}
        self.handles = [layer.register_forward_hook(self._note) for layer in layers]

    def _note(self, layer: nn.Module, given: tuple[Tensor, ...], gave: Tensor) -> None:
        import torch

        if layer.training and torch.is_grad_enabled():
            self.calls.append((layer, given[0].detach(), gave))

    def add(self, losses: Tensor) -> None:
        import torch

        calls, self.calls = self.calls, []
        slopes = torch.autograd.grad(losses.sum(), [gave for _, _, gave in calls], allow_unused=True)
        times = Counter(layer for layer, _, _ in calls)
        parts: list[_Part] = []
        samples: dict[nn.Parameter, Tensor] = {}
        with torch.no_grad():
            for (layer, given, _), slope in zip(calls, slopes, strict=True):
                if slope is None:
                    continue
                slope = _without_padding(layer, given, slope)
                alone = times[layer] == 1 and not any(p in self.shared for p in layer.parameters(recurse=False))
                found = _without_samples(layer, given, slope) if alone else None
                if found is not None:
                    parts += found
                    continue
                for parameter, sample in _samples(layer, given, slope).items():
                    samples[parameter] = samples[parameter] + sample if parameter in samples else sample
            parts += [_Part(p, s.flatten(1).norm(dim=1), _weigher(s)) for p, s in samples.items()]
            for part, weight in zip(parts, self.bound.weights([part.norm for part in parts]), strict=True):
                _add(part.parameter, part.weighted(weight))

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


def _forget(net: nn.Module) -> None:
    """Take off what Opacus wrote on layers and parameters, so that the next clipper finds nothing of a pass that was broken off."""
    for owner, names in (
        (net.modules(), ("activations", "max_batch_len")),
        (net.parameters(), ("grad_sample", "_forward_counter", "_norm_sample", "_current_grad_sample")),
    ):
        for thing in owner:
            for name in names:
                vars(thing).pop(name, None)


def clipper(net: nn.Module, mode: str, bound: Bound) -> Clipper:
    """Open the clipper of a mode; `close` it when the epoch is over."""
    if mode == "bookkeeping":
        return _Bookkeeping(net, bound)
    return _Ghost(net, bound) if mode == "ghost" else _Samples(net, bound, functorch=mode == "functorch")


def unsuited(net: nn.Module, mode: str, bound: Bound) -> str | None:
    """Why a mode is not for this net, as far as its layers tell; None where nothing speaks against it."""
    from opacus.grad_sample import GradSampleHooks
    from opacus.layers.dp_rnn import DPRNNBase

    if mode == "ghost" and bound.per_layer:
        return "ghost clipping knows one norm for all parameters"
    own = [m for m in net.modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    recurrent = any(isinstance(m, DPRNNBase) for m in net.modules())
    if mode in ("bookkeeping", "functorch") and recurrent:
        return "recurrent layers need Opacus' own hooks"
    foreign = next((type(m).__name__ for m in own if type(m) not in GradSampleHooks.GRAD_SAMPLERS), None)
    if mode == "bookkeeping" and foreign is not None:
        return f"Opacus has no formula for the gradients of {foreign}"
    return None


def disagreement(net: nn.Module, mode: str, per_layer: bool, losses: Callable[[slice], Tensor], rows: int) -> str | None:
    """Why the sum of a mode is not the sum of the clipped gradients of `rows` single rows; None where it is, to one in a thousand.

    It finds what no list of layers tells: a net that mixes rows, a weight used past its layer, an output changed in place.
    Layers without weights (dropout) rest meanwhile.
    """
    import torch

    parameters = [p for p in net.parameters() if p.requires_grad]
    with torch.random.fork_rng(), _resting(net):
        try:
            together = losses(slice(0, rows))
            alone = torch.cat([losses(slice(i, i + 1)).detach() for i in range(rows)])
            if not torch.allclose(alone, together.detach(), rtol=1e-3, atol=1e-4):
                return "the loss of a row depends on the other rows of its batch"
            # Of one pass, not row by row: another sum of the same numbers may break ties of a maximum otherwise.
            single = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in together]
            each = [torch.stack([_or_zero(g[k], p) for g in single]) for k, p in enumerate(parameters)]
            norms = [g.flatten(1).norm(dim=1) for g in each]
            bound = Bound(float(torch.stack(norms).norm(dim=0).median()) or 1.0, per_layer)
            found = gradients(net, mode, bound, lambda: losses(slice(0, rows)))
        except (RuntimeError, NotImplementedError, ValueError, AttributeError) as error:
            return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    expected = [torch.einsum("n,n...->...", w, g) for w, g in zip(bound.weights(norms), each, strict=True)]
    scale = max(float(g.abs().max()) for g in expected) or 1.0
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    for name, ours, theirs in zip(names, found, expected, strict=True):
        if not float((ours - theirs).abs().max()) <= 1e-3 * scale:  # `not <=`, so that NaN counts
            return f"the gradient of {name} is not the sum over single rows"
    return None


def gradients(net: nn.Module, mode: str, bound: Bound, losses: Callable[[], Tensor]) -> list[Tensor]:
    """The sum of clipped gradients of every trainable parameter, over the rows whose losses (n,) are given; `grad` is left empty."""
    opened = clipper(net, mode, bound)
    try:
        net.zero_grad()
        with quiet():
            opened.add(losses())
        return [_or_zero(p.grad, p).clone() for p in opened.parameters]
    finally:
        opened.close()
        net.zero_grad()


def seconds(net: nn.Module, mode: str, bound: Bound, losses: Callable[[], Tensor], *, repeats: int = 3) -> float:
    """The least time that the gradients of one batch took, after a first one that does not count: of the processor, or of the clock on a GPU."""
    import torch

    on_gpu = next(net.parameters()).is_cuda
    clock = time.perf_counter if on_gpu else time.process_time
    taken = []
    with torch.random.fork_rng():
        for _ in range(repeats + 1):
            before = clock()
            gradients(net, mode, bound, losses)
            if on_gpu:
                torch.cuda.synchronize()
            taken.append(clock() - before)
    return min(taken[1:])


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's words on hooks of layers whose inputs need no gradient, and on a precision that functorch does not need."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        warnings.filterwarnings("ignore", message="In CPU autocast, but the target dtype is not supported")
        yield


def _without_samples(layer: nn.Module, given: Tensor, slope: Tensor) -> list[_Part] | None:
    """Norms and sums without a gradient for each row, for linear layers and embeddings where that is cheaper; None elsewhere.

    A row's gradient of a linear layer is the sum over its places (one, or those of a sequence) of what it gave back times what it was given; so
    the square of its norm is the sum over pairs of places of the products of both (Goodfellow 2015, arXiv:1510.01799). An embedding is a
    linear layer that was given one-hot rows.
    """
    import torch
    from torch import nn

    if type(layer) not in (nn.Linear, nn.Embedding):
        return None
    slope = slope.reshape(len(slope), -1, slope.shape[-1])
    rows, places, _ = slope.shape
    if places * places > layer.weight.numel():
        return None
    of_slope = slope.square().sum(dim=(1, 2)) if places == 1 else slope @ slope.mT
    if type(layer) is nn.Embedding:
        tokens = given.reshape(rows, places)
        alike = 1 if places == 1 else tokens.unsqueeze(2) == tokens.unsqueeze(1)

        def weight_sum(weight: Tensor) -> Tensor:
            return torch.zeros_like(layer.weight).index_add(0, tokens.flatten(), _scaled(slope, weight).flatten(0, 1))
    else:
        given = given.reshape(rows, places, -1)
        alike = given.square().sum(dim=(1, 2)) if places == 1 else given @ given.mT

        def weight_sum(weight: Tensor) -> Tensor:
            return _scaled(slope, weight).flatten(0, 1).T @ given.flatten(0, 1)

    def bias_sum(weight: Tensor) -> Tensor:
        return weight @ slope.sum(dim=1)

    parts = [_Part(layer.weight, _root(of_slope * alike), weight_sum)]
    if getattr(layer, "bias", None) is not None:
        parts.append(_Part(layer.bias, _root(of_slope), bias_sum))
    return [part for part in parts if part.parameter.requires_grad]


def _root(squares: Tensor) -> Tensor:
    """(n,) square roots of squares (n,), or of their sums over pairs of places (n, places, places)."""
    return (squares if squares.ndim == 1 else squares.sum(dim=(1, 2))).clamp(min=0).sqrt()


def _without_padding(layer: nn.Module, given: Tensor, slope: Tensor) -> Tensor:
    """PyTorch learns nothing at an embedding's `padding_idx`; Opacus' formulas do not know it."""
    from torch import nn

    if type(layer) is nn.Embedding and layer.padding_idx is not None:
        return slope.masked_fill((given == layer.padding_idx).unsqueeze(-1), 0.0)
    return slope


def _samples(layer: nn.Module, given: Tensor, slope: Tensor) -> dict[nn.Parameter, Tensor]:
    """Every row's gradient, by Opacus' formula of the layer."""
    from opacus.grad_sample import GradSampleHooks

    found: dict[nn.Parameter, Tensor] = GradSampleHooks.GRAD_SAMPLERS[type(layer)](layer, [given.contiguous()], slope.contiguous())
    return {p: sample for p, sample in found.items() if p.requires_grad}


def _weigher(sample: Tensor) -> Callable[[Tensor], Tensor]:
    import torch

    return lambda weight: torch.einsum("n,n...->...", weight, sample)


def _scaled(slope: Tensor, weight: Tensor) -> Tensor:
    return slope * weight.view(-1, *[1] * (slope.ndim - 1))


def _add(parameter: nn.Parameter, value: Tensor) -> None:
    value = value.view_as(parameter)
    parameter.grad = value if parameter.grad is None else parameter.grad + value


def _or_zero(gradient: Tensor | None, parameter: nn.Parameter) -> Tensor:
    import torch

    return torch.zeros_like(parameter) if gradient is None else gradient.detach()


@contextmanager
def _resting(net: nn.Module) -> Iterator[None]:
    """Inside, layers without weights are in evaluation: dropout drops nothing."""
    layers = [m for m in net.modules() if m.training and not any(True for _ in m.parameters())]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True
