"""Pictures, recordings and sequences made worse at five severities; severity 0 is the row itself, bit for bit.

The amounts for pictures are those of CIFAR-10-C (Hendrycks and Dietterich 2019), the blur in proportion to the picture's side.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.features import FeatureSpec
    from audit.stress.pictures import Bounds

    Floats = NDArray[np.float32]

Kind = Literal["noise", "blur", "jpeg", "contrast"]
SEVERITIES = (1, 2, 3, 4, 5)
#: Noise in shares of the range, blur in pixels of a picture of 32, JPEG's quality, and the share of the contrast that is left.
AMOUNTS: dict[Kind, tuple[float, ...]] = {
    "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
    "jpeg": (80, 65, 58, 50, 40),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
}
SIDE = 32
#: Noise on recordings and on the numbers of sequences, in standard deviations: as for the numbers of tables.
DEVIATIONS = (0.1, 0.25, 0.5, 0.75, 1.0)


def kinds(spec: FeatureSpec) -> tuple[Kind, ...]:
    """What can be done to such an input; a sequence without numbers bears no noise."""
    if spec.kind == "image":
        return tuple(AMOUNTS)
    return ("noise",) if spec.kind == "audio" or any(f.kind == "number" for f in spec.fields) else ()


def corrupted(x: Floats, spec: FeatureSpec, kind: Kind, severity: int, bounds: Bounds | None, rng: Generator) -> Floats:
    """Rows like x (n, d) at a severity from 0 to 5; what is missing stays missing. `bounds` are those of a picture's pixels."""
    if severity == 0:
        return x
    if spec.kind != "image":
        return _noisy(x, spec, DEVIATIONS[severity - 1], rng)
    assert bounds is not None, "the ends of a pixel are known"
    amount = AMOUNTS[kind][severity - 1]
    unit = ((x.astype(np.float64) - bounds.low) / bounds.width).reshape(-1, *spec.shape)
    if kind == "noise":
        out = unit + amount * rng.standard_normal(unit.shape)
    elif kind == "blur":
        from scipy.ndimage import gaussian_filter

        out = gaussian_filter(unit, sigma=(0, 0, *(amount * side / SIDE for side in spec.shape[1:])))
    elif kind == "contrast":
        mean = unit.mean(axis=(2, 3), keepdims=True)
        out = mean + amount * (unit - mean)
    else:
        out = np.stack([_jpeg(picture, int(amount)) if np.isfinite(picture).all() else picture for picture in unit])
    return np.asarray(bounds.low + bounds.width * np.clip(out, 0, 1), dtype=np.float32).reshape(x.shape)


def _jpeg(picture: NDArray[np.float64], quality: int) -> NDArray[np.float64]:
    """One picture (channels, height, width) in [0, 1] through JPEG; channels that are not three go one by one."""
    from PIL import Image

    whole = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    planes = [whole.transpose(1, 2, 0)] if len(whole) == 3 else list(whole)
    out = []
    for plane in planes:
        file = io.BytesIO()
        Image.fromarray(plane).save(file, format="jpeg", quality=quality)
        with Image.open(file) as read:
            out.append(np.asarray(read, dtype=np.float64) / 255)
    return out[0].transpose(2, 0, 1) if len(whole) == 3 else np.stack(out)


def _noisy(x: Floats, spec: FeatureSpec, deviations: float, rng: Generator) -> Floats:
    """Noise on a recording by its own standard deviation, on a sequence by that of each of its fields of numbers over all rows."""
    draws = rng.standard_normal(x.shape)
    if spec.kind == "audio":
        spread = np.nanstd(np.where(np.isfinite(x).any(axis=1, keepdims=True), x, 0.0), axis=1, keepdims=True)
    else:
        steps = x.reshape(-1, *spec.shape)
        numeric = np.array([f.kind == "number" for f in spec.fields]) & np.isfinite(steps).any(axis=(0, 1))
        own = np.zeros(len(spec.fields))
        own[numeric] = np.nanstd(steps[:, :, numeric], axis=(0, 1))
        spread = np.tile(own, spec.shape[0])
    return np.asarray(x + deviations * spread * draws, dtype=np.float32)
