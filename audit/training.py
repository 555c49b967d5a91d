"""The rows that a model was trained on, where they are known: read by the same columns as the audited rows, so that both can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.dataset import Dataset, data_digest, open_dataset
from audit.errors import AuditError
from audit.features import FeatureSpec
from audit.measurement import Frozen, Message
from audit.text import message

#: Where training rows come from that nobody had to name.
LOGGED = "the training data logged with the model"
NAMED = "the training data named with --training"


class Training(Frozen):
    """The training rows; `target_sql` is the outcome as text, None where no outcome is known for the audited rows.

    `sizes` has, for each sensitive column that the training rows have too, how many rows each of the audited rows' values has here.
    """

    source: str
    files: list[str]
    sha256: str
    rows: int
    types: dict[str, str]
    target: str | None
    target_sql: str | None
    sizes: dict[str, dict[str, int]]

    def dataset(self) -> Dataset:
        """The rows again, in this process."""
        dataset = Dataset([Path(f) for f in self.files])
        dataset.__dict__["types"] = self.types
        return dataset


def find_training(
    arguments: dict[str, Any], features: list[FeatureSpec], target: str | None, sensitive: dict[str, list[str]], evaluation: str
) -> tuple[Training | None, list[Message]]:
    """The training rows of a request, and what a reader must know of them.

    Rows that somebody named are refused where they cannot be used; rows that training logged, and that do not fit what is audited, are left
    aside and that is noted. `sensitive` are columns with their values, without those that were cut into bins; `evaluation` is the digest of
    the audited data.
    """
    path, given = arguments.get("training"), bool(arguments.get("training_given"))
    if path is None:
        return None, []
    try:
        training = read_rows(path, NAMED if given else LOGGED, features, target, sensitive)
    except AuditError as error:
        if given:
            raise
        return None, [message("The training rows logged with the model do not fit these data and were left aside: {why}.", why=error.what)]
    if training.sha256 == evaluation:
        said = message(
            "The training rows and the audited rows are the same file: every figure here is on rows that the model was trained on, and none says how it does on new ones."
        )
        return training, [said]
    return training, []


def read_rows(
    path: str,
    source: str,
    features: list[FeatureSpec],
    target: str | None,
    sensitive: dict[str, list[str]],
    *,
    called: str = "the training rows",
) -> Training:
    """The rows at `path`, refused where they lack what the audited rows have; `source` says where they come from, `called` what they are."""
    dataset = open_dataset(path)
    absent = [name for name in [f.name for f in features] + ([target] if target else []) if name not in dataset.types]
    if absent:
        raise AuditError(
            f"{called} lack {', '.join(map(repr, absent[:10]))}, which the audited rows have",
            "name the rows as the model was trained on them, with every input and the outcome",
        )
    strange = [f.name for f in features if f.read != "decoded" and not dataset.is_scalar(f.name)]
    if strange:
        raise AuditError(f"{called} hold {dataset.types[strange[0]]} values in {strange[0]!r}", "name rows with one value a column")
    return Training(
        source=source,
        files=[str(p) for p in dataset.files], sha256=data_digest(dataset.files), rows=dataset.rows, types=dataset.types, target=target,
        target_sql=dataset.text(target) if target else None,
        sizes={name: _sizes(dataset, name) for name in sensitive if name in dataset.types and dataset.is_scalar(name)},
    )  # fmt: skip


def _sizes(dataset: Dataset, name: str) -> dict[str, int]:
    """Rows per value, those without one left out."""
    counted = dataset.ask({"value": dataset.text(name), "n": "count(*)"}, tail="GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1000")
    return {str(value): int(n) for value, n in counted if value is not None}
