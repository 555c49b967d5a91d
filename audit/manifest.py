"""The manifest of an audit folder: what its files, the model, the data and the plan were when it was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def make(folder: Path, document: dict[str, Any], files: Iterable[str]) -> dict[str, Any]:
    """Size in bytes and SHA-256 of these files of the folder, and the digests that the document states; not signed."""
    return {
        "schema_version": 1,
        "files": {
            name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(), "size": (folder / name).stat().st_size}
            for name in files
        },
        "model": {"uri": document["model"]["uri"], "sha256": document["model"]["sha256"]},
        "data": {"source": document["data"]["source"], "sha256": document["data"]["sha256"]},
        "plan_sha256": document["plan_sha256"],
        "digest": document["digest"],
        "signature": None,
    }
