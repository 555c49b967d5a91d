"""The cohort that a page is asked about: chosen, made of a slice or of columns, removed; and what its rows show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import streamlit as st
from pydantic import ValidationError

from audit.cohorts.named import MOST_CONDITIONS, Cohort, Columns, Condition, Figure, Measured, Members, Offer, Question, of_slice
from audit.errors import AuditError
from audit.measurement import Estimate, Slice
from audit.result import AuditResult
from dashboard import access, show
from dashboard.cohorts import Shelf, UnreadableError
from dashboard.counting import CannotCountError, LacksColumnError, NotKeptError, about, ask
from reports.charts import OKABE_ITO, REFERENCE, Chart, Dot, forest, shortened, unique
from reports.disclose import group_size
from reports.figures import short
from reports.metrics import kind_of, metric_name
from reports.sentences import capital
from reports.speaker import Speaker, clean, mark, number
from reports.tables import SMALL

Kind = TypeVar("Kind")
MOST_ROWS = 40
WITHHELD = {
    "nobody": mark("No row of this audit meets these conditions."),
    "few": mark("Withheld: fewer than {n:count} rows meet these conditions."),
    "nearly_all": mark("Withheld: all but fewer than {n:count} rows meet these conditions, and the few could be computed."),
    "near_another": mark(
        "Withheld: without some of its conditions it would have fewer than {n:count} rows more, and both figures together would tell of those few."
    ),
}
NO_TABLE = mark(
    "The scored rows of this audit are not on this machine, so nothing can be counted for a cohort: what is shown is what the document holds for slices. Audit the model here, without --forget or --scored-dir, to have them."
)
EXPLORED = mark(
    "A cohort that was chosen after looking is a place to look, not a finding: nothing here is judged, and the intervals do not know how many cohorts were tried."
)


def shelf() -> Shelf:
    """The cohorts of who looks: everybody has their own where people log in."""
    who = access.who()
    return Shelf(Path.cwd(), "" if who.local else who.id)


def saved(say: Speaker) -> list[Cohort]:
    """The saved cohorts; none, and why said, where their file cannot be read."""
    try:
        return shelf().cohorts()
    except UnreadableError as error:
        show.plain(say.t("The saved cohorts could not be read: {error}", error=clean(error, 300)))
        return []


def chosen(say: Speaker) -> Cohort | None:
    """The cohort that the address names, or that was chosen on another page; None for everybody. Nothing is asked where none was saved."""
    by_name = {c.name: c for c in saved(say)}
    if not by_name:
        return None
    names, before = ["", *by_name], st.session_state.get("cohort_name", "")
    called = dict(zip(names, unique([say.t("Everybody"), *by_name], 80), strict=True))  # a choice is told by its text
    with st.container(width=420):
        key = show.from_address("cohort", names, before if before in by_name else "")
        name = st.selectbox(say.t("Cohort"), names, format_func=called.__getitem__, key=key)
    st.session_state.cohort_name = name
    show.to_address("cohort", name)
    return by_name.get(name)


def condition_text(condition: Condition, say: Speaker) -> str:
    """A condition in words."""
    if condition.values:
        return say.pair(clean(condition.column, 60), say.list(shortened(say.level(v)) for v in condition.values))
    low, high = (None if end is None else f"{end:.10g}" for end in (condition.low, condition.high))
    if low is None:
        return say.pair(clean(condition.column, 60), say.t("below {high}", high=high))
    if high is None:
        return say.pair(clean(condition.column, 60), say.t("{low} and above", low=low))
    return say.pair(clean(condition.column, 60), say.t("from {low} to below {high}", low=low, high=high))


def told(cohort: Cohort, say: Speaker) -> str:
    return say.join([condition_text(c, say) for c in cohort.conditions])


def slices(document: AuditResult) -> list[Slice]:
    """The slices of the document that are made of values of columns, each once."""
    found: dict[str, Slice] = {}
    for check in document.checks:
        for f in check.findings:
            plain = f.slice and not any(c.startswith("(") for c in f.slice) and "*" not in f.slice.values()
            if plain and len(f.slice) <= MOST_CONDITIONS and check.info.id != "performance.error_tree":
                found.setdefault(repr(sorted(f.slice.items())), f.slice)
    return list(found.values())


def for_whom(document: AuditResult, say: Speaker) -> Cohort | None:
    """Whose findings are shown: a saved cohort's, a slice's, or all (None); the choice stands in the address."""
    found: dict[str, tuple[str, Cohort]] = {f"cohort {c.name}": (say.pair(say.t("cohort"), clean(c.name, 80)), c) for c in saved(say)}
    for slice_ in slices(document):
        if len(slice_) == 1:
            found[json.dumps(slice_)] = clean(shortened(say.slice(slice_)), 120), of_slice("slice", slice_)
    if not found:
        return None
    keys = ["", *found]
    called = dict(zip(keys, unique([say.t("all rows and every group"), *(text for text, _ in found.values())], 120), strict=True))
    with st.container(width=420):
        key = st.selectbox(
            say.t("Findings about"), keys, format_func=called.__getitem__,
            key=show.from_address("for", keys, ""),
        )  # fmt: skip
    show.to_address("for", key)
    return found[key][1] if key else None


# --- making one -------------------------------------------------------------------------------------------------------------------------


def columns(document: AuditResult) -> list[str] | None:
    """The columns that cohorts can be made of; None where the rows are not here."""
    try:
        return ask(Columns, Question(do="columns", about=about(document))).names
    except (NotKeptError, CannotCountError):
        return None


def make(document: AuditResult, say: Speaker) -> None:
    """The form for a new cohort, and the removal of an old one."""
    old = saved_names()
    with st.expander(say.t("Make a cohort")):
        names = columns(document)
        ways = ["slice", *(["columns"] if names else [])]
        labels = {"slice": say.t("of a slice of this audit"), "columns": say.t("of columns")}
        way = ways[0]
        if len(ways) > 1:
            way = st.segmented_control(say.t("Make it"), ways, default=way, format_func=labels.__getitem__, key="cohort-way") or way
        if names is None:
            show.plain(say.t(NO_TABLE))
        conditions = of_columns(document, names, say) if names and way == "columns" else of_slices(document, say)
        name = st.text_input(say.t("Its name"), max_chars=80, key="cohort-new").strip()
        if st.button(say.t("Save the cohort"), disabled=not (conditions and name), key="cohort-save"):
            keep(name, conditions, say)
    if old:
        with st.expander(say.t("Remove a cohort")):
            gone = st.selectbox(say.t("Which"), old, format_func=lambda n: clean(n, 80), key="cohort-old")
            if st.button(say.t("Remove it"), key="cohort-remove"):
                shelf().remove(gone)
                st.rerun()


def saved_names() -> list[str]:
    try:
        return [c.name for c in shelf().cohorts()]
    except UnreadableError:
        return []


def keep(name: str, conditions: list[Condition], say: Speaker) -> None:
    """Save it and look at it; what hinders that is said."""
    try:
        shelf().save(Cohort(name=name, conditions=conditions))
    except (UnreadableError, AuditError, ValidationError) as error:
        show.plain(say.t("The cohort could not be saved: {error}", error=clean(error, 300)))
        return
    st.session_state.pop("address-cohort", None)
    show.to_address("cohort", name)
    st.rerun()


def of_slices(document: AuditResult, say: Speaker) -> list[Condition]:
    """The conditions of a slice that the document holds."""
    found = slices(document)
    if not found:
        show.plain(say.t("This audit has no slices: no column was declared as sensitive, and no search found any."))
        return []
    place = st.selectbox(
        say.t("Slice"), range(len(found)), format_func=unique([shortened(say.slice(f)) for f in found], 160).__getitem__, key="cohort-slice"
    )
    return of_slice("slice", found[place]).conditions


def of_columns(document: AuditResult, columns: list[str], say: Speaker) -> list[Condition]:
    """Values or a range of each column that is chosen."""
    names = st.multiselect(
        say.t("Columns"),
        columns,
        max_selections=MOST_CONDITIONS,
        format_func=lambda c: clean(c, 60),
        key="cohort-columns",
        placeholder=say.t("Choose"),
    )
    made = []
    for name in names:
        offer = ask(Offer, Question(do="offer", about=about(document), column=name))
        if offer.stops:
            made += _range(offer, say)
        elif offer.values:
            picked = st.multiselect(
                clean(name, 60),
                offer.values,
                format_func=lambda v: shortened(say.level(v)),
                key=f"cohort-of-{name}",
                placeholder=say.t("Choose"),
            )
            made += [Condition(column=name, values=picked)] if picked else []
        else:
            show.plain(say.t("{column} has no value that enough rows share.", column=clean(name, 60)))
    return made


def _range(offer: Offer, say: Speaker) -> list[Condition]:
    """From one stop to another; the ends of the scale leave it open."""
    last = len(offer.stops) + 1
    ends = {0: say.t("lowest"), last: say.t("highest")} | {i: f"{stop:.6g}" for i, stop in enumerate(offer.stops, 1)}
    low, high = st.select_slider(
        say.t("{column}, from … to below …", column=clean(offer.name, 60)),
        range(last + 1),
        value=(0, last),
        format_func=ends.__getitem__,
        key=f"cohort-of-{offer.name}",
    )
    if low == high or (low, high) == (0, last):
        return []
    return [Condition(column=offer.name, low=offer.stops[low - 1] if low else None, high=offer.stops[high - 1] if high < last else None)]


# --- what its rows show -----------------------------------------------------------------------------------------------------------------


def counted(kind: type[Kind], question: Question, document: AuditResult, say: Speaker) -> Kind | None:
    """What the kept rows answer; None, and why said, where they answer nothing."""
    if document.data.weight is not None:
        show.plain(say.t("The rows of this audit carry survey weights, and figures of cohorts take none yet."))
        return None
    try:
        return ask(kind, question)
    except NotKeptError:
        show.plain(say.t(NO_TABLE))
    except LacksColumnError as error:
        show.plain(
            say.t("The scored rows of this audit have no column {column} that this cohort could be counted by.", column=clean(error, 60))
        )
    except CannotCountError as error:
        show.plain(say.t("The cohort could not be counted: {error}", error=clean(error, 300)))
    return None


def figures(document: AuditResult, cohort: Cohort, say: Speaker) -> None:
    """The cohort in words and in figures; what cannot be counted is said."""
    show.title(cohort.name, 3)
    show.plain(told(cohort, say))
    found = counted(Measured, Question(do="measure", about=about(document), cohort=cohort), document, say)
    if found is None:
        return
    if found.withheld is not None:
        show.plain(say.t(WITHHELD[found.withheld], n=group_size(document)))
        return
    _drawn(found, document, say)


def rows_to_take(document: AuditResult, say: Speaker) -> None:
    """The numbers of a cohort's rows, for a page that shows single rows: only where the plan allowed them, and the reader's role does."""
    cohort = chosen(say)
    if cohort is None:
        return
    show.plain(told(cohort, say))
    found = counted(Members, Question(do="members", about=about(document), cohort=cohort), document, say)
    if found is not None:
        first = say.list(str(row) for row in found.rows[:MOST_ROWS]) or "–"
        show.plain(
            say.t(
                "Sampled rows of this cohort: {n:count}. Their numbers, the first {most:count} at most: {rows}",
                n=len(found.rows),
                most=MOST_ROWS,
                rows=first,
            )
        )


def _drawn(found: Measured, document: AuditResult, say: Speaker) -> None:
    show.plain(
        say.t("{n:count} of {rows:count} rows drawn at random from {all:count}.", n=found.n, rows=found.rows, all=document.data.rows)
        if found.sampled
        else say.t("{n:count} of {rows:count} rows.", n=found.n, rows=found.rows)
    )
    drawn = chart(found, about(document).level, say)
    if drawn is not None:
        show.chart(drawn, "cohort-chart")
    heads = [
        show.Head(say.t("Metric")), show.Head(say.t("Cohort"), True), show.Head(say.t("n"), True), show.Head(say.t("Everybody else"), True),
        show.Head(say.t("n"), True), show.Head(say.t("Difference (of rates: percentage points)"), True), show.Head(say.t("Note")),
    ]  # fmt: skip
    show.table(heads, [_row(f, say) for f in found.figures], "cohort-figures", [is_small(f) for f in found.figures])
    for text in notes(document, say):
        show.plain(text)


def is_small(f: Figure) -> bool:
    return f.inside is not None and f.inside.n < SMALL


def _row(f: Figure, say: Speaker) -> list[str]:
    kind, apart = kind_of(f.metric, "value"), kind_of(f.metric, "difference")

    def written(e: Estimate | None, how: str) -> str:
        if e is None:
            return "–"
        return say.t("{value} ({low} to {high})", value=number(e.value, how), low=number(e.low, how), high=number(e.high, how))

    note = say.t("a small group") if is_small(f) else ""
    counts = ["–" if e is None else number(e.n, "count") for e in (f.inside, f.outside)]
    return [
        capital(metric_name(f.metric, say)), say.t("withheld: too few people") if f.withheld else written(f.inside, kind), counts[0], written(f.outside, kind), counts[1], written(f.apart, apart), note
    ]  # fmt: skip


def chart(found: Measured, level: float, say: Speaker) -> Chart | None:
    """The rates of the cohort beside those of everybody else; None where no rate can be shown."""
    shown = [f for f in found.figures if kind_of(f.metric, "value") == "percent" and f.inside is not None]
    dots = []
    for f in shown:
        name = capital(short(metric_name(f.metric, say)))
        for who, e, colour in ((say.t("cohort"), f.inside, OKABE_ITO[0]), (say.t("everybody else"), f.outside, REFERENCE)):
            if e is not None:
                dots.append(Dot(f"{name} · {who}", e.value, e.low, e.high, f"n {number(e.n, 'count')}", colour, e.n < SMALL))
    if not dots:
        return None
    title = say.t("The cohort beside everybody else")
    words = say.join(
        [say.pair(d.label, f"{number(d.value, 'percent')} ({number(d.low, 'percent')}–{number(d.high, 'percent')}; {d.n})") for d in dots]
    )
    parts = [say.t("{level:percent} intervals by {method}", level=level, method="Wilson")]
    parts += [say.t("hollow: a small group")] if any(d.hollow for d in dots) else []
    return Chart(title, say.join(parts), say.told(title, words), forest(dots, "percent", [], None))


def notes(document: AuditResult, say: Speaker) -> list[str]:
    together = [document.data.cluster] if document.data.cluster else [] if document.data.independent else document.data.repeats
    said = [say.t(EXPLORED)]
    if together:
        said.append(
            say.t("Rows of one {column} may belong together, so these intervals are too narrow.", column=clean(say.list(together), 120))
        )
    return said
