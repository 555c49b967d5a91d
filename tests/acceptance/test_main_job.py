"""The main job as a newcomer runs it: one command from nothing to a report, then the commands around it."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from at_terminal import Done, User, lacking

Demonstrated = Callable[[str], Done]


@pytest.fixture(scope="module")
def demonstrated(user: User) -> Demonstrated:
    """A preset trained and audited by one command, once: signed, logged, with the evidence and a Chinese report."""

    @cache
    def audited(preset: str) -> Done:
        if not (user.folder / "auditor.key").exists():
            assert user.run("audit.keygen", "auditor").status == 0
        options = ("--lang", "zh", "--out", f"demo-{preset}", "--sign-key", "auditor.key", "--format", "evidence")
        done = user.audit(f"demo:{preset}", *options)
        assert done.status == 0, done.err
        return done

    return audited


@pytest.fixture(scope="module", params=["credit", "credit-trees"])
def demo(request: pytest.FixtureRequest, demonstrated: Demonstrated) -> Done:
    return demonstrated(request.param)


@pytest.fixture(scope="module")
def trees(demonstrated: Demonstrated) -> Done:
    """The audit of the demonstration trees, which the tests of options start from."""
    return demonstrated("credit-trees")


def test_the_last_line_is_the_folder_and_nothing_else_stands_on_stdout(demo: Done) -> None:
    assert demo.out.count("\n") == 1
    assert sorted(p.name for p in demo.folder.iterdir()) == [
        "audit.json",
        "evidence.zh.zip",
        "manifest.json",
        "nist.zh.html",  # what the declared domain and jurisdiction call for: credit in the United States
        "regb.zh.html",
        "report.html",
        "report.zh.html",
        "sr26.zh.html",
        "views.json",
    ]


def test_every_check_of_the_plan_completed(demo: Done) -> None:
    for check in demo.document["checks"]:
        expected = "skipped" if lacking(demo.document) & set(check["info"]["needs"]) else "completed"
        assert check["status"] == expected, (check["info"]["id"], check["reason"])
    assert demo.document["model"]["load_risk"] == "data_only"


def test_the_verdict_never_passes_on_race_and_says_what_the_labels_are(demo: Done) -> None:
    document = demo.document
    assert document["verdict"] in ("fail", "inconclusive")
    assert document["data"]["label_source"] == "human_decision"
    assert any("agreement with past decisions, not correctness" in note for note in document["notes"])
    asked = {q["id"] for q in document["questions"]}
    assert asked == {"performance_baseline", "fairness_inputs", "fairness_selection"}, (
        "labels that are decisions answer no question on outcomes"
    )


def test_reports_are_small_self_contained_and_in_two_languages(demo: Done) -> None:
    english, chinese = (demo.folder / name for name in ("report.html", "report.zh.html"))
    for page in (english, chinese):
        text = page.read_text(encoding="utf-8")
        assert page.stat().st_size < 5_000_000
        assert "<script" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")
    assert "不通过" in chinese.read_text(encoding="utf-8")


def test_verify_says_ok_and_finds_an_edit(demo: Done, user: User, tmp_path: Path) -> None:
    signed = user.run("audit.verify", str(demo.folder), "--key", "auditor.pub")
    assert signed.status == 0, signed.out
    assert "OK           signature: by key" in signed.out
    assert "auditor.key" not in (demo.folder / "audit.json").read_text(encoding="utf-8")
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in demo.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "audit.json").write_text(
        (copy / "audit.json").read_text(encoding="utf-8").replace('"verdict": "fail"', '"verdict": "pass"', 1), encoding="utf-8"
    )
    (copy / "extra.txt").write_text("added")
    bad = user.run("audit.verify", str(copy))
    assert bad.status == 1
    assert "integrity only" in bad.out
    assert "FAILED       audit.json" in bad.out
    assert "FAILED       extra.txt" in bad.out
    assert user.run("audit.verify", str(tmp_path)).status == 2


def test_the_audit_is_on_mlflow_with_its_verdict_as_a_tag(demo: Done, user: User) -> None:
    script = (
        "import json, sys, mlflow; c = mlflow.MlflowClient(sys.argv[1]); r = c.search_runs([c.get_experiment_by_name('witnessmark').experiment_id], "
        "f\"tags.`witnessmark.audit` = '{sys.argv[2]}'\")[0]; v = c.get_model_version(sys.argv[3], '1');"
        "m = c.get_logged_model(json.loads(sys.argv[4])); "
        "print(json.dumps([r.data.tags, r.data.metrics, [a.path for a in c.list_artifacts(r.info.run_id, 'audit')], v.tags, m.tags]))"
    )
    document = demo.document
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        script,
        f"sqlite:///{user.folder / 'mlflow.db'}",
        document["id"],
        document["model"]["name"],
        json.dumps(document["model"]["model_id"]),
    ]
    done = subprocess.run(command, env=user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    tags, metrics, artifacts, version, model = json.loads(done.stdout.strip().splitlines()[-1])
    assert tags["witnessmark.verdict"] == version["witnessmark.verdict"] == model["witnessmark.verdict"] == document["verdict"]
    assert "settled" in tags["witnessmark.answered"] or "answered" in tags["witnessmark.answered"]
    assert "audit/audit.json" in artifacts
    roc = next(f for c in document["checks"] for f in c["findings"] if f["metric"] == "roc_auc" and not f["slice"])
    assert metrics["performance.overall.roc_auc"] == pytest.approx(roc["estimate"]["value"])


def test_the_gate_follows_the_verdict(trees: Done, user: User) -> None:
    name = trees.document["model"]["name"]
    failing = trees.document["verdict"] == "fail"
    done = user.audit(
        f"models:/{name}@demo",
        "--gate=strict",
        "--no-log",
        "--checks",
        "performance.baseline,fairness.group,fairness.inputs",  # what its questions rest on
        "--out",
        f"gate-{name}",
    )
    assert done.status == (1 if failing else 3)


def test_skipped_checks_cannot_turn_the_verdict(user: User, trees: Done) -> None:
    name = trees.document["model"]["name"]
    skipped = "fairness,explanation,robustness,privacy,uncertainty,efficiency"
    done = user.audit(f"models:/{name}@demo", "--skip", skipped, "--no-log", "--out", f"skip-{name}")
    assert done.status == 0
    document = done.document
    assert document["verdict"] == "inconclusive"
    others = [c for c in document["checks"] if c["status"] == "skipped" and not lacking(document) & set(c["info"]["needs"])]
    assert {c["reason"] for c in others} == {"Not asked for."}


@pytest.fixture(scope="module")
def short(user: User, trees: Done) -> Done:
    """Two checks, as --json prints them, in the folder `short`."""
    checks = ("--checks", "data.profile,performance.overall", "--sample", "60")
    return user.audit(trees.document["model"]["uri"], "--json", *checks, "--no-log", "--out", "short")


def test_json_prints_the_document_and_nothing_else(short: Done) -> None:
    assert json.loads(short.out)["schema_version"] == 1


def test_somebody_else_measures_every_finding_again_and_finds_the_one_that_was_changed(user: User, short: Done) -> None:
    folder, document = user.folder / "short", json.loads(short.out)
    findings = [f for c in document["checks"] for f in c["findings"] if f["repeatable"] and f["estimate"]]
    findings[-1]["estimate"]["value"] += 1e-9
    (folder / "audit.json").write_text(json.dumps(document), encoding="utf-8")
    done = user.run("audit.verify", str(folder), "--recompute", "100000", "--model", document["model"]["uri"], "--seed", "4")
    assert done.status == 1, done.err
    again = [line for line in done.out.splitlines() if " finding " in line]
    assert len(again) >= len(findings) > 5
    assert [line for line in again if not line.startswith("OK ")] == [
        line for line in again if f"finding {findings[-1]['key']}, " in line and "estimate.value: " in line
    ]  # fmt: skip
    assert "--seed 4 draws these findings again" in done.out


@pytest.mark.slow
def test_the_same_audit_gives_the_same_digest(user: User, trees: Done) -> None:
    """Whoever signs it, in whatever language it is reported, and whether or not it is logged."""
    done = user.audit(trees.document["model"]["uri"], "--no-log", "--out", f"again-{trees.document['model']['name']}")
    assert done.document["digest"] == trees.document["digest"]


def test_no_connection_is_opened_and_one_process_reads_the_key(user: User, trees: Done, tmp_path: Path) -> None:
    """Every Python process of an audit tells which addresses it looked up or connected to: none outside the machine's own sockets."""
    assert user.run("audit.keygen", "quiet", "--out", str(tmp_path)).status == 0
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        with open(os.environ['HEARD'], 'a') as file:\n"
        "            file.write(f'{event} {args[1:] if event != \"socket.getaddrinfo\" else args}\\n')\n"
        "    if event == 'open' and str(args[0]).endswith('quiet.key'):\n"
        "        with open(os.environ['HEARD'] + '.key', 'a') as file:\n"
        "            file.write(f'{os.getpid()}\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    heard = tmp_path / "heard"
    heard.write_text("")
    environment = {"PYTHONPATH": f"{tmp_path}:{user.environment['PYTHONPATH']}", "HEARD": str(heard)}
    control = subprocess.run(
        [sys.executable, "-c", "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"],
        env=user.environment | environment,
        check=True,
    )
    assert control.returncode == 0
    assert "127.0.0.1" in heard.read_text(), "the hook hears connections"
    heard.write_text("")
    name = trees.document["model"]["name"]
    done = user.audit(
        f"models:/{name}@demo", "--sample", "60", "--sign-key", str(tmp_path / "quiet.key"), "--out", f"quiet-{name}", env=environment
    )
    assert done.status == 0, done.err
    assert heard.read_text() == ""
    assert len(Path(f"{heard}.key").read_text().split()) == 1, "neither the model's process nor any other sees the key"
