"""fairlearn's methods over a trained net: each gives candidates, and every candidate is one net that decides alone.

The reductions and the correlation remover refit an estimator dozens of times. What they refit is a logistic regression on the features that
the net's last layer takes: refitting the whole net fifty times a point would take minutes where this takes seconds, a convex fit is the exact
best response that exponentiated gradient asks for, and many linear heads over one shared net are still one net.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import TrainingError
from models.frontier import RATES
from models.learners.net import Net
from models.mitigation.heads import Heads, around, margins, two_rows
from models.mitigation.task import Task

if TYPE_CHECKING:
    from torch import nn

BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1)
TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
GRID = 40
#: Weights of the adversary against the outcome; rounds over the training rows, and how they are taken.
ALPHAS = (0.2, 0.5, 1.0, 1.5, 2.0)
ROUNDS, BATCH, RATE = 40, 128, 0.01
ITERATIONS = 30
FAR = 1e30


@dataclass(frozen=True)
class Candidate:
    """One point of the frontier. It decides for the positive label where its score is at least `threshold`.

    `score_of` is what the score was made for: the outcome, or the decision, as where it is the chance of a decision that is drawn.
    """

    point: dict[str, Any]
    net: Net
    outputs: str
    threshold: float
    score_of: str = "decision"


def exponentiated_gradient(what: Task) -> Iterator[Candidate]:
    """Agarwal et al. 2018, over bounds of the difference; the mixture of heads is the net."""
    from fairlearn.reductions import ErrorRate, ExponentiatedGradient

    heads = Heads(what)
    for bound in BOUNDS:
        method = ExponentiatedGradient(
            _logistic(), _moment(what.constraint, bound), objective=ErrorRate(costs=_costs(what)), eps=bound, max_iter=ITERATIONS
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fairlearn's own use of pandas
            method.fit(heads.scaled, what.y, sensitive_features=what.group)
        drawn = [(method.predictors_[i], float(w)) for i, w in method.weights_.items() if w > 0]
        yield Candidate({"difference_bound": bound, "heads": len(drawn)}, heads.mixture(drawn), "probability", 0.5)


def grid_search(what: Task) -> Iterator[Candidate]:
    """Agarwal et al. 2018, section 3.4: one head for each set of multipliers, in place of the last layer; nothing is drawn."""
    from fairlearn.reductions import ErrorRate, GridSearch

    heads = Heads(what)
    moment = _moment(what.constraint, 0.01)
    moment.default_objective = lambda: ErrorRate(costs=_costs(what))
    method = GridSearch(_logistic(), moment, grid_size=GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fairlearn's own use of pandas
        method.fit(heads.scaled, what.y, sensitive_features=what.group)
    for i, predictor in enumerate(method.predictors_):
        yield Candidate({"grid": i}, heads.replaced(predictor), "logit", 0.5)


def threshold_optimizer(what: Task) -> Iterator[Candidate]:
    """Hardt, Price and Srebro 2016, over tolerances: cut-offs by group on the net's own margin."""
    import torch
    from fairlearn.postprocessing import ThresholdOptimizer

    margin = margins(what.base, what.train)
    tolerances = TOLERANCES if what.constraint != "equalized_odds" else (0.0,)
    for objective in ("accuracy_score", "balanced_accuracy_score"):
        for tolerance in tolerances:
            method = ThresholdOptimizer(
                estimator=_prefit(), constraints=what.constraint, objective=objective, prefit=True, predict_method="decision_function",
                tol=tolerance or None,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # fairlearn's own use of pandas
                method.fit(margin.reshape(-1, 1), what.y, sensitive_features=what.group)
            net = around(what.base, "thresholds", what.encoder, {**what.places(), "positive": what.base.positive}, prefix="inner.")
            with torch.no_grad():
                _fill(net.module, method.interpolated_thresholder_.interpolation_dict, what)
            yield Candidate({"objective": objective, "tolerance": tolerance}, net, "probability", 0.5)


def _fill(module: nn.Module, rules: dict[str, Any], what: Task) -> None:
    """fairlearn's rule of each group into the tables of the layer; who has no group is cut where the base cuts everybody."""
    import math

    last = len(what.groups)
    base = math.log(what.weight / (1 - what.weight))
    module.cuts[last] = base
    for group, rule in rules.items():
        row = what.codes()[group]
        for j, operation in enumerate((rule.operation0, rule.operation1)):
            module.cuts[row, j] = min(max(operation._threshold, -FAR), FAR)
            module.signs[row, j] = 1.0 if operation._operator == ">" else -1.0
        module.shares[row, 0], module.shares[row, 1] = rule.p0, rule.p1
        module.ignore[row], module.constant[row] = rule.get("p_ignore", 0.0), rule.get("prediction_constant", 0.0)


def correlation_remover(what: Task) -> Iterator[Candidate]:
    """fairlearn's CorrelationRemover on the features, over strengths, then a logistic regression; both are linear layers."""
    import numpy as np
    import pandas as pd
    import torch
    from fairlearn.preprocessing import CorrelationRemover

    heads = Heads(what)
    codes = what.codes()
    belongs = np.zeros((len(what.y), len(codes)))
    belongs[np.arange(len(what.y)), [codes[g] for g in what.group]] = 1
    ids = [f"group {i}" for i in range(len(codes))]
    frame = pd.concat([pd.DataFrame(heads.scaled).add_prefix("x"), pd.DataFrame(belongs, columns=ids)], axis=1)
    for strength in STRENGTHS:
        remover = CorrelationRemover(sensitive_feature_ids=ids, alpha=strength).fit(frame)
        fitted = _logistic().fit(remover.transform(frame), what.y)
        net = around(what.base, "decorrelated", what.encoder, {"last": heads.last, **what.places()}, prefix="features.net.")
        weight, bias = heads.unscaled(fitted)
        with torch.no_grad():
            net.module.remover.shares.copy_(torch.from_numpy(remover.sensitive_mean_))
            net.module.remover.slopes.copy_(torch.from_numpy(strength * remover.beta_ * heads.spread))
            two_rows(net.module.head, weight, bias, what.base.positive)
        yield Candidate({"strength": strength}, net, "logit", _observed_rate(what, net), score_of="outcome")


def adversarial(what: Task) -> Iterator[Candidate]:
    """Zhang, Lemoine and Mitchell 2018 (arXiv:1801.07593), over weights of the adversary, who guesses the group from the score (and, for equalized
    odds, from score and outcome); the predictor is a linear layer in place of the last, and starts where the outcome alone would have it."""
    import torch
    from fairlearn.adversarial import AdversarialFairnessClassifier
    from torch import nn

    if what.constraint not in ("demographic_parity", "equalized_odds"):
        raise TrainingError(f"the method adversarial knows no {what.constraint}", "use --constraint demographic_parity or equalized_odds")
    heads = Heads(what)
    start = _logistic().fit(heads.scaled, what.y)
    for alpha in ALPHAS:
        predictor = nn.Sequential(nn.Linear(heads.scaled.shape[1], 1), nn.Sigmoid())
        with torch.no_grad():
            predictor[0].weight.copy_(torch.from_numpy(start.coef_))
            predictor[0].bias.copy_(torch.from_numpy(start.intercept_))
        method = AdversarialFairnessClassifier(
            backend="torch", predictor_model=predictor, adversary_model=[8, "leaky_relu"], constraints=what.constraint, alpha=alpha,
            epochs=ROUNDS, batch_size=min(BATCH, len(what.y)), learning_rate=RATE, shuffle=True, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fairlearn's own use of scikit-learn
            method.fit(heads.scaled, what.y, sensitive_features=what.group)
        if not all(bool(torch.isfinite(p).all()) for p in predictor.parameters()):
            raise TrainingError(f"the adversary of weight {alpha:g} drove the predictor to infinity", "use another --method")
        net = heads.replaced(_Linear(predictor[0]))
        yield Candidate({"adversary": alpha}, net, "logit", _observed_rate(what, net), score_of="outcome")


class _Linear:
    """A trained linear layer of one output, with the names that a logistic regression has for its weights."""

    def __init__(self, layer: nn.Linear) -> None:
        self.coef_, self.intercept_ = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()


def _observed_rate(what: Task, net: Net) -> float:
    """Where the score is cut so that as many validation rows get the positive decision as have the positive label."""
    from models.loop import outputs_of
    from models.metrics import softmax
    from models.tracking import cutoff

    rows = what.base.dataset.parts["validation"]
    threshold = cutoff(what.base.dataset, softmax(outputs_of(net.module, net.encoder.arrays(rows))))
    assert threshold is not None, "there are two classes"
    return threshold


#: Method (fairlearn's name) → its candidates, and what a reader must know of how it uses the group.
METHODS: dict[str, Callable[[Task], Iterator[Candidate]]] = {
    "exponentiated_gradient": exponentiated_gradient,
    "grid_search": grid_search,
    "threshold_optimizer": threshold_optimizer,
    "correlation_remover": correlation_remover,
    "adversarial": adversarial,
}
#: Methods whose net needs the group of each person whom it decides on.
NEED_GROUP = ("threshold_optimizer", "correlation_remover")


def _moment(constraint: str, bound: float) -> Any:
    from fairlearn import reductions

    names = {
        "demographic_parity": "DemographicParity", "true_positive_rate_parity": "TruePositiveRateParity",
        "false_positive_rate_parity": "FalsePositiveRateParity", "equalized_odds": "EqualizedOdds",
    }  # fmt: skip
    assert names.keys() == RATES.keys()
    return getattr(reductions, names[constraint])(difference_bound=bound)


def _costs(what: Task) -> dict[str, float]:
    """Of wrong decisions, summing to 2 as in plain error."""
    return {"fp": 2 * what.weight, "fn": 2 * (1 - what.weight)}


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _prefit() -> Any:
    """For fairlearn: an estimator that hands on the margin that it is given."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Margin(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is Any to mypy
        """Fitted from the start."""

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def fit(self, X: Any, y: Any) -> Margin:
            return self

        def decision_function(self, X: Any) -> Any:
            return X[:, 0] if hasattr(X, "ndim") else X.iloc[:, 0].to_numpy()

    return Margin()
