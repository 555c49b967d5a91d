"""From what a model returns to a prediction and a score per class.

What the numbers mean is settled once, on a first batch, and written into the document; later batches must agree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from audit.errors import AuditError
from audit.measurement import Frozen
from audit.roles import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.prepare import Facts
    from audit.subject.client import Description, Prediction

Outputs = Literal["label", "probability", "logit", "value"]
ScoreOf = Literal["outcome", "decision"]


class Settled(Frozen):
    """The model's task and how its outputs are read. `positive` is the event that the score predicts, None where there is none.

    `stepped` says that gradients do not tell how a net decides, as behind an arg max or a step: they are 0, cannot be had, or miss what its answers
    move by.
    `score_of` is what the scores were made for: the outcome, as a forecast of it, or the decision (the chance of a decision that is drawn, say).
    """

    task: Task
    classes: list[str]
    outputs: Outputs
    positive: str | None
    score_of: ScoreOf = "outcome"
    favourable: list[str]
    parameters: int | None
    kind: str
    methods: list[str]
    stepped: bool = False
    flops: float | None = None
    uncounted: tuple[str, ...] = ()
    packages: dict[str, str]

    @property
    def has_scores(self) -> bool:
        """Whether there is a score per class."""
        return self.outputs in ("probability", "logit")

    @property
    def has_forecasts(self) -> bool:
        """Whether the scores are meant as probabilities of the outcome."""
        return self.has_scores and self.score_of == "outcome"


class UnreadableError(Exception):
    """The model's answer is not what was settled; `kind` and `message` as the worker's errors have them."""

    kind = "contract"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def settle(description: Description, prediction: Prediction, facts: Facts, metadata: dict[str, Any], flavor: str) -> Settled:
    """Task, classes and meaning of the outputs, from declarations first, then the library, then the numbers (decisions.md 1)."""
    roles = facts.roles
    declared = roles.classes or [str(c) for c in metadata.get("classes") or []]
    classes = declared or description.classes or []
    # Functions, endpoints and columns know the labels of the data only: that does not make classes of them.
    known = bool(classes if description.kind not in ("function", "endpoint", "recorded") else declared)
    task = roles.task or metadata.get("task") or _task(description, prediction, facts, known)
    common = {
        "parameters": description.parameters,
        "kind": description.kind,
        "methods": description.methods,
        "packages": description.packages,
        "flops": description.flops,
        "uncounted": description.uncounted,
    }
    if task == "regression":
        if facts.roles.target is not None and not facts.target_is_number:
            raise AuditError(
                f"the task is regression and the target {roles.target!r} holds texts", "name a target of numbers, or the task with --task"
            )
        return Settled(task="regression", classes=[], outputs="value", positive=None, favourable=_direction(roles.favourable), **common)
    classes = classes or facts.labels
    if len(classes) < 2:
        raise AuditError("the model's classes are not known", "name them in the order of the score columns with --classes")
    unknown = [label for label in facts.labels if label not in classes]
    if unknown:
        raise AuditError(
            f"the target {roles.target!r} has labels that the model does not know: {', '.join(unknown[:5])}",
            f"the model's classes are {', '.join(classes[:10])}; give the order of its outputs with --classes",
        )
    outputs = roles.outputs or _declared(metadata, description) or _meaning(prediction, classes, flavor)
    width = prediction.values.shape[1]
    if outputs in ("probability", "logit") and width not in ({1, 2} if len(classes) == 2 else {len(classes)}):
        raise AuditError(
            f"the model returns {width} columns for {len(classes)} classes ({', '.join(classes[:10])})",
            "name the classes in their order with --classes",
        )
    task = "binary" if len(classes) == 2 else "multiclass"
    positive = _positive(roles.positive, classes, task)
    for label in roles.favourable:
        if label not in classes:
            raise AuditError(
                f"the favourable label {label!r} is none of the classes {', '.join(classes[:10])}", "name one of them with --favourable"
            )
    return Settled(
        task=task, classes=classes, outputs=outputs, positive=positive, score_of=_score_of(metadata), favourable=roles.favourable, **common
    )


def _direction(favourable: list[str]) -> list[str]:
    if favourable and favourable not in (["high"], ["low"]):
        raise AuditError(
            f"for a regression the favourable outcome is high or low, got {', '.join(favourable)}",
            "give --favourable high or --favourable low",
        )
    return favourable


def _positive(declared: str | None, classes: list[str], task: str) -> str | None:
    if declared is not None:
        if declared not in classes:
            raise AuditError(
                f"the positive label {declared!r} is none of the classes {', '.join(classes[:10])}", "name one of them with --positive"
            )
        return declared
    if task != "binary":
        return None
    for negative, positive in (("0", "1"), ("false", "true")):
        if set(classes) == {negative, positive}:
            return positive
    raise AuditError(
        f"the classes are {' and '.join(classes)}, and which of them is the event is not declared",
        "name the event that the score predicts with --positive",
    )


def _declared(metadata: dict[str, Any], description: Description) -> Outputs | None:
    named = metadata.get("outputs") or description.outputs
    known: dict[str, Outputs] = {"label": "label", "probability": "probability", "logit": "logit"}
    return known.get(str(named))


def _score_of(metadata: dict[str, Any]) -> ScoreOf:
    """What the model's own record says that its scores were made for; the outcome, where it says nothing."""
    named = metadata.get("score_of", "outcome")
    known: dict[Any, ScoreOf] = {"outcome": "outcome", "decision": "decision"}
    if not isinstance(named, str) or named not in known:
        raise AuditError(f"the model's metadata has score_of {named!r}", "write outcome or decision there, or leave it out")
    return known[named]


def _task(description: Description, prediction: Prediction, facts: Facts, classes_known: bool) -> str:
    """The task where nobody named it; an ambiguous case is an error that names the option."""
    if description.regression is not None:
        return "regression" if description.regression else "binary"
    if classes_known or prediction.values.shape[1] > 1 or (facts.labels and not facts.target_is_number):
        return "binary"
    values = _finite(prediction.values[:, 0])
    labels = set(facts.labels)
    if (
        labels
        and len(labels) <= 50
        and ({_text(v) for v in values} <= labels or (len(labels) == 2 and bool(((values >= 0) & (values <= 1)).all())))
    ):
        return "binary"
    fractional = any("." in label for label in facts.labels)
    if facts.target_is_number and (not facts.labels or fractional or len(labels) > 50):
        return "regression"
    raise AuditError(
        "the model returns one number a row, and target and signature do not say whether it is a class or a quantity",
        "name the task with --task binary, multiclass or regression",
    )


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return values[np.isfinite(values)]


def _text(value: float) -> str:
    from audit.subject.frame import label_text

    return label_text(value)


def _meaning(prediction: Prediction, classes: list[str], flavor: str) -> Outputs:
    """Labels if all values are known labels; probability if in [0, 1] and rows sum to 1; else logit for torch."""
    import numpy as np

    values = prediction.values
    finite = values[np.isfinite(values).all(axis=1)]
    if not len(finite):
        raise AuditError(
            f"the model returned not one finite number for the first {len(values)} rows",
            "check the data, and the model's inputs with --features",
        )
    if values.shape[1] == 1 and prediction.predicted is not None and np.array_equal(values[:, 0], prediction.predicted):
        if not (values >= 0).any():
            raise AuditError(
                f"not one of the first {len(values)} answers is among the classes {', '.join(classes[:10])}",
                "name the classes as the model writes them with --classes",
            )
        return "label"  # codes of labels, not scores
    if values.shape[1] == 1 and prediction.predicted is None and {_text(v) for v in np.unique(finite)} <= set(classes):
        return "label"
    inside = bool(np.all((finite >= -1e-6) & (finite <= 1 + 1e-6)))
    if inside and (values.shape[1] == 1 or bool(np.allclose(finite.sum(axis=1), 1, atol=1e-3))):
        return "probability"
    if flavor == "pytorch":
        return "logit"
    raise AuditError(
        "the model returns numbers that are neither labels, nor probabilities that sum to 1",
        "say what they are with --outputs label, probability or logit",
    )


def interpret(prediction: Prediction, settled: Settled) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """(predictions, scores): class codes int16 with -1 for unknown or undefined, and probabilities (n, classes); for a regression values and None."""
    import numpy as np

    values = prediction.values
    if settled.task == "regression":
        return values[:, 0], None
    if settled.outputs == "label":
        return _codes(prediction, settled.classes), None
    columns = [values[:, i] for i in range(values.shape[1])]  # reductions along rows of two are slow; along columns they are not
    finite = np.logical_and.reduce([np.isfinite(c) for c in columns])
    if settled.outputs == "logit":
        scores = _probabilities(values)
    else:
        scores = values
        inside = np.logical_and.reduce([(c >= -1e-6) & (c <= 1 + 1e-6) for c in columns])
        with np.errstate(invalid="ignore"):  # inf − inf, in a row that is undefined anyway
            summing = np.abs(sum(columns) - 1) < 1e-3 if len(columns) > 1 else inside
        if not np.all((inside & summing) | ~finite):
            raise UnreadableError("the model's scores are not probabilities in [0, 1] that sum to 1, as its first rows were")
    if scores.shape[1] == 1:
        positive = settled.classes.index(settled.positive) if settled.positive else 1
        scores = np.concatenate([1 - scores, scores] if positive == 1 else [scores, 1 - scores], axis=1)
    if prediction.predicted is not None:
        predicted = prediction.predicted
    else:
        predicted = scores[:, 1] > scores[:, 0] if scores.shape[1] == 2 else np.argmax(scores, axis=1)
    if finite.all():
        return predicted.astype(np.int16), scores
    undefined = np.asarray(~finite)
    return np.where(undefined, -1, predicted).astype(np.int16), np.where(undefined[:, None], np.nan, scores)


def _codes(prediction: Prediction, classes: list[str]) -> NDArray[Any]:
    import numpy as np

    if prediction.predicted is not None:
        return prediction.predicted.astype(np.int16)
    values, inverse = np.unique(prediction.values[:, 0], return_inverse=True)
    known = {label: i for i, label in enumerate(classes)}
    table = np.array([known.get(_text(v), -1) if np.isfinite(v) else -1 for v in values], dtype=np.int16)
    return np.asarray(table[inverse])


def _probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over columns; a single column is the log-odds of the event."""
    import numpy as np
    from scipy.special import expit, softmax

    with np.errstate(invalid="ignore"):
        if logits.shape[1] == 1:
            return np.asarray(expit(logits))
        if logits.shape[1] == 2:
            odds = logits[:, 1] - logits[:, 0]
            scores = np.empty(logits.shape, order="F")  # what reads a column of it need not copy
            expit(odds, out=scores[:, 1])
            expit(np.negative(odds, out=odds), out=scores[:, 0])
            return scores
        return np.asarray(softmax(logits, axis=1))
