"""What a page or a terminal shows of a comparison of two audits, in words; no numbers of its own."""

from __future__ import annotations

from dataclasses import dataclass

from audit.compared import Change, Comparison, FindingChange, Requirement, Side
from audit.measurement import Slice
from audit.text import PARTS, speaks
from reports.charts import BETTER, CHANGED, REFERENCE, WORSE, Chart, Dot, forest
from reports.metrics import kind_of, metric_name
from reports.sentences import capital
from reports.speaker import Speaker, clean, interval, mark, number
from reports.words import COMPARE, LOOKS, METHODS, Look

OUTCOMES = {
    "worse": Look(mark("Worse"), "✕", "fail", 0),
    "better": Look(mark("Better"), "✓", "pass", 1),
    "changed": Look(mark("Changed"), "≠", "reported", 2),
    "undecided": Look(mark("No difference established"), "?", "inconclusive", 3),
}
STATES = {
    "new": Look(mark("New"), "✕", "fail", 0),
    "persisting": Look(mark("Persisting"), "✕", "fail", 1),
    "not_retested": Look(mark("Not re-tested"), "–", "skipped", 2),
    "resolved": Look(mark("Resolved"), "✓", "pass", 3),
}
HELD = {
    "worse": Look(mark("Worse than the margin"), "✕", "fail", 0),
    "open": Look(mark("These rows cannot tell"), "?", "inconclusive", 1),
    "not_assessed": Look(mark("Not assessed"), "–", "skipped", 2),
    "non_inferior": Look(mark("Within the margin"), "✓", "pass", 3),
}
GATES = {
    "worse": Look(mark("The gate stops it: the new model is worse than the margin"), "✕", "fail", 0),
    "open": Look(mark("The gate stops it: these rows cannot tell whether the new model is worse than the margin"), "?", "inconclusive", 1),
    "pass": Look(mark("The gate lets it through: the new model is nowhere worse than the margins"), "✓", "pass", 2),
}
#: What is said of a requirement: its kind, and whether it is shown to be beyond its margin.
BOUNDS = {
    ("level", False): mark("fell by at most {value} points, margin {margin}"),
    ("level", True): mark("fell by at least {value} points, margin {margin}"),
    ("gap", False): mark("grew by at most {value} points, margin {margin}"),
    ("gap", True): mark("grew by at least {value} points, margin {margin}"),
}
#: An outcome's colour in a chart; the sign of the outcome stands in the label beside it.
COLOURS = {"worse": WORSE, "better": BETTER, "changed": CHANGED, "undecided": REFERENCE}
#: Metrics of at most 1 that are no rates: a hundredth is called a point.
UNIT_SCALE = {"roc_auc", "roc_auc_ovr_macro", "average_precision", "f1", "r2", "informedness"}
GATE_NOTE = mark(
    "Each bound holds one-sided at 95 %, without correction. Margins in points of a hundred: {margin} for everybody, {group} for each group of at "
    "least {n:count} rows."
)
SCREEN_NOTE = mark(
    "Changes are in points of a hundred where both values lie between 0 and 1, with {level:percent} intervals. p is adjusted over the {n:count} metrics compared (Benjamini and Hochberg, q = {q:ratio}): a screen. No difference established is no proof of "
    "none: the interval says how large one can be."
)


@dataclass(frozen=True)
class Row:
    """A metric in both audits, in words."""

    look: Look
    metric: str
    who: str
    old: str
    new: str
    change: str
    p: str
    method: str


@dataclass(frozen=True)
class Held:
    """A requirement of the gate, in words; `bound` is the limit that is held against the margin, and the margin."""

    look: Look
    what: str
    bound: str
    note: str


def side_text(side: Side, say: Speaker) -> str:
    """Model, version, date and verdict."""
    version = say.t("version {version}", version=clean(side.version, 60)) if side.version else say.t("no version")
    verdict = f"{LOOKS[side.verdict].sign} {say.t(LOOKS[side.verdict].word)}"
    return " · ".join([clean(side.model, 80), version, clean(side.started[:10], 10), verdict])


def who_text(slice_: Slice, against: Slice | None, say: Speaker) -> str:
    """Who a number is about; the column is named once where two of its values are compared."""
    if against is None:
        return say.slice(slice_)
    column = next(iter(slice_), "")
    if len(slice_) == 1 and list(against) == [column] and column not in PARTS and all(map(speaks, (*slice_.values(), *against.values()))):
        return say.t(
            "{who} against {against} ({column})",
            who=say.level(slice_[column]),
            against=say.level(against[column]),
            column=clean(column, 60),
        )
    return say.t("{who} against {against}", who=say.slice(slice_), against=say.slice(against))


def metric_text(metric: str, compare: str, say: Speaker) -> str:
    """The metric's plain words, with the comparison where it is one."""
    name = capital(metric_name(metric, say))
    return name if compare == "value" else say.t("{metric}, {compare}", metric=name, compare=say.t(COMPARE[compare]))


def row(change: Change, say: Speaker) -> Row:
    """One metric; where nothing could be measured, the reason stands in place of the change."""
    kind, moved = kind_of(change.metric, change.compare), moves(change.metric, change.compare)
    e, test = change.change, change.test
    p = (test.p_value if test.adjusted_p_value is None else test.adjusted_p_value) if test else None
    told = say.stored(change.reason, change.reason_msg)
    if e:
        numbers = interval(e.value, e.low, e.high, moved)
        alike = e.method == "ranked_alike"
        told = say.t(
            "{value}: both rank these rows alike (other rows: {low} to {high})" if alike else "{value} ({low} to {high})", **numbers
        )
    return Row(
        look=OUTCOMES[change.outcome],
        metric=term(change.metric, change.compare, say),
        who=who_text(change.slice, change.against, say),
        old="–" if change.old is None else number(change.old, kind),
        new="–" if change.new is None else number(change.new, kind),
        change=told,
        p="–" if p is None else number(p, "p"),
        method=say.name(e.method, METHODS) if e else "",
    )


def moves(metric: str, compare: str) -> str:
    """How a change of this metric is written: points for what lies between 0 and 1, signed numbers else."""
    if compare == "ratio":
        return "signed"
    return "points" if metric in UNIT_SCALE else kind_of(metric, "difference")


def rows(comparison: Comparison, say: Speaker) -> list[Row]:
    """Every metric, what got worse first."""
    ordered = sorted(comparison.changes, key=lambda c: (OUTCOMES[c.outcome].rank, bool(c.slice), c.against is not None))
    return [row(c, say) for c in ordered]


def held(item: Requirement, say: Speaker) -> Held:
    """One requirement; the bound is written so that more than the margin is worse."""
    what = term(item.metric, "value", say) if item.kind == "level" else gap_text(item.metric, say)
    e, bound = item.change, ""
    if e is not None:
        least, most = (-e.high, -e.low) if item.kind == "level" else (e.low, e.high)
        shown = in_points(max(0.0, least if item.result == "worse" else most))
        bound = say.t(BOUNDS[item.kind, item.result == "worse"], value=shown, margin=in_points(item.margin))
    return Held(HELD[item.result], say.pair(what, who_text(item.slice, item.against, say)), bound, say.stored(item.reason, item.reason_msg))


def in_points(share: float) -> str:
    """0.052 → 5.2"""
    return number(share, "percent").rstrip("\u00a0% ")


def gap_text(metric: str, say: Speaker) -> str:
    return say.t("{metric}, distance from the reference", metric=term(metric, "value", say))


def requirements(comparison: Comparison, say: Speaker) -> list[Held]:
    """Every requirement of the gate, what is worse first."""
    return sorted((held(item, say) for item in comparison.gate.requirements), key=lambda h: h.look.rank)


def gate_note(comparison: Comparison, say: Speaker) -> str:
    gate = comparison.gate
    return say.t(GATE_NOTE, margin=in_points(gate.margin), group=in_points(gate.group_margin), n=gate.min_rows)


def screen_note(comparison: Comparison, say: Speaker) -> str:
    level = next((c.change.level for c in comparison.changes if c.change is not None), 0.95)
    return say.t(SCREEN_NOTE, n=comparison.tests_in_family, q=comparison.q, level=level)


def finding_text(finding: FindingChange, say: Speaker) -> str:
    """The finding's own sentence, else one made of its numbers."""
    if finding.sentence:
        return say.stored(finding.sentence, finding.sentence_msg)
    kind, e = kind_of(finding.metric, finding.compare), finding.estimate
    text = say.pair(metric_text(finding.metric, finding.compare, say), who_text(finding.slice, finding.against, say))
    if e is None:
        return text
    value = say.t("{value} ({low} to {high})", **interval(e.value, e.low, e.high, kind))
    return say.join([text, value])


def answers(comparison: Comparison, say: Speaker) -> list[tuple[str, str]]:
    """The deciding questions whose answer changed, and both answers."""
    said = {None: say.t("not asked")} | {k: f"{look.sign} {say.t(look.word)}" for k, look in LOOKS.items()}
    return [
        (say.stored(q.title, q.title_msg), say.t("{old} before, {new} now", old=said[q.old], new=said[q.new]))
        for q in comparison.questions
        if q.old != q.new
    ]


def chart(comparison: Comparison, say: Speaker, *, most: int = 25) -> Chart | None:
    """Dot and interval of every change that is written in points, one row each, 0 as the line of no change."""
    shown = [c for c in comparison.changes if c.change is not None and moves(c.metric, c.compare) == "points"]
    shown = sorted(shown, key=lambda c: (OUTCOMES[c.outcome].rank, bool(c.slice), c.against is not None))[:most]
    if not shown:
        return None
    dots = [
        Dot(
            f"{OUTCOMES[c.outcome].sign} {short_text(c, say)}", c.change.value, c.change.low, c.change.high,
            "n " + number(c.change.n, "count"), COLOURS[c.outcome],
        )
        for c in shown if c.change is not None
    ]  # fmt: skip
    counts = {key: sum(c.outcome == key for c in comparison.changes) for key in OUTCOMES}
    title = say.t("{worse:count} worse, {better:count} better, {undecided:count} without an established difference", **counts)
    level = shown[0].change.level if shown[0].change else 0.95
    subtitle = say.t("change from old to new in percentage points; {level:percent} intervals; the line is no change", level=level)
    told = say.join([say.pair(short_text(c, say), row(c, say).change) for c in shown])
    return Chart(title, subtitle, say.told(title, told)[:1500], forest(dots, "points", [], 0.0))


def term(metric: str, compare: str, say: Speaker) -> str:
    """The metric's term without the plain words before it, for where there is little room."""
    name = metric_name(metric, say)
    for left, right in (("(", ")"), ("（", "）")):
        if left in name and name.endswith(right):
            name = name[name.rindex(left) + 1 : -1]
    name = capital(name)
    return name if compare == "value" else say.t("{metric}, {compare}", metric=name, compare=say.t(COMPARE[compare]))


def short_text(change: Change, say: Speaker) -> str:
    """The metric's term, and for whom."""
    name = term(change.metric, change.compare, say)
    return name if not change.slice else f"{name} · {' / '.join(say.level(v) for v in change.slice.values())}"
