"""What an auditor must be told about a model and its data: the one record that meets the audit, through MLflow."""

from __future__ import annotations

from typing import Any

from models.data import Dataset
from models.learners import Fitted
from models.settings import DataSettings, Preset


def task(settings: DataSettings) -> str:
    """What kind of answer the model gives, in the audit's words."""
    return "regression" if not settings.classes else "binary" if len(settings.classes) == 2 else "multiclass"


def roles(
    preset: Preset,
    dataset: Dataset,
    *,
    threshold: float | None,
    privacy: dict[str, Any] | None = None,
    references: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`audit_data/roles.json`: the role of each column, the decision rule on the score of `positive` (two classes only), and the context; and
    what the training promised of single rows (models/privacy.py)."""
    data = dataset.settings
    return {
        "schema_version": 1,
        "target": data.target,
        "positive": data.positive or None,
        "favourable": list(data.favourable),
        "decision": "predict" if threshold is None else f"score>={threshold:.4f}",
        "label_source": data.label_source,
        "task": task(data),
        "classes": list(data.classes),
        "sensitive": list(data.sensitive),
        "features": dataset.features,
        "reference": dict(data.reference),
        "row_key": None,
        "cluster": cluster(dataset),
        "columns": dict(data.columns),
        "context": preset.context.model_dump(mode="json"),
        **({} if data.ranking is None else {"ranking": data.ranking.model_dump(mode="json")}),
        **({} if privacy is None else {"privacy": privacy}),
        **({} if references is None else {"references": references}),
        **({"canaries": canaries(dataset)} if dataset.canaries is not None else {}),
    }


def cluster(dataset: Dataset) -> str | None:
    """The column by which the rows were split, where its values repeat among the evaluation rows: these belong together."""
    name = dataset.settings.split.group or dataset.settings.split.history
    rows = dataset.parts["evaluation"]
    return name if name in rows.columns and 1 < rows[name].nunique() < rows[name].count() else None


def canaries(dataset: Dataset) -> dict[str, Any]:
    """How the canaries of `privacy/canaries.parquet` were planted."""
    assert dataset.canaries is not None
    return {
        "kind": "training rows with a wrong label", "count": len(dataset.canaries), "included": int(dataset.canaries["included"].sum()),
        "chance": 0.5, "seed": dataset.settings.canary_seed,
    }  # fmt: skip


def metadata(fitted: Fitted, dataset: Dataset) -> dict[str, Any]:
    """`metadata` of the MLmodel: how to ask the model, and how to read its answer."""
    named = {} if fitted.architecture is None else {"architecture": fitted.architecture}
    classes = {"classes": list(dataset.settings.classes)} if dataset.classes else {}
    outputs = {} if fitted.outputs == "value" else {"outputs": fitted.outputs}
    private = {} if fitted.privacy is None else {"privacy": fitted.privacy}
    return {"columns": fitted.columns, **classes, **outputs, "task": task(dataset.settings), **named, **private}
