"""What an audit has for each kind of evidence that a control can name: which checks speak of it, and what they come to.

A check that fails, or whose evidence was rejected, does not support; one that is open leaves it open; one that passes supports. What was measured
and held against no criterion is recorded and supports nothing by itself: somebody has to say what it should have been. What no check answers is
a gap, with the reason. Every backing names the places in `audit.json` that it rests on.

That is so where a result is asked for. Where a control asks only that something be measured or written down (`as_asked`), having measured it is
what supports, whatever came of it; a result beyond a limit is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from audit.result import AuditResult, CheckResult, Finding
from reports.obligations.catalogue import Asks, EvidenceKind
from reports.states import state_of
from reports.words import LOOKS

Backed = Literal["supports", "does_not_support", "inconclusive", "gap"]
Why = Literal[
    "judged", "rejected", "open", "no_criterion", "not_run", "not_asked", "recorded", "not_recorded", "runs_code", "elsewhere", "beyond", "partly",
]  # fmt: skip


@dataclass(frozen=True)
class Ref:
    """A place in `audit.json` that a statement rests on; for a check its title and how it fared (a key of `LOOKS`)."""

    path: str
    check: str = ""
    look: str = ""


@dataclass(frozen=True)
class Backing:
    """What the audit has of one kind of evidence; `whole` is False where none of the checks that answer for it first was among those that ran."""

    kind: EvidenceKind
    state: Backed
    why: Why
    refs: tuple[Ref, ...]
    whole: bool = True


@dataclass(frozen=True)
class Source:
    """The checks that answer for a kind of evidence; without `first`, further ones leave it open at best. `of` picks the findings that count."""

    first: tuple[str, ...]
    further: tuple[str, ...] = ()
    of: Callable[[Finding], bool] | None = None


def _crossed(f: Finding) -> bool:
    return sum(not column.startswith("(") for column in f.slice) > 1


def _tested(f: Finding) -> bool:
    return f.test is not None


SOURCES: dict[EvidenceKind, Source] = {
    "performance": Source(
        ("performance.baseline",),
        (
            "performance.overall", "performance.groups", "performance.slices", "performance.named_slices", "performance.gap", "performance.period", "performance.challengers",
            "performance.costs", "performance.error_tree", "performance.error_clusters", "language.answers", "language.questions", "language.coreference",
            "uncertainty.abstention", "uncertainty.conformal",
        ),
    ),
    "calibration": Source(("calibration.overall", "calibration.groups"), ("calibration.multi",)),
    "fairness_group": Source(
        ("fairness.group",),
        (
            "fairness.inputs", "fairness.conditional", "fairness.impact", "fairness.ll144", "fairness.metrics", "fairness.score", "fairness.flip",
            "fairness.consistency", "fairness.exposure", "fairness.ranking", "fairness.proxy", "fairness.unknown", "fairness.terms", "language.pairs", "language.association", "language.toxicity",
        ),
    ),
    "fairness_intersectional": Source(("fairness.subgroups",), ("fairness.group", "fairness.ll144"), _crossed),
    "fairness_statistical_test": Source(("fairness.group",), ("fairness.impact", "fairness.conditional", "fairness.score"), _tested),
    "explanation_global": Source(("explanation.global",)),
    "explanation_local": Source(("explanation.local", "explanation.reasons")),
    "explanation_quality": Source(
        ("explanation.completeness", "explanation.deletion", "explanation.stability"),
        ("explanation.infidelity", "explanation.randomisation", "explanation.ways"),
    ),
    "counterfactual_recourse": Source(("explanation.recourse",)),
    "privacy_dp": Source(("privacy.claim",)),
    "privacy_mia": Source(("privacy.membership",), ("privacy.exposure", "privacy.attributes", "privacy.inversion", "language.memorisation")),
    "privacy_data": Source(("data.anonymity",)),
    "robustness_noise": Source(
        ("robustness.noise", "robustness.corruptions", "robustness.text"), ("robustness.rules", "robustness.outliers", "language.templates")
    ),
    "robustness_adversarial": Source(("robustness.adversarial",), ("robustness.certified", "robustness.feasible", "language.refusals")),
    "robustness_shift": Source(("robustness.shift",), ("robustness.mix", "performance.period", "robustness.outliers", "robustness.forgetting")),
    "efficiency": Source(("efficiency.cost", "efficiency.latency"), ("efficiency.energy",)),
    "compression": Source(("efficiency.compression",), ("efficiency.exemplars",)),
    "data_profile": Source(
        ("data.profile", "data.representation"), ("data.leakage", "data.dependence", "data.proxies", "language.contamination")
    ),
}  # fmt: skip


def backing(document: AuditResult, kind: EvidenceKind) -> Backing:
    """What the document has of one kind of evidence."""
    if kind in SOURCES:
        return _of_checks(document, kind, SOURCES[kind])
    if kind == "lineage":
        refs = tuple(Ref(path) for path in ("model.sha256", "data.sha256", "plan_sha256", "environment.packages", "digest"))
        known = document.model.sha256 is not None
        return Backing(kind, "supports" if known else "inconclusive", "recorded" if known else "not_recorded", refs)
    if kind == "security_scan":
        ref = (Ref("model.load_risk"),)
        if document.model.load_risk is None:
            return Backing(kind, "gap", "not_asked", ())
        safe = document.model.load_risk == "data_only"
        return Backing(kind, "supports" if safe else "inconclusive", "recorded" if safe else "runs_code", ref)
    return Backing(kind, "gap", "elsewhere", ())  # a signature, a log of operation, a person's word: none of them is in the document


#: Verdicts of which one decides for a kind of evidence, the first that is there.
DECIDE: dict[str, tuple[Backed, Why]] = {
    "rejected": ("does_not_support", "rejected"),
    "fail": ("does_not_support", "judged"),
    "inconclusive": ("inconclusive", "open"),
}


def _of_checks(document: AuditResult, kind: EvidenceKind, source: Source) -> Backing:
    wanted = (*source.first, *source.further)
    found = [(i, c) for i, c in enumerate(document.checks) if c.info.id in wanted and (source.of is None or c.status != "completed" or any(map(source.of, c.findings)))]  # fmt: skip
    done = [(i, c) for i, c in found if c.status == "completed"]
    if not done:
        missing = [(i, c) for i, c in found if c.info.id in source.first] or found
        return Backing(
            kind, "gap", "not_run" if found else "not_asked", tuple(Ref(f"checks[{i}].reason", c.info.id, c.status) for i, c in missing)
        )
    spoken = [(i, c, _verdict(c, source)) for i, c in done]
    refs = tuple(ref for i, c, verdict in spoken for ref in _refs(i, c, verdict, source))
    verdicts = {verdict for _, _, verdict in spoken}
    first = {verdict for _, c, verdict in spoken if c.info.id in source.first}
    for verdict, (state, why) in DECIDE.items():
        if verdict in verdicts:
            return Backing(kind, state, why, refs, bool(first))
    if "pass" in first:
        return Backing(kind, "supports", "judged", refs)
    return Backing(kind, "inconclusive", "no_criterion", refs, bool(first))


def as_asked(b: Backing, asks: Asks) -> Backing:
    """What a backing comes to for a control: where it asks only for a measurement or a record, that it was made is what counts.

    Evidence that was rejected is no measurement, and what no check measured stays a gap.
    """
    if asks == "result" or b.state == "gap" or b.why in ("rejected", "not_recorded"):
        return b
    if not b.whole:
        return replace(b, state="inconclusive", why="partly")
    return replace(b, state="supports", why="beyond" if b.state == "does_not_support" else b.why)


def _verdict(check: CheckResult, source: Source) -> str:
    """The verdict of a check, or of those of its findings that count."""
    if state_of(check) == "rejected":
        return "rejected"
    if source.of is None:
        return check.verdict
    verdicts = [f.verdict for f in check.findings if source.of(f)]
    return min(verdicts, key=lambda v: LOOKS[v].rank) if verdicts else "not_judged"


def _refs(place: int, check: CheckResult, verdict: str, source: Source) -> list[Ref]:
    """The check, and those of its findings that made its verdict what it is; at most a dozen."""
    look = verdict if source.of is not None or verdict == "rejected" else state_of(check)
    made = [
        Ref(f"checks[{place}].findings[{j}]")
        for j, f in enumerate(check.findings)
        if f.verdict == verdict != "not_judged" and (source.of is None or source.of(f))
    ]
    return [Ref(f"checks[{place}].summary", check.info.id, look), *made[:12]]
