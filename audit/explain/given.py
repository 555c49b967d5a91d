"""Inputs of one row that are more than one value, as a person gives them and reads them: texts, pictures as PNG or JPEG, events as objects.

What is given comes from outside: its size is bounded before it is decoded, and one sentence says what is wrong with it. Recordings are read only.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit.errors import AuditError
from audit.subject.frame import Array, Categories
from audit.subject.words import pieces
from audit.text import message

if TYPE_CHECKING:
    from audit.features import FeatureSpec
    from audit.measurement import Message

#: The longest text in characters, the largest encoded picture in bytes and in pixels (a telephone's), and the most events.
MOST_TEXT, MOST_BYTES, MOST_PIXELS, MOST_EVENTS = 100_000, 6 << 20, 50_000_000, 10_000
#: Values of a field that are named where another was given.
NAMED = 20


class Given(NamedTuple):
    """A column of one row, and what was done to what was given."""

    column: Array | Categories
    notes: list[Message]


def column_of(spec: FeatureSpec, value: Any, brightest: float | None) -> Given:
    """What was given for a text, a picture or a sequence, as the model takes it; `brightest` as of `brightness`. AuditError where it cannot be."""
    if spec.kind == "text":
        return Given(_text(spec, value), [])
    if spec.kind == "audio":
        raise AuditError(
            f"the input {spec.name!r} is a recording, and none can be given here", "name a row of the data, and leave it as it is"
        )
    if value is None:
        return Given(np.full((1, math.prod(spec.shape)), np.nan, dtype=np.float32), [])
    return _picture(spec, value, brightest) if spec.kind == "image" else _events(spec, value)


def value_of(spec: FeatureSpec, column: Any, brightest: float | None) -> Any:
    """The same the other way: a text, a PNG in base64, a list of events; of a recording its length. None where it is missing."""
    if isinstance(column, Categories):
        return column.vocabulary[column.codes[0]] if column.codes[0] >= 0 else None
    if np.isnan(column[0]).all():
        return None
    if spec.kind == "audio":
        samples = int((~np.isnan(column[0])).sum())
        return f"{samples / spec.rate:.2f} s" if spec.rate else f"{samples}"
    return _png(spec, column[0], brightest) if spec.kind == "image" else _told(spec, column[0])


def brightness(pictures: Array) -> float | None:
    """What white is in these pictures (n, numbers): 255 or 1; None where they hold other numbers than brightness."""
    low, high = float(np.fmin.reduce(pictures, axis=None, initial=0.0)), float(np.fmax.reduce(pictures, axis=None, initial=0.0))
    return None if low < 0 or high > 255 else 255.0 if high > 1 else 1.0


def neutral(spec: FeatureSpec, pictures: Array, enough: int) -> str:
    """A picture that is nobody's, to begin from: the mean of the pictures where there are `enough`, else even grey."""
    known = ~np.isnan(pictures).any(axis=1, keepdims=True)
    white = brightness(pictures)
    grey = np.full(math.prod(spec.shape), 0.5 * (white or 255.0), dtype=np.float32)
    return _png(spec, pictures.mean(axis=0, where=known) if known.sum() >= enough else grey, white)


# --- texts and pictures ---------------------------------------------------------------------------------------------------------------------


def _text(spec: FeatureSpec, value: Any) -> Categories:
    if value is None:
        return Categories(np.array([-1], np.int32), ())
    if not isinstance(value, str):
        raise AuditError(
            f"the input {spec.name!r} is a text, got {type(value).__name__}", "give it in quotation marks, or null where it is not known"
        )
    if len(value) > MOST_TEXT:
        raise AuditError(f"the text of {spec.name!r} has {len(value):,} characters, and at most {MOST_TEXT:,} are taken", "shorten it")
    if not pieces(value):
        raise AuditError(f"the text of {spec.name!r} holds no word", "write one, or give null where it is not known")
    return Categories(np.array([0], np.int32), (value,))


def _picture(spec: FeatureSpec, value: Any, brightest: float | None) -> Given:
    """A PNG or JPEG in base64, decoded within bounds and brought to the size that the model takes."""
    from PIL import Image

    channels, height, width = spec.shape
    if channels not in (1, 3) or brightest is None:
        raise AuditError(
            f"the pictures of {spec.name!r} are no plain grey or coloured ones, so none can be given here", "name a row of the data"
        )
    wrong = f"the input {spec.name!r} is a picture"
    if not isinstance(value, str):
        raise AuditError(f"{wrong}, got {type(value).__name__}", "give a PNG or JPEG in base64, or null where there is none")
    if len(value) > MOST_BYTES * 4 // 3 + 4:
        raise AuditError(f"{wrong} of at most {MOST_BYTES >> 20} MiB, got more", "make it smaller")
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise AuditError(f"{wrong} in base64, and this is none", "encode the PNG or JPEG in base64") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
                size = picture.size
                if size[0] * size[1] <= MOST_PIXELS:
                    made = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        raise AuditError(f"{wrong}, and what was given cannot be read as PNG or JPEG", "save it again in one of these formats") from None
    if size[0] * size[1] > MOST_PIXELS:
        raise AuditError(f"{wrong} of at most {MOST_PIXELS:,} pixels, got {size[0]:,} × {size[1]:,}", "make it smaller")
    pixels = np.asarray(made, dtype=np.float32).reshape(height, width, channels).transpose(2, 0, 1).reshape(1, -1)
    notes = []
    if size != (width, height):
        notes.append(message(
            "The picture {name} has {across:count} × {down:count} pixels; the model takes {width:count} × {height:count}, and it was brought to that size.",
            name=spec.name, across=size[0], down=size[1], width=width, height=height,
        ))  # fmt: skip
    return Given(pixels * np.float32(brightest / 255), notes)


def _png(spec: FeatureSpec, numbers: Array, brightest: float | None) -> str:
    """A picture (channels · height · width,) as others see it; one of other numbers than brightness from its darkest to its brightest."""
    from PIL import Image

    known = np.nan_to_num(np.asarray(numbers, dtype=np.float64)).reshape(spec.shape)
    low, white = (0.0, brightest) if brightest else (float(known.min()), float(np.ptp(known)) or 1.0)
    pixels = np.clip(np.rint((known - low) / white * 255), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels.transpose(1, 2, 0) if spec.shape[0] == 3 else pixels.mean(axis=0).astype(np.uint8))
    out = io.BytesIO()
    picture.save(out, format="png")
    return base64.b64encode(out.getvalue()).decode()


# --- events ---------------------------------------------------------------------------------------------------------------------------------


def _events(spec: FeatureSpec, value: Any) -> Given:
    """Events in the order in which they happened, the latest where the model takes fewer."""
    steps, names = spec.shape[0], [field.name for field in spec.fields]
    if not isinstance(value, list) or not all(isinstance(event, dict) for event in value):
        raise AuditError(f"the input {spec.name!r} is a list of events, each an object", f"with the fields {', '.join(names[:40])}")
    if len(value) > MOST_EVENTS:
        raise AuditError(f"the input {spec.name!r} has {len(value):,} events, and at most {MOST_EVENTS:,} are taken", "give the latest")
    out = np.full((steps, len(names)), np.nan, dtype=np.float32)
    for place, event in enumerate(value[-steps:]):
        if set(event) != set(names):
            lacking = [n for n in names if n not in event] or [str(n)[:60] for n in event if n not in names]
            raise AuditError(f"the fields of an event of {spec.name!r} are {', '.join(names[:40])}; of one {lacking[0]!r} is not right", "give every field and no other; null where it is not known")  # fmt: skip
        for j, field in enumerate(spec.fields):
            out[place, j] = _coded(spec, field.name, field.vocabulary if field.kind == "category" else None, event[field.name])
    notes = []
    if len(value) > steps:
        notes.append(message(
            "Of {n:count} events in {name} the model takes the latest {steps:count}; the others were left out.", n=len(value), name=spec.name, steps=steps
        ))  # fmt: skip
    return Given(out.reshape(1, -1), notes)


def _coded(spec: FeatureSpec, field: str, vocabulary: tuple[str, ...] | None, value: Any) -> float:
    """One field as it travels: a number, NaN where unknown; or the place of a category, −1 where unknown."""
    wrong = f"{str(value)[:60]!r} is no value for the field {field!r} of {spec.name!r}"
    if vocabulary is not None:
        if value is not None and value not in vocabulary:
            raise AuditError(wrong, f"it is one of {', '.join(vocabulary[:NAMED])}, or null where it is not known")
        return -1.0 if value is None else float(vocabulary.index(value))
    if value is None:
        return math.nan
    try:
        number = float(value) if isinstance(value, bool | int | float) else math.nan
    except OverflowError:
        number = math.nan
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise AuditError(wrong, "it holds a number, or null where it is not known")
    return number


def _told(spec: FeatureSpec, numbers: Array) -> list[dict[str, Any]]:
    """The events of a row, up to the last step at which any field is known."""
    steps = numbers.reshape(spec.shape)
    known = np.flatnonzero(~np.isnan(steps).all(axis=1))
    return [
        {field.name: _read(field.vocabulary if field.kind == "category" else None, float(step[j])) for j, field in enumerate(spec.fields)}
        for step in (steps[: known[-1] + 1] if len(known) else steps[:0])
    ]


def _read(vocabulary: tuple[str, ...] | None, number: float) -> str | float | None:
    if vocabulary is None:
        return number if math.isfinite(number) else None
    return vocabulary[int(number)] if 0 <= number < len(vocabulary) else None
