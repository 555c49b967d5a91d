"""Exclusive or: four rows, each many times, so that an audit has rows to count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd

TIMES = 250


def read(_: DataSettings) -> pd.DataFrame:
    """Columns a, b and `xor`, 4 × 250 rows."""
    import pandas as pd

    rows = [(a, b, a ^ b) for a in (0, 1) for b in (0, 1)]
    return pd.DataFrame(rows * TIMES, columns=["a", "b", "xor"])
