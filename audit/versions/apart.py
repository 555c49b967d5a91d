"""Metrics of two documents whose rows cannot be paired: as two independent samples."""

from __future__ import annotations

from collections.abc import Iterator

from audit.compared import Change
from audit.dataset import MISSING
from audit.measurement import Estimate, Slice, Test
from audit.result import AuditResult, Finding
from audit.stats.compare import equality_test
from audit.stats.paired import at_level, limits_of, mover
from audit.versions.metrics import GAPS, OF_GROUPS, OVERALL, test_of
from audit.versions.rates import Two, change

#: What a finding is of: metric, comparison, slice, against.
About = tuple[str, str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...] | None]
FAMILIES = ("performance", "calibration", "fairness")


def about(finding: Finding) -> About:
    against = None if finding.against is None else tuple(sorted(finding.against.items()))
    return finding.metric, finding.compare, tuple(sorted(finding.slice.items())), against


def compared(finding: Finding) -> bool:
    """Whether this is a metric that has a better side, for everybody or for one group that is known."""
    if len(finding.slice) > 1 or set(finding.slice.values()) & {MISSING, "*"} or any(c.startswith("(") for c in finding.slice):
        return False
    if finding.compare != "value":
        return (finding.metric, finding.compare) in GAPS
    return finding.metric in (OF_GROUPS if finding.slice else OVERALL)


def measured(document: AuditResult) -> dict[About, Finding]:
    """The findings that are compared, each question once: two checks may give the same rate."""
    found: dict[About, Finding] = {}
    for check in document.checks:
        if check.info.id.split(".")[0] in FAMILIES and check.status == "completed":
            for finding in check.findings:
                if compared(finding) and finding.estimate is not None:
                    found.setdefault(about(finding), finding)
    return found


def two(old: Finding, new: Finding) -> Two | None:
    """The counts of a rate in both documents, where they are there."""
    if len(old.parts) != 1 or len(new.parts) != 1 or not (old.parts[0].n and new.parts[0].n):
        return None
    return Two(new.parts[0].k, new.parts[0].n, old.parts[0].k, old.parts[0].n)


def from_intervals(old: Estimate, new: Estimate, level: float) -> Estimate:
    """New minus old from their printed intervals (method of variance estimates recovery), both brought to one level."""
    found = mover(limits_of(at_level(new, level)), limits_of(at_level(old, level)))
    return Estimate(value=found.value, low=found.low, high=found.high, level=level, method="mover", n=min(old.n, new.n))


def changes(old: AuditResult, new: AuditResult, *, level: float) -> Iterator[Change]:
    """Every metric that both documents have."""
    before = measured(old)
    for key, now in measured(new).items():
        then = before.get(key)
        if then is None or then.estimate is None or now.estimate is None:
            continue
        counts = two(then, now) if now.compare == "value" else None
        found, test = (None, None) if counts is None else _of_counts(counts, level)
        if found is None:
            found = from_intervals(then.estimate, now.estimate, level)
            test = test_of(found)
        yield Change(
            metric=now.metric, compare=now.compare, slice=now.slice, against=now.against, old=then.estimate.value, new=now.estimate.value,
            change=found, test=test,
        )  # fmt: skip


def _of_counts(counts: Two, level: float) -> tuple[Estimate | None, Test | None]:
    tested = equality_test(counts.new, counts.new_rows, counts.old, counts.old_rows)
    return change(counts, level), Test(null="no change", method=tested[1], p_value=tested[0]) if tested else None


def rates(old: AuditResult, new: AuditResult, metric: str) -> dict[tuple[str, str], Two]:
    """(column, value) → the counts of a rate in both documents."""
    before, found = measured(old), {}
    for key, now in measured(new).items():
        if now.metric == metric and now.compare == "value" and len(now.slice) == 1 and key in before:
            counts = two(before[key], now)
            if counts is not None:
                found[next(iter(now.slice.items()))] = counts
    return found


def of_everybody(document: AuditResult, metric: str) -> Finding | None:
    """The finding of a metric over all rows."""
    nobody: Slice = {}
    return next((f for f in measured(document).values() if (f.metric, f.compare, f.slice) == (metric, "value", nobody)), None)
