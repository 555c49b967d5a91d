"""Integrated Gradients where the first linear layer takes numbers of one column each: against integrals by hand and a slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.subject.flavors import paths
from audit.subject.flavors.gradients import Attributed, Net, integrated_gradients
from audit.subject.flavors.stem import stem


class Encoded(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
    """Two amounts by logarithm and in bins, what is missing at 0 with a mark, and a code on lines between one-hot places; then a net with bends."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 + 2 + 6 + 4, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2))

    def forward(self, x: Any) -> Any:
        numbers, code = x[:, :2], x[:, 2:]
        missing = torch.isnan(numbers)
        filled = torch.where(missing, torch.zeros_like(numbers), numbers)
        bins = torch.clamp(filled.unsqueeze(2) - torch.tensor([-1.0, 0.0, 1.0]), 0, 1).flatten(1)
        places = torch.clamp(1 - (code - torch.arange(4.0)).abs(), min=0)
        return self.body(torch.cat([torch.asinh(filled), missing.float(), bins, places], dim=1))


class Crossed(Encoded):
    """A number of two columns goes into the first layer."""

    def forward(self, x: Any) -> Any:
        return super().forward(torch.stack([x[:, 0], x[:, 0] * x[:, 1], x[:, 2]], dim=1))


class Aside(Encoded):
    """A column is used behind the first layer as well."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) + x[:, :1]


def scene(kind: type[Encoded]) -> tuple[Any, Any, Any]:
    torch.manual_seed(4)
    module = kind().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.cat([2 * torch.randn(60, 2), torch.randint(4, (60, 1)).float()], dim=1)
    return module, x[:40], x[40:]


def midpoints(module: Any, x: Any, references: Any, steps: int) -> Any:
    """The integral the plain way: gradients at the raw columns, evenly along every line."""
    total = torch.zeros(x.shape, dtype=torch.float64)
    for reference in references:
        start = torch.where(torch.isnan(x) | torch.isnan(reference), x, reference)
        way = torch.where(torch.isnan(x), torch.zeros_like(x), x - start)
        share = (torch.arange(steps) + 0.5)[:, None, None] / steps
        points = (start + share * way).flatten(0, 1).requires_grad_()
        (slope,) = torch.autograd.grad(module(points)[:, 1].sum(), points)
        total += (torch.nan_to_num(slope).reshape(steps, *x.shape).double().mean(dim=0)) * way
    return total.numpy() / len(references)


def walked(module: Any, x: Any, references: Any) -> Attributed:
    found = stem(Net(module, [[2]]), x, references)
    assert found is not None
    target = torch.ones(len(x), dtype=torch.long)
    out = paths.along(found.net, found, x, [r.expand_as(x) for r in references], target, steps=50, max_steps=1600)
    assert out is not None
    return out


def test_one_bend_is_found_at_once() -> None:
    """max(x₁ + x₂ − 1, 0) from (0, 0) to (1.3, 0.9): the slope is 1 behind the bend and 0 before it, so each column is due its share of 1.2."""
    layer = nn.Linear(2, 1)
    layer.weight.data, layer.bias.data = torch.ones(1, 2), -torch.ones(1)
    x = torch.tensor([[1.3, 0.9]])
    found = walked(nn.Sequential(layer, nn.ReLU(), nn.Linear(1, 2)).eval().requires_grad_(False), x, torch.zeros(1, 2))
    assert found.values[0] == pytest.approx((found.explained - found.base)[0] * np.array([1.3, 0.9]) / 2.2, rel=2e-3)


def test_encoded_columns_get_what_the_plain_integral_gives_them() -> None:
    module, x, references = scene(Encoded)
    some = torch.where(torch.rand(x.shape) < 0.1, torch.nan, x)
    some[:, 2] = x[:, 2]
    found = walked(module, some, references[:3])
    expected = midpoints(module, some, references[:3], 1500)
    moved = np.abs(found.explained - found.base)
    assert np.sqrt(np.mean((found.values - expected) ** 2)) <= 0.003 * np.sqrt(np.mean(expected**2))
    assert np.median(np.abs(found.values.sum(axis=1) + found.base - found.explained) / moved) <= 0.001
    assert (found.values[torch.isnan(some).numpy()] == 0).all()


def test_few_gradients_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spaced steps take some 800 a line for these sums; their number is what the method costs."""
    module, x, references = scene(Encoded)
    asked: list[int] = []
    ask = paths._Lines._ask

    def counted(self: Any, line: Any, place: Any) -> None:
        asked.append(len(line))
        ask(self, line, place)

    monkeypatch.setattr(paths._Lines, "_ask", counted)
    walked(module, x, references[:5])
    assert sum(asked) / (len(x) * 5) < 100


@pytest.mark.parametrize("kind", [Crossed, Aside])
def test_nets_without_a_stem_are_walked_evenly(kind: type[Encoded]) -> None:
    module, x, references = scene(kind)
    net = Net(module, [[2]])
    assert stem(net, x, references) is None
    found = integrated_gradients(net, [x], [[references[:1].expand_as(x)]], torch.ones(len(x), dtype=torch.long))
    expected = midpoints(module, x, references[:1], 1000)
    assert np.sqrt(np.mean((found.values - expected) ** 2)) <= 0.01 * np.sqrt(np.mean(expected**2))


def test_a_number_that_nobody_was_seen_to_move_is_not_dropped() -> None:
    """The code stays the same in all rows and references that were tried, and moves in another."""
    module, x, references = scene(Encoded)
    same = x.clone()
    same[:, 2] = 1.0
    found = stem(Net(module, [[2]]), same, same)
    assert found is not None
    assert (
        paths.along(found.net, found, x, [references[:1].expand_as(x)], torch.ones(len(x), dtype=torch.long), steps=50, max_steps=100)
        is None
    )


def test_what_moves_by_rounding_alone_is_not_taken_for_a_move() -> None:
    """A value at the edge of a bin may step over it by the last digit at the end of its line, where nobody was seen to move that bin."""
    module, x, references = scene(Encoded)
    found = stem(Net(module, [[2]]), x, references)
    assert found is not None
    lines = paths._Lines(found, x, [references[:1].expand_as(x)], torch.ones(len(x), dtype=torch.long), 16)
    assert not lines.due()[1]
    found.owner[0] = -1
    assert lines.due()[1]  # it moves for good
    lines.features.all[:, 0] = 1e-7 * (torch.arange(len(lines.line)) % 2)
    assert not lines.due()[1]


def test_a_layer_that_takes_the_row_itself_is_worked_out_at_both_ends_only() -> None:
    """The same values and the same nodes as where it is asked at every node."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2)).eval()
    x, references = torch.randn(30, 5), [r.expand(30, 5) for r in torch.randn(3, 1, 5)]
    net, target = Net(module, [[]]), torch.ones(30, dtype=torch.long)
    found = stem(net, x, torch.cat([r[:1] for r in references]))
    assert found is not None
    assert found.plain
    straight = paths.along(net, found, x, references, target, steps=50, max_steps=1600)
    found.plain = False
    asked = paths.along(net, found, x, references, target, steps=50, max_steps=1600)
    assert straight is not None
    assert asked is not None
    assert straight.values == pytest.approx(asked.values, abs=1e-5 * np.abs(asked.values).max())
    assert straight.gradients == pytest.approx(asked.gradients, rel=0.02)
    gap = np.abs(straight.values.sum(axis=1) + straight.base - straight.explained) / np.abs(straight.explained - straight.base)
    assert np.median(gap) <= 0.001
    assert np.quantile(gap, 0.95) <= 0.01
