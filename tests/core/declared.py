"""Rows in a file, and what is declared of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit.dataset import Dataset, open_dataset
from audit.prepare import Facts, prepare


def dataset(folder: Path, columns: dict[str, Any]) -> Dataset:
    pq.write_table(pa.table(columns), folder / "d.parquet")
    return open_dataset(str(folder / "d.parquet"))


def prepared(folder: Path, columns: dict[str, Any], given: dict[str, Any] | None = None, **more: Any) -> Facts:
    data = dataset(folder, columns)
    arguments = {
        "data": str(data.files[0]), "source": "here", "logged": None, "given": {"features": ["x"]} | (given or {}), "inputs": [], "metadata": {}, "bins": {},
    }  # fmt: skip
    return Facts.model_validate(prepare(arguments | more, None))
