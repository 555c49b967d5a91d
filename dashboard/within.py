"""How groups fare within a cohort: each rate of each group, counted in the kept rows."""

from __future__ import annotations

import streamlit as st

from audit.cohorts.named import Cohort, Columns, Groups, Measured, Question
from audit.result import AuditResult
from dashboard import show
from dashboard.choosing import counted, notes, told
from dashboard.counting import about
from reports.charts import Chart, Dot, forest
from reports.metrics import kind_of, metric_name
from reports.palette import Palette
from reports.sentences import capital
from reports.speaker import Speaker, clean, number
from reports.tables import SMALL


def within(document: AuditResult, cohort: Cohort, say: Speaker) -> None:
    """The rates of the groups of one sensitive column among the rows of the cohort; what cannot be counted is said."""
    show.title(say.t("Groups within {name}", name=clean(cohort.name, 80)), 3)
    show.plain(told(cohort, say))
    known = counted(Columns, Question(do="columns", about=about(document)), document, say)
    if known is None:
        return
    if not known.groups:
        show.plain(say.t("No sensitive column was declared, so there are no groups to compare."))
        return
    columns = list(known.groups)
    key = show.from_address("within", columns, columns[0])
    column = st.selectbox(say.t("Groups by"), columns, format_func=lambda c: clean(c, 60), key=key, width=420)
    show.to_address("within", column)
    found = counted(Groups, Question(do="groups", about=about(document), cohort=cohort, column=column), document, say)
    if found is not None:
        _drawn(found.found, len(known.groups[column]), document, say)


def _drawn(found: dict[str, Measured], groups: int, document: AuditResult, say: Speaker) -> None:
    if len(found) < groups:
        show.plain(
            say.t(
                "Groups that have no or too few rows in the cohort, and what would give them away, are not shown: {n:count}.",
                n=groups - len(found),
            )
        )
    metrics = list(
        dict.fromkeys(f.metric for m in found.values() for f in m.figures if kind_of(f.metric, "value") == "percent" and f.inside)
    )
    drawn = [chart(metric, found, document, say) for metric in metrics]
    for start in range(0, len(drawn), 2):
        for k, (side, item) in enumerate(zip(st.columns(2), drawn[start : start + 2], strict=False)):
            with side:
                show.chart(item, f"within-{start + k}")
    heads = [show.Head(say.t("For whom")), show.Head(say.t("Rows"), True)]
    heads += [show.Head(capital(metric_name(m, say)), True) for m in metrics] + [show.Head(say.t("Note"))]
    show.table(heads, [_row(g, m, metrics, say) for g, m in found.items()], "within-table", [m.n < SMALL for m in found.values()])
    for text in notes(document, say):
        show.plain(text)


def _row(group: str, found: Measured, metrics: list[str], say: Speaker) -> list[str]:
    own, cells = {f.metric: f for f in found.figures}, []
    for metric in metrics:
        f = own.get(metric)
        if f is None or f.inside is None:
            cells.append(say.t("withheld: too few people") if f and f.withheld else "–")
        else:
            value, low, high = (number(x, "percent") for x in (f.inside.value, f.inside.low, f.inside.high))
            cells.append(say.t("{value} ({low} to {high})", value=value, low=low, high=high))
    return [say.level(group), number(found.n, "count"), *cells, say.t("a small group") if found.n < SMALL else ""]


def chart(metric: str, found: dict[str, Measured], document: AuditResult, say: Speaker) -> Chart:
    """A forest plot of one rate of each group."""
    pairs = [(group, f.inside) for group, m in found.items() for f in m.figures if f.metric == metric and f.inside is not None]
    colours = Palette(document).named([group for group, _ in pairs])
    dots = [
        Dot(say.level(group), e.value, e.low, e.high, f"n {number(e.n, 'count')}", colour, e.n < SMALL)
        for (group, e), colour in zip(pairs, colours, strict=True)
    ]
    title = capital(metric_name(metric, say))
    words = say.join(
        [say.pair(d.label, f"{number(d.value, 'percent')} ({number(d.low, 'percent')}–{number(d.high, 'percent')}; {d.n})") for d in dots]
    )
    parts = [say.t("{level:percent} intervals by {method}", level=about(document).level, method="Wilson")]
    parts += [say.t("hollow: a small group")] if any(d.hollow for d in dots) else []
    return Chart(title, say.join(parts), say.told(title, words), forest(dots, "percent", [], None))
