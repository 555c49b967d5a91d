"""Predictions without a model: the columns of the data that hold them, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.coding import coded, codes
from audit.errors import AuditError
from audit.measurement import Frozen

if TYPE_CHECKING:
    import pyarrow

    from audit.dataset import Dataset
    from audit.outputs import Settled
    from audit.prepare import Facts
    from audit.roles import Roles
    from audit.subject.client import Prediction

#: What stands for the address of a model where there is none.
URI = "predictions"
UNKNOWN = "no model was audited: only its predictions are known"
#: Score of the event from which on a row is decided for it, where nobody named a rule and no column holds the prediction.
CUTOFF = 0.5
_PREDICTION = "__p"


class Recorded(Frozen):
    """The columns that hold a model's answers: the predicted label or value, and the score of the event or of each class in order."""

    prediction: str | None
    scores: list[str]

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*([self.prediction] if self.prediction else []), *self.scores]


def choose(dataset: Dataset, given: dict[str, Any], roles: Roles) -> Recorded:
    """The columns that were named, refused where they cannot hold predictions or mean something else."""
    found = Recorded(prediction=given.get("prediction"), scores=given.get("scores") or [])
    others: dict[str | None, str] = {roles.target: "target"} | dict.fromkeys(roles.sensitive, "sensitive column")
    for name in found.names:
        role = "prediction" if name == found.prediction else "score"
        dataset.require(name, f"{role} column")
        if not dataset.is_scalar(name):
            raise AuditError(f"the {role} column {name!r} holds {dataset.types[name]} values", "name a column with one value a row")
        if name in others:
            raise AuditError(f"the {role} column {name!r} is also the {others[name]}", "name another column")
    if len(set(found.names)) < len(found.names):
        raise AuditError("a column is named twice by --prediction and --score", "name each column once")
    if found.scores and roles.task == "regression":
        raise AuditError("a regression has no scores", "name the column of predicted values with --prediction")
    if found.scores and roles.outputs == "label":
        raise AuditError("--outputs label contradicts --score", "give --outputs probability or logit, or --prediction alone")
    if not found.scores and roles.outputs in ("probability", "logit"):
        raise AuditError(f"--outputs {roles.outputs} needs columns of scores", "name them with --score")
    _check_scores(dataset, found.scores, logit=roles.outputs == "logit")
    return found


def _check_scores(dataset: Dataset, names: list[str], *, logit: bool) -> None:
    """Scores are numbers, and probabilities unless they are logits; a missing or infinite one is the row's fault, and counted later."""
    columns = {name: dataset.number(name) for name in names}
    finite = {name: f"isfinite({x})" for name, x in columns.items()}
    for name, x in columns.items():
        stored, usable, outside = dataset.ask(
            {"stored": f"count({dataset.text(name)})", "usable": f"count_if({finite[name]})", "outside": f"count_if({finite[name]} AND ({x} < -1e-6 OR {x} > 1 + 1e-6))"}
        )[0]  # fmt: skip
        if not usable:
            raise AuditError(f"the score column {name!r} holds not one finite number", "name a column of scores")
        if not dataset.is_number(name) and dataset.types[name] != "BOOLEAN" and stored > usable:
            raise AuditError(f"the score column {name!r} holds {stored - usable} values that are not numbers", "name a column of scores")
        if outside and not logit:
            raise AuditError(
                f"the score column {name!r} holds {outside} values outside [0, 1]",
                "name probabilities, add --outputs logit if these are logits, or name the decisions alone with --prediction",
            )
    if len(names) > 1 and not logit:
        wrong = f"count_if({' AND '.join(finite.values())} AND abs({' + '.join(columns.values())} - 1) >= 1e-3)"
        ((rows,),) = dataset.ask({"wrong": wrong})
        if rows:
            raise AuditError(
                f"the score columns {', '.join(names)} do not sum to 1 in {rows} rows",
                "name one column for each class, or add --outputs logit",
            )


def expressions(dataset: Dataset, facts: Facts, settled: Settled) -> dict[str, str]:
    """SQL for the columns that `prediction` reads."""
    assert facts.recorded is not None
    columns = {f"__s{i}": dataset.number(name) for i, name in enumerate(facts.recorded.scores)}
    name = facts.recorded.prediction
    if name is not None:
        regression = settled.task == "regression"
        columns[_PREDICTION] = dataset.number(name) if regression else coded(dataset.text(name), settled.classes)
    return columns


def prediction(batch: pyarrow.RecordBatch, facts: Facts, settled: Settled) -> Prediction:
    """The recorded answers for a batch, as a model's come back: values (n, k), and codes of labels (n,) where a column holds them."""
    import numpy as np
    import pyarrow as pa

    from audit.subject.client import Prediction

    def numbers(name: str) -> Any:
        column = batch.column(batch.schema.get_field_index(name))
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    assert facts.recorded is not None
    if settled.task == "regression":
        return Prediction(numbers(_PREDICTION).reshape(-1, 1), None)
    labels = None
    if facts.recorded.prediction is not None:
        labels = codes(batch.column(batch.schema.get_field_index(_PREDICTION))).astype(np.float64)
    if not facts.recorded.scores:
        assert labels is not None
        return Prediction(labels.reshape(-1, 1), labels)
    return Prediction(np.stack([numbers(f"__s{i}") for i in range(len(facts.recorded.scores))], axis=1), labels)
