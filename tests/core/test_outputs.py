"""A model's numbers to predictions and scores, and these to the scored table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from declared import prepared

from audit import scored
from audit.errors import AuditError
from audit.outputs import Settled, UnreadableError, interpret, settle
from audit.prepare import Facts
from audit.subject.client import Description, Prediction
from audit.subject.frame import Frame

# --- outputs ---------------------------------------------------------------------------------------------------------------------------


def described(**known: Any) -> Description:
    given: dict[str, Any] = {
        "classes": None, "parameters": 3, "kind": "linear", "outputs": "unknown", "regression": None, "methods": [], "packages": {}, "load_seconds": 0.0,
        "peak_memory": 0,
    }  # fmt: skip
    fields = Description.__dataclass_fields__
    return Description(**{name: value for name, value in (given | known).items() if name in fields})


def said(values: Any, predicted: Any = None) -> Prediction:
    array = np.asarray(values, dtype=np.float64)
    return Prediction(array[:, None] if array.ndim == 1 else array, None if predicted is None else np.asarray(predicted, dtype=np.float64))


def facts_of(folder: Path, labels: list[Any], **roles: Any) -> Facts:
    columns = {"x": [0.0] * len(labels), "y": labels}
    return prepared(folder, columns, {"target": "y"} | roles)


def settled_for(folder: Path, labels: list[Any], prediction: Prediction, *, flavor: str = "sklearn", metadata: Any = None, classes: Any = None,
                regression: bool | None = None, **roles: Any) -> Settled:  # fmt: skip
    description = described(classes=classes, regression=regression)
    return settle(description, prediction, facts_of(folder, labels, **roles), metadata or {}, flavor)


def test_one_column_of_known_labels_is_labels(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, [0, 1], said([0, 1, 1]))
    assert (settled.task, settled.outputs, settled.classes, settled.positive) == ("binary", "label", ["0", "1"], "1")
    codes, scores = interpret(said([1, 0, np.nan, 7]), settled)
    assert codes.tolist() == [1, 0, -1, -1]
    assert scores is None


def test_one_column_in_the_unit_interval_is_the_probability_of_the_event(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, [0, 1], said([0.2, 0.9]))
    assert (settled.outputs, settled.has_scores) == ("probability", True)
    codes, scores = interpret(said([0.2, 0.9, np.nan]), settled)
    assert codes.tolist() == [0, 1, -1]
    assert scores is not None
    assert scores[:2].tolist() == [[0.8, 0.2], [1 - 0.9, 0.9]]
    assert np.isnan(scores[2]).all()


def test_a_model_may_say_that_its_score_was_made_for_the_decision(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, [0, 1], said([[0.2, 0.8], [1, 0]]), metadata={"score_of": "decision"})
    assert (settled.score_of, settled.has_scores, settled.has_forecasts) == ("decision", True, False)
    settled = settled_for(tmp_path, [0, 1], said([0.2, 0.9]))
    assert (settled.score_of, settled.has_forecasts) == ("outcome", True)
    for strange in ("decisions", 1, None):
        with pytest.raises(AuditError, match="write outcome or decision"):
            settled_for(tmp_path, [0, 1], said([0.2, 0.9]), metadata={"score_of": strange})


def test_one_column_speaks_of_the_declared_event_even_where_it_is_the_first_class(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, ["bad", "good"], said([0.2, 0.9]), positive="bad")
    codes, scores = interpret(said([0.2, 0.9]), settled)
    assert codes.tolist() == [1, 0]
    assert scores is not None
    assert scores[:, 0].tolist() == [0.2, 0.9]


@pytest.mark.parametrize("flavor", ["sklearn", "pytorch"])
def test_logits_are_read_as_such_for_torch_and_asked_for_elsewhere(tmp_path: Path, flavor: str) -> None:
    prediction = said([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    if flavor == "sklearn":
        with pytest.raises(AuditError, match="--outputs"):
            settled_for(tmp_path, ["a", "b", "c"], prediction)
    settled = settled_for(tmp_path, ["a", "b", "c"], prediction, flavor=flavor, outputs="logit" if flavor == "sklearn" else None)
    assert (settled.task, settled.outputs, settled.positive) == ("multiclass", "logit", None)
    codes, scores = interpret(prediction, settled)
    assert codes.tolist() == [0, 1]
    assert scores is not None
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert scores[0] == pytest.approx(np.exp([2.0, -1.0, 0.5]) / np.exp([2.0, -1.0, 0.5]).sum())


def test_one_column_of_logits_is_the_log_odds_of_the_event(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, [0, 1], said([-3.0, 2.0]), flavor="pytorch", task="binary")
    assert settled.outputs == "logit"
    codes, scores = interpret(said([-3.0, 2.0]), settled)
    assert codes.tolist() == [0, 1]
    assert scores is not None
    assert scores[:, 1] == pytest.approx(1 / (1 + np.exp([3.0, -2.0])))


def test_the_order_of_classes_is_the_declared_then_the_librarys_then_sorted(tmp_path: Path) -> None:
    prediction = said([[0.9, 0.1], [0.2, 0.8]])
    assert settled_for(tmp_path, ["n", "y"], prediction, positive="y").classes == ["n", "y"]
    assert settled_for(tmp_path, ["n", "y"], prediction, classes=["y", "n"], positive="y").classes == ["y", "n"]
    assert settled_for(tmp_path, ["n", "y"], prediction, classes=["n", "y"], metadata={"classes": ["y", "n"]}, positive="y").classes == [
        "y",
        "n",
    ]
    swapped = settled_for(tmp_path, ["n", "y"], prediction, metadata={"classes": ["y", "n"]}, positive="y")
    assert interpret(prediction, swapped)[0].tolist() == [0, 1], "class 0 is y"


@pytest.mark.parametrize(
    ("labels", "prediction", "roles", "said_"),
    [
        (["a", "b"], [[0.9, 0.1]], {}, "--positive"),
        (["a", "b"], [[0.9, 0.1]], {"positive": "c"}, "positive label 'c' is none of the classes"),
        (["a", "b"], [[0.9, 0.1]], {"positive": "a", "favourable": ["z"]}, "favourable label 'z'"),
        (["a", "b", "c"], [[0.9, 0.1]], {}, "2 columns for 3 classes"),
        (["a", "b"], [[0.2, 0.3, 0.5]], {"positive": "a"}, "3 columns for 2 classes"),
        ([0, 1], [[90.0, 10.0]], {}, "--outputs"),
        ([0, 1], [[0.7, 0.7]], {}, "--outputs"),
        ([1, 2, 3, 4], [2.5, 1.7], {}, "--task"),
        (["a", "b"], [0.5, 1.5], {"task": "regression"}, "holds texts"),
        ([0.5, 1.5], [0.5, 1.5], {"task": "regression", "favourable": ["yes"]}, "high or low"),
    ],
)
def test_what_is_ambiguous_is_refused_with_the_option_that_settles_it(
    tmp_path: Path, labels: list[Any], prediction: Any, roles: dict[str, Any], said_: str
) -> None:
    with pytest.raises(AuditError) as error:
        settled_for(tmp_path, labels, said(prediction), **roles)
    assert said_ in str(error.value)


def test_labels_that_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="labels that the model does not know: c"):
        settled_for(tmp_path, ["a", "c"], said([[0.9, 0.1]]), classes=["a", "b"], positive="a")


def test_a_model_may_know_more_classes_than_the_data_have(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, ["a", "b"], said([[0.9, 0.05, 0.05]]), classes=["a", "b", "c"])
    assert (settled.task, settled.classes) == ("multiclass", ["a", "b", "c"])


def test_a_quantity_is_a_regression(tmp_path: Path) -> None:
    settled = settled_for(tmp_path, [0.5, 1.5, 2.25], said([0.4, 1.7, 2.0]))
    assert (settled.task, settled.outputs, settled.classes) == ("regression", "value", [])
    values, scores = interpret(said([0.4, np.nan]), settled)
    assert np.array_equal(values, [0.4, np.nan], equal_nan=True)
    assert scores is None
    assert settled_for(tmp_path, [1, 2, 3], said([2.5]), regression=True).task == "regression"


def test_a_pilot_of_undefined_answers_is_refused(tmp_path: Path) -> None:
    """Nothing can be settled on answers none of which is a number."""
    with pytest.raises(AuditError, match="not one finite number"):
        settled_for(tmp_path, [0, 1], said([np.nan, np.nan]))


@pytest.mark.parametrize("bad", [[0.4, 1.2], [-0.3, 0.5]])
def test_a_later_batch_that_is_no_probability_is_an_error_and_not_a_score(tmp_path: Path, bad: list[float]) -> None:
    settled = settled_for(tmp_path, [0, 1], said([0.2, 0.9]))
    with pytest.raises(UnreadableError):
        interpret(said(bad), settled)
    wide = settled_for(tmp_path, [0, 1], said([[0.2, 0.8]]))
    with pytest.raises(UnreadableError):
        interpret(said([[0.5, 0.6]]), wide)


@pytest.mark.parametrize("row", [[np.nan, 0.5], [np.inf, -np.inf], [np.inf, 0.2]])
@pytest.mark.parametrize("outputs", ["probability", "logit"])
def test_a_row_with_one_undefined_number_is_undefined(tmp_path: Path, row: list[float], outputs: str) -> None:
    settled = settled_for(tmp_path, [0, 1], said([[0.2, 0.8]]), outputs=outputs)
    codes, scores = interpret(said([row, [0.3, 0.7]]), settled)
    assert codes.tolist() == [-1, 1]
    assert scores is not None
    assert np.isnan(scores[0]).all()


def test_the_librarys_own_prediction_is_kept_where_it_gives_one(tmp_path: Path) -> None:
    """A model with its own cutoff predicts 1 at a probability of .3."""
    settled = settled_for(tmp_path, [0, 1], said([[0.7, 0.3], [0.9, 0.1]], [1, 0]))
    assert interpret(said([[0.7, 0.3], [0.9, 0.1]], [1, 0]), settled)[0].tolist() == [1, 0]


# --- the scored table ------------------------------------------------------------------------------------------------------------------


class FixedModel:
    """Stands in for the worker's client: the score is the first input."""

    def __init__(self, *_: Any) -> None:
        pass

    def predict(self, rows: Frame, *, timeout: float | None = None) -> Prediction:
        first = np.asarray(next(iter(rows.values())), dtype=np.float64)
        return Prediction(np.stack([1 - first, first], axis=1), None)

    def usage(self, *, timeout: float | None = None) -> Description:
        return described(peak_memory=5_000_000)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Score a table with the fixed model; returns (scoring, scored table, sample)."""
    monkeypatch.setattr("audit.subject.client.Client", FixedModel)

    def do(columns: dict[str, Any], given: dict[str, Any], sample: int = 5) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
        facts = prepared(tmp_path, columns, {"target": "y"} | given)
        settled = settle(described(), said([[0.5, 0.5]]), facts, {}, "sklearn")
        arguments = {
            "facts": facts.model_dump(mode="json"), "settled": settled.model_dump(mode="json"), "table": str(tmp_path / "t.parquet"),
            "sample": str(tmp_path / "s.parquet"), "sample_rows": sample, "seed": 0,
        }  # fmt: skip
        result = scored.score(arguments, object())  # type: ignore[arg-type]
        assert (tmp_path / "t.parquet").stat().st_mode & 0o777 == 0o600
        return result, pd.read_parquet(tmp_path / "t.parquet"), pd.read_parquet(tmp_path / "s.parquet")

    return do


X = [0.1, 0.9, 0.6, 0.4, float("nan"), 0.7, 0.7]
ROWS = {"x": X, "y": [0, 1, 1, None, 0, 1, 0], "g": ["a", "b", "a", None, "a", "b", "b"]}


def test_a_scored_table_has_codes_scores_and_groups(run: Any) -> None:
    scoring, table, sample = run(ROWS, {"sensitive": ["g"]}, 3)
    assert table["y"].tolist() == [0, 1, 1, -1, 0, 1, 0]
    assert table["pred"].tolist() == [0, 1, 1, 0, -1, 1, 1]
    assert np.array_equal(table["score"], X, equal_nan=True)
    assert table["g0"].tolist() == [0, 1, 0, 2, 0, 1, 1]
    assert (scoring["rows"], scoring["missing_outcome"], scoring["undefined_score"]) == (7, 1, 1)
    rows = scored.sample_rows(7, 3, 0)
    assert sample["row"].tolist() == rows.tolist()
    assert np.array_equal(sample["x0"], np.array(X)[rows], equal_nan=True)
    assert sample["pred"].tolist() == table["pred"][rows].tolist()


@pytest.mark.parametrize(
    ("rule", "pred", "cutoff"),
    [
        ("score>=0.65", [0, 1, 0, 0, -1, 1, 1], None),
        ("score>=0.7", [0, 1, 0, 0, -1, 1, 1], None),
        ("top=2", [0, 1, 0, 0, -1, 1, 0], 0.7),
        ("top=50%", [0, 1, 0, 0, -1, 1, 1], 0.7),
        ("top=100", [1, 1, 1, 1, -1, 1, 1], 0.1),
    ],
)
def test_decision_rules(run: Any, rule: str, pred: list[int], cutoff: float | None) -> None:
    """Ties of a quota go to the earlier row; an undefined score is never a decision."""
    scoring, table, sample = run(ROWS, {"decision": rule}, 7)
    assert table["pred"].tolist() == sample["pred"].tolist() == pred
    assert scoring["decision_cutoff"] == cutoff


def test_a_decision_column_of_the_data(run: Any) -> None:
    """Rows without a score stay undefined, whatever was decided about them; rows without a decision too."""
    _, table, _ = run(ROWS | {"d": [1, 1, 0, None, 1, 0, 0]}, {"decision": "column=d"})
    assert table["pred"].tolist() == [1, 1, 0, -1, -1, 0, 0]


@pytest.mark.parametrize("name", ["g0", "__y", "y0", "score", "pred", "row"])
def test_an_input_may_have_any_name(run: Any, name: str) -> None:
    columns = {name: X, "y": ROWS["y"], "g": ROWS["g"]}
    _, table, sample = run(columns, {"sensitive": ["g"], "features": [name]}, 7)
    assert np.array_equal(table["score"], X, equal_nan=True)
    assert table["g0"].tolist() == [0, 1, 0, 2, 0, 1, 1]
    assert np.array_equal(sample["x0"], X, equal_nan=True)


def test_an_input_may_be_sensitive_too(run: Any) -> None:
    columns = ROWS | {"age": [30.0, 40.0, 30.0, 40.0, 30.0, 40.0, 30.0]}
    _, table, _ = run(columns, {"sensitive": ["age"], "features": ["x", "age"]})
    assert table["g0"].tolist() == [0, 1, 0, 1, 0, 1, 0]


def test_a_batch_too_large_for_the_model_is_halved(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.subject.client import WorkerError
    from audit.subject.frame import rows

    def predict(self: FixedModel, frame: Frame, *, timeout: float | None = None) -> Prediction:
        if rows(frame) > 100:
            raise WorkerError("memory", "too large")
        return plain(self, frame)

    plain = FixedModel.predict
    n = 500
    x = np.linspace(0, 1, n)
    monkeypatch.setattr(FixedModel, "predict", predict)
    scoring, table, _ = run({"x": x, "y": [0, 1] * (n // 2)}, {})
    assert scoring["halved"] is True
    assert np.array_equal(table["score"], x)
