"""The public edition: cells that could point at people are taken out of the document before anything is drawn from it.

Withheld: a slice with fewer than `min_group_size` rows, a rate whose numerator or complement is below 3, and whatever would give one of them
back (`reports.suppress`). Rates that share their counts are withheld together. What rests on a withheld cell (comparisons, sentences, summaries,
tables and pictures by group) goes too. Positions stay, so that paths into `audit.json` stay true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from audit.measurement import Evidence, Message
from audit.named_slices import KEY
from audit.result import AuditResult, Finding
from audit.text import message, render, who
from reports.suppress import Cell, Counts, common_sums, protect

LEAST_COUNT = 3
DEFAULT_GROUP = 10
WITHHELD = message("withheld in the public edition: the group is too small to be printed")
WHY = message("What decides rests on groups that are withheld in the public edition.")
SUMMARY = message("Some groups are withheld in the public edition; what can be printed is in the table.")
NOTE = message("A note about few people is left out of the public edition.")
LISTED = message(
    "Withheld in the public edition, because they are few or would give few away: {names}. Figures withheld: {n:count}.", names="", n=0
)
MOST_NAMES = 60
#: Rates of decisions alone. All other rates share the counts of decisions by outcome, from which one gives another.
DECISIONS = {
    "selection_rate", "adverse_selection_rate", "prediction_rate", "mean_prediction", "highest_selection_rate", "impact_ratio", "rechosen_impact_ratio",
    "conditional_selection_rate", "overlap_share",
}  # fmt: skip
#: Checks whose cells a law obliges one to publish, however small (6 RCNY 5-301 and 5-303).
OBLIGED = {"fairness.ll144"}


def group_size(document: AuditResult) -> int:
    disclosure = document.plan.get("disclosure")
    value = disclosure.get("min_group_size") if isinstance(disclosure, dict) else None
    return value if isinstance(value, int) else DEFAULT_GROUP


def cell(slice_: dict[str, str]) -> Cell:
    return tuple(sorted(slice_.items()))


def family(metric: str) -> str:
    """Metrics of one family are withheld together for a slice."""
    return "decisions" if metric in DECISIONS else "outcomes"


def sizes(document: AuditResult) -> dict[str, dict[tuple[str, str], dict[Cell, list[Counts]]]]:
    """Per family, per check and metric, per slice: the (rows, counted) that the document states."""
    found: dict[str, dict[tuple[str, str], dict[Cell, list[Counts]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for check in document.checks:
        for f in check.findings if check.info.id not in OBLIGED else []:
            at = found[family(f.metric)][check.info.id, f.metric]
            for part in f.parts:
                at[cell(part.slice)].append((part.n, part.k))
            if f.compare == "value" and f.estimate is not None and not f.parts:
                at[cell(f.slice)].append((f.estimate.n, None))
    return found


def small(rows: int, count: int | None, least: int) -> bool:
    return 0 < rows < least or (count is not None and rows > 0 and min(count, rows - count) < LEAST_COUNT)


def withheld_cells(document: AuditResult) -> dict[str, set[Cell]]:
    """Which slices may not be printed, per family of metrics; one that has too few rows is withheld everywhere, with what would give it back.

    What one check prints tells of what another withholds: margins, cells and rows of all checks are held against each other.
    """
    least, found = group_size(document), sizes(document)
    gone: dict[str, set[Cell]] = {}
    every = tuple(cells for tables in found.values() for cells in tables.values())
    tiny = _common(every, None, least, document.data.rows) | _near(every, least, document.data.rows)
    for name, tables in found.items():
        lost = tiny | {c for cells in tables.values() for c, pairs in cells.items() if c and any(small(n, k, least) for n, k in pairs)}
        before: set[Cell] = set()
        while lost != before:  # what goes for one metric of the family goes for all, and may open another sum
            before = lost
            for cells in tables.values():
                lost = lost | protect({c: pairs[0] for c, pairs in cells.items()}, lost, lambda n, k: small(n, k, least))
            lost = lost | _common(tuple(tables.values()), lost, least, document.data.rows)
        gone[name] = lost
    return gone


def _near(tables: Sequence[dict[Cell, list[Counts]]], least: int, total: int) -> set[Cell]:
    """Slices that the plan names whose rows are fewer or more by too few people than another slice's or everybody's: one within the other, both would tell of these."""
    rows = {c: max(n for n, _ in pairs) for cells in tables for c, pairs in cells.items()} | {(): total}
    named = {c for c in rows if any(column == KEY for column, _ in c)}
    return {c for c in named for other, n in rows.items() if other != c and 0 < abs(rows[c] - n) < least}


def _common(tables: Sequence[dict[Cell, list[Counts]]], lost: set[Cell] | None, least: int, total: int) -> set[Cell]:
    """What must go so that the rows of no slice can be found by adding up several tables; `lost` are by default those with too few rows."""
    rows: dict[Cell, int] = defaultdict(int)
    for cells in tables:
        for c, pairs in cells.items():
            rows[c] = max(rows[c], *(n for n, _ in pairs))
    rows[()] = max(rows[()], total)
    gone = {c for c, n in rows.items() if c and 0 < n < least} if lost is None else lost
    return protect({c: (n, None) for c, n in rows.items()}, gone, lambda n, k: small(n, k, least), common_sums(tables, rows))


def safe_evidence(e: Evidence, least: int, *, lost: bool) -> Evidence | None:
    """The evidence where nothing in it points at few people, else None; `lost`: the check lost a group, and what divides by group goes with it."""
    if e.kind == "curve":
        return None if (lost and len(e.series) > 1) or any(0 < n < least for s in e.series for n in s.n or []) else e
    if e.kind == "histogram":
        counts = list(e.series.values())
        thin = any(0 < c < LEAST_COUNT for line in counts for c in line) or any(sum(line) < least for line in counts)
        return None if (lost and len(counts) > 1) or thin else e
    if e.kind == "heatmap":
        counted = all(v == int(v) for line in e.values for v in line)
        return None if counted and any(0 < v < LEAST_COUNT or 0 < sum(line) < least for line in e.values for v in line) else e
    if e.kind == "tree":
        wrong = [round(n.value * n.n) if e.metric == "zero_one_loss" else None for n in e.nodes]
        return None if lost or any(small(node.n, own, least) for node, own in zip(e.nodes, wrong, strict=True)) else e
    if e.kind == "table":
        whole = [k for k, c in enumerate(e.columns) if c.kind == "integer"]
        thin = any(k < len(r) and isinstance(r[k], (int, float)) and 0 < float(r[k] or 0) < LEAST_COUNT for r in e.rows for k in whole)
        return None if lost or thin else e
    return e


def withhold(f: Finding) -> Finding:
    gone: dict[str, Any] = {
        "estimate": None,
        "parts": [],
        "test": None,
        "clusters": None,
        "weights": None,
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
        if check.info.id in OBLIGED:
            checks.append(check)
            continue
        hidden = {f.key for f in check.findings if _rests_on(f, gone.get(family(f.metric), set()))}
        keys |= hidden
        findings = []
        for f in check.findings:
            kept = [safe_evidence(e, least, lost=bool(hidden)) for e in f.evidence]
            findings.append(withhold(f) if f.key in hidden else f.model_copy(update={"evidence": [e for e in kept if e is not None]}))
        said: dict[str, Message | str] = {"summary": SUMMARY.id, "summary_msg": SUMMARY} if hidden else {}
        checks.append(check.model_copy(update={"findings": findings, **said}))
    # What somebody wrote about a finding that is withheld could tell what the page withholds.
    waivers = [w.model_copy(update={"reason": WITHHELD.id}) if w.key in keys else w for w in document.waivers]
    said_of_all = public_sentences(document, keys)
    listed = withheld_list([f for c in document.checks for f in c.findings if f.key in keys], gone)
    said_of_all["notes"] += [render(m) for m in listed]
    said_of_all["notes_msg"] += listed
    return document.model_copy(update={"checks": checks, "waivers": waivers} | said_of_all)


def withheld_list(hidden: list[Finding], gone: dict[str, set[Cell]]) -> list[Message]:
    """Whose figures are withheld, one sentence for slices of one column and one for those of several; never which of them are the small ones."""
    told = []
    for several in (False, True):
        own = [(s, gone.get(family(f.metric), set())) for f in hidden for s in (f.slice, f.against or {}) if (len(s) > 1) == several]
        found = {cell(s): s for s, cells in own if cell(s) in cells}
        if found:
            names = [who(found[c]) for c in sorted(found)]
            more = [message("{n:count} more", n=len(names) - MOST_NAMES)] if len(names) > MOST_NAMES else []
            told.append(message(LISTED.id, names=[*names[:MOST_NAMES], *more], n=sum((len(f.slice) > 1) == several for f in hidden)))
    return told


def _rests_on(f: Finding, cells: set[Cell]) -> bool:
    """Whether one of the slices that a finding speaks of is withheld; a pooled group is the sum of small ones, an extreme may be that of one."""
    if "*" in f.slice.values() and any({column for column, _ in c} == set(f.slice) for c in cells):
        return True
    return any(cell(s) in cells for s in (f.slice, f.against or {}, *(part.slice for part in f.parts)) if s)


def public_sentences(document: AuditResult, keys: set[str]) -> dict[str, Any]:
    """What is said about the whole audit, without what rests on a withheld finding."""
    questions = [
        q.model_copy(update={"reason": WITHHELD.id, "reason_msg": WITHHELD}) if keys & set(q.findings) and q.reason else q
        for q in document.questions
    ]
    least = group_size(document)
    told_notes = document.notes_msg if len(document.notes_msg) == len(document.notes) else [NOTE] * len(document.notes)
    notes = [NOTE if any(isinstance(v, int) and 0 < v < least for v in m.values.values()) else m for m in told_notes]
    told = message("{count:count} notes about small groups are left out of the public edition.", count=len(document.not_assessed))
    decisive = any(
        f.key in keys and f.verdict == document.verdict and f.criterion and f.criterion.role == "decides"
        for c in document.checks
        for f in c.findings
    )
    return ({"why": WHY.id, "why_msg": WHY} if decisive else {}) | {
        "questions": questions,
        "notes": [NOTE.id if m is NOTE else said for m, said in zip(notes, document.notes, strict=True)],
        "notes_msg": notes,
        "not_assessed": [render(told)] if document.not_assessed else [],
        "not_assessed_msg": [told] if document.not_assessed else [],
    }
