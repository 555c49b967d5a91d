"""The layers of variants by hand: removed correlation, cut-offs by group, a mixture, weights in 8 bits; and all of them exported."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.nets import decorrelated, mixture, quantized, thresholds
from models.nets.decorrelated import Remover
from models.nets.inner import Features, build_inner
from models.nets.quantized import Weight8

COLUMNS = [{"name": "x", "kind": "number"}, {"name": "z", "kind": "number"}]
#: z = (0, x) for the positive label in place 1: scaling is off until it is fitted, and the bins are none.
INNER = {
    "name": "tabular",
    "config": {"columns": COLUMNS, "classes": 2, "network": {"scaling": "standard", "bins": 0, "indicators": False, "hidden": []}},
}


def built(architecture: Any, network: dict[str, Any]) -> nn.Module:
    net: nn.Module = architecture.build({"columns": COLUMNS, "classes": 2, "network": network, "inner": INNER}).eval()
    return net


def set_to(parameter: Tensor, values: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def test_correlation_is_removed_as_in_the_worked_example() -> None:
    """methods.md FAIR-12: A = (0, 1, 0, 1), means by group (2, 3.5) and (3, 1.5), so the slopes are the differences (1, -2)."""
    remover = Remover(2, 2)
    set_to(remover.shares, [0.5, 0.5])
    set_to(remover.slopes, [[-0.5, 1.0], [0.5, -1.0]])
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0], [4.0, 2.0]])
    found = remover(x, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert found.tolist() == [[1.5, 1.0], [1.5, 2.0], [3.5, 4.0], [3.5, 3.0]]
    assert remover(x, torch.tensor([-1.0, torch.nan, -1.0, -1.0])).tolist() == x.tolist()


def test_cut_offs_by_hand() -> None:
    net = built(thresholds, {"own": 2, "at": 2, "groups": 2, "positive": 1})
    set_to(net.inner.body[0].weight, [[0.0, 0.0], [1.0, 0.0]])
    set_to(net.inner.body[0].bias, [0.0, 0.0])
    set_to(net.cuts, [[0.0, 2.0], [1.0, 1.0], [5.0, 5.0]])
    set_to(net.signs, [[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    set_to(net.shares, [[0.25, 0.75], [1.0, 0.0], [1.0, 0.0]])
    set_to(net.ignore, [0.5, 0.0, 0.0])
    set_to(net.constant, [1.0, 0.0, 0.0])
    x = torch.tensor([[1.0, 0, 0], [3.0, 0, 0], [-1.0, 0, 0], [0.0, 0, 1], [2.0, 0, 1], [6.0, 0, -1], [1.0, 0, torch.nan]])
    # group 0: half the time yes, else 1/4 above 0 and 3/4 more above 2; group 1: yes below 1; unknown: yes above 5.
    assert net(x)[:, 1].tolist() == [0.625, 1.0, 0.5, 1.0, 0.0, 1.0, 0.0]
    assert net(x).sum(dim=1).tolist() == [1.0] * 7


def test_a_mixture_by_hand() -> None:
    """Three heads with shares .5, .3, .2 on the features (x, z); the positive label is in place 0."""
    net = built(mixture, {"last": "body.0", "heads": 3, "positive": 0})
    set_to(net.heads.weight, [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    set_to(net.heads.bias, [0.0, 0.0, -1.0])
    set_to(net.shares, [0.5, 0.3, 0.2])
    found = net(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-2.0, 1.0], [-0.5, -1.0]]))[:, 0]
    assert found.tolist() == pytest.approx([0.8, 0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    ("architecture", "network"),
    [(mixture, {"last": "body.0", "heads": 3, "positive": 0}), (thresholds, {"own": 2, "at": 2, "groups": 2, "positive": 1})],
)
def test_steps_have_a_gradient_and_it_is_0(architecture: Any, network: dict[str, Any]) -> None:
    x = torch.tensor([[1.0, 1.0, 0.0]])[:, : 3 if "at" in network else 2].requires_grad_()
    net = built(architecture, network)
    net(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() == 0


def test_features_skip_what_a_net_puts_before_its_last_outputs() -> None:
    inner = {"name": "tabular", "config": INNER["config"] | {"network": INNER["config"]["network"] | {"one_output": True, "hidden": [3]}}}
    net = build_inner({"inner": inner}).eval()
    x = torch.randn(5, 2)
    hidden = net.body[:-1](net.features(x))
    assert torch.equal(Features(net, "body.3")(x), hidden)


def test_only_architectures_of_this_package_are_built() -> None:
    with pytest.raises(ValueError, match="no architecture 'os'"):
        build_inner({"inner": {"name": "os", "config": {}}})


def test_weights_in_8_bits_by_hand() -> None:
    weight = Weight8(torch.Size([3, 2]))
    weight.store(torch.tensor([[1.27, -0.5], [0.0, 0.0], [-2.54, 0.03]]))
    assert weight.whole.dtype == torch.int8
    assert weight.whole.tolist() == [[127, -50], [0, 0], [-127, 2]]  # 0.03 / 0.02 = 1.5 rounds to the even neighbour
    assert weight.scale.flatten().tolist() == pytest.approx([0.01, 0.0, 0.02])
    assert weight().flatten().tolist() == pytest.approx([1.27, -0.5, 0.0, 0.0, -2.54, 0.04])


class Everything(nn.Module):
    """One layer of each kind that is stored in 8 bits, and a subclass that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.sound = nn.Conv1d(6, 4, 3, padding=1, stride=2)
        self.picture = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.other = nn.MultiheadAttention(4, 1, batch_first=True)
        self.last = nn.Linear(4, 2)

    def forward(self, places: Tensor) -> Tensor:
        x = self.sound(self.embedding(places).transpose(1, 2))
        x = self.picture(x.unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        return self.last(self.other(x, x, x, need_weights=False)[0].mean(dim=1))


def test_every_kind_of_layer_in_8_bits_is_near_the_net_it_came_from() -> None:
    torch.manual_seed(0)
    net = Everything().eval()
    layers = quantized.layers_of(net)
    assert layers == ["embedding", "sound", "picture", "last"]
    places = torch.randint(0, 7, (16, 8))
    with torch.inference_mode():
        before = net(places)
        for name in layers:
            layer = net.get_submodule(name)
            small = quantized.KINDS[type(layer)](layer)
            small.stored.store(layer.weight)
            assert (small.weight - layer.weight).abs().max() <= small.stored.scale.max() / 2 + 1e-7
            net.set_submodule(name, small)
        after = net(places)
    assert 0 < (after - before).abs().max() < 0.02 * before.abs().max()


@pytest.mark.parametrize(
    ("architecture", "network"),
    [
        (mixture, {"last": "body.0", "heads": 3, "positive": 1}),
        (thresholds, {"own": 2, "at": 2, "groups": 2, "positive": 1}),
        (decorrelated, {"last": "body.0", "own": 2, "at": 2, "groups": 2}),
        (quantized, {"layers": ["body.0"]}),
    ],
)
def test_the_graph_gives_what_the_net_gives_for_any_number_of_rows(architecture: Any, network: dict[str, Any]) -> None:
    torch.manual_seed(1)
    net = built(architecture, network)
    x = torch.cat([torch.randn(50, 2), torch.randint(-1, 2, (50, 1)).float()], dim=1)[:, : 3 if "at" in network else 2]
    program = torch.export.export(net, (x[:4],), dynamic_shapes=[{0: torch.export.Dim("rows")}]).module()
    with torch.inference_mode():
        assert torch.equal(program(x), net(x))
        assert torch.equal(program(x[:1]), net(x[:1]))
