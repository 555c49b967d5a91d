"""scikit-learn estimators and pipelines, from skops with our own list of types; pickles only where the user trusts the author."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from audit.subject.flavors import trees
from audit.subject.flavors.base import Answer, ContractError, Explained, Subject, labels, numeric
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array, label_text

# Types that skops does not trust by itself and that a fitted estimator of these libraries is made of. Their contents can crash the process
# that predicts with them (that is why skops leaves them out), which is what the worker is for; they run no code.
TRUSTED = [
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(
        f"sklearn.gaussian_process.kernels.{kernel}"
        for kernel in ("CompoundKernel", "ConstantKernel", "DotProduct", "Exponentiation", "ExpSineSquared", "Matern", "PairwiseKernel")
    ),
    *(f"sklearn.gaussian_process.kernels.{kernel}" for kernel in ("Product", "RationalQuadratic", "RBF", "Sum", "WhiteKernel")),
    *(
        f"sklearn.metrics._dist_metrics.{distance}Distance{bits}"
        for distance in (
            "Euclidean",
            "Manhattan",
            "Minkowski",
            "Chebyshev",
            "SEuclidean",
            "Mahalanobis",
            "Hamming",
            "Canberra",
            "Haversine",
        )
        for bits in ("", "32", "64")
    ),
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._ball_tree.BallTree32",
    "sklearn.neighbors._ball_tree.BallTree64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._kd_tree.KDTree32",
    "sklearn.neighbors._kd_tree.KDTree64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRegressor",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
]
# `predict` is by definition the class with the highest `predict_proba`, in the library's own source
ARGMAX = {"BaggingClassifier", "CalibratedClassifierCV", "ExtraTreesClassifier", "LGBMClassifier", "RandomForestClassifier"}
COUNTED = (
    "coef_",
    "intercept_",
    "dual_coef_",
    "theta_",
    "var_",
    "feature_log_prob_",
    "class_log_prior_",
    "means_",
    "coefs_",
    "intercepts_",
)


class Estimator(Subject):
    """Anything with `predict`, and `predict_proba` where it has one."""

    kind = "estimator"
    packages = ("scikit-learn", "skops", "pandas")

    def __init__(self, estimator: Any) -> None:
        steps = getattr(estimator, "steps", None)
        self._before = estimator[:-1] if steps and len(steps) > 1 else None
        self._model = steps[-1][1] if steps else estimator
        self._whole = estimator
        for part in (estimator, self._model):
            if hasattr(part, "n_jobs"):
                part.n_jobs = 1
        known = getattr(estimator, "classes_", None)
        single = isinstance(known, np.ndarray) and known.ndim == 1
        self.classes = [label_text(v) for v in known] if single and known is not None else None
        self.regression = _is(estimator, "regressor")
        self._scores = hasattr(self._model, "predict_proba") and self.classes is not None
        self.outputs = "probability" if self._scores else "value" if self.regression else "label" if self.classes else "unknown"

    def predict(self, rows: Rows) -> Answer:
        """Probabilities and labels of a classifier, values of a regressor; a pipeline's transformers run once for both."""
        x = self._inputs(rows)
        if self._before is not None:
            x = self._before.transform(x)
        if not self._scores:
            raw = self._model.predict(x)
            if self.classes is None:
                values = numeric(raw, rows.n)
                return Answer(values, values[:, 0] if values.shape[1] == 1 else None)
            predicted = labels(raw, self.classes, rows.n)
            return Answer(predicted.reshape(-1, 1), predicted)
        scores = numeric(self._model.predict_proba(x), rows.n)
        if type(self._model).__name__ in ARGMAX and type(self._model).__module__.startswith(("sklearn.", "lightgbm.")):
            return Answer(scores, scores.argmax(axis=1).astype(np.float64))
        return Answer(scores, labels(self._model.predict(x), self.classes, rows.n))

    def _inputs(self, rows: Rows) -> Any:
        """A DataFrame, or a matrix for what was fitted on one and comes without a signature by names."""
        named = any(i["name"] for i in rows.inputs)
        if not named and not hasattr(self._whole, "feature_names_in_") and self._before is None:
            return rows.tensor() if rows.inputs else rows.matrix(np.float64)
        table: Any = rows.table() if named or not rows.inputs else rows.tensor()
        # A vectoriser of texts wants the texts themselves: of a table it would read the names of the columns.
        first = self._before[0] if self._before is not None else None
        return table.iloc[:, 0] if hasattr(first, "build_analyzer") and getattr(table, "shape", (0, 0))[1] == 1 else table

    def parameters(self) -> int | None:
        """Coefficients, or the splits and leaves of trees."""
        return count(self._model)

    def methods(self) -> list[str]:
        """Tree SHAP where the estimator is a tree model that takes the raw columns."""
        return ["tree_shap"] if self._before is None and trees.explainable(self._model) else []

    def attribute(
        self, rows: Rows, background: Rows | None, *, method: str, output: int, randomise: int | None = None, **params: Any
    ) -> Explained:
        """Tree SHAP over the raw columns; with the seed `randomise` of the same estimator fitted to these rows with shuffled answers."""
        model = (
            self._model if randomise is None else trees.refitted(self._model, np.asarray(self._inputs(rows), dtype=np.float64), randomise)
        )
        reference = None if background is None else np.asarray(self._inputs(background), dtype=np.float64)
        return trees.shap_values(model, np.asarray(self._inputs(rows), dtype=np.float64), reference, output, **params)


def _is(estimator: Any, kind: str) -> bool | None:
    from sklearn.utils import get_tags

    try:
        found = get_tags(estimator).estimator_type
    except Exception:
        return None
    return None if found not in ("classifier", "regressor") else found == kind


def count(model: Any) -> int | None:
    """Trained numbers: entries of coefficient arrays, or nodes of trees; None where the estimator shows neither."""
    nodes = trees.nodes(model)
    if nodes is not None:
        return nodes
    arrays: list[Array] = []
    for name in COUNTED:
        value = getattr(model, name, None)
        arrays += [np.asarray(v) for v in value] if isinstance(value, list) else [] if value is None else [np.asarray(value)]
    return sum(a.size for a in arrays) or None


def read(spec: dict[str, Any]) -> Any:
    """The object in the file, by the way it was stored."""
    path = os.path.join(spec["root"], spec["model_file"])
    if spec["serialization"] == "skops":
        return read_skops(path, trust=spec["trust_pickle"])
    if not spec["trust_pickle"]:
        raise ContractError(f"a model stored as {spec['serialization']} is loaded only with --trust-pickle")
    import cloudpickle

    with open(path, "rb") as file:
        return cloudpickle.load(file)


def read_skops(path: str, *, trust: bool) -> Any:
    """A skops file within our list of types, or within its own where the user trusts its author."""
    _import_skops()
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path) if trust else TRUSTED)
    except UntrustedTypesFoundException:
        foreign = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))
        raise ContractError(f"the skops file names types that are not on the auditor's list: {', '.join(foreign[:6])}") from None


def _import_skops() -> None:
    """To list scikit-learn's estimators skops imports all its modules; the one that holds none and loads torch (180 MB, 1.6 CPU-seconds) is hidden."""
    bridge = "sklearn.externals.array_api_compat.torch"
    if "torch" in sys.modules:
        return
    sys.modules[bridge] = None  # type: ignore[assignment]  # Python's own mark for "cannot be imported", which scikit-learn's walk passes over
    try:
        import skops.io  # noqa: F401
    finally:
        del sys.modules[bridge]


def load(spec: dict[str, Any]) -> Subject:
    """The estimator, as a subject."""
    return estimator(read(spec))


def estimator(found: Any) -> Subject:
    """What was stored, if it predicts."""
    if not hasattr(found, "predict"):
        raise ContractError(f"the file holds {type(found).__name__} where an estimator was expected")
    return Estimator(found)
