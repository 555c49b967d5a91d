"""A check on a page: what it found with charts and tables, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from audit.cohorts.named import Cohort
from audit.result import CheckResult
from dashboard import show
from reports.behind import behind
from reports.charts import Chart
from reports.figures import figures
from reports.metrics import metric_name
from reports.palette import Palette
from reports.sentences import capital
from reports.speaker import Speaker
from reports.states import state_of, state_of_finding
from reports.tables import about_metric, blocks
from reports.tested import planted
from reports.view import CROSSED_OUT
from reports.words import LOOKS, Look

MOST_FINDINGS, MOST_ROWS, MOST_CHARTS = 300, 200, 30
FIRST_CHARTS = 2  # drawn at once
MOST_TABLES = 8  # drawn at once


def about(check: CheckResult, cohort: Cohort) -> CheckResult:
    """The check with the findings that speak of the cohort alone."""
    return check.model_copy(update={"findings": [f for f in check.findings if cohort.speaks_of(f.slice)]})


def one_check(check: CheckResult, index: int, palette: Palette, say: Speaker, whom: Cohort | None = None) -> None:
    """A check with its charts, tables, meaning and limits; of its findings those that speak of `whom` alone."""
    path = f"checks[{index}]"
    st.divider()
    heading(check, 3, say)
    limits(check, say)
    numbers(check if whom is None else about(check, whom), path, palette, say, struck=check.rejected is not None)
    if whom is not None and not any(whom.speaks_of(f.slice) for f in check.findings):
        show.plain(say.t("This check says nothing of these rows by themselves."))
    if tables := planted(check.info, path, say):
        told = say.t("How often this check finds what is planted, and how often it cries wolf")
        with show.folded(told, f"{path}-planted") as opened:
            for k, table in enumerate(tables if opened else []):
                show.grid(table, say, f"{path}-planted-{k}")


def heading(check: CheckResult, level: int, say: Speaker) -> None:
    """A check's title, verdict and sentence, crossed out where its evidence is rejected."""
    show.title(say.stored(check.info.title, None), level)
    show.flag(LOOKS[state_of(check)], say)
    if check.rejected:
        show.plain(say.sentences([say.stored(check.rejected, check.rejected_msg), say.t(CROSSED_OUT)]))
        show.struck(say.stored(check.summary, check.summary_msg))
    else:
        show.plain(say.stored(check.summary, check.summary_msg))
    if check.reason and check.status != "skipped":  # of one that was skipped the summary says it
        show.plain(say.t("Reason: {text}", text=say.stored(check.reason, check.reason_msg)))


def limits(check: CheckResult, say: Speaker) -> None:
    """What a check measures beside what it does not show."""
    for side, title, text in zip(
        st.columns(2), ("What it measures", "What it does not show"), (check.info.meaning, check.info.limits), strict=True
    ):
        with side:
            st.markdown(f"**{say.t(title)}**")
            show.plain(say.stored(text, None))


def numbers(check: CheckResult, path: str, palette: Palette, say: Speaker, *, struck: bool = False) -> None:
    """A check's charts, tables, and the numbers behind the charts; one metric at a time where there are many tables."""
    whole = blocks(check, path, say, MOST_FINDINGS)
    if len(whole) > MOST_TABLES:
        check = about_metric(check, metric_asked(check, path, say))
        whole = blocks(check, path, say, MOST_FINDINGS)
    drawn = figures(check, path, palette, say)[:MOST_CHARTS]
    charts(drawn[:FIRST_CHARTS], path, struck=struck)
    if drawn[FIRST_CHARTS:]:
        with show.folded(say.t("More charts: {n:count}", n=len(drawn) - FIRST_CHARTS), f"{path}-charts") as opened:
            if opened:
                charts(drawn[FIRST_CHARTS:], f"{path}-more", struck=struck)
    show.findings(whole, say, f"{path}-findings")
    grids(check, path, say, tables=True)
    if any(e.kind != "table" for f in check.findings for e in f.evidence):
        with show.folded(say.t("The numbers behind the charts"), f"{path}-behind") as opened:
            if opened:
                grids(check, path, say, tables=False)


def grids(check: CheckResult, path: str, say: Speaker, *, tables: bool, most: int = MOST_ROWS) -> None:
    """The evidence of a check that is a table, or the numbers of all that is drawn; at most `most` rows of each."""
    for i, f in enumerate(check.findings):
        for j, e in enumerate(f.evidence):
            if (e.kind == "table") == tables:
                where = f"{path}.findings[{i}].evidence[{j}]"
                show.grid(behind(e, where, say, most), say, where)


def metric_asked(check: CheckResult, path: str, say: Speaker) -> str:
    """The metric that is looked at: the one that stands worst until another is chosen."""
    worst: dict[str, Look] = {}
    for f in check.findings:
        look = LOOKS[state_of_finding(f)]
        worst[f.metric] = min(worst.get(f.metric, look), look, key=lambda one: one.rank)
    first = min(worst, key=lambda metric: worst[metric].rank)
    key = f"{path}-metric"
    if st.session_state.get(key) not in worst:  # chosen where others were measured
        st.session_state.pop(key, None)
    with st.container(width=560):
        asked = st.selectbox(
            say.t("Metric"),
            list(worst),
            index=list(worst).index(first),
            format_func=lambda metric: f"{worst[metric].sign} {capital(metric_name(metric, say))}",
            key=key,
        )
    return str(asked)


def charts(drawn: Sequence[Chart], key: str, *, struck: bool = False) -> None:
    """Two to a line, where none of them needs a line for itself."""
    lines: list[list[int]] = []
    for i, item in enumerate(drawn):
        if lines and len(lines[-1]) == 1 and not item.wide and not drawn[lines[-1][0]].wide:
            lines[-1].append(i)
        else:
            lines.append([i])
    for line in lines:
        for side, i in zip(st.columns(1 if drawn[line[0]].wide else 2), line, strict=False):
            with side:
                show.chart(drawn[i], f"{key}-chart-{i}", struck=struck)
