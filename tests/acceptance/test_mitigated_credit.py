"""A person trains `credit`, mitigates it, makes it smaller, audits all versions and reads what it cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from at_terminal import Done, User

CHECKS = (
    "--checks",
    "fairness.group,fairness.inputs,performance.overall,performance.baseline,calibration.overall,explanation.global,efficiency.compression",
    "--no-log",
)


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> User:
    return User(tmp_path_factory.mktemp("owner"))


@pytest.fixture(scope="module")
def versions(owner: User) -> dict[str, Done]:
    """The base, its mitigated and its compressed version."""
    done = {"base": owner.run("models.train", "credit")}
    done["mitigated"] = owner.run(
        "models.mitigate",
        "models:/credit/1",
        "--sensitive",
        "race",
        "--method",
        "threshold_optimizer",
        "--constraint",
        "demographic_parity",
    )
    done["small"] = owner.run("models.compress", "models:/credit@demo", "--int8")
    for command in done.values():
        assert command.status == 0, command.err
    return done


@pytest.fixture(scope="module")
def audits(owner: User, versions: dict[str, Done]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, done in versions.items():
        audited = owner.audit(done.out.strip(), "--out", name, *CHECKS)
        assert audited.status == 0, audited.err
        found[name] = audited.document
    return found


def selection(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Group → the difference of its selection rate against white applicants'."""
    (check,) = [c for c in document["checks"] if c["info"]["id"] == "fairness.group"]
    return {
        f["slice"]["race"]: f["estimate"] for f in check["findings"]
        if f["metric"] == "selection_rate" and f["compare"] == "difference" and set(f["slice"]) == {"race"} and f["against"] == {"race": "white"}
    }  # fmt: skip


@pytest.mark.slow
def test_each_command_ends_with_the_uri_of_the_next_version_and_nothing_else(versions: dict[str, Done]) -> None:
    assert [done.out for done in versions.values()] == [f"models:/credit/{v}\n" for v in (1, 2, 3)]
    assert "Warning" not in "".join(done.err for done in versions.values())


@pytest.mark.slow
def test_the_mitigated_version_has_a_smaller_disparity_and_both_have_intervals(audits: dict[str, dict[str, Any]]) -> None:
    before, after = selection(audits["base"]), selection(audits["mitigated"])
    assert set(before) >= {"black", "hispanic"}
    for group in ("black", "hispanic"):
        assert after[group]["low"] < after[group]["value"] < after[group]["high"]
        assert abs(after[group]["value"]) < abs(before[group]["value"]) - 0.03


@pytest.mark.slow
def test_the_audit_says_that_the_group_decides(audits: dict[str, dict[str, Any]]) -> None:
    (inputs,) = [c for c in audits["mitigated"]["checks"] if c["info"]["id"] == "fairness.inputs"]
    assert inputs["verdict"] == "fail"
    assert "race" in [f["name"] for f in audits["mitigated"]["model"]["features"]]
    limits = " ".join(audits["mitigated"]["context"]["known_limits"])
    assert "Mitigated version of models:/credit/1" in limits
    assert "may be disparate treatment in law" in limits


def check_of(document: dict[str, Any], id_: str) -> dict[str, Any]:
    return next(c for c in document["checks"] if c["info"]["id"] == id_)


@pytest.mark.slow
def test_the_chance_of_a_decision_is_not_judged_as_a_forecast(audits: dict[str, dict[str, Any]]) -> None:
    assert [audits[name]["model"]["score_of"] for name in ("base", "mitigated", "small")] == ["outcome", "decision", "outcome"]
    baseline = check_of(audits["mitigated"], "performance.baseline")
    assert {f["metric"] for f in baseline["findings"]} == {"informedness"}
    assert baseline["verdict"] == "pass"
    assert {"log_loss_skill", "brier_skill"} <= {f["metric"] for f in check_of(audits["base"], "performance.baseline")["findings"]}
    calibration = check_of(audits["mitigated"], "calibration.overall")
    assert (calibration["status"], check_of(audits["base"], "calibration.overall")["status"]) == ("skipped", "completed")
    assert "made for its decision" in calibration["reason"]


@pytest.mark.slow
def test_a_net_of_steps_is_explained_from_its_answers(audits: dict[str, dict[str, Any]]) -> None:
    explained = check_of(audits["mitigated"], "explanation.global")
    sizes = [f["estimate"]["value"] for f in explained["findings"] if f["metric"] == "mean_abs_attribution"]
    assert max(sizes) > 0.01
    assert "Integrated Gradients" not in explained["summary"]
    assert "Integrated Gradients" in check_of(audits["base"], "explanation.global")["summary"]
    notes = {name: " ".join(document["notes"]) for name, document in audits.items()}
    assert [("Gradients do not tell how this net decides" in notes[name]) for name in ("base", "mitigated", "small")] == [
        False,
        True,
        False,
    ]


@pytest.mark.slow
def test_the_comparison_pairs_the_same_rows_and_says_what_it_cost_each_group(owner: User, audits: dict[str, Any]) -> None:
    done = owner.run("audit.compare", "base", "mitigated", "--json")
    assert done.status == 0, done.err
    compared = json.loads(done.out)
    assert compared["paired"] is True
    assert owner.run("audit.compare", "base", "mitigated").out.startswith("Paired: the same 696 rows under both models.")
    text = done.out
    for group in ("black", "hispanic", "white"):
        assert f'"race":"{group}"' in text.replace('": "', '":"')


@pytest.mark.slow
def test_whom_8_bits_harm_is_told_from_the_same_rows_under_both(audits: dict[str, dict[str, Any]]) -> None:
    harm = check_of(audits["small"], "efficiency.compression")
    assert (harm["status"], check_of(audits["base"], "efficiency.compression")["status"]) == ("completed", "skipped")
    (whole,) = [f["estimate"] for f in harm["findings"] if f["metric"] == "accuracy_change" and not f["slice"]]
    assert whole["n"] == 696
    assert abs(whole["value"]) < 0.02
    assert "models:/credit/1" in harm["summary"]


@pytest.mark.slow
def test_8_bits_cost_next_to_nothing(owner: User, audits: dict[str, dict[str, Any]]) -> None:
    def accuracy(document: dict[str, Any]) -> float:
        (check,) = [c for c in document["checks"] if c["info"]["id"] == "performance.overall"]
        return next(f["estimate"]["value"] for f in check["findings"] if f["metric"] == "accuracy" and not f["slice"])

    assert abs(accuracy(audits["small"]) - accuracy(audits["base"])) < 0.02
    assert audits["small"]["data"]["sha256"] == audits["base"]["data"]["sha256"]
    assert audits["small"]["model"]["parameters"] >= audits["base"]["model"]["parameters"]  # scales are stored beside the weights


#: Run in one process: the store, and every request that is refused.
LOOK = """
import json, sys, mlflow
from pathlib import Path
from mlflow import MlflowClient
from models import compress, mitigate, train
mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = MlflowClient()
tags = {v.version: v.tags for v in client.search_model_versions("name='credit'")}
run = client.get_run(client.get_logged_model(client.get_model_version("credit", "2").source.rpartition("/")[2]).source_run_id)
folder = Path(run.info.artifact_uri.removeprefix("file://"))
frontier = json.loads((folder / "mitigation" / "frontier.json").read_text("utf-8"))
evaluation = str(folder / "audit_data" / "evaluation.parquet")
assert train.main(["credit-trees", "--epochs", "2", "--name", "trees"]) == 0
requests = [
    [mitigate, "models:/nope/1", "--sensitive", "race"],
    [mitigate, "models:/credit/99", "--sensitive", "race"],
    [mitigate, "somewhere", "--sensitive", "race"],
    [mitigate, "models:/trees/1", "--sensitive", "race"],
    [mitigate, "models:/credit/1", "--sensitive", "religion"],
    [mitigate, "models:/credit/2", "--sensitive", "race"],
    [mitigate, "models:/credit/1", "--sensitive", "race", "--data", evaluation],
    [compress, "models:/trees/1", "--int8"],
    [compress, "models:/nope@demo", "--int8"],
    [compress, "models:/credit/3", "--int8"],
]
print("RESULT", file=sys.stderr)
status = [module.main(arguments) for module, *arguments in requests]
print(json.dumps({"tags": tags, "frontier": frontier, "status": status, "versions": len(client.search_model_versions())}))
"""


@pytest.fixture(scope="module")
def store(owner: User, versions: dict[str, Done]) -> tuple[dict[str, Any], list[str]]:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=owner.folder, env=owner.environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.partition("RESULT\n")[2].splitlines()


@pytest.mark.slow
def test_the_versions_are_linked_to_the_one_that_they_came_from(store: tuple[dict[str, Any], list[str]]) -> None:
    tags = store[0]["tags"]
    assert tags["1"] == {}
    assert tags["2"].pop("point")
    assert tags["2"] == {
        "mitigated_from": "models:/credit/1", "method": "threshold_optimizer", "constraint": "demographic_parity", "sensitive": "race",
        "group_at_decision": "yes",
    }  # fmt: skip
    assert tags["3"]["compressed_from"] == "models:/credit/1"
    frontier = store[0]["frontier"]
    best = frontier["points"][frontier["chosen"]]
    assert best["disparity"]["value"] < frontier["as_it_is"]["disparity"]["value"]
    assert best["cost"]["low"] <= best["cost"]["value"] <= best["cost"]["high"]


@pytest.mark.slow
def test_refusals_are_one_line_each_and_register_nothing(store: tuple[dict[str, Any], list[str]]) -> None:
    found, lines = store
    assert found["status"] == [2] * 10
    assert found["versions"] == 4
    says = [
        "there is no model models:/nope/1", "there is no model models:/credit/99", "got 'somewhere'", "models:/trees/1 is no net of this core",
        "no sensitive column 'religion'", "itself a variant of models:/credit/1", "696 rows of", "is no net of this core",
        "there is no model models:/nope@demo", "no linear layer",
    ]  # fmt: skip
    assert len(lines) == len(says), lines
    for line, said in zip(lines, says, strict=True):
        assert line.startswith("error: ")
        assert said in line
        assert " — " in line


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("mitigate", ["models:/credit/1"], "--sensitive"),
        ("mitigate", ["models:/credit/1", "--sensitive", "race", "--method", "magic"], "--method"),
        ("mitigate", ["models:/credit/1", "--sensitive", "race", "--constraint", "parity"], "--constraint"),
        ("mitigate", ["models:/credit/1", "--sensitive", "race", "--max-cost", "2"], "--max-cost expects"),
        ("mitigate", ["models:/credit/1", "--sensitive", "race"], "no MLflow store at"),
        ("compress", ["models:/credit/1"], "--int8"),
        ("compress", ["models:/credit/1", "--prune", "1"], "--prune expects a share"),
        ("compress", ["models:/credit/1", "--int8", "--set", "a=1"], "--set changes the preset"),
        ("compress", ["models:/credit/1", "--distill", "nope"], "no preset 'nope'"),
        ("compress", ["models:/credit/1", "--prune", "0.5"], "no MLflow store at"),
    ],
)
def test_bad_requests_are_one_line_and_exit_2(
    command: str, arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert importlib.import_module(f"models.{command}").main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), list(tmp_path.iterdir())) == ("", 1, [])
    assert err.startswith("error: ")
    assert says in err
