"""What a row holds beside single values, as arrays for a model: images, sequences of events and sound, one flat row of numbers each.

Values stay as they are stored (pixels 0 to 255, sound as recorded): scaling is the model's. What is missing, unreadable or beyond the end is NaN.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from audit.features import FeatureSpec

#: A picture of more pixels than this is no input of a classifier, but may be an attack on the reader.
MAX_PIXELS = 64_000_000


def decode(column: pyarrow.Array, spec: FeatureSpec) -> NDArray[np.float32]:
    """(n, d) with d the product of the shape; AuditError where the column cannot be what the model takes."""
    import pyarrow as pa

    if spec.kind == "image" and (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return _pictures(column, spec)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        expected = "encoded pictures, or lists of numbers" if spec.kind == "image" else "lists"
        raise AuditError(
            f"the {spec.kind} column {spec.name!r} holds {column.type}, expected {expected}", "convert the data to such a column"
        )
    if pa.types.is_fixed_size_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    return _events(column, spec) if spec.kind == "sequence" else _lists(column, spec)


def _pictures(column: pyarrow.Array, spec: FeatureSpec) -> NDArray[np.float32]:
    """Encoded pictures as (channels, height, width), flattened."""
    import numpy as np
    from PIL import Image

    channels, height, width = spec.shape
    out = np.full((len(column), channels * height * width), np.nan, dtype=np.float32)
    for i, value in enumerate(column.to_pylist()):
        if value is None:
            continue
        try:
            with Image.open(io.BytesIO(value)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    continue
                size = (picture.height, picture.width)
                pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), dtype=np.float32) if size == (height, width) else None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        if pixels is None:
            raise AuditError(
                f"a picture in {spec.name!r} has {size[0]} × {size[1]} pixels, and the model takes {height} × {width}",
                "resize the pictures first",
            )
        out[i] = pixels.reshape(height, width, channels).transpose(2, 0, 1).reshape(-1)
    return out


def _lists(column: pyarrow.Array, spec: FeatureSpec) -> NDArray[np.float32]:
    """Lists of numbers: of an image exactly as long as its shape, of sound cut at the end or filled with NaN."""
    import numpy as np

    length = int(np.prod(spec.shape))
    start, end = _borders(column)
    wrong = (end - start != length) & (end > start)
    if spec.kind == "image" and wrong.any():
        got = int((end - start)[wrong][0])
        raise AuditError(
            f"a picture in {spec.name!r} has {got} numbers, and the model takes {' × '.join(map(str, spec.shape))}",
            "resize the pictures first",
        )
    numbers = column.values.to_numpy(zero_copy_only=False).astype(np.float32)
    return _placed(numbers[:, None], start, end, length)


def _events(column: pyarrow.Array, spec: FeatureSpec) -> NDArray[np.float32]:
    """Lists of records: the latest `steps` events of each row, in order from the first place on; (steps, fields), flattened."""
    import numpy as np
    import pyarrow as pa

    steps, fields = column.values, spec.fields
    if not pa.types.is_struct(steps.type):
        raise AuditError(f"the sequence column {spec.name!r} holds lists of {steps.type}, expected lists of records", "convert the data")
    lacking = [f.name for f in fields if steps.type.get_field_index(f.name) < 0]
    if lacking:
        raise AuditError(
            f"the events in {spec.name!r} have no field {lacking[0]!r}", "give the events with every field that the model takes"
        )
    coded = np.empty((len(steps), len(fields)), dtype=np.float32)
    for j, field in enumerate(fields):
        coded[:, j] = _coded(steps.field(field.name), field.vocabulary) if field.kind == "category" else _numbers(steps.field(field.name))
    start, end = _borders(column)
    return _placed(coded, np.maximum(start, end - spec.shape[0]), end, spec.shape[0])


def _placed(values: NDArray[np.float32], start: NDArray[np.int64], end: NDArray[np.int64], length: int) -> NDArray[np.float32]:
    """(rows, length · width): of `values` (all, width) those from start to end, at most `length`; NaN after the end."""
    import numpy as np

    index = start[:, None] + np.arange(length)
    inside = index < end[:, None]
    out = np.full((len(start), length, values.shape[1]), np.nan, dtype=np.float32)
    out[inside] = values[index[inside]]
    return out.reshape(len(start), -1)


def _borders(column: pyarrow.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First place of each row among the column's values, and the place after its last; a missing list has none."""
    import numpy as np

    offsets = column.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    start, end = offsets[:-1], offsets[1:]
    return start, np.where(column.is_valid().to_numpy(zero_copy_only=False), end, start)


def _numbers(values: pyarrow.Array) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    out: NDArray[Any] = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return out


def _coded(values: pyarrow.Array, vocabulary: tuple[str, ...]) -> NDArray[Any]:
    """Places in the vocabulary, -1 for what it lacks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(values.cast(pa.string()), value_set=pa.array(vocabulary, type=pa.string()))
    out: NDArray[Any] = pc.fill_null(places, -1).to_numpy(zero_copy_only=False)
    return out
