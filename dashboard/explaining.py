"""Stored explanations on a page: what was found over many rows, and beside it the tests that it passed or failed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from audit.measurement import Attribution, Heatmap
from audit.result import AuditResult, CheckResult, Finding
from dashboard import show
from dashboard.checks import grids, heading, limits
from reports.charts import Chart
from reports.figures import figures, forest_chart, interval_text
from reports.metrics import kind_of, metric_name
from reports.palette import Palette
from reports.sentences import capital
from reports.speaker import Speaker, clean, mark
from reports.states import state_of, state_of_finding
from reports.tables import blocks, limit_text, rows_of
from reports.words import COMPARE, LOOKS, Look

#: What an audit says of inputs, of decisions and of ways to another one; each may be absent.
SHOWN = ("explanation.global", "explanation.local", "explanation.ways", "explanation.reasons", "explanation.recourse")
#: The tests of explanations, as the question that each answers.
GATES = {
    "explanation.completeness": mark("Do the parts add up to the answer? (completeness)"),
    "explanation.infidelity": mark("Do they foretell what the model does without an input? (faithfulness: infidelity)"),
    "explanation.deletion": mark("Does the answer fall as the largest are taken away? (faithfulness: deletion)"),
    "explanation.randomisation": mark("Do they change where the model learned nothing? (sanity)"),
    "explanation.stability": mark("Do they stay the same when asked again? (stability)"),
}
#: What rests on a test of the attributions of inputs.
RESTS = ("explanation.global", "explanation.local", "explanation.reasons")
#: Shares of rows in which an input, a word or an event is a reason.
REASON_SHARES = ("top_reason_share", "reason_share")
MOST_REASONS = 15
MANY_TESTS = 6  # judged numbers beyond which each method has one line
MOST_CHARTS, MOST_FINDINGS, MOST_ROWS = 12, 60, 100
BESIDE = 2  # charts that stand beside what was judged


@dataclass(frozen=True)
class Placed:
    """A check and its place in the document."""

    check: CheckResult
    path: str


def found(document: AuditResult) -> dict[str, Placed]:
    """The checks of the family by id."""
    every = enumerate(document.checks)
    return {c.info.id: Placed(c, f"checks[{i}]") for i, c in every if c.info.id.startswith("explanation.")}


def ranking(document: AuditResult) -> list[str]:
    """The inputs in the order in which the audit found that they move answers; none where it did not look."""
    one = found(document).get("explanation.global")
    shown = (e for f in one.check.findings for e in f.evidence) if one else ()
    return next((list(e.features) for e in shown if isinstance(e, Attribution) and e.of == "output"), [])


def explanation(document: AuditResult, one: Placed, family: dict[str, Placed], say: Speaker) -> None:
    """One explanation: its sentence and drawings at the left, how far it can be believed at the right."""
    check, path = one.check, one.path
    heading(check, 2, say)
    left, right = st.columns([3, 2], gap="large")
    with right, st.container(border=True):
        _believed(check, family if check.info.id in RESTS else {}, say)
    drawn = [*_shares(one, Palette(document), say), *figures(check, path, Palette(document), say)][:MOST_CHARTS]
    pictures = any(isinstance(e, Heatmap) for f in check.findings for e in f.evidence)  # a map stands beside its picture
    with left:
        sides = st.columns(2) if pictures else [st.container(), st.container()]
        for k, (side, chart) in enumerate(zip(sides, drawn, strict=False)):
            with side:
                show.chart(chart, f"{path}-chart-{k}", struck=check.rejected is not None)
        if not drawn:
            show.plain(say.t("This check has no drawing; its numbers stand below."))
    for start in range(BESIDE, len(drawn), 2):
        for k, column in enumerate(st.columns(2), start):
            if k < len(drawn):
                with column:
                    show.chart(drawn[k], f"{path}-chart-{k}", struck=check.rejected is not None)
    limits(check, say)
    numbers(one, say)


def _shares(one: Placed, palette: Palette, say: Speaker) -> list[Chart]:
    """How often each part is a reason, which the report has in its tables."""
    found = [f for f in one.check.findings if f.metric in REASON_SHARES and len(f.slice) == 1 and f.compare == "value" and f.estimate]
    if len(found) < 2:
        return []
    own = {key: n for key, (n, _) in rows_of(one.check).items()}
    chart = forest_chart(found[:MOST_REASONS], one.path, palette, say, own)
    shown = say.t("the {shown:count} most frequent of {all:count}", shown=MOST_REASONS, all=len(found)) if len(found) > MOST_REASONS else ""
    return [replace(chart, title=capital(metric_name(found[0].metric, say)), subtitle=say.join([shown, chart.subtitle]))]


def numbers(one: Placed, say: Speaker) -> None:
    """Every number of a check: its tables open, the others one click away."""
    check, path = one.check, one.path
    grids(check, path, say, tables=True, most=MOST_ROWS)
    with show.folded(say.t("The numbers"), f"{path}-numbers") as opened:
        if opened:
            show.findings(blocks(check, path, say, MOST_FINDINGS), say, f"{path}-findings")
            grids(check, path, say, tables=False, most=MOST_ROWS)


def _believed(check: CheckResult, family: dict[str, Placed], say: Speaker) -> None:
    """What was judged, each with sign and word: in an explanation its own tests, and beside it the checks that test it."""
    own = [f for f in check.findings if f.criterion is not None]
    others = [family[id_].check for id_ in GATES if id_ in family and family[id_].check.status != "skipped"]
    about_model = check.about == "model"
    told: list[tuple[str, str]] = []
    if own and about_model:
        st.markdown(f"**{say.t('What was judged')}**")
    elif not about_model or others:
        st.markdown(f"**{say.t('How far this can be believed')}**")
    with st.container(gap="small"):
        if len(own) > MANY_TESTS:  # of several methods: one line each, and every number in the fold
            for name, look in _worst(own, say).items():
                show.flagged(look, name, say)
        else:
            told += [_tested(finding, say) for finding in own]
        if own and others and about_model:
            st.markdown(f"**{say.t('How far this can be believed')}**")
        for gate in others:
            question = say.t(GATES[gate.info.id])
            show.flagged(LOOKS[state_of(gate)], question, say)
            told.append((question, _sentence(gate, say)))
    if not (told or own):
        show.plain(say.t("Nothing was judged here.") if about_model else say.t("Nothing in this audit tests this explanation."))
        return
    with st.expander(say.t("What each test found")):
        for finding in own if len(own) > MANY_TESTS else []:
            show.plain(_tested(finding, say)[1])
        for name, sentence in told:
            show.title(name)
            show.plain(sentence)


def _worst(findings: list[Finding], say: Speaker) -> dict[str, Look]:
    """What stands worst of each method's judged numbers."""
    found: dict[str, Look] = {}
    for finding in findings:
        name, look = say.slice(finding.slice), LOOKS[state_of_finding(finding)]
        found[name] = min(found.get(name, look), look, key=lambda one: one.rank)
    return found


def _sentence(check: CheckResult, say: Speaker) -> str:
    return say.stored(check.rejected, check.rejected_msg) if check.rejected else say.stored(check.summary, check.summary_msg)


def _tested(finding: Finding, say: Speaker) -> tuple[str, str]:
    """One judged number, its verdict shown: what it is, and the number with its interval and limit."""
    name = capital(metric_name(finding.metric, say)) + (f" · {say.slice(finding.slice)}" if finding.slice else "")
    if finding.against is not None:
        name = f"{name} · {say.t(COMPARE[finding.compare])} · {say.t('against {against}', against=say.slice(finding.against))}"
    show.flagged(LOOKS[state_of_finding(finding)], name, say)
    kind, c = kind_of(finding.metric, finding.compare), finding.criterion
    assert c is not None
    if finding.estimate is None:
        return name, say.stored(finding.reason, finding.reason_msg)
    return name, say.t(
        "{value}; limit: {limit}", value=interval_text(finding, kind, finding.estimate.n, say), limit=limit_text(c, kind, say)
    )


def tests(family: dict[str, Placed], say: Speaker) -> None:
    """All tests of explanations, with what each measures and does not show."""
    for id_, question in GATES.items():
        if id_ not in family or family[id_].check.status == "skipped":
            continue
        check = family[id_].check
        st.divider()
        show.title(say.t(question), 3)
        show.flag(LOOKS[state_of(check)], say)
        show.plain(_sentence(check, say))
        for finding in check.findings:
            if finding.criterion is not None:
                show.plain(_tested(finding, say)[1])
        show.plain(say.stored(check.info.limits, None))
        numbers(family[id_], say)


def left_out(family: dict[str, Placed], say: Speaker) -> None:
    """What was not explained, and why."""
    skipped = [one.check for one in family.values() if one.check.status == "skipped"]
    if skipped:
        with st.expander(say.t("Checks of this family that were not run: {n:count}", n=len(skipped))):
            heads = [show.Head(say.t("Check")), show.Head(say.t("Reason"))]
            show.table(
                heads, [[say.stored(c.info.title, None), clean(say.stored(c.reason, c.reason_msg), 400)] for c in skipped], "skipped"
            )
