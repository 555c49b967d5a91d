"""Diabetes encounters of which patients have several: what an audit says before and after somebody declares it."""

import subprocess
import sys
from pathlib import Path

import pytest
from at_terminal import User

pytestmark = pytest.mark.slow
TRAIN = """
import sys
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
d = pd.read_parquet(sys.argv[1])
d["early"] = (d["readmitted"] == "<30").astype(int)
x = ["time_in_hospital", "num_medications", "number_emergency", "number_inpatient", "number_diagnoses"]
patients = d["patient_nbr"].unique()
mine = d["patient_nbr"].isin(np.random.default_rng(0).choice(patients, len(patients) // 2, replace=False))
inputs = d.loc[mine, x].astype(float)
model = LogisticRegression(max_iter=1000).fit(inputs, d.loc[mine, "early"])
mlflow.sklearn.save_model(
    model, "encounters", signature=infer_signature(inputs, model.predict(inputs)), pip_requirements=[], serialization_format="skops",
    skops_trusted_types=["numpy.dtype"],
)
d["weight"] = 1 / d["age"].map(d["age"].value_counts(normalize=True))  # as if every decade of age had as many people
kept = ["weight", "encounter_id", "patient_nbr", "gender", "early", *x]
d.loc[~mine & d["gender"].isin(["Male", "Female"]), kept].to_parquet("encounters.parquet")
"""
AUDIT = (
    "encounters --data encounters.parquet --target early --positive 1 --favourable 0 --label-source outcome --sensitive gender --decision score>=0.15 --no-log "
    "--checks data.dependence,performance.baseline,calibration,fairness"
)  # fmt: skip


@pytest.fixture(scope="module")
def encounters(user: User, data_folder: Path) -> None:
    environment = user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-W", "ignore", "-c", TRAIN, str(data_folder / "diabetes130_us_hospitals.parquet")]
    done = subprocess.run(command, cwd=user.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("encounters")
def test_patients_that_come_again(user: User) -> None:
    undeclared = user.audit(*AUDIT.split(), "--out", "undeclared")
    clustered = user.audit(*AUDIT.split(), "--cluster", "patient_nbr", "--out", "clustered")
    independent = user.audit(*AUDIT.split(), "--independent", "--out", "independent")
    assert [d.status for d in (undeclared, clustered, independent)] == [0, 0, 0], (undeclared.err, clustered.err, independent.err)
    before, after, stated = undeclared.document, clustered.document, independent.document

    assert before["verdict"] == "inconclusive"
    assert before["data"]["repeats"] == ["patient_nbr"], "encounter_id does not repeat"
    assert any("patient_nbr looks like an identifier and repeats" in note for note in before["notes"])
    held = {q["id"]: q for q in before["questions"]}
    assert held["performance_baseline"]["verdict"] == "inconclusive"
    assert "--cluster patient_nbr" in held["performance_baseline"]["reason"]

    assert {q["id"]: q["verdict"] for q in after["questions"]}["performance_baseline"] == "pass"
    assert after["data"]["clusters"] > 30_000
    assert len({d["plan_sha256"] for d in (before, after, stated)}) == 3
    (wide,), (narrow,) = (
        [f for c in d["checks"] for f in c["findings"] if (f["metric"], f["compare"], f["slice"]) == ("selection_rate", "difference", {"gender": "Male"})]
        for d in (after, stated)
    )  # fmt: skip
    assert wide["estimate"]["method"] == "cluster_bootstrap"
    assert wide["estimate"]["value"] == pytest.approx(narrow["estimate"]["value"])
    assert wide["clusters"]["design_effect"] > 1.5
    assert wide["estimate"]["high"] - wide["estimate"]["low"] > 1.2 * (narrow["estimate"]["high"] - narrow["estimate"]["low"])
    assert any("--independent" in note for note in stated["notes"])


@pytest.mark.usefixtures("encounters")
def test_patients_that_come_again_and_stand_for_others(user: User) -> None:
    given = [*AUDIT.split(), "--checks", "data,performance,calibration,fairness", "--weight", "weight"]
    both, alone = user.audit(*given, "--cluster", "patient_nbr", "--out", "both"), user.audit(*given, "--independent", "--out", "weighted")
    assert [d.status for d in (both, alone)] == [0, 0], (both.err, alone.err)
    checks = {c["info"]["id"]: c for c in both.document["checks"]}
    asked = [c for id_, c in checks.items() if id_.partition(".")[0] in ("data", "performance", "calibration", "fairness")]
    assert {c["status"] for c in asked} == {"completed", "skipped"}
    assert all(c["reason"] for c in asked if c["status"] == "skipped")
    for c in asked:
        if c["status"] == "completed" and c["info"]["id"] != "fairness.inputs":
            assert c["summary"].endswith(("Weighted by weight.", "not of the people whom they stand for.")), c["info"]["id"]
    rates = [
        {
            f["slice"]["gender"]: f
            for c in d["checks"]
            for f in c["findings"]
            if (f["metric"], f["compare"]) == ("selection_rate", "value") and "gender" in f["slice"]
        }
        for d in (both.document, alone.document)
    ]
    for gender in ("Male", "Female"):
        wide, narrow = (r[gender] for r in rates)
        assert wide["estimate"]["value"] == pytest.approx(narrow["estimate"]["value"])
        assert wide["weights"]["n"] == pytest.approx(narrow["weights"]["n"])
        assert wide["clusters"]["effective"][0] < narrow["weights"]["effective"][0], "patients come again"
    judged = {q["id"]: q["verdict"] for q in both.document["questions"]}
    assert judged["performance_baseline"] == "pass"
