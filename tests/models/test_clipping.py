"""Clipped gradients: every mode gives Opacus' own sums to 1e-5, and what is not a sum over single rows is found."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from models.clipping import MODES, Bound, disagreement, gradients, quiet, seconds, unsuited
from models.errors import TrainingError
from models.nets.cnn import build as build_cnn
from models.nets.tabular import build as build_tabular
from models.privacy import supported

N = 24
BOUND = 0.5


def tabular() -> tuple[nn.Module, Tensor]:
    columns = [{"name": str(i), "kind": "number"} for i in range(5)] + [{"name": "c", "kind": "category", "vocabulary": ["a", "b"]}]
    net = build_tabular({"columns": columns, "classes": 3, "network": {"bins": 4, "hidden": [8, 8], "dropout": 0.0}})
    return net, torch.cat([torch.randn(N, 5), torch.randint(0, 2, (N, 1)).float()], dim=1)


def pictures() -> tuple[nn.Module, Tensor]:
    """As private training has the net: its weights not channels last, which Opacus' formulas misread."""
    network = {"channels": [4, 6], "dense": 7, "dropout": 0.0}
    net = build_cnn({"columns": [{"shape": [1, 8, 8]}], "classes": 3, "network": network})
    x = torch.randn(N, 1, 8, 8)
    return supported(net, [x]), x


class Words(nn.Module):
    """Tokens with padding 0, places that share layers, a norm; the last weight is the first once more."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 12, padding_idx=0)
        self.inner = nn.Sequential(nn.Linear(12, 12), nn.LayerNorm(12), nn.Tanh())
        self.head = nn.Linear(12, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        inside = self.inner(self.inner(self.embedding(tokens)))
        return self.head(inside.mean(dim=1))


def words() -> tuple[nn.Module, Tensor]:
    return Words(), torch.randint(0, 40, (N, 6))


class Events(nn.Module):
    """A recurrent layer over sequences of different lengths, packed out of order."""

    def __init__(self, kind: type[nn.Module] = nn.GRU) -> None:
        super().__init__()
        self.recurrent = kind(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (~x[..., 0].isnan()).sum(dim=1).clamp(min=1).cpu()
        _, last = self.recurrent(pack_padded_sequence(x.nan_to_num(), lengths, batch_first=True, enforce_sorted=False))
        return self.head((last[0] if isinstance(last, tuple) else last)[-1])


def events() -> Tensor:
    x = torch.randn(N, 5, 4)
    for i in range(N):
        x[i, 1 + (3 * i) % 5 :] = torch.nan
    return x


def losses(net: nn.Module, x: Tensor) -> Callable[[slice], Tensor]:
    y = torch.arange(N) % 3
    return lambda rows: functional.cross_entropy(net(x[rows]), y[rows], reduction="none")


def one_by_one(net: nn.Module, x: Tensor, per_layer: bool) -> list[Tensor]:
    """The slow twin: a backward pass for each row, its gradient clipped, the sum."""
    loss, parameters = losses(net, x), [p for p in net.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]
    for i in range(N):
        row = torch.autograd.grad(loss(slice(i, i + 1)).sum(), parameters)
        whole = torch.cat([g.flatten() for g in row]).norm()
        for k, g in enumerate(row):
            factor = BOUND / math.sqrt(len(row)) / (g.norm() + 1e-6) if per_layer else BOUND / (whole + 1e-6)
            total[k] += g * min(1.0, float(factor))
    return total


@pytest.mark.parametrize("per_layer", [False, True], ids=["flat", "per_layer"])
@pytest.mark.parametrize("make", [tabular, pictures, words])
def test_every_mode_sums_what_single_rows_say(make: Callable[[], tuple[nn.Module, Tensor]], per_layer: bool) -> None:
    torch.manual_seed(0)
    net, x = make()
    net.train()
    expected = one_by_one(net, x, per_layer)
    right = []
    for mode in MODES:
        bound = Bound(BOUND, per_layer)
        if unsuited(net, mode, bound) or disagreement(net, mode, per_layer, losses(net, x), 6):
            continue
        right.append(mode)
        for ours, theirs in zip(gradients(net, mode, bound, lambda: losses(net, x)(slice(0, N))), expected, strict=True):
            assert float((ours - theirs).abs().max()) < 1e-5, mode
    # Opacus' ghost norms do not know `padding_idx` (padding would learn): they drop out for the words.
    wanted = {"bookkeeping", "functorch", "hooks"} if make is words else set(MODES) - ({"ghost"} if per_layer else set())
    assert set(right) == wanted


@pytest.mark.parametrize("per_layer", [False, True], ids=["flat", "per_layer"])
@pytest.mark.parametrize("make", [tabular, pictures])
def test_the_clipped_sum_is_that_of_opacus(make: Callable[[], tuple[nn.Module, Tensor]], per_layer: bool) -> None:
    """GradSampleModule and DPOptimizer, as Opacus' documentation has them, give the same to 1e-5."""
    torch.manual_seed(1)
    net, x = make()
    net.train()
    ours = gradients(net, "bookkeeping", Bound(BOUND, per_layer), lambda: losses(net, x)(slice(0, N)))
    wrapped = GradSampleModule(net, loss_reduction="sum")
    plain = torch.optim.SGD(wrapped.parameters(), lr=1.0)
    parts = len(list(net.parameters()))
    norm = [BOUND / math.sqrt(parts)] * parts if per_layer else BOUND
    kind = DPPerLayerOptimizer if per_layer else DPOptimizer
    optimizer = kind(plain, noise_multiplier=1.0, max_grad_norm=norm, expected_batch_size=N, loss_reduction="sum")
    with quiet():
        losses(wrapped, x)(slice(0, N)).sum().backward()
    optimizer.clip_and_accumulate()
    for parameter, gradient in zip(net.parameters(), ours, strict=True):
        assert float((parameter.summed_grad.view_as(gradient) - gradient).abs().max()) < 1e-5


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_become_those_of_opacus_and_packed_rows_keep_their_order(kind: type[nn.Module]) -> None:
    torch.manual_seed(2)
    net, x = Events(kind), events()
    fixed = supported(net, [x])
    assert fixed is not net
    expected = one_by_one(net, x, per_layer=False)
    names = [name for name, _ in net.named_parameters()]
    places = [names.index(name) for name, _ in fixed.named_parameters()]
    for mode in ("ghost", "hooks"):
        assert disagreement(fixed, mode, False, losses(fixed, x), 6) is None
        for place, ours in zip(places, gradients(fixed, mode, Bound(BOUND), lambda: losses(fixed, x)(slice(0, N))), strict=True):
            assert float((ours - expected[place]).abs().max()) < 1e-5, mode


class Mixing(nn.Module):
    """Rows are compared with the batch's mean, which no list of layers forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out - out.mean(dim=0)


class Borrowing(nn.Module):
    """A weight is used past its layer, where no hook sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.tanh(self.layer(x)), self.layer.weight)[:, :3]


@pytest.mark.parametrize("kind", [Mixing, Borrowing])
@pytest.mark.parametrize("mode", MODES)
def test_a_net_whose_rows_cannot_be_told_apart_is_found(kind: type[nn.Module], mode: str) -> None:
    torch.manual_seed(3)
    net, x = kind().train(), torch.randn(N, 5)
    assert supported(net, [x]) is net
    assert disagreement(net, mode, False, losses(net, x), 6) is not None
    assert not any(hasattr(p, "grad_sample") for p in net.parameters())


def test_layers_that_mix_rows_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))
    with pytest.raises(TrainingError, match=r"1 \(BatchNorm2d\).*group normalisation"):
        supported(net, [torch.randn(4, 1, 8, 8)])


def test_frozen_weights_get_no_gradient_and_dropout_does_not_hide_a_right_sum() -> None:
    torch.manual_seed(4)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    net[0].requires_grad_(False)
    x = torch.randn(N, 5)
    for mode in MODES:
        assert disagreement(net, mode, False, losses(net, x), 6) is None
        assert [g.shape for g in gradients(net, mode, Bound(BOUND), lambda: losses(net, x)(slice(0, N)))] == [(3, 8), (3,)]
    assert net[2].training
    assert seconds(net, "bookkeeping", Bound(BOUND), lambda: losses(net, x)(slice(0, N))) > 0
