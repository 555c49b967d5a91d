"""fairlearn's methods over a trained net: each gives candidates, and every candidate is one net that decides alone.

The reductions and the correlation remover refit an estimator dozens of times. What they refit is a logistic regression on the features that
the net's last layer takes: refitting the whole net fifty times a point would take minutes where this takes seconds, a convex fit is the exact
best response that exponentiated gradient asks for, and many linear heads over one shared net are still one net.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from models.encoding import Column, Encoder
from models.errors import TrainingError
from models.frontier import RATES
from models.learners.net import Net
from models.registered import Registered

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
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


@dataclass(frozen=True)
class Task:
    """What is mitigated: a net of two classes, and the sensitive column with the groups of its training rows."""

    base: Registered
    sensitive: str
    groups: tuple[str, ...]
    constraint: str

    @cached_property
    def train(self) -> pd.DataFrame:
        """Training rows whose group is known."""
        rows = self.base.dataset.parts["train"]
        return rows[group_of(rows, self.sensitive).notna().to_numpy()].reset_index(drop=True)

    @cached_property
    def group(self) -> NDArray[Any]:
        """(n,) of the training rows."""
        return group_of(self.train, self.sensitive).to_numpy(dtype=object)

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """(n,) 1 for the positive label."""
        found: NDArray[np.int64] = (self.base.y_of(self.train) == self.base.positive).astype("int64")
        return found

    @cached_property
    def weight(self) -> float:
        """What a wrong positive decision counts: the cut-off of the base."""
        return self.base.threshold if self.base.threshold is not None else 0.5

    @cached_property
    def encoder(self) -> Encoder:
        """The base's inputs and the sensitive column, at the end of the table unless it is an input already."""
        own = self.base.net.encoder
        if self.sensitive in [column.name for column in own.columns]:
            return own
        single = [c for c in own.columns if c.single]
        others = [c for c in own.columns if not c.single]
        return Encoder((*single, Column(self.sensitive, "category", self.groups), *others), own.tokenizer)

    def places(self) -> dict[str, int]:
        """`own` and `at` of models/nets/inner.py, and how many groups there are."""
        table = [column.name for column in self.encoder.inputs()["table"]]
        own = sum(column.single for column in self.base.net.encoder.columns)
        return {"own": own, "at": table.index(self.sensitive), "groups": len(self.groups)}

    def codes(self) -> dict[str, int]:
        """Group → the code that the net sees."""
        column = next(c for c in self.encoder.columns if c.name == self.sensitive)
        return {label: i for i, label in enumerate(column.vocabulary)}


def group_of(rows: pd.DataFrame, sensitive: str) -> pd.Series[Any]:
    """(n,) the group of each row as text, missing where unknown."""
    import pandas as pd

    from models.encoding import as_text

    return pd.Series(as_text(rows[sensitive]), dtype=object)


def task(base: Registered, sensitive: str, constraint: str) -> Task:
    """The task, after what cannot be mitigated has been refused."""
    settings = base.dataset.settings
    if base.dataset.classes != 2:
        many = f"{base.dataset.classes} classes" if base.dataset.classes else "a quantity"
        raise TrainingError(f"mitigation takes a model of two classes, {base.uri} predicts {many}", "give a model of two classes")
    if "variant" in base.metadata:
        said = base.metadata["variant"]
        origin = said.get("mitigated_from") or said.get("compressed_from")
        raise TrainingError(f"{base.uri} is itself a variant of {origin}", f"mitigate {origin}")
    train = base.dataset.parts["train"]
    if sensitive not in train.columns or sensitive == settings.target:
        have = ", ".join(settings.sensitive) or "none"
        raise TrainingError(f"the logged rows have no sensitive column {sensitive!r}", f"name one of them: {have}")
    groups = tuple(sorted(set(group_of(train, sensitive).dropna())))
    if not 2 <= len(groups) <= 20:
        raise TrainingError(f"column {sensitive!r} has {len(groups)} values among the training rows", "name a column of 2 to 20 groups")
    input_of = next((c for c in base.dataset.columns if c.name == sensitive), None)
    if input_of is not None and input_of.kind != "category":
        raise TrainingError(f"the net takes {sensitive!r} as a number", "train it with this column under data.categories")
    found = Task(base, sensitive, groups, constraint)
    positives = {g: int(found.y[found.group == g].sum()) for g in groups}
    for group, k in positives.items():
        if k in (0, int((found.group == group).sum())):
            raise TrainingError(
                f"all training rows of {sensitive} {group!r} have one class", "join this group with another in the data, and train again"
            )
    return found


def exponentiated_gradient(what: Task) -> Iterator[Candidate]:
    """Agarwal et al. 2018, over bounds of the difference; the mixture of heads is the net."""
    from fairlearn.reductions import ErrorRate, ExponentiatedGradient

    heads = _Heads(what)
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

    heads = _Heads(what)
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

    heads = _Heads(what)
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
            _two_rows(net.module.head, weight, bias, what.base.positive)
        yield Candidate({"strength": strength}, net, "logit", _observed_rate(what, net), score_of="outcome")


def adversarial(what: Task) -> Iterator[Candidate]:
    """Zhang, Lemoine and Mitchell 2018 (arXiv:1801.07593), over weights of the adversary, who guesses the group from the score (and, for equalized
    odds, from score and outcome); the predictor is a linear layer in place of the last, and starts where the outcome alone would have it."""
    import torch
    from fairlearn.adversarial import AdversarialFairnessClassifier
    from torch import nn

    if what.constraint not in ("demographic_parity", "equalized_odds"):
        raise TrainingError(f"the method adversarial knows no {what.constraint}", "use --constraint demographic_parity or equalized_odds")
    heads = _Heads(what)
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


def margins(base: Registered, rows: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) log-odds of the positive label by the net of the base."""
    from models.loop import outputs_of

    outputs = outputs_of(base.net.module, base.net.encoder.arrays(rows))
    margin: NDArray[np.float64] = outputs[:, base.positive] - outputs[:, 1 - base.positive]
    return margin


def around(base: Registered, name: str, encoder: Encoder, network: dict[str, Any], *, prefix: str) -> Net:
    """A net of architecture `name` around the base's, whose weights go under `prefix`; its own are still to be set."""
    config = {
        "columns": encoder.record(), "classes": base.dataset.classes, "network": network,
        "inner": {"name": base.net.architecture, "config": base.net.config},
    }  # fmt: skip
    module = importlib.import_module(f"models.nets.{name}").build(config)
    inside = {f"{prefix}{key}": tensor for key, tensor in base.net.module.state_dict().items()}
    own = module.state_dict()
    module.load_state_dict({key: inside.get(key, tensor) for key, tensor in own.items()})
    return Net(module.eval(), encoder, config, name, base.net.prepared)


class _Heads:
    """The features of the net's last layer for the training rows, and nets with other last layers."""

    def __init__(self, what: Task) -> None:
        import numpy as np

        self.base, self.what = what.base, what
        self.last, features = last_layer(what.base, what.train)
        self.center = features.mean(axis=0)
        self.spread = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
        self.scaled = (features - self.center) / self.spread

    def unscaled(self, fitted: Any) -> tuple[NDArray[np.float64], float]:
        """Weights (width,) and bias of a fitted classifier for the features as they are; a constant one has no weights."""
        import numpy as np

        if not hasattr(fitted, "coef_"):
            return np.zeros(len(self.center)), 1.0 if int(fitted.predict(self.scaled[:1])[0]) else -1.0
        weight = fitted.coef_[0] / self.spread
        return weight, float(fitted.intercept_[0] - weight @ self.center)

    def mixture(self, drawn: list[tuple[Any, float]]) -> Net:
        """Classifiers with their shares as one net."""
        import numpy as np
        import torch

        network = {"last": self.last, "heads": len(drawn), "positive": self.base.positive}
        net = around(self.base, "mixture", self.base.net.encoder, network, prefix="features.net.")
        found = [self.unscaled(fitted) for fitted, _ in drawn]
        with torch.no_grad():
            net.module.heads.weight.copy_(torch.from_numpy(np.stack([weight for weight, _ in found])))
            net.module.heads.bias.copy_(torch.tensor([bias for _, bias in found]))
            net.module.shares.copy_(torch.tensor([share for _, share in drawn]))
        return net

    def replaced(self, fitted: Any) -> Net:
        """The base with another last layer."""
        import copy

        import torch

        own = self.base.net
        module = copy.deepcopy(own.module)
        weight, bias = self.unscaled(fitted)
        with torch.no_grad():
            _two_rows(module.get_submodule(self.last), weight, bias, self.base.positive)
        return Net(module, own.encoder, own.config, own.architecture, own.prepared)


def _two_rows(layer: nn.Linear, weight: NDArray[np.float64], bias: float, positive: int) -> None:
    """Log-odds of the positive label into a layer of two outputs, or of one, which is the second class's."""
    import torch

    layer.weight.zero_()
    layer.bias.zero_()
    row, sign = (positive, 1.0) if layer.out_features == 2 else (0, 1.0 if positive else -1.0)
    layer.weight[row] = sign * torch.from_numpy(weight)
    layer.bias[row] = sign * bias


def last_layer(base: Registered, rows: pd.DataFrame) -> tuple[str, NDArray[np.float64]]:
    """The name of the linear layer that gives the net's outputs, and what it takes for these rows (n, width)."""
    import numpy as np
    import torch
    from torch import nn

    net = base.net.module
    names = [name for name, layer in net.named_modules() if type(layer) is nn.Linear and layer.out_features in (1, 2)]
    refused = TrainingError(f"the outputs of {base.uri} are not those of one linear layer", "use --method threshold_optimizer")
    if not names:
        raise refused
    layer, taken = net.get_submodule(names[-1]), []
    hook = layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0].detach()))
    with torch.inference_mode():
        outputs = net(*(torch.from_numpy(x) for x in base.net.encoder.arrays(rows)))
        hook.remove()
        features = torch.cat(taken)
        same = features.ndim == 2 and torch.allclose(layer(features), outputs[:, -layer.out_features :], atol=1e-5)
    if not same:
        raise refused
    return names[-1], np.asarray(features.double().numpy())


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


def said(point: dict[str, Any]) -> str:
    """A point as one line of text."""
    return json.dumps(point, sort_keys=True)
