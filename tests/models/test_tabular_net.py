"""The net over raw columns: missing values, categories, and what attributions need of it."""

from __future__ import annotations

import pytest
import torch

from models.nets.tabular import Numbers, OneHot, build

COLUMNS = [
    {"name": "income", "kind": "number"},
    {"name": "kind", "kind": "category", "vocabulary": ["1", "2", "3"]},
    {"name": "debt", "kind": "number"},
]
CONFIG = {"columns": COLUMNS, "classes": 2, "network": {"bins": 4, "hidden": [8], "dropout": 0.5}}


def rows(n: int = 64) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=stream) * torch.tensor([1000.0, 1.0, 5.0])
    x[:, 1] = torch.randint(-1, 3, (n,), generator=stream)
    x[::7, 0] = torch.nan
    return x


@pytest.fixture
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    net = build(CONFIG)
    net.fit(rows())
    return net.eval()


def test_logits_have_a_column_for_each_class_and_are_finite(net: torch.nn.Module) -> None:
    x = torch.full((2, 3), torch.nan)
    assert net(rows()).shape == (64, 2)
    assert net(x).isfinite().all()


def test_a_category_is_one_hot_and_zeros_where_unknown() -> None:
    codes = torch.tensor([0.0, 2.0, -1.0, torch.nan])
    assert OneHot(3)(codes).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_numbers_by_hand() -> None:
    """Known values 0, 1, 2, 3, 4: median 2, interquartile range 2; two bins, 0 to 2 and 2 to 4; the second column never misses."""
    layer = Numbers(2, bins=2)
    layer.fit(torch.tensor([[0.0, 0.0], [1, 0], [2, 1], [3, 1], [4, 1], [torch.nan, 1]]))
    out = layer(torch.tensor([[3.0, 1.0], [torch.nan, torch.nan]]))
    asinh_half = 0.48121183
    assert out[0].tolist() == pytest.approx([asinh_half, 0, 0, 0, 1, 0.5, 1, 0])
    # Missing is filled with the median; its indicator speaks only in the column that missed values in training.
    assert out[1].tolist() == pytest.approx([0, 0, 1, 0, 1, 0, 1, 0])


def test_a_constant_or_empty_column_does_no_harm() -> None:
    layer = Numbers(2, bins=3)
    layer.fit(torch.tensor([[7.0, torch.nan], [7.0, torch.nan]]))
    assert layer(torch.tensor([[7.0, 1.0], [1e30, torch.nan]])).isfinite().all()


def test_integrated_gradients_are_complete_over_numbers_and_categories(net: torch.nn.Module) -> None:
    """The lines between codes are there for this: attributions of raw columns sum to f(x) - f(baseline)."""
    x = rows()
    x[:, 0] = x[:, 0].nan_to_num(50.0)
    baseline = torch.tensor([[0.0, 0.0, 0.0]]).expand_as(x)
    steps = (torch.arange(2000) + 0.5) / 2000
    total = torch.zeros_like(x)
    for step in steps:
        point = (baseline + step * (x - baseline)).requires_grad_()
        total += torch.autograd.grad(net(point)[:, 1].sum(), point)[0]
    attributions = total / len(steps) * (x - baseline)
    with torch.no_grad():
        gap = (net(x) - net(baseline))[:, 1] - attributions.sum(dim=1)
    assert gap.abs().max() < 0.02
    assert attributions[x[:, 1] > 0][:, 1].abs().min() > 0


def test_every_activation_is_a_module_used_once(net: torch.nn.Module) -> None:
    assert sum(isinstance(module, torch.nn.ReLU) for module in net.modules()) == len(CONFIG["network"]["hidden"])


def test_it_is_rebuilt_from_its_configuration_and_state(net: torch.nn.Module) -> None:
    again = build(CONFIG)
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.eval()(rows()), net(rows()))
