"""What tree models have in common: counting their nodes, and SHAP values against a background or by the trees' own paths, never one for the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from audit.subject.flavors.base import ContractError, Explained
from audit.subject.frame import Array

#: What stands in for an input that is switched off, as shap names it, and as an explanation's `estimand` says.
BACKGROUND, PATHS = "interventional", "tree_path_dependent"
PATH_DEPENDENT = "path_dependent"
#: Rows times background rows from which WOODELF, which has no part in that product, costs less than shap (measured: about half a millisecond
#: for each leaf, against 13 nanoseconds for each leaf, row and background row).
MANY = 30_000
#: Relative miss of completeness up to which values are what they should be; the trees' own sums are in single precision.
MISS = 1e-4
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


def shap_values(model: Any, x: Array, background: Array | None, output: int, *, perturbation: str = "auto") -> Explained:
    """SHAP values of a scikit-learn model for rows (n, d): against `background`, or by the trees' own paths."""
    if not type(model).__name__.startswith("Hist"):  # these compare single-precision inputs with their limits
        x, background = single(x), None if background is None else single(background)
    _, unit = _explained(model, x[:1])
    if asked(perturbation, background) == PATHS:
        return by_paths(model, x, output, _explained(model, x)[0], unit)
    return against(model, lambda rows: _explained(model, rows)[0], x, background, output, unit)[0]


def _explained(model: Any, x: Array) -> tuple[Array, str]:
    """The output (n, k) that shap explains for this estimator, and its unit."""
    if not hasattr(model, "classes_"):
        return np.asarray(model.predict(x), dtype=np.float64).reshape(len(x), -1), "value"
    if hasattr(model, "decision_function"):
        scores = np.asarray(model.decision_function(x), dtype=np.float64).reshape(len(x), -1)
        return scores, "log-odds" if scores.shape[1] == 1 else "logit"
    return np.asarray(model.predict_proba(x), dtype=np.float64), "probability"


def asked(perturbation: str, background: Any) -> str:
    """`interventional` or `tree_path_dependent`: the latter only where it was asked for; ContractError where background rows are lacking."""
    if perturbation not in ("auto", BACKGROUND, PATHS):
        raise ContractError(f"perturbation is auto, {BACKGROUND} or {PATHS}")
    if perturbation != PATHS and background is None:
        raise ContractError("SHAP values against a background need background rows")
    return PATHS if perturbation == PATHS else BACKGROUND


def single(x: Array) -> Array:
    """Rounded to single precision, as the trees see it."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def by_paths(model: Any, x: Any, output: int, margin: Array, unit: str) -> Explained:
    """Path-dependent values by shap.TreeExplainer: an unknown input goes the ways that the training rows went."""
    values, base = _by_shap(model, x, None, PATHS)
    return pick(values, np.broadcast_to(base, (len(margin), len(base))), margin, output, unit, PATH_DEPENDENT)


def against(model: Any, score: Callable[[Array], Array], x: Array, background: Any, output: int, unit: str) -> tuple[Explained, bool]:
    """SHAP values against background rows, and whether they add up to `score`, rows (n, d) → margins (n, k), to `MISS`.

    WOODELF (Nadel and Wettenstein 2026) costs the same for any number of rows and background rows, shap.TreeExplainer grows with their product: the
    cheaper one is tried first, and the other where that does not add up (each misreads some kinds of trees) or does not take the model.
    """
    margin, base = score(x), score(background).mean(axis=0)
    column, sign = _column(output, margin.shape[1], unit)
    ways = [_woodelf, _shap] if len(x) * len(background) >= MANY else [_shap, _woodelf]
    found: list[tuple[float, Array]] = []
    refused: list[str] = []
    for way in ways:
        try:
            values = way(model, x, background, column, margin.shape[1])
        except MemoryError:
            raise
        except Exception as error:  # a library that cannot read a model says so in many ways: then the other is asked
            refused.append(type(error).__name__)
            continue
        miss = float(np.abs(values.sum(axis=1) + base[column] - margin[:, column]).max(initial=0.0))
        if np.isfinite(miss):
            found.append((miss, values))
        if miss <= MISS * max(1.0, float(np.abs(margin).max(initial=0.0))):
            break
    if not found:
        raise ContractError(
            f"no method gives SHAP values of {type(model).__name__} against a background ({', '.join(refused)}); ask for {PATHS}"
        )
    miss, values = min(found, key=lambda one: one[0])
    explained = Explained(sign * values, np.full(len(x), sign * base[column]), sign * margin[:, column], unit)
    return explained, miss <= MISS * max(1.0, float(np.abs(margin).max(initial=0.0)))


def _woodelf(model: Any, x: Array, background: Array, column: int, outputs: int) -> Array:
    import pandas as pd
    from woodelf.core.trees.parse_models import load_decision_tree_ensemble_model
    from woodelf.explainer import WoodelfExplainer

    names = [str(j) for j in range(x.shape[1])]
    parsed = load_decision_tree_ensemble_model(model, names, class_index=column)
    explainer = WoodelfExplainer(parsed, pd.DataFrame(background, columns=names))
    return np.asarray(explainer.shap_values(pd.DataFrame(x, columns=names), verbose=False), dtype=np.float64)


def _shap(model: Any, x: Array, background: Array, column: int, outputs: int) -> Array:
    values, _ = _by_shap(model, x, background, BACKGROUND)
    return np.ascontiguousarray(values[:, :, -1 if outputs == 1 else column])


def _by_shap(model: Any, x: Array, background: Array | None, perturbation: str) -> tuple[Array, Array]:
    """Values (n, d, k) and base (k,) of shap.TreeExplainer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of uses that other libraries will give up; what counts is whether the values add up
        import shap

        explainer = shap.TreeExplainer(model, data=background, feature_perturbation=perturbation)
        raw = explainer.shap_values(x, check_additivity=False)
    values = np.stack(raw, axis=-1) if isinstance(raw, list) else np.asarray(raw, dtype=np.float64)
    base = np.asarray(explainer.expected_value, dtype=np.float64).reshape(-1)
    return values[:, :, None] if values.ndim == 2 else values, base


def _column(output: int, outputs: int, unit: str) -> tuple[int, float]:
    """The margin's column and sign of an output: the one margin of a binary model is that of its second class, and output 0 its negative."""
    if outputs == 1:
        return 0, -1.0 if output == 0 and unit in ("log-odds", "logit") else 1.0
    if not 0 <= output < outputs:
        raise ContractError(f"output {output} is not one of {outputs}")
    return output, 1.0


def pick(values: Array, base: Array, margin: Array, output: int, unit: str, estimand: str) -> Explained:
    """One output of attributions (n, d, k), base (n, k) and margin (n, k)."""
    outputs = values.shape[2]
    if margin.shape[1] == 1 and outputs == 2:  # shap gives both signs where the library has one margin
        values, base, outputs = values[:, :, 1:], base[:, -1:], 1
    if outputs > 1 and output >= outputs:
        raise ContractError(f"output {output} is not one of {outputs}")
    column, sign = _column(output, min(outputs, margin.shape[1]), unit)
    return Explained(sign * values[:, :, column], sign * base[:, column], sign * margin[:, column], unit, estimand)


def shuffled(answers: Array, seed: int) -> Array:
    """Answers (n,) in an order that has nothing to do with the rows."""
    return np.random.default_rng(seed).permutation(answers)


def refitted(model: Any, x: Array, seed: int) -> Any:
    """The same estimator of scikit-learn, fitted to rows (n, d) with shuffled answers of the model: what it can tell of them is chance.

    The data randomisation test of Adebayo et al. 2018, for models whose parameters cannot be drawn. Every class keeps a row.
    """
    from sklearn.base import clone

    answers = np.asarray(model.predict(x))
    if hasattr(model, "classes_"):
        k = min(len(model.classes_), len(answers))
        answers = answers.copy()
        answers[:k] = model.classes_[:k]
    fresh = clone(model)
    if "random_state" in fresh.get_params():
        fresh.set_params(random_state=seed % 2**32)
    return fresh.fit(x, shuffled(answers, seed))
