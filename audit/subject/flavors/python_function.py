"""Models that bring their own code, through MLflow's python_function; reached only where the user trusts the author."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError, Subject, is_text, labels, numeric
from audit.subject.flavors.rows import Rows


class Function(Subject):
    """Whatever `predict` returns: numbers become columns, texts become labels."""

    kind = "function"
    packages = ("mlflow", "pandas")

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, rows: Rows) -> Answer:
        """Values or labels; one column of whole numbers that are all known labels is a label."""
        tensor = rows.inputs and all(i["shape"] is not None for i in rows.inputs)
        raw = self._model.predict(rows.tensor() if tensor else rows.table())
        if isinstance(raw, dict):
            raise ContractError("the model returned a dict where an array or a table was expected")
        array = np.asarray(raw)
        if is_text(array) and (array.ndim == 1 or array.shape[1:] == (1,)) and any(isinstance(v, str) for v in array.reshape(-1)[:1]):
            self.outputs = "label"
            predicted = labels(array, self.classes, rows.n)
            return Answer(predicted.reshape(-1, 1), predicted)
        return Answer(numeric(array, rows.n))


def load(spec: dict[str, Any]) -> Subject:
    """The model, by MLflow's own loader."""
    if not spec["trust_pickle"]:
        raise ContractError("a python_function runs code that comes with it and is loaded only with --trust-pickle")
    import mlflow.pyfunc

    return Function(mlflow.pyfunc.load_model(spec["root"]))
