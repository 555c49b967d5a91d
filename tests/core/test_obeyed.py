"""What the command line says of every check holds for every one: its limit in seconds, its rows, and that what runs is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit import plan as plans
from audit.attempts import Attempts
from audit.jobs import JobError
from audit.probe import run_check
from audit.progress import Plain
from audit.registry import checks
from audit.request import WRITING_SECONDS, Request
from audit.run import _drawn
from audit.runner import LATE, Audit


@pytest.mark.parametrize("id_", checks())
def test_every_check_has_the_limit_and_the_sample_that_were_asked_for_and_is_told(
    id_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def run(target: str, arguments: dict[str, Any], *, limit: float, worker: Any) -> dict[str, Any]:
        asked.append((target, arguments["check"], arguments["sample"], limit))
        if len(asked) > 1:
            raise JobError("timeout", f"it was stopped after {limit:.0f} s")
        return {"status": "completed"}

    monkeypatch.setattr("audit.runner.unmet", lambda *_: None)
    audit: Any = Audit.__new__(Audit)
    audit.request = SimpleNamespace(checks=dict.fromkeys(checks(), True), check_timeout=7.0, sample=11, seed=0)
    audit.plan = audit.judged_by = plans.load(None)
    audit.facts = dict.fromkeys(("references", "source_task", "seeds"))
    audit.settled, audit.failure, audit.scratch, audit.scorer = {}, None, "", None
    audit.inspection = SimpleNamespace(files=[])
    audit.progress, audit.jobs = Plain(), SimpleNamespace(run=run)
    worker: Any = SimpleNamespace(socket=None, stop=lambda: None)
    audit.attempts = Attempts(audit.jobs, lambda: worker)
    assert audit._result(id_, checks()[id_], {}, None)["status"] == "completed"
    late = audit._result(id_, checks()[id_], {}, None)
    assert (late["status"], late["reason"]) == ("errored", LATE)
    assert asked == [("audit.probe:run_check", id_, 11, 7.0)] * 2
    assert capsys.readouterr().err.splitlines() == [f"{id_} …", f"{id_} …", f"  {id_}: errored: {LATE}"]


def test_a_short_limit_of_checks_leaves_time_to_judge_and_to_write() -> None:
    limits: list[float] = []
    audit: Any = Audit.__new__(Audit)
    audit.__dict__ |= dict.fromkeys(("facts", "settled", "resolved", "history", "observed", "resumed"))
    audit.request = Request.model_construct(check_timeout=1.0, edition="internal", lang="en")
    audit.inspection, audit.written, audit.progress = SimpleNamespace(model_dump=lambda **_: {}), {}, Plain()
    audit.jobs = SimpleNamespace(run=lambda *_, limit: limits.append(limit) or {"files": []})
    audit.assembled({}, None)
    _drawn(audit, Path("audit"), audit.request, "html", "en")
    assert limits == [WRITING_SECONDS] * 2


def test_the_sample_that_was_asked_for_goes_before_that_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        "audit.probe.collect", lambda context, _: seen.append(context.plan.audit.sample) or ([], SimpleNamespace(model_dump=lambda **_: {}))
    )
    for model in ("Facts", "Settled", "Scoring"):
        monkeypatch.setattr(f"audit.probe.{model}", SimpleNamespace(model_validate=lambda given: given))
    plan = plans.load(None).model_dump(mode="json")
    given: dict[str, Any] = {key: {} for key in ("facts", "settled", "scoring", "files")}
    run_check(given | {"check": "data.profile", "plan": plan, "sample": 11, "seed": 0, "work": "", "params": {}}, None)
    assert seen == [11]
