"""Random changes of training rows, drawn anew in every epoch from a generator of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from models.settings import Augment

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def augmented(inputs: list[Tensor], settings: Augment, generator: torch.Generator) -> list[Tensor]:
    """The inputs of one batch, changed: pictures (n, c, h, w), tokens (n, length) int64, sound (n, samples) and tables of numbers
    (n, columns)."""
    out = []
    for x in inputs:
        if x.ndim == 4:
            x = _picture(x, settings, generator)
        elif x.dtype.is_floating_point and x.ndim == 2 and settings.noise:
            x = _noisy(x, settings.noise, generator)
        elif not x.dtype.is_floating_point and settings.drop_tokens:
            x = x.masked_fill(_uniform(x.shape, generator, x) < settings.drop_tokens, 0)
        out.append(x)
    return out


def _picture(x: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    import torch
    from torch.nn import functional

    n, _, height, width = x.shape
    if settings.flip:
        x = torch.where((_uniform((n,), generator, x) < 0.5).view(n, 1, 1, 1), x.flip(3), x)
    if settings.rotate:
        angle = (_uniform((n,), generator, x) * 2 - 1) * math.radians(settings.rotate)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        turn = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        x = functional.grid_sample(x, functional.affine_grid(turn, list(x.shape), align_corners=False), align_corners=False)
    if settings.crop:
        by = torch.randint(0, 2 * settings.crop + 1, (n, 2), generator=generator).to(x.device)
        padded = functional.pad(x, [settings.crop] * 4)
        rows = (by[:, :1] + torch.arange(height, device=x.device)).view(n, 1, height, 1)
        columns = (by[:, 1:] + torch.arange(width, device=x.device)).view(n, 1, 1, width)
        x = padded[
            torch.arange(n, device=x.device).view(n, 1, 1, 1), torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1), rows, columns
        ]
    return _noisy(x, settings.noise, generator) if settings.noise else x


def _noisy(x: Tensor, size: float, generator: torch.Generator) -> Tensor:
    import torch

    return x + size * torch.randn(x.shape, generator=generator).to(x.device)


def _uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Drawn on the CPU, so that a GPU sees the same changes."""
    import torch

    return torch.rand(shape, generator=generator).to(like.device)
