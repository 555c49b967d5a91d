"""Evidence that fails its gate withdraws what rests on it, and never fails the model (verdicts.md §3).

A plan's `requires` names, for a check, the checks whose failing findings reject the evidence that it shows or uses; evidence that has such gates also
rejects itself where it fails a test of its own, such as a stopping rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from audit.measurement import Message
from audit.plan import CheckPlan, Plan
from audit.registry import checks
from audit.result import Finding
from audit.text import message

#: The reason of findings that nothing can be concluded from any more.
REJECTED = "evidence_rejected"
#: What a failing gate says of the explanation.
FAILED = {
    "explanation.completeness": "attributions do not add up to the answer",
    "explanation.deletion": "the order of attributions does not matter to the model as it should",
    "explanation.infidelity": "attributions do not predict what the model does",
    "explanation.randomisation": "the explanation hardly depends on the model",
    "explanation.stability": "the explanation does not stay the same",
}
#: What an explanation says of itself where it fails its own test.
OWN = {"completeness_gap": FAILED["explanation.completeness"], "sampling_error": "attributions are mostly chance of the draw of coalitions"}


class Rejection(NamedTuple):
    """Why evidence is rejected, and the keys of the findings that reject it."""

    reason: Message
    by: list[str]


def rejections(plan: Plan, findings: Mapping[str, Sequence[Finding]]) -> dict[str, Rejection]:
    """Check id → why what it shows is rejected; `findings` are the judged ones of every check."""
    found = {}
    for id_ in findings:
        required = plan.checks.get(id_, CheckPlan()).requires
        if required and checks()[id_].info.about == "evidence":
            required = [*required, id_]
        failing = {gate: [f for f in findings.get(gate, []) if f.verdict == "fail"] for gate in required}
        reasons = [_reason(gate, some[0]) for gate, some in failing.items() if some]
        if reasons:
            keys = [f.key for some in failing.values() for f in some]
            found[id_] = Rejection(message("Evidence rejected: {reasons}.", reasons=reasons), keys)
    return found


def withdrawn(findings: Sequence[Finding], rejection: Rejection) -> list[Finding]:
    """The findings of a check whose evidence is rejected: shown as they are, and nothing is concluded from them but that which rejects it."""
    why = {"verdict": "inconclusive", "reason": REJECTED, "reason_msg": rejection.reason}
    return [f if f.verdict == "not_judged" or f.key in rejection.by else f.model_copy(update=why) for f in findings]


def _reason(gate: str, finding: Finding) -> Message:
    """What one gate found, with its number and limit."""
    what = (
        message(FAILED[gate]) if gate in FAILED
        else message(OWN[finding.metric]) if finding.metric in OWN
        else message("{check} fails", check=gate)
    )  # fmt: skip
    estimate, criterion = finding.estimate, finding.criterion
    assert estimate is not None
    assert criterion is not None
    limit = criterion.max if criterion.max is not None else criterion.min
    return message("{what} ({value:number}, limit {limit:number})", what=what, value=estimate.value, limit=limit)
