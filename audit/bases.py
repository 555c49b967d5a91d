"""Where a smaller model came from, as whoever made it wrote down, and what the model before it said of the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.measurement import Frozen

#: The check that compares with the model before fine-tuning, which the plan may name.
FORGETTING = "robustness.forgetting"
#: The check that asks reference models, which the plan may name too.
MEMBERSHIP = "privacy.membership"
#: The check that has another model score what a language model says, which the plan may name.
TOXICITY = "language.toxicity"


class Base(Frozen):
    """The model that a smaller version was made from: its address then, the store's own number of it (None where nobody wrote it down), and how."""

    uri: str
    model_id: str | None
    method: str


def find_base(metadata: dict[str, Any]) -> Base | None:
    """The base that a model's metadata names under `variant`; None where the model is no smaller version of another."""
    variant = metadata.get("variant")
    if not isinstance(variant, dict) or not isinstance(variant.get("compressed_from"), str):
        return None
    number, method = variant.get("base_model_id"), variant.get("method")
    return Base(
        uri=variant["compressed_from"][:200], model_id=number if isinstance(number, str) else None,
        method=method[:60] if isinstance(method, str) else "compressed",
    )  # fmt: skip


def before_tuning(params: dict[str, Any]) -> tuple[str, str | None] | None:
    """The model before fine-tuning and the rows of its task as the parameters of `FORGETTING` name them; None where they name none."""
    if params["base"] is None and params["source"] is not None:
        raise AuditError(f"the plan names source rows for {FORGETTING} and no base model", "name the model before fine-tuning as base")
    return None if params["base"] is None else (params["base"], params["source"])


def scored_table(folder: Path, data_sha256: str, model_id: str) -> Path | None:
    """The newest scored table of these data and that model in a folder of scored tables; None where the model was not audited on them."""
    import pyarrow.parquet as pq

    from audit.scored import SELF

    found = []
    for path in folder.glob(f"*-{data_sha256[:12]}-*.parquet"):
        if path.name.endswith(".sample.parquet") or path.name.startswith("."):
            continue
        said = (pq.read_schema(path).metadata or {}).get(SELF)
        if said is not None and json.loads(said).get("model_id") == model_id:
            found.append((path.stat().st_mtime_ns, path))
    return max(found)[1] if found else None
