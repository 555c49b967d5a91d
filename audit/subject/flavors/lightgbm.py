"""LightGBM: Boosters from text, scikit-learn wrappers from skops."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from audit.subject.flavors import sklearn, trees
from audit.subject.flavors.base import Answer, ContractError, Explained, Subject, labels, numeric
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array, label_text


class Lightgbm(Subject):
    """A Booster, alone or in its scikit-learn wrapper; columns that were categories in training become categories again."""

    packages = ("lightgbm", "pandas")

    def __init__(self, booster: Any, wrapper: Any = None) -> None:
        self._booster = booster
        self._wrapper = wrapper
        self._categories = _categories(booster)
        self.kind = "booster" if wrapper is None else "estimator"
        self._objective = str(booster.dump_model(num_iteration=1).get("objective", "")).split(" ")[0]
        if wrapper is not None:
            wrapper.n_jobs = 1
            known = getattr(wrapper, "classes_", None) if hasattr(wrapper, "predict_proba") else None
            self.classes = None if known is None else [label_text(v) for v in known]
            self.regression = known is None
        else:
            self.regression = {"binary": False, "multiclass": False, "multiclassova": False, "cross_entropy": False}.get(
                self._objective, True if self._objective else None
            )
        self.outputs = "probability" if self.regression is False else "value" if self.regression else "unknown"

    def predict(self, rows: Rows) -> Answer:
        """Probabilities (one column for a binary Booster) or values."""
        table = self._table(rows)
        if self._wrapper is None:
            values = numeric(self._booster.predict(table, num_threads=1), rows.n)
            return Answer(values, values[:, 0] if self.regression and values.shape[1] == 1 else None)
        if self.classes is None:
            values = numeric(self._wrapper.predict(table), rows.n)
            return Answer(values, values[:, 0])
        scores = numeric(self._wrapper.predict_proba(table), rows.n)
        if type(self._wrapper).__name__ in sklearn.ARGMAX:
            return Answer(scores, scores.argmax(axis=1).astype(np.float64))
        return Answer(scores, labels(self._wrapper.predict(table), self.classes, rows.n))

    def _table(self, rows: Rows) -> Any:
        names = self._booster.feature_name()
        if not rows.inputs or all(i["name"] is None for i in rows.inputs):
            return rows.tensor().astype(np.float64) if rows.inputs else rows.table(self._by_name([name for name, _, _ in rows.columns]))
        present = [i["name"] for i in rows.inputs]
        return rows.table(self._by_name(present if len(present) == len(names) else names))

    def _by_name(self, names: list[str]) -> dict[str, list[Any] | None]:
        return {names[place]: known for place, known in self._categories.items() if place < len(names)}

    def parameters(self) -> int | None:
        """Splits and leaves of all trees."""
        return sum(int(t["num_leaves"]) * 2 - 1 for t in self._booster.dump_model()["tree_info"])

    def methods(self) -> list[str]:
        """Tree SHAP always."""
        return ["tree_shap"]

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
        margin = self._margins(table)
        if randomise is not None:
            column = min(output, margin.shape[1] - 1)
            grown = Lightgbm(self._regrown(table, trees.shuffled(margin[:, column], randomise), randomise))
            return grown.attribute(rows, background, method=method, output=output, perturbation=perturbation)
        unit = "value" if self.regression is not False else "log-odds" if margin.shape[1] == 1 else "logit"
        if trees.asked(perturbation, background) == trees.PATHS:
            return self._by_paths(table, margin, output, unit)
        if self._categories:
            if perturbation == "auto":
                return self._by_paths(table, margin, output, unit)
            raise ContractError(
                "SHAP values against a background are not known for trees that split by categories; ask for tree_path_dependent"
            )
        x, reference = (np.asarray(t, dtype=np.float64) for t in (table, self._table(background)))  # type: ignore[arg-type]
        found, whole = trees.against(self._booster, self._margins, x, reference, output, unit)
        return found if whole or perturbation != "auto" else self._by_paths(table, margin, output, unit)

    def _regrown(self, table: Any, answers: Array, seed: int) -> Any:
        """As many trees, fifty at most, grown to these answers (n,)."""
        import lightgbm

        settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "seed": seed % 2**31}
        data = lightgbm.Dataset(table, label=answers, params={"verbose": -1})
        return lightgbm.train(settings, data, num_boost_round=min(50, max(1, self._booster.num_trees())))

    def _margins(self, table: Any) -> Array:
        return numeric(self._booster.predict(table, raw_score=True, num_threads=1), len(table))

    def _by_paths(self, table: Any, margin: Array, output: int, unit: str) -> Explained:
        flat = np.asarray(self._booster.predict(table, pred_contrib=True, num_threads=1), dtype=np.float64)
        parts = flat.reshape(len(margin), margin.shape[1], -1).transpose(0, 2, 1)
        return trees.pick(parts[:, :-1], parts[:, -1], margin, output, unit, trees.PATH_DEPENDENT)


def _categories(booster: Any) -> dict[int, list[Any] | None]:
    """Place of each category column → its categories in training order, from the model's text."""
    text = booster.model_to_string(num_iteration=1)
    infos: list[str] = next((line[14:].split(" ") for line in text.splitlines() if line.startswith("feature_infos=")), [])
    places = [i for i, info in enumerate(infos) if info != "none" and not info.startswith("[")]
    stored = text.rfind("\npandas_categorical:")
    known = json.loads(text[stored + 20 :].splitlines()[0]) if stored >= 0 else None
    if not known:
        return {}
    if len(known) != len(places):
        raise ContractError(f"the model's text names {len(known)} category columns where its trees use {len(places)}")
    return dict(zip(places, known, strict=True))


def load(spec: dict[str, Any]) -> Subject:
    """A Booster from its text, or the wrapper that was stored."""
    if spec["serialization"] == "text":
        import lightgbm

        return Lightgbm(lightgbm.Booster(model_file=os.path.join(spec["root"], spec["model_file"])))
    found = sklearn.read(spec)
    booster = getattr(found, "booster_", None)
    return sklearn.estimator(found) if booster is None else Lightgbm(booster, found)
