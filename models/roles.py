"""What an auditor must be told about a model and its data: the one record that meets the audit, through MLflow."""

from __future__ import annotations

from typing import Any

from models.config import Preset
from models.data import Dataset
from models.learners import Fitted


def roles(preset: Preset, dataset: Dataset, *, threshold: float) -> dict[str, Any]:
    """`audit_data/roles.json`: the role of each column, the decision rule on the score of `positive`, and the context."""
    data = preset.data
    return {
        "schema_version": 1,
        "target": data.target,
        "positive": data.positive,
        "favourable": list(data.favourable),
        "decision": f"score>={threshold:.4f}",
        "label_source": data.label_source,
        "task": "binary" if len(data.classes) == 2 else "multiclass",
        "classes": list(data.classes),
        "sensitive": list(data.sensitive),
        "features": dataset.features,
        "reference": dict(data.reference),
        "row_key": None,
        "context": preset.context.model_dump(mode="json"),
    }


def metadata(fitted: Fitted, dataset: Dataset) -> dict[str, Any]:
    """`metadata` of the MLmodel: how to ask the model, and how to read its answer. Trees take a category's code as a number."""
    columns = [column.record() for column in dataset.columns]
    if fitted.architecture is None:
        columns = [{"name": column.name, "kind": "number"} for column in dataset.columns]
    classes = list(dataset.settings.classes)
    named = {} if fitted.architecture is None else {"architecture": fitted.architecture}
    return {
        "columns": columns,
        "classes": classes,
        "outputs": fitted.outputs,
        "task": "binary" if len(classes) == 2 else "multiclass",
        **named,
    }
