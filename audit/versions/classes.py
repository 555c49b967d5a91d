"""What became of each failing finding and of each deciding question."""

from __future__ import annotations

from audit.compared import FindingChange, QuestionChange, State
from audit.result import AuditResult, CheckResult, Finding

ROLES = ("decides", "warns")
ORDER: dict[State, int] = {"new": 0, "persisting": 1, "not_retested": 2, "resolved": 3}
SEVERITY = {"critical": 0, "major": 1, "minor": 2}


def _held(document: AuditResult) -> dict[str, tuple[CheckResult, Finding]]:
    """The findings that were held against a deciding or warning criterion, by key."""
    return {f.key: (c, f) for c in document.checks for f in c.findings if f.criterion is not None and f.criterion.role in ROLES}


def findings(old: AuditResult, new: AuditResult) -> list[FindingChange]:
    """Every finding that fails in one of the audits: new, persisting, resolved, not re-tested; the worst first.

    One that failed and is open now is not resolved: it counts as persisting. One that failed and is no longer judged was not re-tested.
    """
    before, now = _held(old), _held(new)
    made = []
    for key in dict.fromkeys([*now, *before]):
        a, b = before.get(key), now.get(key)
        was, is_ = (a[1].verdict if a else None), (b[1].verdict if b else None)
        if "fail" not in (was, is_):
            continue
        check, finding = b if b is not None else before[key]
        assert finding.criterion is not None
        made.append(
            FindingChange(
                key=key, check=check.info.id, metric=finding.metric, compare=finding.compare, slice=finding.slice, against=finding.against,
                role=finding.criterion.role, severity=finding.criterion.severity, state=_state(was, is_), old=was, estimate=finding.estimate, new=is_,
                sentence=finding.sentence, sentence_msg=finding.sentence_msg,
            )
        )  # fmt: skip
    return sorted(made, key=lambda f: (ORDER[f.state], SEVERITY[f.severity], f.key))


def _state(was: str | None, is_: str | None) -> State:
    if is_ == "fail":
        return "persisting" if was == "fail" else "new"
    if is_ == "pass":
        return "resolved"
    return "persisting" if is_ == "inconclusive" else "not_retested"


def questions(old: AuditResult, new: AuditResult) -> list[QuestionChange]:
    """Every deciding question of either audit with both answers."""
    before, now = ({q.id: q for q in d.questions} for d in (old, new))
    asked = {**before, **now}
    return [
        QuestionChange(
            id=id_, title=q.title, title_msg=q.title_msg, old=before[id_].verdict if id_ in before else None,
            new=now[id_].verdict if id_ in now else None,
        )
        for id_, q in asked.items()
    ]  # fmt: skip
