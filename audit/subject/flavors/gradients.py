"""Gradients along straight lines from a reference to a row, for nets of numbers, of codes and of tokens: Integrated Gradients (Sundararajan, Taly
and Yan 2017) and its mean over many references, GradientSHAP (Lundberg and Lee 2017; Erion et al. 2021).

A code or a token has no path to another. Where a layer looks a vector up for it, the line leads from vector to vector (as Captum's
LayerIntegratedGradients does), and what each vector moved is booked on the columns whose change alone asks for another vector, in equal shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from audit.subject.flavors.base import ContractError
from audit.subject.frame import Array

#: Numbers of inputs that go through the net at once; what its layers hold is some ten to fifty times that.
NUMBERS = 1 << 19
#: Where the score hardly moves, the miss is taken relative to this share of the median move.
FLOOR = 0.05
#: Integrated Gradients are complete where the median miss and the 95th percentile are below these.
MEDIAN_GAP, TAIL_GAP = 0.001, 0.01


class Attributed(NamedTuple):
    """`values` (n, d) over all inputs, flattened one after another; `base` (n,) and `explained` (n,): the score at both ends; `gradients` as in
    `base.Explained`."""

    values: Array
    base: Array
    explained: Array
    gradients: float = 0.0


def only(found: Any) -> Any:
    """The one tensor of an output that may be wrapped in a tuple, list or dict."""
    while not isinstance(found, torch.Tensor):
        if isinstance(found, dict):
            found = next(iter(found.values()), None)
        elif isinstance(found, tuple | list) and found:
            found = found[0]
        else:
            raise ContractError(f"the model returned {type(found).__name__} where a tensor was expected")
    return found


class Net:
    """A module as a function of its inputs; `codes` are, for each input, the columns that hold codes of categories."""

    def __init__(self, module: Any, codes: list[list[int]]) -> None:
        self.module, self.codes = module, codes
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        for layer in module.modules():
            if getattr(layer, "inplace", False):
                layer.inplace = False  # what a layer took is read after it answered

    def outputs(self, inputs: list[Any]) -> Any:
        """(n, k)."""
        return only(self.module(*inputs)).reshape(len(inputs[0]), -1)

    def score(self, inputs: list[Any], target: Any) -> Any:
        """The output that each row's `target` (n,) names, (n,) in double precision."""
        return self.outputs(inputs).gather(1, target.unsqueeze(1)).squeeze(1).double()

    def targets(self, inputs: list[Any], output: int) -> Any:
        """The output to explain for each row (n,): `output`, or with -1 each row's greatest; the only one where there is one."""
        with torch.no_grad():
            if output >= 0:
                single = self.outputs([a[:1] for a in inputs]).shape[1] == 1
                return torch.full((len(inputs[0]),), 0 if single else output)
            parts = blocks(len(inputs[0]), sum(a[0].numel() for a in inputs))
            return torch.cat([self.outputs([a[some] for a in inputs]).argmax(dim=1) for some in parts])


class Lookups:
    """The layers of a net that turn whole numbers (…) into vectors (…, width), innermost first."""

    def __init__(self, net: Net, inputs: list[Any]) -> None:
        found: dict[str, Any] = {}
        sizes: dict[str, int] = {}

        def watch(name: str) -> Callable[..., None]:
            def seen(layer: Any, args: Any, out: Any) -> None:
                asked = args[0] if len(args) == 1 and isinstance(args[0], torch.Tensor) else None
                if asked is not None and not asked.is_floating_point() and isinstance(out, torch.Tensor) and out.shape[:-1] == asked.shape:
                    found[name] = layer
                    sizes[name] = sizes.get(name, 0) + out.numel() // min(2, len(inputs[0]))

            return seen

        layers = [(name, layer) for name, layer in net.module.named_modules() if name]
        hooked([(layer, watch(name)) for name, layer in layers], lambda: net.outputs([x[:2] for x in inputs]))
        self.net = net
        inner = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
        self.layers = [found[name] for name in inner]
        self.width = sum(sizes[name] for name in inner)  # numbers looked up for one row

    def asked(self, inputs: list[Any]) -> list[tuple[Any, Any]]:
        """What the layers were asked and answered, call by call."""
        calls: list[tuple[Any, Any]] = []
        hooked([(layer, lambda _, args, out: calls.append((args[0], out))) for layer in self.layers], lambda: self.net.outputs(inputs))
        return calls

    def answering(self, vectors: list[Any], run: Callable[[], Any]) -> Any:
        """`run` with these answers instead of the layers' own, call by call; None leaves a call as it is."""
        order = iter(vectors)
        with torch.enable_grad():
            return hooked([(layer, lambda _, args, out: next(order)) for layer in self.layers], run, grad=True)


def hooked(hooks: list[tuple[Any, Any]], run: Callable[[], Any], *, grad: bool = False) -> Any:
    """`run` with forward hooks on these layers, which are taken off again."""
    held = [layer.register_forward_hook(hook) for layer, hook in hooks]
    try:
        with torch.set_grad_enabled(grad):
            return run()
    finally:
        for handle in held:
            handle.remove()


class Line:
    """The straight lines from n starts to n rows. What is missing at either end is held at the row's own, and so is what is looked up."""

    def __init__(self, net: Net, lookups: Lookups, x: list[Any], start: list[Any], target: Any) -> None:
        self.net, self.lookups, self.target, self.n = net, lookups, target, len(x[0])
        self.x = x
        self.widths = [own[0].numel() for own in x]
        start = [torch.where(torch.isnan(a) | torch.isnan(b), a, b) if a.is_floating_point() else b for a, b in zip(x, start, strict=True)]
        self.calls: list[tuple[Any, Any, Any] | None] = []  # vectors at the start, their way, shares of the columns in each
        if lookups.layers:
            start = self._look_up(start)
        self.missing = [torch.isnan(a) if a.is_floating_point() and bool(torch.isnan(a).any()) else None for a in x]
        full = [a if m is None else torch.where(m, torch.zeros_like(a), a) for a, m in zip(x, self.missing, strict=True)]
        self.start = [s if m is None else torch.where(m, torch.zeros_like(s), s) for s, m in zip(start, self.missing, strict=True)]
        self.way: list[Any] = [a - s if a.is_floating_point() else None for a, s in zip(full, self.start, strict=True)]
        self.stem = None if lookups.layers or len(x) > 1 else self._stem()

    def _look_up(self, start: list[Any]) -> list[Any]:
        """Vectors at both ends of the lines; columns that are looked up stay at the row's own value."""
        own, other = self.lookups.asked(self.x), self.lookups.asked(start)
        if len(own) != len(other) or any(a[0].shape != b[0].shape for a, b in zip(own, other, strict=True)):
            raise ContractError("the vectors that this model looks up depend on what it looked up before")
        moved = [not torch.equal(a[0], b[0]) for a, b in zip(own, other, strict=True)]
        if any(m and len(a[0]) != self.n for m, a in zip(moved, own, strict=True)):
            raise ContractError("the vectors that this model looks up are not in the order of its rows")
        shares, held = self._shares([a[0] if m else None for a, m in zip(own, moved, strict=True)], start)
        self.calls = [(b[1], a[1] - b[1], share) if m else None for a, b, m, share in zip(own, other, moved, shares, strict=True)]
        kept = []
        for place, (a, b) in enumerate(zip(self.x, start, strict=True)):
            flat = b.reshape(self.n, -1).clone() if a.is_floating_point() else a.reshape(self.n, -1)
            flat[:, held[place]] = a.reshape(self.n, -1)[:, held[place]]
            kept.append(flat.reshape(a.shape))
        return kept

    def _shares(self, asked: list[Any], start: list[Any]) -> tuple[list[Any], list[list[int]]]:
        """For each call that moved the share (n, places, columns) of every column in what was asked, and the columns that had any, by input."""
        offsets, total = np.cumsum([0, *self.widths]), sum(self.widths)
        held: list[list[int]] = [[] for _ in self.x]
        changed = [None if a is None else torch.zeros(self.n, a[0].numel(), total, dtype=torch.bool) for a in asked]
        tokens = next((i for i, a in enumerate(self.x) if not a.is_floating_point()), None)
        for k, a in enumerate(asked):
            if a is not None and tokens is not None and a.shape == self.x[tokens].shape and torch.equal(a, self.x[tokens]):
                changed[k] = None  # token by token: column j asks at place j
        for place, columns in enumerate(self.net.codes):
            for j in columns:
                one = [v.clone() for v in self.x]
                one[place].reshape(self.n, -1)[:, j] = start[place].reshape(self.n, -1)[:, j]
                calls = self.lookups.asked(one)
                for k, a in enumerate(asked):
                    mask = changed[k]
                    if a is not None and mask is not None:
                        mask[:, :, offsets[place] + j] = (calls[k][0] != a).reshape(self.n, -1)
                        if bool(mask[:, :, offsets[place] + j].any()) and j not in held[place]:
                            held[place].append(j)
        shares: list[Any] = []
        for a, mask in zip(asked, changed, strict=True):
            if a is not None and mask is None:
                assert tokens is not None
                shares.append(int(offsets[tokens]))
            else:
                shares.append(None if mask is None else mask / mask.sum(dim=2, keepdim=True).clamp(min=1))
        return shares, held

    def _stem(self) -> tuple[Any, Any, Any, Any] | None:
        """The first layer where it is linear and takes the row itself: (layer, its answer at the start, the way of it, an input of one row).

        Its answer moves in a straight line too, so the layer need not be walked through at every step.
        """
        first: list[tuple[Any, Any]] = []
        leaves = [layer for layer in self.net.module.modules() if not list(layer.children())]
        probe = [self.start[0][:1]]
        hooked(
            [(layer, lambda called, args, out: first.append((called, args[0] if args else None))) for layer in leaves],
            lambda: self.net.outputs(probe),
        )
        if not first or type(first[0][0]) is not torch.nn.Linear or first[0][1] is not probe[0] or self.missing[0] is not None:
            return None
        layer = first[0][0]
        if sum(called is layer for called, _ in first) > 1:
            return None
        with torch.no_grad():
            begin = layer(self.start[0])
            stem = (layer, begin, layer(self.x[0]) - begin, probe)
            told = self._through(stem, begin + stem[2])
            same = torch.allclose(told, self.net.score(self.x, self.target), rtol=1e-4, atol=1e-5)
        return stem if same else None  # the row is used elsewhere as well

    def _through(self, stem: tuple[Any, Any, Any, Any], answer: Any) -> Any:
        """The score (m,) where the first layer gives `answer` (m, width)."""
        target = self.target.repeat(len(answer) // self.n)

        def run() -> Any:
            found = only(self.net.module(*stem[3])).reshape(len(answer), -1)
            return found.gather(1, target.unsqueeze(1)).squeeze(1).double()

        return hooked([(stem[0], lambda _, args, out: answer)], run, grad=torch.is_grad_enabled())

    def base(self) -> Any:
        """The score at the starts (n,)."""
        with torch.no_grad():
            return self._at(torch.zeros(1, self.n))[0].reshape(-1)

    def moved(self, alpha: Any) -> Any:
        """(n, d): way times gradient, averaged over points `alpha` (points, n) of the lines, 0 at the start and 1 at the row."""
        total = torch.zeros(self.n, sum(self.widths), dtype=torch.float64)
        step = max(1, NUMBERS // max(1, self.n * self._width()))
        for i in range(0, len(alpha), step):
            total += self._moved(alpha[i : i + step])
        return total / len(alpha)

    def _width(self) -> int:
        return int(sum(self.widths) + sum(call[0][0].numel() for call in self.calls if call is not None))

    def _moved(self, alpha: Any) -> Any:
        points = len(alpha)
        with torch.enable_grad():
            score, leaves = self._at(alpha)
            if not score.requires_grad:
                raise ContractError("no gradient reaches the model's inputs")
            found = torch.autograd.grad(score.sum(), leaves, allow_unused=True)
        slopes: list[Any] = [
            None if g is None else g.detach().double().reshape(points, self.n, *leaf.shape[1:]).sum(dim=0)
            for g, leaf in zip(found, leaves, strict=True)
        ]
        if self.stem is not None:
            assert slopes[0] is not None, "the score is a function of what the first layer gives"
            return (slopes[0] @ self.stem[0].weight.double()) * self.way[0].double()
        out = torch.zeros(self.n, sum(self.widths), dtype=torch.float64)
        rest: Iterator[Any] = iter(slopes)
        offset = 0
        for way, width in zip(self.way, self.widths, strict=True):
            slope: Any = next(rest) if way is not None else None
            if slope is not None:
                out[:, offset : offset + width] = (slope * way.double()).reshape(self.n, -1)
            offset += width
        for call in (c for c in self.calls if c is not None):
            slope = next(rest)
            if slope is None:
                continue
            by_place = (slope * call[1].double()).sum(dim=-1).reshape(self.n, -1)
            if isinstance(call[2], int):
                out[:, call[2] : call[2] + by_place.shape[1]] += by_place
            else:
                out += torch.einsum("np,npc->nc", by_place, call[2].double())
        return out

    def _at(self, alpha: Any) -> tuple[Any, list[Any]]:
        """The score (points · n,) at points of the lines, and what its gradients are taken for."""
        leaves: list[Any] = []

        def on_line(start: Any, way: Any) -> Any:
            share = alpha.to(way.dtype).reshape(*alpha.shape, *[1] * (way.dim() - 1))
            leaf = (start + share * way).reshape(-1, *way.shape[1:]).requires_grad_(torch.is_grad_enabled())
            leaves.append(leaf)
            return leaf

        if self.stem is not None:
            return self._through(self.stem, on_line(self.stem[1], self.stem[2])), leaves
        inputs = []
        for own, start, way, missing in zip(self.x, self.start, self.way, self.missing, strict=True):
            if way is None:
                inputs.append(own.repeat(len(alpha), *[1] * (own.dim() - 1)))
                continue
            leaf = on_line(start, way)
            holes = None if missing is None else missing.repeat(len(alpha), *[1] * (own.dim() - 1))
            inputs.append(leaf if holes is None else torch.where(holes, torch.full_like(leaf, float("nan")), leaf))
        vectors = [None if call is None else on_line(call[0], call[1]) for call in self.calls]
        target = self.target.repeat(len(alpha))
        if not self.lookups.layers:
            return self.net.score(inputs, target), leaves
        grad = torch.is_grad_enabled()
        found = self.lookups.answering(vectors, lambda: self.net.score(inputs, target))
        return (found if grad else found.detach()), leaves


def integrated_gradients(
    net: Net, x: list[Any], references: list[list[Any]], target: Any, *, steps: int = 50, max_steps: int = 1600
) -> Attributed:
    """Midpoints of the lines from each reference, averaged over the references; each reference is inputs of n rows.

    Where the net has a stem, the lines are walked as `paths` has it, at a fraction of the gradients. Else steps double, from `steps` to at most `max_steps`, for the rows whose sum misses by more than `MEDIAN_GAP`, until the median miss is below it
    and the 95th percentile below `TAIL_GAP`. (Gauss–Legendre gains nothing on nets with kinks.)
    """
    from audit.subject.flavors.paths import along  # both are made of this module's parts
    from audit.subject.flavors.stem import PROBED, THOROUGH, stem

    n, lookups = len(x[0]), Lookups(net, x)
    for probed in () if lookups.layers or len(x) > 1 else (PROBED, THOROUGH):
        found = stem(net, x[0], torch.cat([r[0][:1] for r in references]), probed)
        if found is None:
            break
        walked = along(net, found, x[0], [r[0] for r in references], target, steps=steps, max_steps=max_steps)
        if walked is not None:
            return walked
    explained = scored(net, x, target)
    values, base = np.zeros((n, sum(a[0].numel() for a in x))), np.zeros(n)
    pending, taken = np.arange(n), 0
    while len(pending) and steps <= max_steps:
        alpha = ((torch.arange(steps) + 0.5) / steps).unsqueeze(1)
        taken += steps * len(pending)
        for part in blocks(len(pending), values.shape[1] + lookups.width):
            some = pending[part]
            values[some], base[some] = 0.0, 0.0
            for reference in references:
                line = Line(net, lookups, [a[some] for a in x], [r[some] for r in reference], target[some])
                values[some] += line.moved(alpha.expand(-1, len(some))).numpy() / len(references)
                base[some] += line.base().numpy() / len(references)
        moved = np.abs(explained - base)
        gap = np.abs(values.sum(axis=1) + base - explained) / np.maximum(moved, FLOOR * np.median(moved) + 1e-9)
        if np.median(gap) <= MEDIAN_GAP and np.quantile(gap, 0.95) <= TAIL_GAP:
            break
        pending, steps = np.flatnonzero(gap > MEDIAN_GAP), steps * 2
    return Attributed(values, base, explained, taken / max(1, n))


def gradient_shap(net: Net, x: list[Any], references: list[list[Any]], target: Any, *, draws: int = 200, seed: int = 0) -> Attributed:
    """Expected gradients: random points on the lines from the references, `draws` for each row, averaged.

    Every reference gets as many draws as any other, up to one, and those of one line fall one into each of as many equal stretches (stratified
    sampling, Neyman 1934): the mean is that of draws from anywhere, and what is left of their error is only how the gradient turns within a
    stretch. Drawn freely, attributions of a hundred points miss what they should add up to by more than a twentieth on most nets.
    """
    n, lookups = len(x[0]), Lookups(net, x)
    random = torch.Generator().manual_seed(seed)
    values, base = np.zeros((n, sum(a[0].numel() for a in x))), np.zeros(n)
    each, rest = divmod(draws, len(references))
    for some in blocks(n, values.shape[1] + lookups.width):
        own, starts = [a[some] for a in x], [[r[some] for r in reference] for reference in references]
        rows = torch.arange(len(own[0]))
        for start in starts:
            line = Line(net, lookups, own, start, target[some])
            base[some] += line.base().numpy() / len(starts)
            if each:
                stretch = torch.arange(each)[:, None]
                alpha = (stretch + torch.rand(each, len(rows), generator=random)) / each
                values[some] += line.moved(alpha).numpy() * (each / draws)
        picks = torch.rand(len(references), len(rows), generator=random).argsort(dim=0)
        for pick in picks[:rest]:
            start = [torch.stack([s[k] for s in starts])[pick, rows] for k in range(len(x))]
            alpha = torch.rand(1, len(rows), generator=random)
            values[some] += Line(net, lookups, own, start, target[some]).moved(alpha).numpy() / draws
    return Attributed(values, base, scored(net, x, target))


def scored(net: Net, x: list[Any], target: Any) -> Array:
    """The score of all rows (n,)."""
    with torch.no_grad():
        parts = [net.score([a[some] for a in x], target[some]) for some in blocks(len(x[0]), sum(a[0].numel() for a in x))]
    found: Array = torch.cat(parts).numpy()
    return found


def blocks(n: int, width: int) -> list[slice]:
    """Rows that fit through the net together."""
    size = max(1, NUMBERS // max(1, width * 8))
    return [slice(i, min(n, i + size)) for i in range(0, n, size)]


def gradient_x_input(net: Net, x: list[Any], target: Any) -> Attributed:
    """The gradient times the input, 0 where a value is missing: what other explanations are set beside. It adds up to nothing in particular."""
    given = [a.detach().clone().requires_grad_(a.is_floating_point()) for a in x]
    with torch.enable_grad():
        score = net.score(given, target)
    at = [i for i, a in enumerate(given) if a.requires_grad]
    slopes = (
        dict(zip(at, torch.autograd.grad(score.sum(), [given[i] for i in at], allow_unused=True), strict=True))
        if score.requires_grad
        else {}
    )
    parts = [
        torch.zeros(len(a), a[0].numel()) if slopes.get(i) is None else torch.nan_to_num(slopes[i] * a.detach()).reshape(len(a), -1)
        for i, a in enumerate(given)
    ]
    explained = score.detach().numpy()
    return Attributed(torch.cat(parts, dim=1).double().numpy(), np.zeros_like(explained), explained)
