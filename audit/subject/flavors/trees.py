"""What tree models have in common: counting their nodes, and Tree SHAP brought to one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from audit.subject.flavors.base import ContractError, Explained
from audit.subject.frame import Array

SKLEARN = {
    f"{kind}{task}"
    for kind in ("DecisionTree", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "RandomForest")
    for task in ("Classifier", "Regressor")
}


def explainable(model: Any) -> bool:
    """Whether shap's TreeExplainer takes this estimator of scikit-learn over numbers."""
    if type(model).__name__ not in SKLEARN or not type(model).__module__.startswith("sklearn."):
        return False
    if type(model).__name__ == "GradientBoostingClassifier" and model.n_classes_ > 2:
        return False
    return not np.any(getattr(model, "is_categorical_", None))


def nodes(model: Any) -> int | None:
    """Splits and leaves of all trees of a scikit-learn model, None for other models."""
    if hasattr(model, "tree_"):
        return int(model.tree_.node_count)
    if hasattr(model, "_predictors"):
        return sum(int(tree.get_n_leaf_nodes()) * 2 - 1 for group in model._predictors for tree in group)
    members = getattr(model, "estimators_", None)
    if members is None:
        return None
    counts: list[int | None] = [nodes(member) for member in np.asarray(members, dtype=object).reshape(-1)]
    return None if any(c is None for c in counts) else sum(c for c in counts if c is not None)


def shap_values(model: Any, x: Array, background: Array | None, output: int, *, perturbation: str = "interventional") -> Explained:
    """Tree SHAP of a scikit-learn model for rows (n, d): interventional against `background`, or by the trees' own paths."""
    margin, unit = _explained(model, x)
    return explain(model, x, background, output, margin, unit, perturbation)


def _explained(model: Any, x: Array) -> tuple[Array, str]:
    """The output (n, k) that shap explains for this estimator, and its unit."""
    if not hasattr(model, "classes_"):
        return np.asarray(model.predict(x), dtype=np.float64).reshape(len(x), -1), "value"
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(x), dtype=np.float64).reshape(len(x), -1)
        return scores, "log-odds" if scores.shape[1] == 1 else "logit"
    return np.asarray(model.predict_proba(x), dtype=np.float64), "probability"


def explain(model: Any, x: Any, background: Any, output: int, margin: Array, unit: str, perturbation: str) -> Explained:
    """Run shap.TreeExplainer on `model` and pick the output; `margin` (n, k) is what it should add up to."""
    import shap

    if perturbation == "interventional" and background is None:
        raise ContractError("interventional Tree SHAP needs background rows")
    if perturbation not in ("interventional", "tree_path_dependent"):
        raise ContractError("perturbation is interventional or tree_path_dependent")
    data = background if perturbation == "interventional" else None
    explainer = shap.TreeExplainer(model, data=data, feature_perturbation=perturbation)
    raw = explainer.shap_values(x, check_additivity=False)
    values = np.stack(raw, axis=-1) if isinstance(raw, list) else np.asarray(raw, dtype=np.float64)
    values = values[:, :, None] if values.ndim == 2 else values
    base = np.asarray(explainer.expected_value, dtype=np.float64).reshape(-1)
    return pick(values, np.broadcast_to(base, (len(margin), len(base))), margin, output, unit)


def pick(values: Array, base: Array, margin: Array, output: int, unit: str) -> Explained:
    """One output of attributions (n, d, k), base (n, k) and margin (n, k).

    A binary model has one margin, that of its second class: output 0 is its negative, unless there is only that one column.
    """
    outputs = values.shape[2]
    if margin.shape[1] == 1 and outputs == 2:  # shap gives both signs where the library has one margin
        values, base, outputs = values[:, :, 1:], base[:, -1:], 1
    if outputs == 1:
        sign = -1.0 if output == 0 and unit in ("log-odds", "logit") else 1.0
        return Explained(sign * values[:, :, 0], sign * base[:, 0], sign * margin[:, 0], unit)
    if not 0 <= output < min(outputs, margin.shape[1]):
        raise ContractError(f"output {output} is not one of {outputs}")
    return Explained(values[:, :, output], np.ascontiguousarray(base[:, output]), margin[:, output], unit)
