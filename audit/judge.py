"""One place compares: measurements are held against the plan by the rules of verdicts.md, and few questions decide.

Two questions are kept apart and both printed: is there a difference (a test, adjusted p), and how large can it be (an interval).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from audit.dataset import MISSING, REST
from audit.measurement import Estimate, Measurement, Message, Test
from audit.outlook import Foreseen
from audit.plan import Plan
from audit.result import Answered, AuditVerdict, Criterion, Finding, Question, Verdict, finding_key
from audit.text import message, render

TOO_FEW = "too_few_rows"
BORDERLINE = "borderline"
SIZE_OPEN = "difference_established_size_open"
TOO_FEW_CLUSTERS = "too_few_clusters"
DEPENDENT = "rows_belong_together"


def finding(check: str, measurement: Measurement) -> Finding:
    """A measurement as a finding that nothing judged yet."""
    key = finding_key(check, measurement.metric, measurement.compare, measurement.slice, measurement.against)
    return Finding(**{name: getattr(measurement, name) for name in Measurement.model_fields}, key=key)


def outside(estimate: Estimate, criterion: Criterion) -> bool:
    """Whether the estimate itself lies beyond a limit."""
    return (criterion.min is not None and estimate.value < criterion.min) or (criterion.max is not None and estimate.value > criterion.max)


def inside(estimate: Estimate, criterion: Criterion) -> bool:
    """Whether the whole interval lies inside the limits."""
    return (criterion.min is None or estimate.low >= criterion.min) and (criterion.max is None or estimate.high <= criterion.max)


def beyond(estimate: Estimate, criterion: Criterion, *, strict: bool = False) -> bool:
    """Whether the whole interval lies beyond a limit; `strict` also where it ends exactly at it."""
    below = criterion.min is not None and (estimate.high < criterion.min or (strict and estimate.high <= criterion.min))
    return below or (criterion.max is not None and estimate.low > criterion.max)


def margin_p(estimate: Estimate, criterion: Criterion) -> float:
    """One-sided p of "the truth is inside the limits", from the interval's own half-width on the side of the limit (normal approximation)."""
    from scipy.special import ndtr, ndtri

    z = float(ndtri((1 + estimate.level) / 2))
    worst = 1.0
    for limit, towards, side in ((criterion.min, estimate.high - estimate.value, -1), (criterion.max, estimate.value - estimate.low, 1)):
        if limit is None:
            continue
        beyond_by = side * (estimate.value - limit)
        worst = min(worst, float(ndtr(-beyond_by * z / towards)) if towards > 0 else (0.0 if beyond_by > 0 else 1.0))
    return worst


def judge_reported(check: str, measurements: Iterable[Measurement], plan: Plan, *, judgeable: bool) -> list[Finding]:
    """Findings of one check against the plan's own criteria; screens are adjusted by Benjamini–Hochberg over the check (verdicts.md §4).

    Without `judgeable` (labels that are not outcomes, say) nothing is judged.
    """
    from audit.stats.multiplicity import benjamini_hochberg

    found = [finding(check, m) for m in measurements]
    rules = plan.checks[check].criteria if check in plan.checks and judgeable else []
    held: list[tuple[int, Criterion]] = []
    for rule in rules:
        screen = rule.rule or ("screen" if rule.compare != "value" else "margin")
        criterion = Criterion(**rule.model_dump(exclude={"metric", "compare", "rule"}), rule=screen)
        held += [
            (i, criterion) for i, f in enumerate(found)
            if (f.metric, f.compare) == (rule.metric, rule.compare) and f.criterion is None and (len(f.slice) <= 1 or _one_kind(f) or _searched(f))
            and not (f.estimate is not None and f.reason)  # a check that says why its value is not to be judged is believed
            and not {MISSING, "*"} & set(f.slice.values())  # unknown membership and extremes over groups are shown, never judged
        ]  # fmt: skip
    tested = [(i, f.test.p_value) for i, _ in held if (f := found[i]).test is not None and f.compare != "value" and not _searched(f)]
    adjusted = dict(zip([i for i, _ in tested], benjamini_hochberg([p for _, p in tested]).tolist(), strict=True)) if tested else {}
    for i, criterion in held:
        f = found[i]
        test = (
            f.test.model_copy(update={"adjusted_p_value": adjusted[i], "tests_in_family": len(tested)})
            if f.test and i in adjusted
            else f.test
        )
        own = f.test.adjusted_p_value if f.test is not None and _searched(f) else None
        established = adjusted.get(i, 1.0) <= 0.10 if own is None else own <= plan.judge.alpha_fail
        verdict, reason = _judged(f, criterion, established=established)
        found[i] = f.model_copy(update={"criterion": criterion, "test": test, "verdict": verdict} | reason)
    return found


def _one_kind(f: Finding) -> bool:
    """Whether the slice says of which kind the figure is, and names no column: such as which terms were swapped, and in what."""
    return all(name.startswith("(") for name in f.slice)


def _searched(f: Finding) -> bool:
    """Whether a search found the slice, with tests that are adjusted for it: it may be judged by however many columns it is defined."""
    return f.against is not None and REST in f.against.values() and f.test is not None and f.test.adjusted_p_value is not None


def _judged(f: Finding, criterion: Criterion, *, established: bool) -> tuple[Verdict, dict[str, object]]:
    if f.estimate is None:
        return "inconclusive", {}
    if criterion.rule == "screen" and outside(f.estimate, criterion) and established:
        return "fail", {}
    if criterion.rule == "margin" and beyond(f.estimate, criterion):
        return "fail", {}
    if inside(f.estimate, criterion):
        return ("pass", {}) if f.no_pass is None else ("inconclusive", {"reason": render(f.no_pass), "reason_msg": f.no_pass})
    return "inconclusive", _reason(f.estimate, established and criterion.rule == "screen", f.test)


def _reason(estimate: Estimate, established: bool, test: Test | None) -> dict[str, object]:
    """Why a finding stays open, as text: a difference is established and its size open, or these rows cannot tell."""
    # A difference this plain is never "cannot tell", whatever the rule or the correction for other tests made of it.
    if test is not None and (established or (test.null == "equality" and test.p_value < 0.001)):
        p = test.adjusted_p_value if test.adjusted_p_value is not None else test.p_value
        text = message(
            "A difference is established (p {p:p}); whether it exceeds the limit is open: at least {low:number}, at most {high:number}.",
            p=p, low=estimate.low, high=estimate.high,
        )  # fmt: skip
        return {"reason": SIZE_OPEN, "reason_msg": text}
    text = message(
        "These rows cannot tell: the {level:percent} interval runs from {low:number} to {high:number}.",
        low=estimate.low, high=estimate.high, level=estimate.level,
    )  # fmt: skip
    return {"reason": BORDERLINE, "reason_msg": text}


class Counted(NamedTuple):
    """One comparison of rates for the selection or opportunity question: k of n in the group and in its reference."""

    column: str
    group: dict[str, str]
    reference: dict[str, str]
    k1: int
    n1: int
    k0: int
    n0: int


@dataclass
class Answer:
    """What the judge makes of one deciding question: verdicts of findings by key, pooled findings to add, and people not assessed.

    A reason that takes a moment to work out, such as how many rows would be needed, is a function, called when the document is written.
    """

    id: str
    check: str
    title: Message
    verdict: str = "inconclusive"
    answered: bool = False
    reason: Message | Callable[[], Message] | None = None
    judged: dict[str, Finding] = field(default_factory=dict)
    added: list[Finding] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    not_assessed: list[Message] = field(default_factory=list)
    foreseen: dict[str, Foreseen] = field(default_factory=dict)

    def question(self) -> Question:
        """The answer as the document has it."""
        reason = self.reason() if callable(self.reason) else self.reason
        return Question(
            id=self.id, check=self.check, title=render(self.title), title_msg=self.title, verdict=self.verdict, answered=self.answered,
            reason=render(reason) if reason else None, reason_msg=reason, findings=self.keys,
        )  # fmt: skip


def worst(verdicts: Iterable[str]) -> Verdict:
    """Fail, then inconclusive, then pass; not judged where there is none of them."""
    seen = set(verdicts)
    for verdict in ("fail", "inconclusive", "pass"):
        if verdict in seen:
            return verdict
    return "not_judged"


def audit_verdict(questions: Sequence[Question | Answer]) -> tuple[AuditVerdict, Answered]:
    """The audit's verdict and the answered fraction (verdicts.md §3)."""
    verdicts = [q.verdict for q in questions]
    answered = Answered(
        decides=len(questions), passed=verdicts.count("pass"), fail=verdicts.count("fail"),
        inconclusive=sum(q.verdict == "inconclusive" and q.answered for q in questions), not_run=sum(not q.answered for q in questions),
    )  # fmt: skip
    if "fail" in verdicts:
        return "fail", answered
    if "error" in verdicts:
        return "error", answered
    if verdicts and all(v == "pass" for v in verdicts):
        return "pass", answered
    return "inconclusive", answered
