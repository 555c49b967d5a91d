"""Controls held against an audit: for each what the evidence supports, what it does not, what is open and what nobody has answered.

Pure: the same document, framework, day and attestations give the same statements. A statement never says that anything is compliant. A named
person's word never outweighs evidence that does not support; it can answer what was measured against no criterion, and what nobody measured.
A control that asks only for a measurement or a record is `measured` where that was made and a result of it fails: never a plain support.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audit.result import AuditResult
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import Control, EvidenceKind, Framework
from reports.obligations.evidence import Backing, as_asked, backing
from reports.obligations.timing import Timing, timing
from reports.speaker import mark
from reports.words import Look

State = Literal["supports", "measured", "does_not_support", "inconclusive", "gap", "attested", "not_applicable"]
LOOKS: dict[State, Look] = {
    "does_not_support": Look(mark("Evidence does not support"), "✕", "fail", 0),
    "gap": Look(mark("Gap"), "○", "skipped", 1),
    "inconclusive": Look(mark("Inconclusive"), "?", "inconclusive", 2),
    "measured": Look(mark("Measured as asked; a result fails"), "✓", "inconclusive", 3),
    "supports": Look(mark("Evidence supports"), "✓", "pass", 4),
    "attested": Look(mark("Attested"), "✎", "reported", 5),
    "not_applicable": Look(mark("Not applicable"), "–", "skipped", 6),
}


@dataclass(frozen=True)
class Statement:
    """What can be said of one control. `attested` are the words given for this very document; `other` those given for another one."""

    control: Control
    state: State
    backings: tuple[Backing, ...]
    attested: tuple[Attestation, ...]
    other: tuple[Attestation, ...]
    timing: Timing

    @property
    def paths(self) -> tuple[str, ...]:
        """Every place in `audit.json` that it rests on, each once."""
        return tuple(dict.fromkeys(ref.path for b in self.backings for ref in b.refs))


def statements(
    document: AuditResult, framework: Framework, as_of: datetime.date, attestations: Sequence[Attestation] = ()
) -> tuple[Statement, ...]:
    """One statement for each control of the framework, in its order."""
    made: dict[EvidenceKind, Backing] = {}

    def backed(kind: EvidenceKind) -> Backing:
        if kind not in made:
            made[kind] = backing(document, kind)
        return made[kind]

    found = []
    for control in framework.controls:
        said = [a for a in attestations if a.control == control.id]
        holding, other = tuple(a for a in said if a.holds), tuple(a for a in said if not a.holds)
        backings = tuple(as_asked(backed(kind), control.asks) for kind in control.evidence if kind != "human_attestation")
        when = timing(framework, control, as_of)
        found.append(Statement(control, _state(control, backings, holding, when), backings, holding, other, when))
    return tuple(found)


def _state(control: Control, backings: tuple[Backing, ...], attested: tuple[Attestation, ...], when: Timing) -> State:
    if when.state in ("not_in_law", "superseded"):
        return "not_applicable"
    measured = _measured(backings)
    if attested and attested[-1].says == "not_applicable":
        return "not_applicable"
    if measured == "does_not_support":
        return "does_not_support"
    if not attested:
        if control.kind == "attested" or measured == "gap":
            return "gap"
        return "inconclusive" if control.kind == "mixed" else measured  # what only a person can say is still open
    if control.kind == "attested":
        return "attested"
    judged_open = any(b.state == "inconclusive" and b.why == "open" for b in backings)
    return "inconclusive" if judged_open else measured if measured in ("supports", "measured") else "attested"


def _measured(backings: tuple[Backing, ...]) -> State:
    """What the audit itself has for a control: one part that does not support decides; support needs every part."""
    states = {b.state for b in backings}
    if "does_not_support" in states:
        return "does_not_support"
    if not states or states == {"gap"}:
        return "gap"
    if states != {"supports"}:
        return "inconclusive"
    return "measured" if any(b.why == "beyond" for b in backings) else "supports"


def tally(found: Sequence[Statement]) -> dict[State, int]:
    """How many controls stand in each state, worst first, states without any left out."""
    counts = Counter(s.state for s in found)
    return {state: counts[state] for state in LOOKS if counts[state]}


def applies(framework: Framework, document: AuditResult) -> bool:
    """Whether the declared context calls for this framework: its jurisdiction is declared and its domain is the declared one.

    A declared US-NYC calls for the federal frameworks of the US too, not the other way round. What is about generative systems is never assumed.
    """
    named = document.context.get("jurisdictions")
    declared = {str(j).strip() for j in (named if isinstance(named, list) else [named] if named else [])}
    here = any(d == framework.jurisdiction or d.startswith(f"{framework.jurisdiction}-") for d in declared)
    about = not framework.domains or document.context.get("domain") in framework.domains
    return here and about and not framework.systems
