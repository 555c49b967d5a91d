"""What a document of a framework is drawn from, and the words for it: statements in sentences, facts that were declared, where a date stands."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cached_property

from audit.result import AuditResult
from reports.blocks import Runs, runs
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import EvidenceKind, Framework
from reports.obligations.evidence import Backed, Backing, Why
from reports.obligations.statements import Statement, applies, statements
from reports.said import Said
from reports.speaker import Speaker, clean, mark

KINDS: dict[EvidenceKind, str] = {
    "performance": mark("How often it is right"), "calibration": mark("Whether its probabilities are right"),
    "fairness_group": mark("Differences between groups"), "fairness_intersectional": mark("Differences between crossed groups"),
    "fairness_statistical_test": mark("Tests of differences between groups"), "explanation_global": mark("What it relies on"),
    "explanation_local": mark("Reasons for single decisions"), "explanation_quality": mark("Whether explanations are faithful"),
    "counterfactual_recourse": mark("What would change a decision"), "privacy_dp": mark("Claim of differential privacy"),
    "privacy_mia": mark("What it gives away about its training rows"), "privacy_data": mark("What the data give away about people"),
    "robustness_noise": mark("Disturbed inputs"), "robustness_adversarial": mark("Inputs chosen to mislead it"),
    "robustness_shift": mark("Other rows than those it knows"), "efficiency": mark("Cost and speed"), "compression": mark("Smaller versions"),
    "data_profile": mark("The data"), "lineage": mark("Provenance"), "security_scan": mark("What loading it runs"), "signature": mark("Signature"),
    "monitoring": mark("Monitoring in operation"), "human_attestation": mark("A named person's word"),
}  # fmt: skip


@dataclass(frozen=True)
class Dossier:
    """One audit held against one framework on one day. The edition is there to be said: the document is already what it may show."""

    document: AuditResult
    framework: Framework
    as_of: datetime.date
    attestations: tuple[Attestation, ...]
    say: Speaker
    edition: str = "internal"

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        return statements(self.document, self.framework, self.as_of, self.attestations)

    @property
    def whole(self) -> tuple[Attestation, ...]:
        """Words given for this document as a whole: those that name the framework itself."""
        return tuple(a for a in self.attestations if a.control == self.framework.id and a.holds)

    @property
    def draft(self) -> bool:
        """Until a named person has attested the document as a whole it is a draft."""
        return not any(a.says == "attested" for a in self.whole[-1:])

    @property
    def shown_to_apply(self) -> bool:
        return applies(self.framework, self.document)

    def law(self, text: str, control: str = "") -> Said:
        """A text of the framework, which is no finding of the audit."""
        return Said(clean(text), f"law:{control or self.framework.id}")

    def count(self, n: int, of: str) -> Said:
        """How many controls stand somewhere: counted here, not measured."""
        return Said(f"{n:,}", f"law:{self.framework.id}#{of}", numeric=True)


def backing_text(d: Dossier, b: Backing) -> Runs:
    """What the audit has of one kind of evidence, as a sentence."""
    say, kind = d.say, d.say.t(KINDS[b.kind])
    if b.why == "not_run":
        place = next((int(ref.path.split("[")[1].split("]")[0]) for ref in b.refs), None)
        check = d.document.checks[place] if place is not None else None
        reason = Said(say.stored(check.reason, check.reason_msg), b.refs[0].path) if check else Said("")
        return runs(say, "{kind}: not measured. {reason}", kind=kind, reason=reason)
    if b.why == "not_recorded":
        model = d.document.model
        return runs(
            say,
            "{kind}: the model has no digest. {reason}",
            kind=kind,
            reason=Said(say.stored(model.sha256_reason, None), "model.sha256_reason"),
        )
    if b.why == "elsewhere":
        if b.kind == "signature":
            return runs(say, "{kind}: it stands beside the document and not in it; python -m audit.verify reads it.", kind=kind)
        return runs(say, "{kind}: an audit looks once; records of operation are not part of it.", kind=kind)
    if b.why == "recorded" and b.kind == "lineage":
        return runs(say, "{kind}: digests of model, data and plan, and the packages, are in the document.", kind=kind)
    told: dict[tuple[Backed, Why], str] = {
        ("supports", "judged"): say.t("{kind}: measured, and within the limits that were set.", kind=kind),
        ("does_not_support", "judged"): say.t("{kind}: measured, and beyond a limit that was set.", kind=kind),
        ("does_not_support", "rejected"): say.t("{kind}: the evidence failed its own tests and is rejected.", kind=kind),
        ("inconclusive", "open"): say.t("{kind}: measured; whether it is within the limits that were set is open.", kind=kind),
        ("inconclusive", "no_criterion"): say.t("{kind}: measured; no limit was set, so a person has to judge it.", kind=kind),
        ("gap", "not_asked"): say.t("{kind}: nothing in this audit measures it.", kind=kind),
        ("supports", "beyond"): say.t("{kind}: measured and reported, which is what is asked for; a result of it fails: it lies beyond a limit that was set.", kind=kind),
        ("supports", "open"): say.t("{kind}: measured and reported, which is what is asked for; whether it is within the limits that were set is open.", kind=kind),
        ("supports", "no_criterion"): say.t("{kind}: measured and reported, which is what is asked for; no limit was set.", kind=kind),
        ("supports", "runs_code"): say.t("{kind}: recorded, which is what is asked for; loading it runs code that comes with it.", kind=kind),
        ("inconclusive", "partly"): say.t("{kind}: measured in part; the check that answers it first was not run, or says nothing of it.", kind=kind),
        ("supports", "recorded"): say.t("{kind}: nothing of it runs when it is loaded; it is only data.", kind=kind),
        ("inconclusive", "runs_code"): say.t("{kind}: loading it runs code that comes with it.", kind=kind),
    }  # fmt: skip
    return (Said(told[b.state, b.why]),)


def attested_text(say: Speaker, a: Attestation) -> Runs:
    """Who said what, when, of which document."""
    at = f"attestations[{a.place}]"
    said = {
        "name": Said(clean(a.name, 200), f"{at}.name"), "role": Said(clean(a.role, 200), f"{at}.role"), "date": Said(a.made[:10], f"{at}.made"),
        "statement": Said(clean(a.statement), f"{at}.statement"), "hash": Said(a.audit_sha256[:16], f"{at}.audit_sha256"),
    }  # fmt: skip
    if a.says == "not_applicable":
        told = runs(say, "Declared not applicable by {name} ({role}) on {date}, for the document {hash}…: {statement}", **said)
    else:
        told = runs(say, "Attested by {name} ({role}) on {date}, for the document {hash}…: {statement}", **said)
    if a.file is not None:
        told += runs(
            say,
            " (file {file}, SHA-256 {sha256})",
            file=Said(clean(a.file.name, 120), f"{at}.file.name"),
            sha256=Said(a.file.sha256, f"{at}.file.sha256"),
        )
    if a.signer is not None:
        told += runs(say, " Signed with the key {key}….", key=Said(a.signer[:16], f"{at}.envelope"))
    if not a.holds:
        told += runs(say, " It speaks of another document than this one and answers nothing here.")
    return told
