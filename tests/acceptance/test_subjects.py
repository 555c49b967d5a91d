"""One model audited three ways, from its folder, behind an address and by its recorded predictions: the same audit, and honest about what it could not see."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from at_terminal import Done, User
from endpoints import Endpoint, endpoint
from sklearn.linear_model import LogisticRegression

#: What says nothing of where predictions come from, and takes its time.
LATER = (
    "data,explanation,privacy,robustness,uncertainty,efficiency,language,fairness.consistency,fairness.unknown,"
    "performance.slices,performance.error_tree"
)
SAVE = """
import pickle, sys, mlflow, pandas as pd
from mlflow.models import infer_signature
model, x = pickle.load(open(sys.argv[1], "rb"))
for name, method in (("model", "predict"), ("proba", "predict_proba")):
    mlflow.sklearn.save_model(model, name, signature=infer_signature(x, model.predict(x)), pip_requirements=[], pyfunc_predict_fn=method)
"""
SERVE = """
import sys, mlflow.pyfunc, uvicorn
from mlflow.pyfunc import scoring_server
uvicorn.run(scoring_server.init(mlflow.pyfunc.load_model("proba")), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
INPUTS = ["a", "b", "whole"]
ROLES = ["--target", "y", "--positive", "yes", "--favourable", "yes", "--label-source", "outcome", "--sensitive", "sex"]
MEASURED = ("performance.", "calibration.", "fairness.")
SEARCHES = ("performance.slices", "performance.error_tree")


class Case(NamedTuple):
    """A logistic regression of two classes, its rows with its recorded answers, and the folder of its user."""

    user: User
    model: LogisticRegression
    data: str

    def audit(self, subject: str, *options: str, **more: Any) -> Done:
        return self.user.audit(subject, "--data", self.data, *ROLES, "--no-log", *options, **more)


@pytest.fixture(scope="module")
def case(user: User) -> Case:
    rng = np.random.default_rng(3)
    n = 900
    table = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "whole": rng.integers(0, 9, n)})
    table["sex"] = np.where(rng.random(n) < 0.4, "f", "m")
    table["y"] = np.where(table["a"] + 0.3 * table["whole"] - 1 + rng.normal(size=n) > 0, "yes", "no")
    model = LogisticRegression().fit(table[INPUTS].astype(float), table["y"])
    scores = model.predict_proba(table[INPUTS].astype(float))
    table["decided"], table["p_no"], table["p_yes"] = model.predict(table[INPUTS].astype(float)), scores[:, 0], scores[:, 1]
    table["value"] = table["a"] * 2
    path = user.folder / "rows.csv"
    path.write_text(table.to_csv(index=False))
    (user.folder / "fitted.pkl").write_bytes(pickle.dumps((model, table[INPUTS].head())))
    environment = user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", "-c", SAVE, "fitted.pkl"]
    done = subprocess.run(command, cwd=user.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Case(user, model, str(path))


def scorer(case: Case) -> Callable[[list[str], list[list[Any]]], list[Any]]:
    def answer(columns: list[str], data: list[list[Any]]) -> list[Any]:
        assert columns == INPUTS
        return case.model.predict_proba(pd.DataFrame(data, columns=columns).astype(float)).tolist()

    return answer


@pytest.fixture
def server(case: Case) -> Iterator[Endpoint]:
    with endpoint() as running:
        running.answer = scorer(case)
        yield running


@pytest.fixture(scope="module")
def local(case: Case) -> dict[str, Any]:
    done = case.audit(str(case.user.folder / "model"), "--sample", "60", "--out", "local")
    assert done.status == 0, done.err
    return done.document


def measured(document: dict[str, Any]) -> dict[str, Any]:
    """Every number about performance, calibration and groups that needs no model beyond its answers, by the finding's key.

    Where errors gather is searched over the model's inputs, or over all columns where nobody knows these, so it is left out.
    """
    return {
        f["key"]: (f["metric"], f["slice"], f["estimate"], f["parts"], f["test"], f["verdict"])
        for c in document["checks"] if c["info"]["id"].startswith(MEASURED) and c["info"]["id"] not in SEARCHES and not {"model", "features"} & set(c["info"]["needs"]) for f in c["findings"]
    }  # fmt: skip


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {c["info"]["id"]: c["status"] for c in document["checks"]}


def check(document: dict[str, Any], id_: str) -> dict[str, Any]:
    return next(c for c in document["checks"] if c["info"]["id"] == id_)


def refused(done: Done, folder: Path) -> str:
    assert done.status == 2, (done.status, done.err)
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert " — " in line
    assert "Traceback" not in done.err
    assert not folder.exists()
    return line


# --- the same numbers -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(case: Case) -> Iterator[str]:
    """MLflow's own scoring server with the same model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = case.user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(port)]
    process = subprocess.Popen(command, cwd=case.user.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert process.poll() is None, "MLflow's server did not start"
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_mlflows_own_server_gives_the_same_numbers_and_every_check_runs(case: Case, local: dict[str, Any], real: str) -> None:
    done = case.audit(real, "--features", ",".join(INPUTS), "--sample", "60", "--out", "served")
    assert done.status == 0, done.err
    document = done.document
    assert measured(document) == measured(local)
    assert len(measured(document)) > 50
    assert statuses(document) == statuses(local)
    assert "errored" not in statuses(local).values()
    assert document["verdict"] == local["verdict"]
    model = document["model"]
    assert (model["uri"], model["flavor"], model["sha256"], model["load_risk"], model["parameters"]) == (real, "http", None, None, None)
    assert "address" in model["sha256_reason"]
    assert document["environment"]["observed"]["model code"] == "none runs here"
    assert document["environment"]["observed"]["network"] == f"to TCP port {real.split(':')[2].split('/')[0]} only, for the endpoint"
    size = next(f for f in check(document, "efficiency.cost")["findings"] if f["metric"] == "bytes_on_disk")
    assert size["estimate"] is None, "files that nobody saw have no size"
    assert any("nothing proves which model answered" in note for note in document["notes"])
    report = (done.folder / "report.html").read_text()
    assert "nothing of it runs here" in report
    assert f"audit.run {real} --data" in report


def test_recorded_predictions_give_the_same_numbers_without_any_model(case: Case, local: dict[str, Any]) -> None:
    done = case.audit("predictions", "--prediction", "decided", "--score", "p_no,p_yes", "--out", "recorded", "--lang", "zh")
    assert done.status == 0, done.err
    document = done.document
    ours = {k: (m, s, e, p, t) for k, (m, s, e, p, t, _) in measured(document).items()}
    assert ours == {k: (m, s, e, p, t) for k, (m, s, e, p, t, _) in measured(local).items()}
    assert document["model"]["uri"] == document["model"]["flavor"] == "predictions"
    assert document["model"]["sha256"] is None
    assert document["model"]["features"] == []
    assert (document["data"]["prediction"], document["data"]["scores"]) == ("decided", ["p_no", "p_yes"])
    assert document["environment"]["observed"] == {}, "no process was started for a model"
    for c in document["checks"]:
        needs = c["info"]["needs"]
        assert c["status"] == ("skipped" if {"model", "features"} & set(needs) else statuses(local)[c["info"]["id"]]), c["info"]["id"]
        if "model" in needs:
            assert c["reason"] == "No model can be asked: only its predictions are known."
    report = (done.folder / "report.zh.html").read_text()
    assert "没有询问任何模型" in report
    assert "audit.run predictions --data" in report
    assert "--prediction decided --score p_no,p_yes" in report


def test_inputs_that_nobody_knows_do_not_pass(case: Case) -> None:
    document = json.loads((case.user.folder / "recorded" / "audit.json").read_bytes())
    (question,) = [q for q in document["questions"] if q["id"] == "fairness_inputs"]
    assert (question["verdict"], question["answered"]) == ("inconclusive", False)
    assert "not known" in question["reason"]
    assert document["answered"]["not_run"] == 1
    assert document["verdict"] != "pass"


def test_verify_says_that_there_is_no_model_to_hold_it_against(case: Case) -> None:
    folder = case.user.folder / "recorded"
    done = case.user.run("audit.verify", str(folder), "--data", case.data, "--model", "models:/x/1")
    assert done.status == 0, done.out
    assert "NOT CHECKED  model: no model was audited" in done.out
    assert "OK           data" in done.out


# --- recorded predictions -------------------------------------------------------------------------------------------------------------------


def test_a_score_alone_is_cut_at_one_half_and_the_report_says_so(case: Case, local: dict[str, Any]) -> None:
    done = case.audit("predictions", "--score", "p_yes", "--skip", LATER, "--out", "score-alone")
    assert done.status == 0, done.err
    document = done.document
    cut = [m[:4] for m in measured(document).values()]
    assert cut == [m[:4] for m in measured(local).values()], "no row scores one half"
    assert not document["data"]["decision_declared"]
    assert any(n == "Decided at a score of at least 0.500, which nobody declared." for n in document["notes"])
    assert not any("built-in cutoff" in json.dumps(c["findings"]) for c in document["checks"])
    other = case.audit(
        "predictions", "--score", "p_yes", "--decision", "score>=0.7", "--checks", "fairness.group", "--out", "score-cut"
    ).document
    rate = next(f for f in check(other, "fairness.group")["findings"] if f["metric"] == "selection_rate" and f["slice"] == {"sex": "f"})
    table = pd.read_csv(case.data)
    assert rate["parts"][0]["k"] == int(((table["p_yes"] >= 0.7) & (table["sex"] == "f")).sum())


def test_a_prediction_alone_is_labels_only(case: Case, local: dict[str, Any]) -> None:
    few = ("--checks", "performance.overall,calibration.overall")
    document = case.audit("predictions", "--prediction", "decided", *few, "--out", "prediction-alone").document
    assert document["model"]["outputs"] == "label"
    assert all(f["estimate"] is None for f in check(document, "calibration.overall")["findings"])
    accuracy = [next(f["estimate"] for f in check(d, "performance.overall")["findings"] if f["metric"] == "accuracy" and not f["slice"]) for d in (document, local)]  # fmt: skip
    assert accuracy[0] == accuracy[1]


def test_several_classes_and_values(case: Case, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    n = 300
    y = rng.integers(0, 3, n)
    scores = rng.dirichlet([1, 1, 1], n)
    table = pd.DataFrame({"y": np.array(["x", "y", "z"])[y], "v": rng.normal(size=n)})
    for i, name in enumerate("pqr"):
        table[name] = scores[:, i]
    table["forecast"] = table["v"] + rng.normal(size=n)
    path = tmp_path / "several.parquet"
    table.to_parquet(path)
    common = ["--no-log", "--data", str(path)]
    several = case.user.audit("predictions", *common, "--target", "y", "--score", "p,q,r", "--skip", LATER, "--out", "several")
    assert several.status == 0, several.err
    assert several.document["model"]["classes"] == ["x", "y", "z"]
    accuracy = next(f["estimate"]["value"] for f in check(several.document, "performance.overall")["findings"] if f["metric"] == "accuracy")
    assert accuracy == pytest.approx(float((scores.argmax(1) == y).mean()), abs=1e-15)
    assert any("in the order x, y, z" in n for n in several.document["notes"])
    value = case.user.audit("predictions", *common, "--target", "v", "--prediction", "forecast", "--skip", LATER, "--out", "value")
    assert value.status == 0, value.err
    assert value.document["model"]["task"] == "regression"
    error = next(f["estimate"]["value"] for f in check(value.document, "performance.overall")["findings"] if f["metric"] == "mean_absolute_error")  # fmt: skip
    assert error == pytest.approx(float((table["forecast"] - table["v"]).abs().mean()), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no column of predictions was named"),
        (["--score", "value"], "outside [0, 1]"),
        (["--prediction", "p_yes"], "none of the classes"),
    ],
)
def test_recorded_predictions_that_cannot_be_audited(case: Case, options: list[str], said: str, tmp_path: Path) -> None:
    assert said in refused(case.audit("predictions", *options, "--out", str(tmp_path / "out")), tmp_path / "out")


def test_options_of_another_subject_and_data_that_nobody_named(case: Case, tmp_path: Path) -> None:
    model = str(case.user.folder / "model")
    out = ["--out", str(tmp_path / "out")]
    assert "without a model" in refused(case.audit(model, "--prediction", "decided", *out), tmp_path / "out")
    assert "without a model" in refused(case.audit("http://127.0.0.1:9/invocations", "--score", "p_yes", *out), tmp_path / "out")
    for subject in (["predictions", "--score", "p_yes"], ["http://127.0.0.1:9/invocations"]):
        assert "--data" in refused(case.user.audit(*subject, *ROLES, *out), tmp_path / "out")


def test_the_plan_is_printed_for_both(case: Case, server: Endpoint) -> None:
    recorded = case.audit("predictions", "--score", "p_yes", "--print-plan")
    assert recorded.status == 0, recorded.err
    assert 'scores = ["p_yes"]' in recorded.out
    served = case.audit(server.url(), "--print-plan")
    assert served.status == 0, served.err
    assert "[roles]" in served.out
    assert not server.requests, "printing a plan asks nothing"


def test_both_are_logged_where_there_is_a_store(case: Case, server: Endpoint) -> None:
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{case.user.folder / 'log.db'}"}
    script = "import mlflow, sys; mlflow.create_experiment('x')"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=case.user.environment | environment, cwd=case.user.folder, check=True, capture_output=True)  # fmt: skip
    subjects = {"predictions": ["--score", "p_yes"], server.url(user="me:hush@"): ["--features", "a,b,whole"]}
    for i, (subject, options) in enumerate(subjects.items()):
        done = case.user.audit(
            subject, "--data", case.data, *ROLES, *options, "--checks", "performance.overall", "--out", f"logged-{i}", env=environment
        )
        assert done.status == 0, done.err
        assert "was not logged" not in done.err
    script = (
        "import mlflow; c = mlflow.MlflowClient(); e = c.get_experiment_by_name('witnessmark').experiment_id;"
        "print(sorted((r.data.tags['witnessmark.model'], len(r.data.metrics) > 5) for r in c.search_runs([e])))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=case.user.environment | environment, cwd=case.user.folder, text=True, check=True, capture_output=True)  # fmt: skip
    assert done.stdout.strip() == str(sorted([("predictions", True), (server.url(), True)]))


# --- an endpoint that does not behave -------------------------------------------------------------------------------------------------------

FAST = [
    "--check-timeout",
    "20",
    "--checks",
    "data.profile,performance.baseline,performance.overall,explanation.global,explanation.local",
    "--sample",
    "60",
]


def test_without_features_it_gets_what_is_neither_outcome_sensitive_nor_decision(case: Case, server: Endpoint) -> None:
    server.answer = lambda columns, data: [row[columns.index("p_yes")] for row in data]
    done = case.audit(server.url(), "--decision", "column=decided", "--checks", "performance.overall,fairness", "--out", "open-inputs")
    assert done.status == 0, done.err
    assert [f["name"] for f in done.document["model"]["features"]] == ["a", "b", "whole", "p_no", "p_yes", "value"]
    assert {tuple(b["dataframe_split"]["columns"]) for _, _, b in server.requests} == {("a", "b", "whole", "p_no", "p_yes", "value")}
    assert any("gets every column" in n for n in done.document["notes"])


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("fewer", "returned 899 predictions for 900 rows"), ("refusing", "HTTP 400: the column 'c' is missing"),
        ("slow", "did not answer"),
    ],
)  # fmt: skip
def test_an_endpoint_that_gives_no_usable_answer_is_refused_in_one_line(
    case: Case, server: Endpoint, way: str, said: str, tmp_path: Path
) -> None:
    line = refused(case.audit(server.url(way), "--check-timeout", "4", "--out", str(tmp_path / "out")), tmp_path / "out")
    assert said in line
    assert server.url(way) in line


def test_an_endpoint_that_is_not_there(case: Case, tmp_path: Path) -> None:
    with endpoint() as gone:
        url = gone.url(user="me:hush@")
    line = refused(case.audit(url, "--out", str(tmp_path / "out")), tmp_path / "out")
    assert "connection refused" in line
    assert "hush" not in line


def test_an_endpoint_that_dies_while_it_is_asked_ends_in_errored_checks(case: Case, server: Endpoint) -> None:
    server.dies_after = 1
    done = case.audit(server.url("mortal"), "--features", ",".join(INPUTS), *FAST, "--out", "dies-scoring")
    assert done.status == 4, done.err
    asked = [c for c in done.document["checks"] if c["reason"] != "Not asked for."]
    assert {c["status"] for c in asked} == {"errored"}
    assert done.document["verdict"] == "error"
    assert all("the endpoint failed 4 times" in c["reason"] for c in asked)


@pytest.mark.slow
def test_an_endpoint_that_dies_during_an_explanation_costs_that_check_only(case: Case, server: Endpoint) -> None:
    server.dies_after = 2
    done = case.audit(server.url("mortal"), "--features", ",".join(INPUTS), *FAST, "--out", "dies-later")
    assert done.status == 4, done.err
    status = {c["info"]["id"]: c["status"] for c in done.document["checks"] if c["reason"] != "Not asked for."}
    assert status["performance.overall"] == "completed"
    assert status["explanation.global"] == "errored"


def test_rows_that_an_endpoint_refuses_are_left_out(case: Case, server: Endpoint, tmp_path: Path) -> None:
    table = pd.read_csv(case.data)
    table.loc[:2, "a"] = [np.nan, np.inf, np.nan]
    path = tmp_path / "gaps.parquet"
    table.to_parquet(path)
    options = ["--features", "a,b,whole", "--checks", "performance", "--no-log", "--out", str(tmp_path / "out")]
    done = case.user.audit(server.url(), "--data", str(path), *ROLES, *options)
    assert done.status == 0, done.err
    assert done.document["data"]["excluded"]["undefined_score"] == 3


# --- secrets and interruption ---------------------------------------------------------------------------------------------------------------


def test_credentials_reach_the_endpoint_and_nothing_else(case: Case, server: Endpoint) -> None:
    options = ["--features", "a,b,whole", "--checks", "performance"]
    done = case.audit(server.url(user="me:hush-hush@"), *options, "--out", "secret")
    assert done.status == 0, done.err
    assert {h["Authorization"] for _, h, _ in server.requests} == {"Basic bWU6aHVzaC1odXNo"}
    assert done.document["model"]["uri"] == server.url()
    for path in done.folder.rglob("*"):
        assert b"hush" not in path.read_bytes(), path
    server.requests.clear()
    token = case.audit(server.url(), *options, "--out", "token", env={"WITNESSMARK_ENDPOINT_TOKEN": "hush.token"})
    assert token.status == 0, token.err
    assert {h["Authorization"] for _, h, _ in server.requests} == {"Bearer hush.token"}
    assert not any(b"hush" in p.read_bytes() for p in token.folder.rglob("*"))


def interrupted(case: Case, subject: str, out: str, *options: str) -> Path:
    """An audit killed once it has scored."""
    folder = case.user.folder / out
    process = case.user.start(
        "audit.run",
        subject,
        "--data",
        case.data,
        *ROLES,
        "--no-log",
        "--sample",
        "60",
        "--skip",
        "explanation,robustness,uncertainty,data",
        "--out",
        out,
        *options,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not (folder / ".journal" / "scoring.json").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (folder / ".journal" / "scoring.json").exists()
    return folder


@pytest.mark.slow
def test_an_audit_of_predictions_resumes_to_the_same_digest(case: Case) -> None:
    folder = interrupted(case, "predictions", "stopped-recorded", "--score", "p_yes")
    done = case.user.audit("--resume", str(folder))
    assert done.status == 0, done.err
    whole = json.loads((case.user.folder / "score-alone" / "audit.json").read_bytes())
    assert measured(done.document) == measured(whole)


@pytest.mark.slow
def test_an_audit_of_an_endpoint_resumes_only_where_it_still_answers_alike(case: Case, server: Endpoint) -> None:
    options = ["--features", "a,b,whole"]
    folder = interrupted(case, server.url(user="me:hush@"), "stopped-served", *options)
    assert not any(b"hush" in p.read_bytes() for p in (folder / ".journal").iterdir()), "the journal holds no credentials"
    server.answer = lambda columns, data: [[0.4, 0.6]] * len(data)
    changed = case.user.audit("--resume", str(folder))
    assert changed.status == 2
    assert "the model changed since this audit began" in changed.err
    server.answer = scorer(case)
    done = case.user.audit("--resume", str(folder), env={"WITNESSMARK_ENDPOINT_TOKEN": "me:hush"})
    assert done.status == 0, done.err
    assert any("interrupted and resumed" in n for n in done.document["notes"])
    assert server.requests[-1][1]["Authorization"] == "Basic bWU6aHVzaA=="
