"""Texts as codes: DuckDB looks each value up among known levels, so that only small numbers leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.dataset import literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray


def coded(sql: str, levels: list[str]) -> str:
    """SQL for a text as its position in `levels`, NULL where missing or not among them: DuckDB looks each distinct text up once."""
    return f"TRY_CAST({sql} AS ENUM({', '.join(literal(level) for level in levels)}))"


def codes(column: pyarrow.Array, missing: int = -1) -> NDArray[np.int16]:
    """A column of `coded` as numbers; `missing` where it is NULL."""
    import numpy as np

    found: NDArray[np.int16] = column.indices.fill_null(0).to_numpy().astype(np.int16)
    if column.null_count:
        found[column.is_null().to_numpy(zero_copy_only=False)] = missing
    return found
