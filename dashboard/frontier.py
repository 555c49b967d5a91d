"""The frontier of a model's versions on a page: chart, table, and a way to each audit."""

from __future__ import annotations

import streamlit as st

from dashboard import access, show
from dashboard.store import Entry
from dashboard.versions import MOST, Gap, Point, point, siblings
from reports.frontier import PERFORMANCE, Version, beaten, distance, frontier_chart, written
from reports.metrics import kind_of, metric_name
from reports.sentences import capital
from reports.speaker import Speaker, clean, mark
from reports.words import LOOKS

ALONE = mark(
    "Only one version of this model was audited on these rows. Make one that differs less between groups with: python -m models.mitigate MODEL_URI --sensitive COLUMN. Then audit it, and compare both here."
)
READ = mark(
    "Each version shows the group that differs most from its reference; that it was picked as the furthest is not in its interval, and points whose whiskers overlap are not told apart by these rows. To tell two versions apart, compare them: there the same rows are paired."
)


def read_points(entries: list[Entry], say: Speaker) -> list[Point]:
    """The points of the audits that can be read; the others are named."""
    found = []
    for entry in entries:
        access.opened(audit=entry.key, document=entry.head.digest)
        try:
            found.append(point(entry))
        except Exception as error:  # a store that went away says it in its own way
            show.plain(say.t("{audit} cannot be read now: {error}", audit=_name(entry), error=clean(error, 300)))
    return found


def _name(entry: Entry) -> str:
    return clean(entry.head.model.version or entry.head.started[:10], 40)


def frontier(entry: Entry, say: Speaker) -> None:
    """Performance against disparity for every audited version of this model on these rows."""
    points = read_points(siblings(entry, show.found_audits().entries), say)
    rates = list(dict.fromkeys((g.column, g.metric) for p in points for g in p.gaps))
    measures = [m for m in PERFORMANCE if any(m in p.performance for p in points)]
    if len(points) < 2 or not rates or not measures:
        show.plain(
            say.t(ALONE)
            if len(points) < 2
            else say.t("These audits have no performance or no differences between groups to set against each other.")
        )
        return
    performance, column, rate = _choice(measures, rates, say)
    shown = [(p, gap) for p in points if performance in p.performance and (gap := p.widest(rate, column))]
    if not shown:
        show.plain(say.t("This metric was not measured for these groups."))
        return
    versions = [
        Version(say.t("version {version}", version=_name(p.entry)), p.performance[performance], distance(gap.estimate), say.slice(gap.slice), p.mitigated) for p, gap in shown
    ]  # fmt: skip
    show.chart(frontier_chart(versions, performance, rate, say), "frontier-chart")
    _table(shown, versions, performance, rate, say)
    show.plain(say.t(READ))
    if len(points) == MOST:
        show.plain(say.t("The newest {n:count} versions are shown.", n=MOST))


def _choice(measures: list[str], rates: list[tuple[str, str]], say: Speaker) -> tuple[str, str, str]:
    sides = st.columns(3)
    columns = list(dict.fromkeys(c for c, _ in rates))
    with sides[0]:
        performance = st.selectbox(
            say.t("Performance"), measures, format_func=lambda m: capital(metric_name(m, say)), key=show.from_address("performance", measures, measures[0])
        )  # fmt: skip
    with sides[1]:
        column = st.selectbox(
            say.t("Groups by"), columns, format_func=lambda c: clean(c, 60), key=show.from_address("by", columns, columns[0])
        )
    metrics = [m for c, m in rates if c == column]
    with sides[2]:
        rate = st.selectbox(
            say.t("Difference of"),
            metrics,
            format_func=lambda m: capital(metric_name(m, say)),
            key=show.from_address("rate", metrics, metrics[0]),
        )
    for name, choice in (("performance", performance), ("by", column), ("rate", rate)):
        show.to_address(name, choice)
    return performance, column, rate


def _table(shown: list[tuple[Point, Gap]], versions: list[Version], performance: str, rate: str, say: Speaker) -> None:
    """The numbers behind the chart, and a link to each audit under them."""
    heads = [
        show.Head(say.t("Version")), show.Head(say.t("Verdict")), show.Head(capital(metric_name(performance, say)), True),
        show.Head(say.t("Largest difference (percentage points)"), True), show.Head(say.t("For whom")), show.Head(say.t("n"), True), show.Head(say.t("Note")),
    ]  # fmt: skip
    kind, rows = kind_of(performance, "value"), []
    for (p, gap), version, lost in zip(shown, versions, beaten(versions), strict=True):
        note = [say.t("made to differ less between groups")] if version.changed else []
        note += [say.t("another version is at least as good in both")] if lost else []
        rows.append(
            [
                version.name, show.flag_text(LOOKS[p.entry.state], say), written(version.performance, kind, say), written(gap.estimate, kind_of(rate, "difference"), say),
                version.who, f"{gap.estimate.n:,}", say.join(note),
            ]
        )  # fmt: skip
    show.table(heads, rows, "frontier-table")
    with st.container(horizontal=True):
        for (p, _), version in zip(shown, versions, strict=True):
            label = show.escaped(say.t("Open the audit of {version}", version=version.name))
            st.page_link("views/audit_page.py", label=label, query_params={"audit": p.entry.key})
