"""Operations of a pass (methods.md EFF-01): published counts, counts worked by hand, and what nothing counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from audit.subject.flavors.operations import count


def pass_of(net: Any, *shape: int) -> Callable[[], Any]:
    """One pass of a net in evaluation over rows of noise."""
    x = torch.randn(shape)
    return lambda: net.eval()(x)


@pytest.mark.parametrize(
    ("run", "operations"),
    [
        (lambda: torch.mm(torch.ones(4, 5), torch.ones(5, 6)), 240),
        (lambda: torch.bmm(torch.ones(3, 4, 5), torch.ones(3, 5, 6)), 720),
        (pass_of(nn.Linear(9, 10), 8, 9), 1440),
        (pass_of(nn.Conv2d(1, 4, 3), 2, 1, 8, 8), 2 * 2 * 6 * 6 * 4 * 9),
        (pass_of(nn.Sequential(nn.Linear(9, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Softmax(dim=1)), 8, 9), 1440),
        # four gates of 16 from 8 inputs and 16 states, 5 steps of 2 sequences; three for the gated unit
        (pass_of(nn.LSTM(8, 16, batch_first=True), 2, 5, 8), 2 * 5 * 2 * (4 * 16) * (8 + 16)),
        (pass_of(nn.GRU(8, 16, batch_first=True), 2, 5, 8), 2 * 5 * 2 * (3 * 16) * (8 + 16)),
        # 10 tokens: into 48 and back from 16, up to 32 and down again; 4 heads of 5 × 5 over 8, twice
        (
            pass_of(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2, 5, 16),
            2 * 10 * (16 * 48 + 16 * 16 + 2 * 16 * 32) + 2 * 2 * 4 * 5 * 5 * 8,
        ),
    ],
)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_operations_as_published_and_by_hand(run: Callable[[], Any], operations: int, mode: Any) -> None:
    with mode():
        assert count(run) == (operations, [])


def test_five_operations_of_the_suite_of_torch() -> None:
    """The shapes of PyTorch's own test of its counter: 3012 operations in all."""
    a, b, c, d, rows = torch.ones(4, 5), torch.ones(5, 6), torch.ones(6, 7), torch.ones(7, 8), torch.ones(8, 9)
    linear = nn.Linear(9, 10)

    def run() -> None:
        torch.mm(a, b)
        torch.addmm(torch.ones(4, 6), a, b)
        torch.matmul(b, c)
        torch.einsum("ab,bc->ac", c, d)
        linear(rows)

    assert count(run) == (240 + 240 + 420 + 672 + 1440, [])


def test_what_nothing_counts_is_named() -> None:
    operations, unknown = count(lambda: torch.fft.rfft(torch.ones(2, 32)).abs() @ torch.ones(17, 3))
    assert operations == 2 * 2 * 17 * 3
    assert unknown == ["aten._fft_r2c"]
