"""Answers about mixed rows that are never made: a row with some of its columns, the others taken from background rows.

Where the first linear layer takes numbers of one column each (`stem`), what it gives for a mixed row is x_S W + b_notS W: the share of each column,
the row's own or the background row's. Shares of a background row are added up once for all rows, and only the rest of the net runs for each mix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from audit.subject.flavors.base import ContractError
from audit.subject.flavors.stem import Stem
from audit.subject.frame import Array

#: Numbers held at once: what the layer gives for a block of mixed rows, which a core keeps near; and the shares of columns in it.
NUMBERS, SHARES = 1 << 18, 1 << 22


def strays(stem: Stem, x: Any, background: Any) -> bool:
    """Whether the layer takes a number that no column is known to move, and that these rows (n, columns) and (b, columns) differ in."""
    both = torch.cat([stem.features(x), stem.features(background)])[:, stem.owner < 0]
    return bool((both != both[:1]).any())


def answers(stem: Stem, x: Any, background: Any, masks: Any) -> Array:
    """Outputs (n, m, b, k) of each of n rows (n, columns) with the columns that each mask (m, columns) keeps, the others those of each of b rows."""
    columns, width = stem.columns, stem.layer.out_features
    own, other, kept = stem.features(x), stem.features(background), masks.to(stem.layer.weight.dtype)
    if not (torch.isfinite(own).all() and torch.isfinite(other).all()):
        raise ContractError("a row or a background row leaves the first layer without a number")
    bias = torch.zeros(width) if stem.layer.bias is None else stem.layer.bias
    known = stem.owner >= 0
    bias = bias + own[:1, ~known] @ stem.layer.weight[:, ~known].T  # what no column moves is the same in all of them
    out: Array | None = None
    many, some = max(1, SHARES // (columns * width)), max(1, SHARES // (columns * width))
    for first in range(0, len(x), many):
        shares = _shares(stem, own[first : first + many])
        for begin in range(0, len(background), some):
            theirs = _shares(stem, other[begin : begin + some])
            count = len(theirs)
            flat = theirs.permute(1, 0, 2).reshape(columns, count * width)
            step = max(1, NUMBERS // (count * width))
            for start in range(0, len(masks), step):
                mask = kept[start : start + step]
                rest = ((1 - mask) @ flat).reshape(len(mask), count, width) + bias
                for i, share in enumerate(shares):
                    found = stem.behind((rest + (mask @ share)[:, None]).reshape(-1, width))
                    if out is None:
                        out = np.empty((len(x), len(masks), len(background), found.shape[1]))
                    out[first + i, start : start + step, begin : begin + some] = found.reshape(len(mask), count, -1).numpy()
    assert out is not None, "there are rows, masks and a background"
    return out


def _shares(stem: Stem, features: Any) -> Any:
    """What each column adds to what the layer gives, (n, columns, width), of what the layer takes (n, features)."""
    known = stem.owner >= 0
    weight = stem.layer.weight[:, known].T
    out = torch.zeros(len(features), stem.columns, weight.shape[1], dtype=weight.dtype)
    for row, own in zip(out, features[:, known], strict=True):
        row.index_add_(0, stem.owner[known], own[:, None] * weight)
    return out
