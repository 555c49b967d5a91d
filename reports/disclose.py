"""The public edition: cells that could point at people are taken out of the document before anything is drawn from it.

Withheld: a slice with fewer than `min_group_size` rows, and a rate whose numerator or complement is below 3. Where one sibling alone is
withheld, the next smallest goes with it, since it could be computed from the others. What rests on a withheld cell (comparisons, sentences,
summaries, pictures) goes too. Positions stay, so that paths into `audit.json` stay true.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from audit.result import AuditResult, CheckResult, Evidence, Finding, Message
from audit.text import message

LEAST_COUNT = 3
DEFAULT_GROUP = 10
WITHHELD = message("withheld in the public edition: the group is too small to be printed")
WHY = message("What decides rests on groups that are withheld in the public edition.")
SUMMARY = message("Some groups are withheld in the public edition; what can be printed is in the table.")

Cell = tuple[tuple[str, str], ...]
Where = tuple[str, str]  # check, metric


def group_size(document: AuditResult) -> int:
    disclosure = document.plan.get("disclosure")
    value = disclosure.get("min_group_size") if isinstance(disclosure, dict) else None
    return value if isinstance(value, int) else DEFAULT_GROUP


def cell(slice_: dict[str, str]) -> Cell:
    return tuple(sorted(slice_.items()))


def sizes(check: CheckResult) -> dict[Where, dict[Cell, list[tuple[int, int | None]]]]:
    """Per metric and slice: the (rows, count) pairs that the check states."""
    found: dict[Where, dict[Cell, list[tuple[int, int | None]]]] = defaultdict(lambda: defaultdict(list))
    for f in check.findings:
        at = found[check.info.id, f.metric]
        for part in f.parts:
            at[cell(part.slice)].append((part.n, part.k))
        if f.compare == "value" and f.estimate is not None and not f.parts:
            at[cell(f.slice)].append((f.estimate.n, None))
    return found


def small(rows: int, count: int | None, least: int) -> bool:
    return rows < least or (count is not None and min(count, rows - count) < LEAST_COUNT)


def with_siblings(cells: dict[Cell, list[tuple[int, int | None]]], gone: set[Cell]) -> set[Cell]:
    """Add the next smallest sibling wherever exactly one cell of a column (or of an intersection of columns) is withheld."""
    columns: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for c in cells:
        if c:
            columns[tuple(k for k, _ in c)].append(c)
    for members in columns.values():
        if sum(c in gone for c in members) == 1 and len(members) > 1:
            gone = gone | {min((c for c in members if c not in gone), key=lambda c: (min(n for n, _ in cells[c]), c))}
    return gone


def withheld_cells(document: AuditResult) -> dict[Where, set[Cell]]:
    """Which slices may not be printed, per check and metric; one that is too small at all is withheld everywhere."""
    least = group_size(document)
    stated: dict[Where, dict[Cell, list[tuple[int, int | None]]]] = {}
    for check in document.checks:
        stated |= sizes(check)
    tiny = {c for cells in stated.values() for c, pairs in cells.items() if c and any(n < least for n, _ in pairs)}
    return {
        where: with_siblings(cells, {c for c, pairs in cells.items() if c in tiny or any(small(n, k, least) for n, k in pairs)})
        for where, cells in stated.items()
    }


def safe_evidence(e: Evidence, least: int) -> Evidence | None:
    """The evidence without small cells; None where nothing safe remains. A matrix or histogram goes as a whole."""
    if e.kind == "curve":
        counts = [n for s in e.series for n in s.n or []]
        return None if any(n < least for n in counts) else e
    if e.kind == "histogram":
        return (
            None
            if any(0 < c < LEAST_COUNT for line in e.series.values() for c in line) or any(sum(line) < least for line in e.series.values())
            else e
        )
    if e.kind == "heatmap":
        counted = all(v == int(v) for line in e.values for v in line)
        return None if counted and any(0 < v < LEAST_COUNT or 0 < sum(line) < least for line in e.values for v in line) else e
    if e.kind == "table":
        whole = [k for k, c in enumerate(e.columns) if c.kind == "integer"]
        risky = [any(k < len(r) and isinstance(r[k], (int, float)) and 0 < float(r[k] or 0) < LEAST_COUNT for k in whole) for r in e.rows]
        kinds = [c.kind for c in e.columns]
        rows = [[v if not bad or kinds[k] == "text" else None for k, v in enumerate(r)] for r, bad in zip(e.rows, risky, strict=True)]
        return e.model_copy(update={"rows": rows})
    return e


def withhold(f: Finding) -> Finding:
    gone: dict[str, Any] = {
        "estimate": None,
        "parts": [],
        "test": None,
        "sentence": None,
        "sentence_msg": None,
        "evidence": [],
        "reason": WITHHELD.id,
        "reason_msg": WITHHELD,
    }
    return f.model_copy(update=gone)


def public(document: AuditResult) -> AuditResult:
    """The document as the public edition may show it."""
    gone, least = withheld_cells(document), group_size(document)
    checks, keys = [], set()
    for check in document.checks:
        findings, lost = [], False
        for f in check.findings:
            cells = gone.get((check.info.id, f.metric), set())
            if cell(f.slice) in cells or (f.against is not None and cell(f.against) in cells):
                findings.append(withhold(f))
                keys.add(f.key)
                lost = True
            else:
                kept = [safe_evidence(e, least) for e in f.evidence]
                findings.append(f.model_copy(update={"evidence": [e for e in kept if e is not None]}))
        said: dict[str, Message | str] = {"summary": SUMMARY.id, "summary_msg": SUMMARY} if lost else {}
        checks.append(check.model_copy(update={"findings": findings, **said}))
    return document.model_copy(update={"checks": checks} | public_sentences(document, keys))


def public_sentences(document: AuditResult, keys: set[str]) -> dict[str, Any]:
    """What is said about the whole audit, without what rests on a withheld finding."""
    questions = [
        q.model_copy(update={"reason": WITHHELD.id, "reason_msg": WITHHELD}) if keys & set(q.findings) and q.reason else q
        for q in document.questions
    ]
    told = message("{count:count} notes about small groups are left out of the public edition.", count=len(document.not_assessed))
    decisive = any(
        f.key in keys and f.verdict == document.verdict and f.criterion and f.criterion.role == "decides"
        for c in document.checks
        for f in c.findings
    )
    return ({"why": WHY.id, "why_msg": WHY} if decisive else {}) | {
        "questions": questions,
        "not_assessed": [told.id] if document.not_assessed else [],
        "not_assessed_msg": [told] if document.not_assessed else [],
    }
