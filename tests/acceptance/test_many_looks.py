"""Models audited one after another on the same rows, plans fixed before, findings accepted, listed and pooled: as a user does it."""

import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from at_terminal import Done, User

from audit.registry import checks

LOG = """
import lightgbm, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
mlflow.set_tracking_uri("sqlite:///mlflow.db")
for seed in (0, 1):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    y = np.where(x["a"] + rng.normal(size=400) > 0, "yes", "no")
    model = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(x, y)
    with mlflow.start_run():
        mlflow.lightgbm.log_model(model, name="model", signature=infer_signature(x, y), pip_requirements=[], registered_model_name=f"m{seed}")
"""
ROLES = [
    "--target",
    "y",
    "--positive",
    "yes",
    "--favourable",
    "yes",
    "--label-source",
    "outcome",
    "--sensitive",
    "sex",
    "--reference",
    "sex=m",
]
#: What the questions rest on that decide here.
DECIDE = ("performance.baseline", "performance.overall", "fairness.group", "fairness.inputs")
FAST = ["--checks", ",".join(DECIDE)]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """Somebody with a store of two models, two data sets of the same kind, a plan and a context."""
    user = User(tmp_path_factory.mktemp("looks"))
    environment = user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", "-c", LOG]
    done = subprocess.run(command, cwd=user.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for seed in (1, 2):
        (user.folder / f"data{seed}.csv").write_text(rows(seed))
    few = "".join(f'[checks."{id_}"]\nenabled = false\n' for id_ in checks() if id_ not in DECIDE)
    (user.folder / "plan.toml").write_text(f'[materiality]\ntier = "high"\nchosen_by = "the board"\n{few}')
    (user.folder / "context.toml").write_text('owner = "Lending"\nperiod = "2025"\n')
    return user


def rows(seed: int, n: int = 600) -> str:
    """Women have the lower a, so the model gives them the favourable decision less often."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["f", "m"], size=n)
    a = rng.normal(size=n) - 0.8 * (sex == "f")
    y = np.where(a + rng.normal(size=n) > 0, "yes", "no")
    return "a,b,sex,y\n" + "".join(f"{x:.4f},{b:.4f},{s},{o}\n" for x, b, s, o in zip(a, rng.normal(size=n), sex, y, strict=True))


def audit(user: User, model: str, data: str, out: str, *more: str) -> Done:
    return user.audit(f"models:/{model}/1", "--data", data, *ROLES, *FAST, "--out", out, *more)


def judged(done: Done) -> set[float]:
    return {
        f["estimate"]["level"] for c in done.document["checks"] for f in c["findings"]
        if f["estimate"] and f["estimate"]["method"] != "exact" and f["criterion"] and f["criterion"]["role"] == "decides"
    }  # fmt: skip


@pytest.fixture(scope="module")
def first(user: User) -> Done:
    """The first model, kept off the store and then again on it."""
    done = audit(user, "m0", "data1.csv", "hidden", "--no-log")
    assert done.document["history"]["models_on_this_data"] == 1
    done = audit(user, "m0", "data1.csv", "first")
    assert done.status == 0, done.err
    return done


@pytest.fixture(scope="module")
def second(user: User, first: Done) -> Done:
    """The second model on the same rows."""
    done = audit(user, "m1", "data1.csv", "second")
    assert done.status == 0, done.err
    return done


def test_the_second_model_on_the_same_data_is_judged_at_half_the_level_and_both_pages_say_so(first: Done, second: Done) -> None:
    history = first.document["history"]
    assert (history["models_on_this_data"], history["plans_on_this_pair"]) == (1, 1), "the audit kept off the store is not known"
    assert (history["alpha_fail"], judged(first)) == (0.05, {0.9})
    history = second.document["history"]
    assert (history["models_on_this_data"], history["first_seen"]) == (2, first.document["started"])
    assert (history["alpha_fail"], history["level_pass"], judged(second)) == (0.025, 0.975, {0.95})
    assert second.document["plan"]["judge"] == first.document["plan"]["judge"]
    assert second.document["plan_sha256"] == first.document["plan_sha256"], "the plan is the declared one"
    assert "These data have judged 2 models" in (second.folder / "report.html").read_text()
    assert "These data have judged" not in (first.folder / "report.html").read_text()
    assert "These data have judged 2 models" in second.err
    assert "kept off this store" in (first.folder / "report.html").read_text()


@pytest.mark.slow
def test_a_resumed_audit_keeps_the_level_that_it_began_with(user: User) -> None:
    (user.folder / "data3.csv").write_text(rows(3))
    folder = user.folder / "resumed"
    process = user.start("audit.run", "models:/m0/1", "--data", "data3.csv", *ROLES, *FAST, "--out", "resumed")
    while not (folder / ".journal" / "scoring.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    between = audit(user, "m1", "data3.csv", "between")
    assert between.document["history"]["models_on_this_data"] == 1, "an audit that was not finished was not logged"
    done = user.audit("--resume", str(folder))
    assert (done.document["history"]["models_on_this_data"], judged(done)) == (1, {0.9})
    assert "history …" not in done.err


def test_without_a_store_the_count_is_unknown_and_says_so(user: User, first: Done) -> None:
    elsewhere = f"sqlite:///{user.folder / 'none.db'}"
    model = next((user.folder / "mlruns").rglob("MLmodel")).parent
    done = user.audit(str(model), "--data", "data1.csv", *ROLES, *FAST, "--out", "folder", "--tracking-uri", elsewhere)
    assert done.status == 0, done.err
    history = done.document["history"]
    assert (history["models_on_this_data"], history["reason"]) == (None, "no MLflow store is there to ask")
    assert judged(done) == {0.9}
    assert "The levels are not divided." in (done.folder / "report.html").read_text()
    assert not (user.folder / "none.db").exists()


@pytest.mark.slow
def test_a_plan_fixed_before_is_said_on_page_one_and_one_for_other_data_is_refused(user: User, first: Done) -> None:
    assert "Plan not fixed in advance." in (first.folder / "report.html").read_text()
    fixed = user.run("audit.commit", "plan.toml", "--data", "data2.csv", "--context", "context.toml")
    assert (fixed.status, fixed.out.count("\n")) == (0, 1), fixed.err
    again = user.run("audit.commit", "plan.toml", "--data", "data2.csv", "--context", "context.toml")
    assert "already fixed" in again.out
    plan = ["--plan", "plan.toml"]
    refused = user.audit("models:/m0/1", "--data", "data1.csv", *ROLES, *plan, "--out", "other")
    assert refused.status == 2
    said = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "for other data" in said[0]
    assert not (user.folder / "other").exists()
    unlike = user.audit(
        "models:/m0/1", "--data", "data2.csv", *ROLES, *plan, "--skip", DECIDE[0], "--context", "context.toml", "--out", "unlike"
    )
    assert unlike.document["history"]["commitment"]["state"] == "not_fixed", (
        "leaving checks out is another plan than the one that was fixed"
    )
    done = user.audit(
        "models:/m0/1", "--data", "data2.csv", *ROLES, *plan, "--context", "context.toml", "--sample", "2000", "--out", "fixed"
    )
    commitment = done.document["history"]["commitment"]
    assert (commitment["state"], commitment["context"]) == ("fixed", "fixed")
    assert f"Plan fixed on {commitment['date'][:10]}, before this audit." in (done.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan.toml", "--data", "nowhere.csv"], "no data at nowhere.csv"),
        (["nowhere.toml", "--data", "data1.csv"], "cannot read the plan"),
        (["bad.toml", "--data", "data1.csv"], "judge.alpha"),
        (["plan.toml"], "--data"),
        (["plan.toml", "--data", "data1.csv", "--tracking-uri", "sqlite:///none.db"], "no MLflow store at"),
        (["plan.toml", "--data", "data1.csv", "--context", "costs.toml"], "below zero"),
        (["plan.toml", "--data", "s3://bucket/x.csv"], "remote path"),
    ],
)
def test_what_cannot_be_fixed_is_refused_in_one_line(user: User, arguments: list[str], said: str) -> None:
    (user.folder / "bad.toml").write_text("[judge]\nalpha = 0.1\n")
    (user.folder / "costs.toml").write_text("cost_of_errors = {false_positive = -1, false_negative = 5}\n")
    done = user.run("audit.commit", *arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("error: ")
    assert not (user.folder / "none.db").exists()


BAD = {
    "waivers that are no TOML": (["--waivers", "not.toml"], "cannot read the waivers"),
    "waivers without a person": (["--waivers", "half.toml"], "'person'"),
    "waivers that are not there": (["--waivers", "nowhere.toml"], "cannot read the waivers"),
    "overlapping cutoffs": (["--decision", "score>=0.5,score>=0.3"], "several cutoffs"),
    "two rules": (["--decision", "score>=0.5", "--decision", "top=10"], "several cutoffs"),
    "costs below zero": (["--context", "costs.toml"], "below zero"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(user: User, case: str) -> None:
    (user.folder / "not.toml").write_text("[[waiver]\nkey = ")
    (user.folder / "half.toml").write_text('[[waiver]]\nkey = "0123456789abcdef"\nreason = "r"\nexpires = 2027-01-01\n')
    (user.folder / "costs.toml").write_text("cost_of_errors = {false_positive = -1, false_negative = 5}\n")
    options, said = BAD[case]
    done = audit(user, "m0", "data1.csv", "bad", *options)
    assert (done.status, done.out) == (2, "")
    assert [said in line for line in done.err.splitlines() if line.startswith("error: ")] == [True]
    assert not (user.folder / "bad").exists()


def test_findings_are_listed_waived_and_shown(user: User, second: Done) -> None:
    table = user.run("audit.findings", str(second.folder))
    listed = user.run("audit.cli", "findings", str(second.folder), "--csv")
    found = list(csv.DictReader(io.StringIO(listed.out)))
    assert len(found) == sum(len(c["findings"]) for c in second.document["checks"])
    failing = [r for r in found if r["verdict"] == "fail"]
    assert failing, "women get the favourable decision less often"
    assert all(r["key"] in table.out for r in failing)
    key = failing[0]["key"]
    waivers = [(key, "9999-12-31"), ("f" * 16, "9999-12-31"), (next(r["key"] for r in found if r["verdict"] == "pass"), "2020-01-01")]
    (user.folder / "waivers.toml").write_text(
        "".join(f'[[waiver]]\nkey = "{k}"\nreason = "in mending"\nperson = "R. Okafor"\nexpires = {d}\n' for k, d in waivers)
    )
    done = audit(user, "m1", "data1.csv", "waived", "--waivers", "waivers.toml", "--gate")
    assert done.status == 1, "a waiver opens no gate"
    assert done.document["verdict"] == second.document["verdict"] == "fail"
    assert done.document["digest"] == second.document["digest"]
    assert [w["state"] for w in done.document["waivers"]] == ["accepted", "unknown", "expired"]
    page = (done.folder / "report.html").read_text()
    assert "Accepted by R. Okafor until 9999-12-31: in mending" in page
    assert "Expired on 2020-01-01 and counts as none" in page
    assert done.err.count("note: the waiver of") == 2
    told = json.loads(user.run("audit.findings", str(done.folder), "--json").out)
    assert next(f for f in told["findings"] if f["key"] == key)["waiver"] == "accepted"
    assert user.run("audit.verify", str(done.folder)).status == 0


@pytest.mark.slow
def test_audits_of_one_model_on_disjoint_data_are_pooled(user: User, first: Done, second: Done, tmp_path: Path) -> None:
    other = audit(user, "m0", "data2.csv", "elsewhere")
    pooled = user.run("audit.pool", str(first.folder), str(other.folder), "--out", str(tmp_path / "pool"))
    assert pooled.status == 0, pooled.err
    stored = json.loads((tmp_path / "pool" / "pool.json").read_text())
    rate = next(f for f in stored["findings"] if f["metric"] == "selection_rate" and f["compare"] == "value" and f["slice"] == {"sex": "f"})
    parts = [p for d in (first, other) for c in d.document["checks"] for f in c["findings"] if f["key"] == rate["key"] for p in f["parts"]]
    assert rate["estimate"]["value"] == pytest.approx(sum(p["k"] for p in parts) / sum(p["n"] for p in parts))
    for pair, said in (((first, second), "different models"), ((first, first), "same data")):
        done = user.run("audit.pool", *(str(d.folder) for d in pair))
        assert (done.status, done.out) == (2, "")
        assert said in done.err
