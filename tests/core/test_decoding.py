"""Pictures, events and sound as arrays: by hand, and what cannot be read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from audit.decoding import decode
from audit.errors import AuditError
from audit.features import FeatureSpec, Field, batch_rows

NAN = float("nan")


def spec(kind: Any, shape: tuple[int, ...], fields: tuple[Field, ...] = ()) -> FeatureSpec:
    return FeatureSpec(name="x", kind=kind, read="decoded", shape=shape, fields=fields)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_an_encoded_picture_is_channels_then_rows_then_columns() -> None:
    pixels = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    whole = png(pixels)
    found = decode(pa.array([whole, None, whole[: len(whole) // 2], b"no picture"], pa.binary()), spec("image", (3, 2, 3)))
    assert found[0].reshape(3, 2, 3)[1, 0, 2] == pixels[0, 2, 1]
    assert np.array_equal(found[0], pixels.transpose(2, 0, 1).reshape(-1).astype(np.float32))
    assert np.isnan(found[1:]).all(), "what is missing or cannot be read is not a black picture"
    grey = decode(pa.array([png(pixels[:, :, 0])], pa.binary()), spec("image", (1, 2, 3)))
    assert np.array_equal(grey[0], pixels[:, :, 0].reshape(-1).astype(np.float32))


def test_pictures_of_another_size_are_refused_and_not_stretched() -> None:
    with pytest.raises(AuditError, match="2 × 2 pixels, and the model takes 2 × 3"):
        decode(pa.array([png(np.zeros((2, 2)))], pa.binary()), spec("image", (1, 2, 3)))
    with pytest.raises(AuditError, match="5 numbers, and the model takes 1 × 2 × 3"):
        decode(pa.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5]]), spec("image", (1, 2, 3)))
    with pytest.raises(AuditError, match="expected encoded pictures"):
        decode(pa.array(["a"]), spec("image", (1, 2, 3)))


def test_lists_of_pixels_are_taken_as_they_are() -> None:
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(range(8), pa.uint8()), 4)
    assert decode(fixed, spec("image", (1, 2, 2))).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert np.isnan(decode(pa.array([None, [1, 2, 3, 4]]), spec("image", (1, 2, 2)))[0]).all()


def test_sound_is_cut_or_filled() -> None:
    found = decode(pa.array([[1.0, 2.0, 3.0], [4.0], [], None]).slice(0, 4), spec("audio", (2,)))
    assert np.array_equal(found, np.array([[1, 2], [4, NAN], [NAN, NAN], [NAN, NAN]], np.float32), equal_nan=True)


def test_events_are_the_latest_in_order_also_in_the_middle_of_a_table() -> None:
    fields = (Field(name="cost", kind="number"), Field(name="kind", kind="category", vocabulary=("a", "b")))
    rows = [
        [{"cost": 9.0, "kind": "a"}],
        [{"cost": 1.0, "kind": "a"}, {"cost": 2.0, "kind": "b"}, {"cost": None, "kind": "new"}],
        [],
        None,
        [{"cost": 5.0, "kind": None}],
    ]
    column = pa.array(rows).slice(1)
    found = decode(column, spec("sequence", (2, 2), fields)).reshape(4, 2, 2)
    expected = [[[2, 1], [NAN, -1]], [[NAN, NAN]] * 2, [[NAN, NAN]] * 2, [[5, -1], [NAN, NAN]]]
    assert np.array_equal(found, np.array(expected, np.float32), equal_nan=True)


def test_events_without_a_field_of_the_model_are_refused() -> None:
    with pytest.raises(AuditError, match="no field 'kind'"):
        decode(pa.array([[{"cost": 1.0}]]), spec("sequence", (2, 1), (Field(name="kind", kind="category"),)))
    with pytest.raises(AuditError, match="expected lists of records"):
        decode(pa.array([[1.0]]), spec("sequence", (2, 1), (Field(name="kind", kind="category"),)))


def test_wide_inputs_travel_in_small_batches_of_a_power_of_two() -> None:
    assert batch_rows([]) == 65_536
    assert batch_rows([spec("audio", (16,))]) == 65_536
    assert batch_rows([spec("image", (3, 32, 32))]) == 1024
    assert batch_rows([spec("image", (3, 1000, 1000))]) == 64
