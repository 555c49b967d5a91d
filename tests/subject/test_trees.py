"""SHAP values of trees against Shapley's formula over the model's own margins, against shap, and where the libraries disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeRegressor

from audit.explain.parts import Columns, game
from audit.explain.shapley import exact
from audit.subject.flavors import trees
from audit.subject.flavors.base import ContractError
from audit.subject.frame import Array

D = 6


@pytest.fixture(scope="module")
def rows() -> tuple[Array, Array]:
    """Numbers in single precision, one in twenty missing, and a target with interactions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, D))
    y = x[:, 0] * x[:, 1] + np.maximum(x[:, 2], 0) + rng.normal(size=800) / 4
    x[rng.random(x.shape) < 0.05] = np.nan
    return trees.single(x), y


def margins(model: Any) -> Callable[[Array], Array]:
    """(n, d) → (n, k) that SHAP values add up to."""
    if isinstance(model, lightgbm.LGBMModel):
        return lambda x: np.asarray(model.booster_.predict(x, raw_score=True)).reshape(len(x), -1)
    if isinstance(model, xgboost.XGBModel):
        return lambda x: np.asarray(model.predict(x, output_margin=True), dtype=float).reshape(len(x), -1)
    return lambda x: trees._explained(model, x)[0]


def formula(model: Any, x: Array, background: Array) -> Array:
    """Every coalition asked, (n, d, k)."""
    frames = [{str(j): c for j, c in enumerate(part.T)} for part in (x, background)]
    answers = lambda frame: margins(model)(np.stack(list(frame.values()), axis=1))  # noqa: E731
    return exact([game(answers, Columns(*frames), i) for i in range(len(x))], D).values


MODELS: dict[str, Callable[[Array, Array], Any]] = {
    "lightgbm": lambda x, y: lightgbm.LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1).fit(x, y > 0.5),
    "lightgbm, three classes": lambda x, y: lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1).fit(x, np.digitize(y, [0, 1])),
    "lightgbm, nothing missing in training": lambda x, y: lightgbm.LGBMRegressor(n_estimators=8, verbose=-1, n_jobs=1).fit(np.nan_to_num(x), y),
    "lightgbm, trees averaged": lambda x, y: lightgbm.LGBMRegressor(
        n_estimators=5, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, verbose=-1, n_jobs=1
    ).fit(x, y),
    "xgboost": lambda x, y: xgboost.XGBClassifier(n_estimators=8, n_jobs=1).fit(x, y > 0.5),
    "xgboost, three classes": lambda x, y: xgboost.XGBClassifier(n_estimators=4, max_depth=4, n_jobs=1).fit(x, np.digitize(y, [0, 1])),
    "xgboost, trees dropped": lambda x, y: xgboost.XGBRegressor(n_estimators=8, booster="dart", rate_drop=0.3, n_jobs=1).fit(x, y),
    "histograms": lambda x, y: HistGradientBoostingClassifier(max_iter=8).fit(x, y > 0.5),
    "forest": lambda x, y: RandomForestClassifier(8, max_depth=6, random_state=0).fit(x, np.digitize(y, [0, 1])),
    "extra trees": lambda x, y: ExtraTreesRegressor(5, max_depth=6, random_state=0).fit(x, y),
    "deep tree": lambda x, y: DecisionTreeRegressor(random_state=0).fit(x, y),
    "boosted": lambda x, y: GradientBoostingClassifier(n_estimators=8, random_state=0).fit(np.nan_to_num(x), y > 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("many", [True, False])
def test_values_are_those_of_shapleys_formula(name: str, many: bool, rows: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-5, by whichever library goes first: missing values, classes, dropped and averaged trees."""
    x, y = rows
    x = np.nan_to_num(x) if name == "boosted" else x
    model = MODELS[name](x, y)
    some, background = x[:6], x[100:110]
    truth = formula(model, some, background)
    monkeypatch.setattr(trees, "MANY", 0 if many else 10**9)
    raw = model.booster_ if isinstance(model, lightgbm.LGBMModel) else model.get_booster() if isinstance(model, xgboost.XGBModel) else model
    score = margins(model)
    unit = "value" if truth.shape[2] == 1 and not hasattr(model, "classes_") else "logit"
    for output in range(truth.shape[2]):
        found, whole = trees.against(raw, score, some, background, output + (truth.shape[2] == 1), unit)
        assert whole
        assert found.values == pytest.approx(truth[:, :, output], abs=1e-5)
        assert found.base == pytest.approx(score(background).mean(axis=0)[output])
        assert found.estimand == "background"


def test_a_stump() -> None:
    # f = 1[x1 > 0] at 1 against {-1, 1}: the base is .5 and the first column moves it by .5.
    model = DecisionTreeRegressor(max_depth=1).fit(np.array([[-1.0, 3], [1, 3]]), [0.0, 1.0])
    found = trees.shap_values(model, np.array([[1.0, 3]]), np.array([[-1.0, 3], [1, 3]]), 0)
    assert found.values.tolist() == [[0.5, 0]]
    assert found.base.tolist() == [0.5]


def test_the_two_estimands_differ_and_say_which_they_are(rows: tuple[Array, Array]) -> None:
    x, y = rows
    model = RandomForestClassifier(5, max_depth=4, random_state=0).fit(x, y > 0.5)
    against = trees.shap_values(model, x[:20], x[100:120], 1)
    paths = trees.shap_values(model, x[:20], x[100:120], 1, perturbation="tree_path_dependent")
    assert (against.estimand, paths.estimand) == ("background", "path_dependent")
    assert np.abs(against.values - paths.values).max() > 0.01
    for found in (against, paths):
        assert found.values.sum(axis=1) + found.base == pytest.approx(found.explained, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_many_rows_are_those_of_shap(rows: tuple[Array, Array]) -> None:
    import shap

    x, y = rows
    model = MODELS["lightgbm"](x, y)
    found, _ = trees.against(model.booster_, margins(model), x[:500], x[500:600], 1, "log-odds")
    reference = shap.TreeExplainer(model.booster_, x[500:600], feature_perturbation="interventional").shap_values(x[:500])
    assert trees.MANY <= 500 * 100
    assert found.values == pytest.approx(reference, abs=1e-5)


def test_what_no_library_takes_and_what_is_lacking_is_refused(rows: tuple[Array, Array]) -> None:
    from sklearn.linear_model import LinearRegression

    x, y = np.nan_to_num(rows[0]), rows[1]
    line = LinearRegression().fit(x, y)
    with pytest.raises(ContractError, match="ask for tree_path_dependent"):
        trees.against(line, lambda r: line.predict(r)[:, None], x[:5], x[5:9], 0, "value")
    tree = DecisionTreeRegressor(max_depth=2).fit(x, y)
    with pytest.raises(ContractError, match="background"):
        trees.shap_values(tree, x[:5], None, 0)
    with pytest.raises(ContractError, match="perturbation"):
        trees.shap_values(tree, x[:5], x[5:9], 0, perturbation="other")
    with pytest.raises(ContractError, match="output 3"):
        trees.shap_values(RandomForestClassifier(2, max_depth=2).fit(x, y > 0), x[:5], x[5:9], 3)
