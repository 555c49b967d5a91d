"""Predictions without a model: which columns can stand for one, what they mean, and how they become a scored table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from audit.errors import AuditError
from audit.pilot import pilot
from audit.prepare import prepare
from audit.registry import checks, unmet
from audit.run import build, parser
from audit.scored import score

ROLES = ["--target", "y", "--positive", "yes", "--sensitive", "sex"]
Json = dict[str, Any]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    table = pd.DataFrame(
        {
            "y": ["yes", "no", "yes", "no", None, "no"], "sex": ["f", "m", "f", "m", "m", "f"], "p": [0.9, 0.5, 0.49, np.nan, 0.1, np.inf],
            "q": [0.1, 0.5, 0.51, 0.5, 0.9, 0.5], "said": ["yes", "no", None, "no", "yes", "yes"], "value": [0.0, -1.5, 2.0, 7.5, 3.0, 1.0],
            "word": ["one", "2", "3", "4", "5", "6"], "amount": [1.5, 2.5, 3.5, 4.25, 5.0, 6.0], "hard": [0, 1, 0, 1, 1, 0],
        }
    )  # fmt: skip
    path = tmp_path / "rows.parquet"
    table.to_parquet(path)
    return str(path)


def settled(rows: str, *options: str, roles: list[str] = ROLES) -> tuple[Json, Json]:
    """(facts, what the columns mean) as the command line has them."""
    request = build(parser().parse_args(["predictions", "--data", rows, *roles, *options]), [])
    arguments = {"data": rows, "source": rows, "logged": None, "given": request.given, "inputs": [], "metadata": {}, "bins": {}, "flavor": "predictions"}  # fmt: skip
    facts = prepare(arguments, None)
    return facts, pilot({"facts": facts, "metadata": {}, "flavor": "predictions", "timeout": 1.0}, None)["settled"]


def scored(rows: str, tmp_path: Path, *options: str, roles: list[str] = ROLES) -> tuple[Json, dict[str, Any]]:
    """(what one pass found, the scored table as columns)."""
    facts, meaning = settled(rows, *options, roles=roles)
    table, sample = tmp_path / "table.parquet", tmp_path / "sample.parquet"
    found = score({"facts": facts, "settled": meaning, "table": str(table), "sample": str(sample), "sample_rows": 4, "seed": 0}, None)
    assert pq.read_table(sample).num_rows == 4
    return found, {name: column.to_numpy() for name, column in zip(pq.read_schema(table).names, pq.read_table(table).columns, strict=True)}


def test_a_score_alone_is_cut_at_one_half_inclusive(rows: str, tmp_path: Path) -> None:
    found, table = scored(rows, tmp_path, "--score", "p")
    assert table["pred"].tolist() == [1, 1, 0, -1, 0, -1]
    np.testing.assert_array_equal(table["score"], [0.9, 0.5, 0.49, np.nan, 0.1, np.nan])
    assert table["y"].tolist() == [1, 0, 1, 0, -1, 0]
    assert (found["undefined_score"], found["missing_outcome"], found["rows"]) == (2, 1, 6)
    assert scored(rows, tmp_path, "--score", "p", "--decision", "score>=0.9")[1]["pred"].tolist() == [1, 0, 0, -1, 0, -1]
    assert scored(rows, tmp_path, "--score", "q", "--decision", "top=1")[1]["pred"].tolist() == [0, 0, 0, 0, 1, 0]


def test_a_prediction_beside_the_score_is_the_decision(rows: str, tmp_path: Path) -> None:
    _, table = scored(rows, tmp_path, "--score", "q", "--prediction", "said")
    assert table["pred"].tolist() == [1, 0, -1, 0, 1, 1]
    assert table["score"].tolist() == [0.1, 0.5, 0.51, 0.5, 0.9, 0.5]


def test_a_score_of_whole_numbers_is_still_a_score(rows: str) -> None:
    _, meaning = settled(rows, "--score", "hard")
    assert meaning["outputs"] == "probability"


def test_two_columns_are_in_the_order_of_the_classes(rows: str, tmp_path: Path) -> None:
    table = pd.read_parquet(rows)
    table["p"] = 1 - table["q"]
    table.to_parquet(rows)
    assert scored(rows, tmp_path, "--score", "q,p")[1]["score"].tolist() == table["p"].tolist(), "no, then yes"
    assert scored(rows, tmp_path, "--score", "q,p", "--classes", "yes,no")[1]["score"].tolist() == table["q"].tolist()


def test_logits_become_probabilities(rows: str, tmp_path: Path) -> None:
    _, table = scored(rows, tmp_path, "--score", "value", "--outputs", "logit")
    np.testing.assert_allclose(table["score"], 1 / (1 + np.exp(-np.array([0.0, -1.5, 2.0, 7.5, 3.0, 1.0]))), rtol=1e-14)
    assert table["pred"].tolist() == [1, 0, 1, 1, 1, 1]


def test_several_classes_take_the_highest_score_and_logits_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "three.parquet"
    shares = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
    columns = {name: shares[:, i] for i, name in enumerate("abc")} | {f"l{i}": np.log(shares[:, i]) + 3 for i in range(3)}
    pd.DataFrame({"y": ["x", "y", "z", "x"]} | columns).to_parquet(path)
    roles = ["--target", "y"]
    _, table = scored(str(path), tmp_path, "--score", "a,b,c", roles=roles)
    assert table["pred"].tolist() == [1, 0, 2, 0]
    assert [table[f"score_{i}"].tolist() for i in range(3)] == shares.T.tolist()
    _, logits = scored(str(path), tmp_path, "--score", "l0,l1,l2", "--outputs", "logit", roles=roles)
    np.testing.assert_allclose([logits[f"score_{i}"] for i in range(3)], shares.T, rtol=1e-14)
    with pytest.raises(AuditError, match=r"outside \[0, 1\]"):
        settled(str(path), "--score", "l0,l1,l2", roles=roles)


def test_values_of_a_regression(rows: str, tmp_path: Path) -> None:
    found, table = scored(rows, tmp_path, "--prediction", "value", roles=["--target", "amount"])
    assert table["pred"].tolist() == [0.0, -1.5, 2.0, 7.5, 3.0, 1.0]
    assert found["undefined_score"] == 0
    assert settled(rows, "--prediction", "value", roles=["--target", "amount"])[1]["task"] == "regression"


def test_labels_without_an_outcome(rows: str) -> None:
    _, meaning = settled(rows, "--prediction", "said", roles=["--sensitive", "sex", "--positive", "yes"])
    assert (meaning["task"], meaning["classes"], meaning["outputs"]) == ("binary", ["no", "yes"], "label")


def test_what_needs_a_model_is_skipped_for_that_reason_and_nothing_else_is(rows: str) -> None:
    facts, meaning = settled(rows, "--score", "p", "--favourable", "yes")
    reasons = {id_: unmet(check, facts, meaning, check.defaults) for id_, check in checks().items()}
    for id_, check in checks().items():
        if "model" in check.info.needs:
            assert reasons[id_] == "No model can be asked: only its predictions are known."
        elif "features" in check.info.needs:
            assert reasons[id_] == "The model's input columns are not known."
        assert not check.info.probing or "model" in check.info.needs
    assert reasons["performance.overall"] is None
    assert reasons["fairness.group"] is None


REFUSED = {
    "absent prediction": (["--prediction", "z"], "'z' is not a column"),
    "absent score": (["--score", "p,z"], "'z' is not a column"),
    "scores outside": (["--score", "value"], r"holds 4 values outside \[0, 1\]"),
    "scores that do not sum": (["--score", "q,hard"], "do not sum to 1 in 6 rows"),
    "texts as scores": (["--score", "said"], "not one finite number"),
    "a text among scores": (["--score", "word"], "1 values that are not numbers"),
    "too few scores": (["--score", "q", "--classes", "no,yes,maybe"], "1 columns for 3 classes"),
    "the target itself": (["--prediction", "y"], "also the target"),
    "a sensitive column": (["--prediction", "sex"], "also the sensitive column"),
    "the same twice": (["--prediction", "p", "--score", "p"], "named twice"),
    "a score as a prediction": (["--prediction", "p"], "none of the classes no, yes"),
    "unknown labels": (["--prediction", "word"], "none of the classes"),
    "features": (["--prediction", "said", "--features", "q"], "none is asked"),
    "labels of scores": (["--score", "p", "--outputs", "label"], "contradicts --score"),
    "logits of labels": (["--prediction", "said", "--outputs", "logit"], "needs columns of scores"),
    "scores of a regression": (["--score", "p", "--task", "regression"], "a regression has no scores"),
    "texts of a regression": (["--prediction", "said", "--task", "regression"], "holds no numbers"),
    "a rule without scores": (["--prediction", "said", "--decision", "score>=0.5"], "needs the score of one event"),
    "nothing": ([], "no column of predictions was named"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_cannot_stand_for_a_model(rows: str, name: str) -> None:
    options, said = REFUSED[name]
    with pytest.raises(AuditError, match=said):
        settled(rows, *options)


@pytest.mark.parametrize("uri", ["models:/m/1", "http://127.0.0.1:9/invocations"])
def test_they_belong_to_no_other_subject(uri: str, rows: str) -> None:
    with pytest.raises(AuditError, match="without a model"):
        build(parser().parse_args([uri, "--data", rows, "--score", "p"]), [])


def test_the_request_of_an_endpoint_holds_no_credentials(rows: str) -> None:
    uri = "https://me:hush@h:8443/invocations"
    options = parser().parse_args([uri, "--data", rows])
    request = build(options, [uri, "--data", rows])
    assert "hush" not in request.model_dump_json()
    assert request.uri == request.command[0] == "https://h:8443/invocations"
    assert options.secret == "me:hush"
