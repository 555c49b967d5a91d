"""XGBoost: Boosters and scikit-learn wrappers from the library's own json and ubj files."""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

import numpy as np

from audit.subject.flavors import trees
from audit.subject.flavors.base import Answer, ContractError, Explained, Subject, labels, numeric
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array, label_text

CLASSES = {"Booster", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor"}


class Xgboost(Subject):
    """A Booster, alone or in its wrapper. Columns that were categories in training become categories again."""

    packages = ("xgboost", "pandas")

    def __init__(self, model: Any) -> None:
        import xgboost

        wrapped = not isinstance(model, xgboost.Booster)
        self._wrapper = model if wrapped else None
        self._booster = model.get_booster() if wrapped else model
        self._booster.set_param({"nthread": 1})
        if wrapped:
            model.set_params(n_jobs=1)
        self.kind = "estimator" if wrapped else "booster"
        settings = json.loads(self._booster.save_config())
        objective = str(settings["learner"]["objective"]["name"])
        self._scores = wrapped and hasattr(model, "predict_proba")
        if self._scores:
            self.classes = [label_text(v) for v in model.classes_]
        self.regression = False if objective.startswith(("binary:", "multi:")) else None if objective.startswith("rank:") else True
        if self.regression is False:
            self.outputs = {"binary:logitraw": "logit", "binary:hinge": "label", "multi:softmax": "label"}.get(objective, "probability")
        else:
            self.outputs = "value"
        if self._scores:
            self.outputs = "probability"

    def predict(self, rows: Rows) -> Answer:
        """Probabilities (one column for a binary Booster) or values."""
        table = self._table(rows)
        if self._scores:
            assert self._wrapper is not None
            scores = numeric(self._wrapper.predict_proba(table), rows.n)
            if type(self._wrapper).__module__ == "xgboost.sklearn":
                predicted = scores[:, 1] > 0.5 if scores.shape[1] == 2 else scores.argmax(axis=1)
                return Answer(scores, predicted.astype(np.float64))
            return Answer(scores, labels(self._wrapper.predict(table), self.classes, rows.n))
        raw = self._wrapper.predict(table) if self._wrapper is not None else self._booster.predict(self._dmatrix(table))
        values = numeric(raw, rows.n)
        single = values.shape[1] == 1 and (self.regression or self.outputs == "label")
        return Answer(
            values, labels(values, self.classes, rows.n) if single and self.outputs == "label" else values[:, 0] if single else None
        )

    def _dmatrix(self, table: Any) -> Any:
        import xgboost

        return xgboost.DMatrix(table, nthread=1, enable_categorical=True)

    def _table(self, rows: Rows) -> Any:
        types = self._booster.feature_types or []
        names = self._booster.feature_names or [name for name, _, _ in rows.columns]
        if rows.inputs and all(i["name"] is None for i in rows.inputs):
            return rows.tensor()
        text = [name for name, _, vocabulary in rows.columns if vocabulary is not None]
        coded = {name for name, kind in zip(names, types, strict=False) if kind == "c"} | set(text)
        table = rows.table(dict.fromkeys(coded))
        return table[names] if self._booster.feature_names and set(names) <= set(table.columns) else table

    def parameters(self) -> int | None:
        """Splits and leaves of all trees."""
        if json.loads(self._booster.save_config())["learner"]["gradient_booster"]["name"] == "gblinear":
            return None
        return sum(len(tree.splitlines()) for tree in self._booster.get_dump())

    def methods(self) -> list[str]:
        """Tree SHAP, for trees."""
        return ["tree_shap"] if self.parameters() is not None else []

    def attribute(
        self,
        rows: Rows,
        background: Rows | None,
        *,
        method: str,
        output: int,
        perturbation: str = "auto",
        randomise: int | None = None,
        **params: Any,
    ) -> Explained:
        """SHAP values against the background; the library's own path-dependent ones where asked for, or where trees split by categories.

        With the seed `randomise` of trees grown on these rows with shuffled answers.
        """
        table = self._table(rows)
        margin = numeric(self._booster.predict(self._dmatrix(table), output_margin=True), rows.n)
        if randomise is not None:
            column = min(output, margin.shape[1] - 1)
            grown = Xgboost(self._regrown(table, trees.shuffled(margin[:, column], randomise), randomise))
            return grown.attribute(rows, background, method=method, output=output, perturbation=perturbation)
        unit = "value" if self.regression is not False else "log-odds" if margin.shape[1] == 1 else "logit"
        if trees.asked(perturbation, background) == trees.PATHS:
            return self._by_paths(table, margin, output, unit)
        if "c" in (self._booster.feature_types or []):
            if perturbation == "auto":
                return self._by_paths(table, margin, output, unit)
            raise ContractError(
                "SHAP values against a background are not known for trees that split by categories; ask for tree_path_dependent"
            )
        x, reference = (trees.single(np.asarray(t)) for t in (table, self._table(background)))  # type: ignore[arg-type]
        found, whole = trees.against(self._booster, self._margins, x, reference, output, unit)
        return found if whole or perturbation != "auto" else self._by_paths(table, margin, output, unit)

    def _regrown(self, table: Any, answers: Array, seed: int) -> Any:
        """Fifty trees at most, grown to these answers (n,)."""
        import xgboost

        data = self._dmatrix(table)
        data.set_label(answers)
        settings = {"objective": "reg:squarederror", "nthread": 1, "seed": seed % 2**31, "verbosity": 0}
        return xgboost.train(settings, data, num_boost_round=min(50, max(1, self._booster.num_boosted_rounds())))

    def _margins(self, x: Array) -> Array:
        import xgboost

        names, types = self._booster.feature_names, self._booster.feature_types
        matrix = xgboost.DMatrix(x, nthread=1, feature_names=names, feature_types=types)
        return numeric(self._booster.predict(matrix, output_margin=True), len(x))

    def _by_paths(self, table: Any, margin: Array, output: int, unit: str) -> Explained:
        raw = self._booster.predict(self._dmatrix(table), pred_contribs=True, strict_shape=True)
        parts = np.asarray(raw, dtype=np.float64).transpose(0, 2, 1)
        return trees.pick(parts[:, :-1], parts[:, -1], margin, output, unit, trees.PATH_DEPENDENT)


def load(spec: dict[str, Any]) -> Subject:
    """An object of the named class of the xgboost library, filled from the file; other classes only for a trusted author."""
    import xgboost

    name = spec.get("model_class") or "xgboost.core.Booster"
    module, _, kind = name.rpartition(".")
    if module.split(".")[0] == "xgboost" and kind in CLASSES:
        factory = getattr(xgboost, kind)
    elif spec["trust_pickle"]:
        factory = getattr(importlib.import_module(module), kind)
    else:
        raise ContractError("the model's class is not of the xgboost library")
    model = factory()
    model.load_model(os.path.join(spec["root"], spec["model_file"]))
    return Xgboost(model)
