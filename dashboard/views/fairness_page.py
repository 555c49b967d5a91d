"""Who is treated how: stored comparisons by group and metric, and what another cutoff would give each group."""

from collections.abc import Callable

import streamlit as st

from audit.result import AuditResult, CheckResult
from dashboard import choosing, show
from dashboard.checks import charts
from dashboard.cutoff import AtCutoff, Rate, Scores, costs, scores
from dashboard.frontier import frontier
from dashboard.picking import picked
from dashboard.store import Entry
from dashboard.within import within
from reports.charts import Chart, Dot, forest
from reports.figures import figures
from reports.metrics import metric_name
from reports.palette import Palette
from reports.speaker import Speaker, mark, number
from reports.states import family_of, state_of
from reports.tables import blocks
from reports.words import LOOKS

CHECK = "fairness.group"
MOST = 60
NO_OUTCOMES = mark(
    "Outcomes are unknown, or so few people have each of them that single people would be shown: only who gets the favourable decision is known at other cutoffs."
)
NO_SCORES = mark(
    "The scores by outcome are not in this document: it has none for several classes, for quantities, without outcomes, or where too few people would be shown."
)

NOT_FAVOURABLE = mark(
    "Nobody declared which decision is favourable, so no other cutoff can be tried. Audit the model again with --favourable."
)


def stored(document: AuditResult, check: CheckResult, place: int, say: Speaker) -> None:
    """The check's findings on one metric and one column, as the document has them."""
    columns = list(dict.fromkeys(" × ".join(f.slice) for f in check.findings if f.slice))
    metrics = list(dict.fromkeys(f.metric for f in check.findings if f.slice))
    if not columns:
        show.plain(say.stored(check.summary, check.summary_msg))
        return
    left, right = st.columns(2)
    with left:
        column = st.selectbox(say.t("Groups by"), columns, key="groups", bind="query-params")
    with right:
        metric = st.selectbox(say.t("Metric"), metrics, format_func=lambda m: metric_name(m, say), key="metric", bind="query-params")
    kept = [f for f in check.findings if f.metric == metric and " × ".join(f.slice) == column]
    if not kept:
        show.plain(say.t("This metric was not measured for these groups."))
        return
    part, path = check.model_copy(update={"findings": kept}), f"checks[{place}]"
    charts(figures(part, path, Palette(document), say), "stored")
    show.findings(blocks(part, path, say, MOST), say, "stored-findings")


def text_of(rate: Rate, say: Speaker) -> str:
    if rate.value is None:
        return say.t("no rows")
    low, high = rate.limits
    return say.t("{value} ({low} to {high})", value=number(rate.value, "percent"), low=number(low, "percent"), high=number(high, "percent"))


def drawing(title: str, groups: list[tuple[str, Rate]], colours: list[str], level: float, say: Speaker) -> Chart:
    """A forest plot of one rate of each group."""
    dots = [
        Dot(name, r.value, *r.limits, f"n {number(r.n, 'count')}", colour, hollow=r.n < 30)
        for (name, r), colour in zip(groups, colours, strict=True)
        if r.value is not None
    ]
    told = say.join([say.pair(name, text_of(r, say)) for name, r in groups])
    return Chart(
        title,
        say.t("{level:percent} intervals by {method}", level=level, method="Wilson"),
        say.told(title, told),
        forest(dots, "percent", [], None),
    )


def moved(document: AuditResult, stored_scores: list[Scores], say: Speaker) -> None:
    """The cutoff, moved: selection, error rates and cost of each group at once."""
    one = stored_scores[0]
    if len(stored_scores) > 1:
        names = [s.column for s in stored_scores]
        one = stored_scores[names.index(st.segmented_control(say.t("Groups by"), names, default=names[0], key="moved-by") or names[0])]
    start = one.nearest()
    edge = st.select_slider(
        say.t("Cutoff: scores from here up are decided for the event"),
        range(len(one.edges) - 1),
        value=start,
        format_func=lambda i: number(one.edges[i], "ratio"),
        key=f"cutoff-{one.column}",
    )
    if one.current is not None:
        show.plain(
            say.t(
                "In force: {cutoff}. The slider stops where enough people lie between two stops to show them.",
                cutoff=number(one.current, "ratio"),
            )
        )
        if number(one.edges[start], "ratio") != number(one.current, "ratio"):
            show.plain(
                say.t(
                    "None lies at the cutoff in force: the slider starts at the nearest, {cutoff}.",
                    cutoff=number(one.edges[start], "ratio"),
                )
            )
    price, level = costs(document) if one.by_outcome else None, float(document.plan.get("audit", {}).get("level", 0.95))
    now, before = one.at(edge, level, price), one.at(start, level, price)
    colours = Palette(document).named([g.group for g in now])
    titles: list[tuple[str, Callable[[AtCutoff], Rate]]] = [
        (say.t("Who gets the favourable decision"), lambda g: g.selection),
        (say.t("Of those with the event, how many are decided for it"), lambda g: g.true_positive),
        (say.t("Of those without the event, how many are decided for it"), lambda g: g.false_positive),
    ]
    if not one.by_outcome:
        titles = titles[:1]
        show.plain(say.t(NO_OUTCOMES))
    for k, (side, (title, rate)) in enumerate(zip([*st.columns(2), *st.columns(2)], titles, strict=False)):
        with side:
            show.chart(drawing(title, [(say.level(g.group), rate(g)) for g in now], colours, level, say), f"moved-{k}")
    heads = [show.Head(say.t("For whom")), show.Head(say.t("Rows"), True), *(show.Head(title, True) for title, _ in titles)]
    rows = [[say.level(g.group), number(g.selection.n, "count"), *(text_of(rate(g), say) for _, rate in titles)] for g in now]
    if price is not None:
        heads += [show.Head(say.t("Cost per person"), True), show.Head(say.t("Change"), True)]
        rows = [[*row, *_cost(g, old)] for row, g, old in zip(rows, now, before, strict=True)]
    show.table(heads, rows, "moved-table")
    if price is None and one.by_outcome:
        show.plain(say.t("No cost of errors was declared (cost_of_errors in the context), so none is shown."))
    show.plain(
        say.t(
            "These rates are read off the rows that were audited, and a cutoff chosen by them looks better on them than on others: audit the new decision before using it."
        )
    )


def _cost(now: AtCutoff, before: AtCutoff) -> list[str]:
    assert now.cost is not None
    assert before.cost is not None
    return [number(now.cost, "ratio"), f"{now.cost - before.cost:+.2f}"]


def this_model(document: AuditResult, check: CheckResult, place: int, say: Speaker) -> None:
    """The cutoff comes first: it is what one comes here to move, and the measured tables are long."""
    cohort = choosing.chosen(say)
    if cohort is not None:
        with st.container(border=True):
            within(document, cohort, say)
    kept = scores(document)
    with st.container(border=True):
        st.subheader(say.t("Another cutoff"))
        if kept:
            moved(document, kept, say)
        else:
            show.plain(say.t(NO_SCORES if document.data.favourable else NOT_FAVOURABLE))
    st.subheader(say.t("What was measured"))
    stored(document, check, place, say)


def others(entry: Entry, document: AuditResult, say: Speaker) -> None:
    """What else was measured of fairness, each with its verdict and a way to it."""
    there = [c for c in document.checks if family_of(c.info.id) == "fairness" and c.info.id != CHECK and c.status != "skipped"]
    if not there:
        return
    st.subheader(say.t("Other checks of fairness in this audit"))
    for check in sorted(there, key=lambda c: LOOKS[state_of(c)].rank):
        label = f"{show.flag_text(LOOKS[state_of(check)], say)} · {show.escaped(say.stored(check.info.title, None))}"
        st.page_link("views/audit_page.py", label=label, query_params={"audit": entry.key, "check": check.info.id})


say = show.speaker()
chosen = picked(say)
if chosen is not None:
    entry, document = chosen
    st.header(say.t("Fairness"))
    place = next((i for i, c in enumerate(document.checks) if c.info.id == CHECK), None)
    check = document.checks[place] if place is not None else None
    if check is None or place is None or check.status != "completed":
        show.plain(say.stored(check.reason, check.reason_msg) if check else say.t("This audit did not compare groups."))
    else:
        parts = {"model": say.t("This version"), "versions": say.t("All versions of this model")}
        key = show.from_address("part", list(parts), "model")
        part = st.segmented_control(say.t("Part"), list(parts), format_func=parts.__getitem__, key=key) or "model"
        show.to_address("part", part if part != "model" else "")
        if part == "versions":
            frontier(entry, say)
        else:
            this_model(document, check, place, say)
    others(entry, document, say)
