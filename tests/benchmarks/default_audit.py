"""The default audit of boosted trees on 10,000 rows of Adult, beside two peers on the same rows.

    WITNESSMARK_TEST_DATA=../shared/data python -m tests.benchmarks.default_audit [--peers FOLDER] [--without-peers]

Ours is `audit.run` with the checks of `CHECKS`: every row scored, tree SHAP on 2,000 of them, intervals and verdicts, the report written. A peer
runs in an environment of its own (made in FOLDER, kept for the next time; needs the package index once): `mlflow.models.evaluate` with its
explainer on 5,000 rows and explainerdashboard's static page on 500 and on 5,000 rows.

cpu_s is user and system time of all processes that a job starts; imports_s is that of processes that only import what the job's processes import (the
auditor's and the model's worker; a peer's one), measured in the same run; beyond_imports_s is the difference. One line of JSON for each job.
Promised: ours under 15 CPU-seconds beyond imports. The peers answer fewer questions: what each makes is in `makes`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROWS = 10_000
#: The core checks, frozen: what the audit does by default for a table, without what times the model (decisions: latency is repeatable: false).
CHECKS = (
    "data.profile,performance.overall,performance.groups,performance.baseline,calibration.overall,calibration.groups,"
    "fairness.inputs,fairness.group,explanation.global,explanation.local,efficiency.cost"
)
AUDITOR = "import audit.run, audit.runner, numpy, scipy.stats, duckdb, pyarrow.parquet, audit.dataset, reports.html, altair, vl_convert, statsmodels.api"
WORKER = "import numpy, pandas, sklearn.ensemble, lightgbm, shap"
STORE = "import mlflow"
PEERS = {
    "mlflow": (
        ["mlflow>=3.17,<4", "shap", "lightgbm", "scikit-learn", "matplotlib", "pyarrow"],
        "import mlflow.models, shap, lightgbm, sklearn.metrics",
    ),
    "explainerdashboard": (["explainerdashboard==0.5.8", "lightgbm", "pyarrow"], "import explainerdashboard, lightgbm, shap"),
}
JOBS = {
    "mlflow": (
        """
import sys, pandas as pd, lightgbm, mlflow
frame = pd.read_parquet(sys.argv[1]).head(int(sys.argv[3]))
mlflow.set_tracking_uri("sqlite:///" + sys.argv[2] + "/mlflow.db")
mlflow.create_experiment("e", artifact_location=sys.argv[2] + "/artifacts")
mlflow.set_experiment("e")
model = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1, n_jobs=1).fit(frame.drop(columns="y"), frame["y"])
with mlflow.start_run():
    uri = mlflow.sklearn.log_model(model, name="m", serialization_format="cloudpickle").model_uri
    done = mlflow.models.evaluate(
        uri, frame, targets="y", model_type="classifier", evaluators=["default"], evaluator_config={"default": {"log_explainer": True}}
    )
assert any("shap" in name for name in done.artifacts), "no explanation was made"
print(len(done.metrics), "metrics", len(done.artifacts), "artifacts")
""",
        (5_000,),
        "metrics without intervals, SHAP of 2,000 rows at most; no groups, no verdicts (fits its own trees on these rows)",
    ),
    "explainerdashboard": (
        """
import sys, pandas as pd, lightgbm
from explainerdashboard import ClassifierExplainer, ExplainerDashboard
frame = pd.read_parquet(sys.argv[1]).head(int(sys.argv[3]))
x, y = frame.drop(columns="y"), frame["y"]
model = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1).fit(x, y)
explainer = ClassifierExplainer(model, x, y, labels=["<=50K", ">50K"])
ExplainerDashboard(explainer, shap_interaction=False, title="Adult").save_html(sys.argv[2] + "/page.html")
""",
        (500, 5_000),
        "a static page with metrics and tree SHAP, no intervals, no groups, no verdicts (fits its own trees on these rows)",
    ),
}


def cpu(command: list[str], env: dict[str, str] | None = None) -> float:
    """CPU-seconds, user and system, of a command and everything that it starts; its output goes nowhere unless it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | (env or {}), check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} {' '.join(command[1:4])[:200]}… ended with {done.returncode}:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write(folder: Path) -> None:
    """The rows, and 100 boosted trees fitted on others, as MLflow and LightGBM store them; texts as codes, which every tool can read."""
    import lightgbm
    import mlflow
    import pandas as pd

    data = Path(os.environ.get("WITNESSMARK_TEST_DATA", "../shared/data"))
    frames = [pd.read_parquet(data / f"adult_{part}.parquet") for part in ("train", "test")]
    train, test = (frame.assign(y=(frame["income"] == ">50K").astype(int)).drop(columns="income") for frame in frames)
    test = test.head(ROWS)
    groups = test[["sex", "race"]].rename(columns={"sex": "gender", "race": "origin"})
    texts = [c for c in train.columns if train[c].dtype.kind not in "if"]
    levels = {c: {v: float(i) for i, v in enumerate(sorted(train[c].dropna().unique()))} for c in texts}
    coded = [
        frame.assign(**{c: frame[c].map(levels[c]).astype("float64") for c in texts}).drop(columns=["sex", "race"])
        for frame in (train, test)
    ]
    features = [c for c in coded[0].columns if c != "y"]
    model = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1, n_jobs=1).fit(coded[0][features].astype(float), coded[0]["y"])
    mlflow.lightgbm.save_model(
        model.booster_, folder / "model", input_example=coded[1][features].astype(float).head(3), pip_requirements=[]
    )
    coded[1].astype(float).astype({"y": int}).to_parquet(folder / "peers.parquet")
    pd.concat([coded[1].astype(float).astype({"y": int}), groups], axis=1).to_parquet(folder / "rows.parquet")


def ours(folder: Path) -> dict[str, Any]:
    """One audit of the rows."""
    command = [sys.executable, "-m", "audit.run", str(folder / "model"), "--data", str(folder / "rows.parquet"), "--target", "y", "--favourable", "1",
               "--positive", "1", "--task", "binary", "--label-source", "outcome", "--decision", "score>=0.5", "--sensitive", "gender,origin",
               "--checks", CHECKS, "--no-log", "--forget", "--out", str(folder / "audit")]  # fmt: skip
    spent = cpu(command, {"XDG_STATE_HOME": str(folder)})
    imports = sum(cpu([sys.executable, "-c", code]) for code in (AUDITOR, WORKER, STORE))
    document = json.loads((folder / "audit" / "audit.json").read_text())
    broken = [c["info"]["id"] for c in document["checks"] if c["status"] == "errored"]
    if broken:
        raise SystemExit(f"checks did not run: {broken}")
    findings = sum(len(c["findings"]) for c in document["checks"])
    return {
        "job": "witnessmark",
        "rows": ROWS,
        "cpu_s": spent,
        "imports_s": imports,
        "makes": f"{findings} findings with intervals, verdicts, report",
    }


def environment(folder: Path, packages: list[str]) -> Path:
    """The python of a peer's environment, made where it is not there yet."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def peer(name: str, folder: Path, environments: Path) -> list[dict[str, Any]]:
    """A peer's jobs on the same rows."""
    packages, imported = PEERS[name]
    script, sizes, makes = JOBS[name]
    python = str(environment(environments / name, packages))
    imports = cpu([python, "-c", imported])
    done = []
    for rows in sizes:
        scratch = folder / f"{name}-{rows}"
        scratch.mkdir()
        spent = cpu([python, "-c", script, str(folder / "peers.parquet"), str(scratch), str(rows)])
        done.append({"job": name, "rows": rows, "cpu_s": spent, "imports_s": imports, "makes": makes})
    return done


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--peers", type=Path, default=Path(tempfile.gettempdir()) / "witnessmark-peers", help="where the peers' environments are kept"
    )
    parser.add_argument("--without-peers", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        jobs = [ours(folder)] + [job for p in ([] if options.without_peers else PEERS) for job in peer(p, folder, options.peers)]
    for job in jobs:
        job["beyond_imports_s"] = job["cpu_s"] - job["imports_s"]
        print(json.dumps({k: round(v, 1) if isinstance(v, float) else v for k, v in job.items()}))


if __name__ == "__main__":
    main()
