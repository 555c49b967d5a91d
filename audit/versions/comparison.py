"""From two audit folders to one comparison."""

from __future__ import annotations

from pathlib import Path

from audit.compared import Change, Comparison, Side
from audit.errors import AuditError
from audit.measurement import Message
from audit.plan import Margins, load
from audit.result import AuditResult
from audit.text import message, render
from audit.versions import apart, matched
from audit.versions.classes import findings, questions
from audit.versions.gate import gate
from audit.versions.metrics import Q, screened
from audit.versions.pairing import Pairing, pair
from audit.versions.rows import Joint


def compare(old_dir: Path, new_dir: Path, scored_dir: Path | None = None) -> Comparison:
    """Everything that two audits say of each other; `AuditError` where they cannot be compared."""
    pairing = pair(old_dir, new_dir, scored_dir)
    old, new = pairing.old, pairing.new
    if old.data.weight is not None or new.data.weight is not None:
        raise AuditError("comparisons of versions take no survey weights yet", "audit both versions without --weight and compare these")
    margins, built_in = margins_of(new)
    same = same_model(pairing)
    level, smallest = float(new.plan["audit"]["level"]), int(new.plan["disclosure"]["min_group_size"])
    if pairing.rows is not None:
        made = list(matched.changes(pairing.rows, new, level=level, smallest=smallest))
    else:
        made = list(apart.changes(old, new, level=level))
    changes, tests = screened([_nothing(c) for c in made] if same else made)
    notes = [*_notes(pairing, same), *([] if built_in else [message("The margins of the gate differ from the built-in plan.")])]
    return Comparison(
        paired=pairing.rows is not None, opening=render(pairing.opening), opening_msg=pairing.opening, notes=[render(n) for n in notes], notes_msg=notes,
        old=_side(old), new=_side(new), questions=questions(old, new), findings=findings(old, new), changes=changes, q=Q, tests_in_family=tests,
        gate=gate(pairing, margins, same=same),
    )  # fmt: skip


def margins_of(document: AuditResult) -> tuple[Margins, bool]:
    """The margins of the document's plan, and whether they are the built-in ones."""
    built_in = load(None).compare
    margins = Margins.model_validate(document.plan["compare"]) if "compare" in document.plan else built_in
    return margins, margins == built_in


def same_model(pairing: Pairing) -> bool:
    """Whether both audits are of one model, byte by byte, that decided alike on the same data, so that nothing can have changed."""
    old, new = pairing.old, pairing.new
    if old.model.sha256 is None or old.model.sha256 != new.model.sha256 or old.data.sha256 != new.data.sha256:
        return False
    if pairing.rows is not None:
        return pairing.rows.identical
    before = apart.measured(old)
    return all(f.estimate is not None and e.estimate is not None and f.estimate.value == e.estimate.value
               for k, f in apart.measured(new).items() if (e := before.get(k)) is not None)  # fmt: skip


def _nothing(change: Change) -> Change:
    """A model compared with itself: exactly no change."""
    if change.change is None:
        return change
    found = change.change.model_copy(update={"value": 0.0, "low": 0.0, "high": 0.0, "method": "exact"})
    return change.model_copy(update={"change": found, "test": None})


def _side(document: AuditResult) -> Side:
    return Side(
        audit=document.id, model=document.model.name or document.model.uri, version=document.model.version, model_sha256=document.model.sha256,
        data_sha256=document.data.sha256, rows=document.data.rows, started=document.started, verdict=document.verdict, digest=document.digest,
    )  # fmt: skip


def _notes(pairing: Pairing, same: bool) -> list[Message]:
    """What a reader must know before the first number."""
    old, new, rows = pairing.old, pairing.new, pairing.rows
    notes = []
    if same:
        notes.append(message("Both audits are of the same model, byte by byte, which decided alike: nothing has changed."))
    if rows is not None:
        lost = rows.new.scored.rows - Joint(rows.overall).n
        if lost:
            notes.append(message("Rows without a usable prediction under one of the models: {n:count}. They were left out.", n=lost))
    if new.data.label_source != "outcome":
        notes.append(
            message(
                "The outcome column is not declared to hold observed outcomes: accuracy is agreement with what was recorded, not correctness."
            )
        )
    if old.data.decision != new.data.decision:
        notes.append(message("The decision rules differ: {old} before, {new} now.", old=old.data.decision, new=new.data.decision))
    if set(old.data.favourable) != set(new.data.favourable):
        notes.append(message("The two audits declare a different favourable decision: selection rates are not compared."))
    common = [c for c in new.data.sensitive if c in old.data.sensitive]
    if set(old.data.sensitive) != set(new.data.sensitive) and rows is None:
        notes.append(
            message("Not both audits look at the same sensitive columns; groups are compared for: {names}.", names=common)
            if common
            else message("The two audits have no sensitive column in common: groups are not compared.")
        )
    moved = [c for c in common if old.data.reference.get(c) != new.data.reference.get(c)]
    if moved:
        notes.append(message("The reference group differs for {names}; that of the new audit is used.", names=moved))
    return notes
