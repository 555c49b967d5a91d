"""Same rows, many looks: what a store knows of data, models and plans, and what follows for the levels."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import Scene, set_scene

from audit import plan as plans
from audit.history import context_digest, look_back, record
from audit.result import AuditResult
from audit.store import client_of, log_audit
from audit.text import number, percent, signed
from reports.speaker import Speaker
from reports.view import first_screen

# MLflow's own database layer warns.
pytestmark = pytest.mark.filterwarnings("ignore")
LATER = "2100-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """400 rows of two groups, a score that knows something."""
    rng = np.random.default_rng(3)
    score = rng.uniform(size=400)
    y = (rng.uniform(size=400) < score).astype(int)
    return set_scene(tmp_path_factory.mktemp("scene"), pred=(score > 0.5).astype(int), y=y, score=score, groups={"sex": ["f", "m"] * 200})


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that holds nothing."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client_of(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty MLflow store of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def logged(
    scene: Scene, store: str, folder: Path, *, model: str = "a" * 64, plan: str = "0" * 64, data: str | None = None, **changes: Any
) -> str:
    """An audit of this scene in the store, as if of another model, plan or data; returns its run."""
    document = scene.document(skip=["data", "calibration", "fairness"], **changes).model_dump(mode="json")
    document["model"] |= {"sha256": model, "model_id": None, "name": None}
    document |= {"plan_sha256": plan}
    document["data"]["sha256"] = data or document["data"]["sha256"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(json.dumps(document))
    return str(log_audit({"folder": str(folder), "model": document["model"], "tracking_uri": store}, None)["run_id"])


def asked(store: str, scene: Scene, **changes: Any) -> dict[str, Any]:
    """What the store says to an audit of this scene."""
    arguments = {
        "tracking_uri": store, "data": scene.facts.sha256, "model": "a" * 64, "plan": "0" * 64, "subject": "models:/scene/1", "fixed": "f" * 64,
        "context": None, "started": LATER,
    }  # fmt: skip
    return look_back(arguments | changes, None)


def judged_levels(document: AuditResult) -> set[float]:
    return {
        f.estimate.level for c in document.checks for f in c.findings
        if f.estimate and f.estimate.method != "exact" and f.criterion and f.criterion.role == "decides"
    }  # fmt: skip


def test_twenty_models_on_the_same_data_shrink_the_level_and_page_one_says_so(scene: Scene, store: str, tmp_path: Path) -> None:
    for i in range(19):
        logged(scene, store, tmp_path / "out", model=f"{i:064x}")
    past = asked(store, scene, model="b" * 64)
    assert (past["models_on_this_data"], past["plans_on_this_pair"]) == (20, 1)
    alone, twentieth = scene.document(), scene.document(history=past)
    assert judged_levels(alone) == {0.9}
    assert judged_levels(twentieth) == {0.995}
    assert twentieth.history.alpha_fail == pytest.approx(0.0025)
    assert twentieth.history.level_pass == pytest.approx(0.9975)
    assert twentieth.plan == alone.plan, "the declared plan stays as it was declared"
    assert twentieth.notes == alone.notes, "and is not told as one that differs from the built-in plan"
    for lang, said in (("en", "judged 20 models"), ("zh", "评判 20 个模型".replace(" ", "\u2009"))):
        first = first_screen(twentieth, Speaker(lang))
        assert said in str(first.history[0])
        assert "0.2\u00a0%" in str(first.history[0])
        assert "99.5\u00a0%" in str(first.history[0])
        assert not any("20" in str(line) for line in first_screen(alone, Speaker(lang)).history)
    widths = [f.estimate.high - f.estimate.low for d in (alone, twentieth) for f in d.checks[-1].findings[:1] if f.estimate]
    assert widths == sorted(widths)


def test_a_model_that_is_audited_again_is_one_model_and_other_data_do_not_count(scene: Scene, store: str, tmp_path: Path) -> None:
    logged(scene, store, tmp_path / "out")
    logged(scene, store, tmp_path / "out", plan="1" * 64)
    logged(scene, store, tmp_path / "out", model="c" * 64, data="d" * 64)
    past = asked(store, scene)
    assert (past["models_on_this_data"], past["plans_on_this_pair"]) == (1, 2)
    assert asked(store, scene, plan="2" * 64)["plans_on_this_pair"] == 3
    assert asked(store, scene, model="e" * 64)["models_on_this_data"] == 2
    assert past["first_seen"] == "2026-01-01T00:00:00Z"


def test_a_run_that_somebody_deleted_was_a_look(scene: Scene, store: str, tmp_path: Path) -> None:
    client_of(store).delete_run(logged(scene, store, tmp_path / "out"))
    assert asked(store, scene, model="b" * 64)["models_on_this_data"] == 2


def test_the_first_audit_of_all_is_the_first_look(scene: Scene, store: str) -> None:
    past = asked(store, scene, started="2026-05-05T00:00:00Z")
    assert (past["models_on_this_data"], past["plans_on_this_pair"], past["first_seen"]) == (1, 1, "2026-05-05T00:00:00Z")
    assert past["commitment"]["state"] == "not_fixed"
    assert [str(line) for line in first_screen(scene.document(history=past), Speaker("en")).history] == ["Plan not fixed in advance."]


@pytest.mark.parametrize("uri", ["sqlite:////nowhere/mlflow.db", "http://127.0.0.1:9"])
def test_where_the_store_cannot_tell_nothing_is_divided_and_page_one_says_so(
    scene: Scene, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.history.SETTINGS", {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    past = asked(uri, scene)
    assert (past["models_on_this_data"], past["plans_on_this_pair"], past["first_seen"]) == (None, None, None)
    document = scene.document(history=past)
    assert judged_levels(document) == {0.9}
    said = [str(line) for line in first_screen(document, Speaker("en")).history]
    assert said[0].startswith("How many models these data have judged is not known: ")
    assert said[0].endswith(". The levels are not divided.")
    assert said[1] == "Whether the plan was fixed in advance is not known."


def test_a_plan_fixed_before_is_found_and_one_fixed_after_is_not(scene: Scene, store: str) -> None:
    data = scene.facts.sha256
    assert asked(store, scene)["commitment"]["state"] == "not_fixed"
    when, before = record(store, "f" * 64, data, None)
    assert not before
    assert record(store, "f" * 64, data, None) == (when, True), "once is enough"
    assert asked(store, scene)["commitment"] == {"state": "fixed", "date": when, "after_first_look": False, "context": "not_recorded"}
    assert asked(store, scene, started="2020-01-01T00:00:00Z")["commitment"]["state"] == "not_fixed"
    assert asked(store, scene, fixed="e" * 64)["commitment"]["state"] == "not_fixed"
    other = asked(store, scene, data="d" * 64)["commitment"]
    assert (other["state"], other["date"]) == ("other_data", when)


def test_a_plan_fixed_after_the_first_look_says_so(scene: Scene, store: str, tmp_path: Path) -> None:
    logged(scene, store, tmp_path / "out")
    record(store, "f" * 64, scene.facts.sha256, None)
    past = asked(store, scene)
    assert past["commitment"]["after_first_look"]
    said = str(first_screen(scene.document(history=past), Speaker("en")).history[-1])
    assert "but after these data had first been audited" in said


def test_a_context_fixed_with_the_plan_is_the_same_or_said_to_be_another(scene: Scene, store: str) -> None:
    context = {"owner": "A", "period": 2020}
    record(store, "f" * 64, scene.facts.sha256, context_digest(context))
    assert asked(store, scene, context=context_digest({"period": 2020, "owner": "A"}))["commitment"]["context"] == "fixed"
    assert asked(store, scene, context=context_digest(context | {"owner": "B"}))["commitment"]["context"] == "changed"
    assert asked(store, scene)["commitment"]["context"] == "changed", "left out is changed"


def test_a_finding_keeps_the_date_since_when_it_is_open_until_it_passes(scene: Scene, store: str, tmp_path: Path) -> None:
    past = asked(store, scene)
    assert past["open_since"] == {}
    key = "0123456789abcdef"
    logged(scene, store, tmp_path / "out", history={"models_on_this_data": 1, "open_since": {}})
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    document["history"]["open_since"] = {key: "2025-12-24"}
    (tmp_path / "out" / "audit.json").write_text(json.dumps(document))
    time.sleep(0.01)  # runs are ordered by milliseconds
    log_audit({"folder": str(tmp_path / "out"), "model": document["model"], "tracking_uri": store}, None)
    assert asked(store, scene)["open_since"] == {key: "2025-12-24"}
    assert asked(store, scene, subject="other")["open_since"] == {}
    open_ = [f.key for c in scene.document().checks for f in c.findings if f.verdict in ("fail", "inconclusive")]
    assert open_, "the scene leaves something open"
    again = scene.document(history={"models_on_this_data": 1, "open_since": {open_[0]: "2025-12-24", key: "2025-12-24"}}).history.open_since
    assert set(again) == set(open_), "what has passed or is gone is forgotten"
    assert {k: d for k, d in again.items() if d != "2026-01-01"} == {open_[0]: "2025-12-24"}


@given(st.integers(1, 100_000))
def test_levels_are_divided_and_printed_as_used(models: int) -> None:
    plan = plans.load(None)
    judge = plans.divided(plan, models).judge
    assert judge.alpha_fail * models == pytest.approx(plan.judge.alpha_fail)
    assert (1 - judge.level_pass) * models == pytest.approx(1 - plan.judge.level_pass)
    assert percent(judge.level_pass) != "100 %"
    assert plans.divided(plan, None) == plans.divided(plan, 1) == plan


def test_small_and_large_numbers_are_written_for_people() -> None:
    written = {0.0005: "0.0005", 4.113e-15: "4.11 × 10⁻¹⁵", -9.64e-7: "−9.64 × 10⁻⁷", 2.5e10: "2.5 × 10¹⁰", 0.02041: "0.0204"}
    assert {x: number(x) for x in written} == written
    assert signed(1.8e-05) == "+1.8 × 10⁻⁵"


def test_percents_round_to_a_whole_only_where_they_are_one() -> None:
    assert [percent(x) for x in (0.99995, 0.99999999, 1 - 1e-15, 0.99949, 0.9995)] == [
        "> 99.99 %",
        "> 99.99 %",
        "100 %",
        "99.9 %",
        "99.95 %",
    ]
    assert [percent(x) for x in (1.0, 0.9999, 0.99975, 0.9994, 0.5, 0.0)] == ["100 %", "99.99 %", "99.98 %", "99.9 %", "50 %", "0 %"]


def test_what_is_fixed_is_all_that_the_plan_decides_and_not_what_is_printed(tmp_path: Path) -> None:
    plan = plans.load(None)

    def fixed(content: str = "", only: set[str] | None = None, seed: int = 0) -> str:
        (tmp_path / "plan.toml").write_text(content)
        changed = plans.load(tmp_path / "plan.toml")
        return plans.fixed_digest(changed, plans.asked(changed, only, None), sample=changed.audit.sample, seed=seed)

    same = plans.fixed_digest(plan, plans.asked(plan, None, None), sample=2000, seed=0)
    assert fixed() == fixed('[disclosure]\nedition = "public"') == same
    assert len({same, fixed("[judge]\nalpha_fail = 0.1"), fixed(only={"data.profile"}), fixed(seed=1), fixed("[bins]\nage = [30.0]")}) == 5


def test_a_plan_can_be_fixed_before_there_is_any_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has trained or audited anything here: the store is made, and an audit that looks back finds the plan; a named one is never made."""
    from audit import commit

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "plan.toml").write_text("[judge]\nalpha_fail = 0.01\n")
    (tmp_path / "rows.csv").write_text("a,y\n1,0\n2,1\n")
    assert commit.main(["plan.toml", "--data", "rows.csv", "--tracking-uri", "sqlite:///typo.db"]) == 2
    assert "train a model" not in capsys.readouterr().err
    assert not (tmp_path / "typo.db").exists()
    assert commit.main(["plan.toml", "--data", "rows.csv"]) == 0
    assert (tmp_path / "mlflow.db").is_file()
    assert "fixed on" in capsys.readouterr().out
    assert commit.main(["plan.toml", "--data", "rows.csv"]) == 0
    assert "already fixed on" in capsys.readouterr().out
