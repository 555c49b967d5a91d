"""Benchmarks that the user brings: rows of texts from a file that the plan names. Nothing is ever downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from audit.errors import AuditError

__all__ = ["Bank", "read"]

SUFFIXES = (".csv", ".tsv", ".parquet", ".json", ".jsonl")


class Bank(NamedTuple):
    """Rows of a benchmark, every value a text; `digest` begins the file's SHA-256."""

    name: str
    digest: str
    rows: list[dict[str, str]]
    columns: tuple[str, ...]


def read(file: str, needed: tuple[str, ...]) -> Bank:
    """The rows of a csv, tsv, parquet or JSON (lines) file; AuditError where it cannot be read or lacks one of the `needed` columns."""
    import pandas as pd

    path = Path(file)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise AuditError(f"the benchmark {file!r} is none of {', '.join(SUFFIXES)}", "convert it to one of them")
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix in (".json", ".jsonl"):
            table = pd.read_json(path, lines=suffix == ".jsonl", dtype=False, convert_dates=False)
        else:
            table = pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise AuditError(f"the benchmark {file!r} cannot be read ({type(error).__name__})", "give a whole file with a head line") from None
    missing = [name for name in needed if name not in table.columns]
    if missing:
        have = ", ".join(map(str, table.columns[:20]))
        raise AuditError(f"the benchmark {file!r} has no column {missing[0]!r}", f"it needs {', '.join(needed)}; it has {have}")
    table = table.astype("str").fillna("")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return Bank(
        path.name, digest, [{str(k): str(v) for k, v in row.items()} for row in table.to_dict("records")], tuple(map(str, table.columns))
    )
