"""Answers about mixed rows that were never made, against a slow twin that makes each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_paths import Aside, Encoded, scene
from torch import nn

from audit.subject.flavors import mixed
from audit.subject.flavors.base import ContractError
from audit.subject.flavors.gradients import Net
from audit.subject.flavors.stem import Stem, stem
from audit.subject.flavors.unflattened import unflattened


def twin(module: Any, x: Any, background: Any, masks: Any) -> Any:
    """Every mixed row made, one by one, and asked about in double precision."""
    double, rows = module.double(), []
    for row in x:
        for mask in masks:
            rows += [torch.where(mask, row, other) for other in background]
    with torch.no_grad():
        found = double(torch.stack(rows).double()).reshape(len(x), len(masks), len(background), -1).numpy()
    module.float()
    return found


def exported(module: Any, x: Any) -> Any:
    return unflattened(torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n")},)))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Blocks of 50 mixed rows and of two rows at most, and how many rows each went through the net."""
    monkeypatch.setattr(mixed, "NUMBERS", 50 * 12)
    monkeypatch.setattr(mixed, "SHARES", 2 * 3 * 12)
    asked: list[int] = []
    behind = Stem.behind

    def counted(self: Stem, answers: Any) -> Any:
        asked.append(len(answers))
        return behind(self, answers)

    monkeypatch.setattr(Stem, "behind", counted)
    return asked


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.export's own making
@pytest.mark.parametrize("graph", [False, True])
def test_mixed_rows_are_answered_as_if_they_were_made(graph: bool, small: list[int]) -> None:
    """Bins, marks of missing values and one-hot codes before the layer; blocks of a size that cuts rows, masks and background."""
    module, x, background = scene(Encoded)
    x[::3, 0], background[1, 1] = torch.nan, torch.nan
    masks = torch.rand(31, 3) < 0.5
    found = stem(Net(exported(module, x) if graph else module, [[2]]), x, background)
    assert found is not None
    small.clear()
    with torch.no_grad():
        told = mixed.answers(found, x, background, masks)
    expected = twin(module, x, background, masks)
    assert np.abs(told - expected).max() <= 1e-6 * np.ptp(expected)
    assert sum(small) == len(x) * len(masks) * len(background)
    assert max(small) <= 50


def test_the_layer_may_take_the_rows_themselves() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(5, 8, bias=False), nn.Tanh(), nn.Linear(8, 3)).eval()
    x, background, masks = torch.randn(9, 5), torch.randn(4, 5), torch.rand(16, 5) < 0.5
    found = stem(Net(module, [[]]), x, background)
    assert found is not None
    with torch.no_grad():
        told = mixed.answers(found, x, background, masks)
    expected = twin(module, x, background, masks)
    assert np.abs(told - expected).max() <= 1e-6 * np.ptp(expected)
    with pytest.raises(ContractError, match="without a number"):
        mixed.answers(found, torch.full((1, 5), torch.nan), background, masks)


def test_what_nobody_was_seen_to_move_is_noticed() -> None:
    module, x, background = scene(Encoded)
    same, other = x.clone(), background.clone()
    same[:, 2], other[:, 2] = 1.0, 1.0
    found = stem(Net(module, [[2]]), same, other)
    assert found is not None
    assert not mixed.strays(found, same, other)
    assert mixed.strays(found, x, background)
    with torch.no_grad():  # what is the same in all of them is not lost
        told = mixed.answers(found, same, other, torch.ones(1, 3, dtype=torch.bool))
        assert told[:, 0, 0] == pytest.approx(module(same).double().numpy(), abs=1e-5)


def test_a_row_that_is_used_elsewhere_as_well_has_no_stem() -> None:
    module, x, background = scene(Aside)
    assert stem(Net(module, [[2]]), x, background) is None
