"""Models that a script outside this project logged audit cleanly on Adult, and the numbers are those of scikit-learn and fairlearn."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from at_terminal import User, lacking

from audit.registry import checks

NUMBERS = "age,fnlwgt,education-num,capital-gain,capital-loss,hours-per-week"
INCOME = ["--target", "income", "--positive", ">50K", "--favourable", ">50K", "--label-source", "outcome"]
CASES = {
    "pipeline": INCOME,
    "xgboost": [*INCOME, "--classes", "<=50K,>50K"],
    "lightgbm": INCOME,
    "net": [*INCOME, "--features", NUMBERS],
    "onnx": [*INCOME, "--features", NUMBERS],
    "rule": [*INCOME, "--trust-pickle"],
    "multiclass": ["--target", "relationship", "--favourable", "Husband,Wife", "--label-source", "outcome"],
    "regression": ["--target", "hours-per-week", "--favourable", "high", "--label-source", "outcome"],
}


#: Audited in the default suite; the others among the longer proofs: that each flavor answers as its library does is shown in tests/subject.
ALWAYS = ("pipeline", "onnx", "rule")


def marked(*names: str) -> list[Any]:
    return [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in names]


#: Asked of one model of each task; of the others, what hangs on how a model is loaded and explained.
WHOLE = ("pipeline", "multiclass", "regression")
LATER = "robustness,uncertainty,privacy,data,fairness.consistency,fairness.subgroups,fairness.metrics,performance.slices,explanation.recourse,explanation.reasons"


@pytest.fixture(scope="module")
def adult(user: User, data_folder: Path) -> str:
    """A fourth of Adult's test rows: enough for every check, and eight audits stay short."""
    pd.read_parquet(data_folder / "adult_test.parquet").sample(4000, random_state=0).to_parquet(user.folder / "adult.parquet")
    return str(user.folder / "adult.parquet")


Audits = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def audits(user: User, foreign: str, adult: str) -> Audits:
    """Every model audited once, when it is first asked for; a small sample keeps the explanations short."""

    @cache
    def audited(name: str) -> dict[str, Any]:
        done = user.audit(
            f"models:/{name}/1", "--tracking-uri", foreign, "--data", adult, "--sensitive", "sex,race",
            "--sample", "80", "--out", f"audit-{name}", *CASES[name],
            *([] if name in WHOLE else ["--skip", LATER]),
        )  # fmt: skip
        assert done.status == 0, (name, done.err)
        assert done.out.strip() == str(user.folder / f"audit-{name}"), "nothing but the path stands on stdout"
        return done.document

    return audited


def value(document: dict[str, Any], metric: str, slice_: dict[str, str] | None = None, check: str | None = None) -> float:
    """The estimate of one finding that compares nothing."""
    found = [
        f for c in document["checks"] for f in c["findings"]
        if f["metric"] == metric and f["compare"] == "value" and f["slice"] == (slice_ or {}) and check in (None, c["info"]["id"])
    ]  # fmt: skip
    assert found, (metric, slice_)
    return float(found[0]["estimate"]["value"])


@pytest.mark.parametrize("name", marked(*CASES))
def test_every_check_completes_and_no_number_stands_alone(audits: Audits, name: str) -> None:
    document = audits(name)
    for check in document["checks"]:
        missing = lacking(document) | {"training", "factors"} | ({"classes"} if name == "regression" else set())
        left_out = name not in WHOLE and check["reason"] == "Not asked for."
        assert not left_out or {check["info"]["id"], check["info"]["id"].split(".")[0]} & set(LATER.split(","))
        expected = "skipped" if left_out or missing & set(check["info"]["needs"]) else "completed"
        assert check["status"] == expected, (check["info"]["id"], check["reason"])
        for finding in check["findings"]:
            assert finding["reason"] or finding["estimate"]["low"] <= finding["estimate"]["value"] <= finding["estimate"]["high"]


@pytest.mark.parametrize("name", marked(*WHOLE))
def test_no_check_asks_about_more_rows_than_the_sample(audits: Audits, name: str) -> None:
    """80 of them, and 80 that were planted beside them; what is known without asking is known of all rows. Efficiency counts calls."""
    asking = [c for c in audits(name)["checks"] if checks()[c["info"]["id"]].info.probing and not c["info"]["id"].startswith("efficiency.")]
    assert len([c for c in asking if c["status"] == "completed"]) > 8
    for check in asking:
        for finding in check["findings"]:
            estimate = finding["estimate"]
            assert estimate is None or estimate["method"] == "exact" or estimate["n"] <= 160, (check["info"]["id"], finding["metric"])


@pytest.mark.parametrize("name", marked("pipeline", "onnx", "multiclass", "regression"))
def test_the_task_is_found(audits: Audits, name: str) -> None:
    assert audits(name)["model"]["task"] == {"pipeline": "binary", "onnx": "binary"}.get(name, name)


def test_numbers_are_those_of_scikit_learn_and_fairlearn(audits: Audits, foreign: str, user: User, adult: str) -> None:
    import json
    import subprocess
    import sys

    # MLflow is imported in a process of its own: its own warnings would fail this suite.
    script = (
        "import json, sys, mlflow, pandas as pd; mlflow.set_tracking_uri(sys.argv[1]); m = mlflow.sklearn.load_model('models:/pipeline/1');"
        "d = pd.read_parquet(sys.argv[2]); print(json.dumps([m.predict_proba(d)[:, 1].tolist(), m.predict(d).tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, foreign, adult], env=user.environment, capture_output=True, text=True, check=True
    )
    score, predicted = (np.array(v) for v in json.loads(done.stdout.strip().splitlines()[-1]))
    from fairlearn.metrics import MetricFrame, demographic_parity_difference, selection_rate, true_positive_rate
    from sklearn import metrics

    data = pd.read_parquet(adult)
    y, decided = (data["income"] == ">50K").astype(int), (predicted == ">50K").astype(int)
    document = audits("pipeline")
    exact = {
        "accuracy": metrics.accuracy_score(y, decided), "balanced_accuracy": metrics.balanced_accuracy_score(y, decided), "f1": metrics.f1_score(y, decided),
        "roc_auc": metrics.roc_auc_score(y, score), "average_precision": metrics.average_precision_score(y, score), "log_loss": metrics.log_loss(y, score),
        "brier_score": metrics.brier_score_loss(y, score),
    }  # fmt: skip
    for metric, expected in exact.items():
        assert value(document, metric, check="performance.overall") == pytest.approx(expected, abs=1e-12), metric
    for column in ("sex", "race"):
        frame = MetricFrame(
            metrics={"s": selection_rate, "t": true_positive_rate}, y_true=y, y_pred=decided, sensitive_features=data[column]
        )
        for level, row in frame.by_group.iterrows():
            assert value(document, "selection_rate", {column: str(level)}) == pytest.approx(row["s"], abs=1e-12)
            assert value(document, "true_positive_rate", {column: str(level)}) == pytest.approx(row["t"], abs=1e-12)
        gap = demographic_parity_difference(y, decided, sensitive_features=data[column])
        assert value(document, "demographic_parity_difference", {column: "*"}) == pytest.approx(gap, abs=1e-12)


def test_labels_and_sensitive_columns_stay_with_the_auditor(audits: Audits) -> None:
    names = [f["name"] for f in audits("pipeline")["model"]["features"]]
    assert "income" not in names
    assert not {"sex", "race"} & set(names)


def test_code_that_comes_with_a_model_is_named(audits: Audits) -> None:
    assert audits("rule")["model"]["load_risk"] == "code"
    assert audits("rule")["model"]["load_evidence"]
    assert audits("pipeline")["model"]["load_risk"] == "data_only"


def test_without_trust_a_model_that_runs_code_is_refused(user: User, foreign: str, adult: str) -> None:
    done = user.audit("models:/rule/1", "--tracking-uri", foreign, "--data", adult, "--out", "refused", *INCOME)
    assert done.status == 2
    assert "--trust-pickle" in done.err
    assert "Traceback" not in done.err
    assert not (user.folder / "refused").exists()
