"""What an endpoint answers, read: `predictions` as labels, numbers, lists of numbers, or columns by name (MLflow's scoring protocol)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError
from audit.subject.frame import Array, label_codes, label_text

#: Columns that hold the predicted label where there are others beside them.
LABELS = ("prediction", "label")
NAMES = {"number": "numbers", "text": "texts", "list": "lists", "object": "objects"}


def read(content: bytes, n: int, classes: list[str] | None) -> Answer:
    """The answer for n rows. What is no number (null, NaN) is undefined; another shape than was asked for is a ContractError."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise ContractError("the endpoint's answer is not JSON") from None
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise ContractError("the endpoint's answer has no 'predictions'")
    return _predictions(answer["predictions"], n, classes)


def _predictions(found: Any, n: int, classes: list[str] | None) -> Answer:
    if isinstance(found, dict):
        return _columns(found, n, classes)
    if not isinstance(found, list):
        raise ContractError("the endpoint's predictions are no list")
    if len(found) != n:
        raise ContractError(f"the endpoint returned {len(found)} predictions for {n} rows")
    kind = _kind(found, classes)
    if kind == "object":
        names = list(next(row for row in found if row is not None))
        if any(row is not None and set(row) != set(names) for row in found):
            raise ContractError("the endpoint's predictions have other columns in some rows than in others")
        return _columns({name: [None if row is None else row[name] for row in found] for name in names}, n, classes)
    if kind == "list":
        return _lists(found, n, classes)
    if kind == "text":
        codes = _labels(found, classes)
        return Answer(codes.reshape(-1, 1), codes)
    return Answer(_numbers(found).reshape(-1, 1))


def _kind(values: list[Any], classes: list[str] | None) -> str:
    """What the values are; null tells nothing, and a truth value is a label where the classes say so."""
    truth = "text" if classes and "true" in classes else "number"
    kinds = {
        truth if isinstance(v, bool) else "number" if isinstance(v, int | float) else "text" if isinstance(v, str)
        else "list" if isinstance(v, list) else "object"
        for v in values if v is not None
    }  # fmt: skip
    if len(kinds) > 1:
        raise ContractError(f"the endpoint's predictions mix {' and '.join(sorted(NAMES[k] for k in kinds))}")
    return next(iter(kinds), "number")


def _lists(found: list[Any], n: int, classes: list[str] | None) -> Answer:
    widths = {len(row) for row in found if row is not None}
    if len(widths) > 1:
        raise ContractError(f"the endpoint's predictions are ragged: rows of {', '.join(map(str, sorted(widths)[:5]))} values")
    (width,) = widths
    if not width:
        raise ContractError("the endpoint's predictions are empty lists")
    if width == 1:
        inner = [None if row is None else row[0] for row in found]
        if _kind(inner, classes) in ("list", "object"):
            raise ContractError("the endpoint's predictions are nested more deeply than a list for each row")
        return _predictions(inner, n, classes)
    flat = [v for row in found for v in (row if row is not None else [None] * width)]
    if _kind(flat, None) != "number":
        raise ContractError(f"the endpoint's predictions are lists of {NAMES[_kind(flat, None)]} where numbers were expected")
    return Answer(_numbers(flat).reshape(n, width))


def _columns(columns: dict[str, Any], n: int, classes: list[str] | None) -> Answer:
    """Columns by name: one of texts, or one that is called so, holds the labels; columns named like the classes are put in their order."""
    wrong = [v for v in columns.values() if not isinstance(v, list)]
    if not columns or wrong:
        raise ContractError("the endpoint's predictions are an object that is not one of columns")
    if len(columns) == 1:
        return _predictions(next(iter(columns.values())), n, classes)
    kinds = {name: _kind(values, classes) for name, values in columns.items()}
    texts = [name for name, kind in kinds.items() if kind == "text"] or [name for name in LABELS if kinds.get(name) == "number"][:1]
    if len(texts) > 1:
        raise ContractError(f"the endpoint returned {len(texts)} columns of texts, and one can be the predicted label")
    scores = [name for name in columns if name not in texts]
    if classes and set(scores) == set(classes):
        scores = list(classes)
    parts = [_predictions(columns[name], n, classes).values for name in scores]
    if len(parts) > 1 and any(part.shape[1] != 1 for part in parts):
        raise ContractError("the endpoint returned several columns of lists")
    values = np.concatenate(parts, axis=1)
    if not texts:
        return Answer(values)
    if len(columns[texts[0]]) != n:
        raise ContractError(f"the endpoint returned {len(columns[texts[0]])} labels for {n} rows")
    return Answer(values, _labels(columns[texts[0]], classes))


def _labels(values: list[Any], classes: list[str] | None) -> Array:
    if classes is None:
        raise ContractError("the endpoint returns labels and the classes are not known; name them with --classes")
    return label_codes(np.array([None if v is None else label_text(v) for v in values], dtype=object), classes)


def _numbers(values: list[Any]) -> Array:
    """Float64, NaN for null."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise ContractError("the endpoint returned whole numbers that are too large") from None
