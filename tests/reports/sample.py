"""A synthetic audit of a credit model: every kind of finding, evidence, verdict and hostile name that a page must be able to show."""

from __future__ import annotations

from typing import Any

from pieces import HOSTILE, IMG, SCRIPT, calibration, efficiency, explanation, fairness, performance, profile

from audit.result import Answered, AuditResult, CheckResult, DataInfo, Environment, Feature, ModelInfo, Question, Waiver, document_digest
from audit.text import message, render

__all__ = ["HOSTILE", "sample"]


def questions(checks: list[CheckResult]) -> list[Question]:
    key = {
        f"{c.info.id}:{f.slice.get('race', '')}": f.key for c in checks for f in c.findings if f.criterion and f.criterion.role == "decides"
    }
    return [
        Question(
            id="baseline",
            check="performance.baseline",
            title="Is it better than guessing?",
            verdict="pass",
            answered=True,
            findings=[key["performance.baseline:"]],
        ),
        Question(
            id="inputs",
            check="fairness.inputs",
            title="Does it see what it should not?",
            verdict="pass",
            answered=True,
            findings=[key["fairness.inputs:"]],
        ),
        Question(
            id="selection",
            check="fairness.group",
            title="Do groups get the favourable decision alike?",
            verdict="fail",
            answered=True,
            findings=[key["fairness.group:black"], key["fairness.group:hispan"]],
        ),
        Question(
            id="opportunity",
            check="fairness.group",
            title="Are qualified people treated alike?",
            verdict="inconclusive",
            answered=False,
            reason="the label is a human decision, not an outcome",
        ),
        Question(
            id="calibration",
            check="calibration.groups",
            title="Is the probability right on average?",
            verdict="inconclusive",
            answered=False,
            reason="the check was skipped",
        ),
    ]


def waivers(checks: list[CheckResult]) -> list[Waiver]:
    """One of each kind; what people wrote is hostile."""
    failing = next(f.key for c in checks for f in c.findings if f.verdict == "fail" and f.criterion and f.criterion.role == "decides")
    second = next(f.key for c in checks for f in c.findings if f.verdict == "inconclusive")
    passing = next(f.key for c in checks for f in c.findings if f.verdict == "pass")
    return [
        Waiver(key=failing, reason=f"the cutoff is being lowered {IMG}", person="R. Example", expires="2027-03-31", state="accepted"),
        Waiver(key="0" * 16, reason="a typing error", person="R. Example", expires="2027-03-31", state="unknown"),
        Waiver(key=second, reason="was under review", person="R. Example", expires="2026-01-31", state="expired"),
        Waiver(key=passing, reason="to be safe", person="R. Example", expires="2027-03-31", state="not_needed"),
    ]


def context() -> dict[str, Any]:
    return {
        "intended_use": "deciding mortgage applications",
        "domain": "credit",
        "jurisdictions": ["US-MA"],
        "auditor": "A. Example",
        "independence": "not stated",
        "owner": "not stated",
        "people": "mortgage applicants in Boston",
        "period": "1990",
        "population": None,
        "tier": "medium",
        "human_role": "an officer sees each refusal",
    }


def sample(**changes: Any) -> AuditResult:
    """The document; `changes` replace its fields."""
    checks = [profile(), *performance(), *calibration(), *fairness(), *explanation(), efficiency()]
    why = message(
        "Black applicants get the favourable decision {r:ratio} times as often as white applicants, below the limit of 0.80.", r=0.7437
    )
    note = message("The decision is taken at the model's built-in cutoff, which nobody declared.")
    document = AuditResult(
        id="20261121-100000-4f2a",
        started="2026-11-21T10:00:00Z",
        finished="2026-11-21T10:01:12Z",
        verdict="fail",
        answered=Answered(decides=5, passed=2, fail=1, inconclusive=1, not_run=1),
        why=render(why),
        why_msg=why,
        questions=questions(checks),
        not_assessed=["Not assessed: 3 people in 1 group of race: too few rows"],
        notes=[render(note), f"A column is called {IMG}"],
        notes_msg=[note],
        context=context(),
        history={
            "models_on_this_data": 3,
            "plans_on_this_pair": 2,
            "first_seen": "2026-11-02T08:00:00Z",
            "alpha_fail": 0.05 / 3,
            "level_pass": 1 - 0.05 / 3,
            "commitment": {"state": "fixed", "date": "2026-11-20T09:30:00Z", "after_first_look": True},
        },
        waivers=waivers(checks),
        valid_until="2027-11-21",
        model=ModelInfo(
            uri="models:/credit/3",
            name="credit",
            version="3",
            flavor="pytorch",
            task="binary",
            classes=["refused", "approved"],
            features=[Feature(name="credit_history", kind="category"), Feature(name=IMG, kind="number")],
            outputs="probability",
            parameters=20481,
            sha256="3b" * 32,
            load_risk="code",
            load_evidence=["data/model.pth: a pickle", f"code/{SCRIPT}.py"],
        ),
        data=DataInfo(
            source="loanapp.parquet",
            sha256="9c" * 32,
            rows=1989,
            columns=["approve", "race", "sex", IMG],
            target="approve",
            positive="1",
            favourable=["1"],
            label_source="human_decision",
            decision="predict",
            decision_declared=False,
            sensitive=["race", "sex"],
            reference={"race": "white", "sex": "male"},
            excluded={"rows without an outcome": 4},
        ),
        plan={"audit": {"seed": 0, "level": 0.95, "sample": 2000}, "disclosure": {"min_group_size": 10}, "materiality": {"tier": "medium"}},
        plan_sha256="5d" * 32,
        seed=0,
        environment=Environment(
            python="3.11.7",
            platform="Linux-x86_64",
            packages={"mlflow": "3.17.2", "torch": "2.13.0"},
            isolation="best-effort",
            observed={"network": "blocked", "files": "read-only"},
        ),
        checks=checks,
    )
    document = document.model_copy(update=changes)
    return document.model_copy(update={"digest": document_digest(document.model_dump(mode="json"))})
