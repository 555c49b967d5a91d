"""Random changes of training rows: each against what it must be by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models import augment
from models.augment import augmented
from models.settings import Augment


def pictures(n: int, size: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.rand((n, channels, size, size), generator=torch.Generator().manual_seed(1)) * 255


def changed(x: torch.Tensor, seed: int = 0, **settings: object) -> torch.Tensor:
    (out,) = augmented([x], Augment.model_validate(settings), torch.Generator().manual_seed(seed))
    return out


def test_a_flip_gives_the_picture_or_its_mirror_image_and_both_come() -> None:
    x = pictures(64)
    out = changed(x, flip=True)
    same = (out == x).flatten(1).all(1)
    mirrored = (out == torch.from_numpy(np.fliplr(x.permute(2, 3, 0, 1).numpy()).copy()).permute(2, 3, 0, 1)).flatten(1).all(1)
    assert torch.equal(same, ~mirrored)
    assert 16 < int(same.sum()) < 48


@pytest.mark.parametrize(("drawn", "quarters"), [(0.5, 0), (0.75, 1), (1.0, 2), (0.25, 3)])
def test_quarter_turns_are_exact(drawn: float, quarters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of up to 180 degrees, the draw ¾ of [0, 1] is a turn by 90."""
    monkeypatch.setattr(augment, "_uniform", lambda shape, generator, like: torch.full(shape, drawn))
    x = pictures(2)
    out = changed(x, rotate=180)
    assert torch.allclose(out, torch.rot90(x, quarters, dims=(2, 3)), atol=1e-2)


def test_a_turn_stays_within_its_degrees() -> None:
    """A bright spot right of the middle moves up or down by at most the tangent of the angle."""
    x = torch.zeros(200, 1, 41, 41)
    x[:, :, 20, 40] = 1.0
    turned = changed(x, rotate=15)
    mass = turned.sum((1, 3))
    height = (mass * (torch.arange(41) - 20.0)).sum(1) / mass.sum(1).clamp(min=1e-6)
    seen = height[mass.sum(1) > 0.1]
    limit = 20 * np.sin(np.radians(15)) + 1
    assert 2 < float(seen.abs().max()) <= limit
    assert float(seen.min()) < 0 < float(seen.max())


def test_a_crop_is_a_window_of_the_padded_picture_the_same_for_every_channel() -> None:
    x = pictures(40)
    out = changed(x, crop=2)
    padded = functional.pad(x, [2] * 4)
    windows = torch.stack([padded[:, :, i : i + 6, j : j + 6] for i in range(5) for j in range(5)])
    hit = (windows == out).flatten(2).all(2)
    assert torch.equal(hit.sum(0), torch.ones(40, dtype=torch.long))
    assert len(hit.float().argmax(0).unique()) > 10


def test_noise_has_its_deviation_and_leaves_what_is_missing() -> None:
    x = pictures(100)
    x[0] = float("nan")
    out = changed(x, noise=3.0)
    added = (out - x)[1:]
    assert float(added.mean()) == pytest.approx(0, abs=0.1)
    assert float(added.std()) == pytest.approx(3.0, rel=0.05)
    assert bool(out[0].isnan().all())


def test_dropped_tokens_become_padding_at_the_given_share() -> None:
    tokens = torch.randint(5, 50, (200, 20), generator=torch.Generator().manual_seed(2))
    out = changed(tokens, drop_tokens=0.25)
    assert bool(((out == tokens) | (out == 0)).all())
    assert float((out == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_the_generator_alone_decides_and_nothing_changes_where_all_is_off() -> None:
    x = pictures(8)
    every = {"flip": True, "rotate": 20, "crop": 1, "noise": 1.0}
    assert torch.equal(changed(x, 3, **every), changed(x, 3, **every))
    assert not torch.equal(changed(x, 3, **every), changed(x, 4, **every))
    assert torch.equal(changed(x), x)
    kept = x.clone()
    changed(x, **every)
    assert torch.equal(x, kept), "the rows themselves are left as they are"
