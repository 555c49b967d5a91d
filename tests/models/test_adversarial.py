"""Rows moved against a net: never further than the ball, always against it, and a net trained so loses less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.adversarial import attacked
from models.config import load_preset
from models.loop import Around, Rows, deterministic, fit
from models.losses import build_loss
from models.nets.tabular import build
from models.settings import Adversarial, NetTraining

PLAIN = load_preset("tabular", {"learning_rate": 0.01, "weight_decay": 0.0, "patience": 100, "batch_size": 128}).training
assert isinstance(PLAIN, NetTraining)


def loss_of(y: torch.Tensor) -> nn.Module:
    return build_loss(PLAIN, y.numpy(), 2)


def linear(weights: list[float]) -> nn.Module:
    """Logits (0, w·x)."""
    net = nn.Linear(len(weights), 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.0] * len(weights), weights]))
    return net


def moved(net: nn.Module, x: torch.Tensor, y: torch.Tensor, seed: int = 0, **how: object) -> torch.Tensor:
    (out,) = attacked(net, [x], y, loss_of(y), Adversarial.model_validate(how), torch.Generator().manual_seed(seed))
    return out


def test_one_step_by_hand_and_the_other_rows_stay() -> None:
    """Of label 1 the logit w·x must fall, of label 0 it must rise: every number moves by epsilon against the sign of its weight."""
    x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]), torch.tensor([1, 0, 1, 0])
    out = moved(linear([2.0, -3.0]), x, y, method="fgsm", epsilon=0.5, share=0.5)
    assert out.tolist() == [[0.5, 2.5], [3.5, 3.5], [5.0, 6.0], [7.0, 8.0]]


def test_several_steps_end_in_the_same_corner_of_the_ball() -> None:
    x, y = torch.zeros(3, 2), torch.tensor([1, 0, 1])
    out = moved(linear([2.0, -3.0]), x, y, method="pgd", epsilon=0.5, steps=10, share=1.0)
    assert torch.allclose(out, torch.tensor([[-0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]]))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["fgsm", "pgd"]), st.floats(1e-3, 10), st.integers(1, 5), st.floats(0.05, 1), st.integers(1, 9), st.integers(0, 99))
def test_no_number_leaves_the_ball(method: str, epsilon: float, steps: int, share: float, rows: int, seed: int) -> None:
    stream = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x, y = torch.randn((rows, 4), generator=stream), torch.randint(0, 2, (rows,), generator=stream)
    out = moved(net, x, y, seed, method=method, epsilon=epsilon, steps=steps, share=share)
    assert float((out - x).abs().max()) <= epsilon * (1 + 1e-5) + 1e-6
    first = max(1, round(share * rows))
    assert torch.equal(out[first:], x[first:])


def test_tokens_and_what_is_missing_stay_and_the_net_is_as_before() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.table = nn.Embedding(9, 2), nn.Linear(3, 2)

        def forward(self, tokens: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return self.words(tokens).mean(1) + self.table(x.nan_to_num())

    net = Both().train()
    tokens, x = torch.randint(0, 9, (4, 5)), torch.randn(4, 3)
    x[0, 1] = float("nan")
    y = torch.tensor([0, 1, 0, 1])
    how = Adversarial(method="pgd", epsilon=0.1, steps=3, share=1.0)
    out_tokens, out = attacked(net, [tokens, x], y, loss_of(y), how, torch.Generator().manual_seed(0))
    assert torch.equal(out_tokens, tokens)
    assert torch.equal(out.isnan(), x.isnan())
    assert not torch.equal(out.nan_to_num(), x.nan_to_num())
    assert net.training
    assert all(p.grad is None for p in net.parameters())


def fragile(n: int, seed: int) -> Rows:
    """One column that is right 9 times of 10 and far from 0, twenty that are always nearly right and close to it (Tsipras et al. 2019)."""
    stream = np.random.default_rng(seed)
    sign = stream.choice([-1.0, 1.0], n)
    robust = np.where(stream.random(n) < 0.9, sign, -sign)[:, None]
    weak = 0.15 * sign[:, None] + 0.1 * stream.normal(size=(n, 20))
    return Rows((np.hstack([robust, weak]).astype(np.float32),), (sign > 0).astype(np.int64))


def trained(how: Adversarial | None) -> nn.Module:
    config = {"bins": 0, "hidden": [8], "scaling": "standard", "indicators": False}
    columns = [{"name": str(i), "kind": "number"} for i in range(21)]
    with deterministic(0, threads=1):
        net = build({"columns": columns, "classes": 2, "network": config})
        training = PLAIN.model_copy(update={"adversarial": how})
        fit(
            net, fragile(1500, 0), fragile(300, 1), settings=training, epochs=15, seed=0, device="cpu", classes=2,
            around=Around(lambda *_: None),
        )  # fmt: skip
    return net


def accuracy(net: nn.Module, epsilon: float) -> float:
    rows = fragile(1000, 2)
    x, y = torch.from_numpy(rows.x[0]), torch.from_numpy(rows.y)
    if epsilon:
        x = moved(net, x, y, method="pgd", epsilon=epsilon, steps=10, share=1.0)
    with torch.no_grad():
        return float((net(x).argmax(1) == y).float().mean())


def test_a_net_trained_against_moved_rows_loses_less_by_them() -> None:
    """The weak columns can all be turned by 0.4, the one robust column cannot: 0.9 is what is left to a net that relies on it."""
    plain, hardened = trained(None), trained(Adversarial(method="pgd", epsilon=0.4, steps=5, share=1.0))
    assert accuracy(plain, 0) > 0.97
    assert accuracy(plain, 0.4) < 0.5
    assert accuracy(hardened, 0.4) > 0.8
    lost_plain, lost_hardened = (accuracy(net, 0) - accuracy(net, 0.4) for net in (plain, hardened))
    assert lost_hardened < lost_plain / 3
    assert accuracy(hardened, 0) == pytest.approx(0.9, abs=0.06), "robustness costs the accuracy that the weak columns gave"
