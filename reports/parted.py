"""What the parts of an answer are, drawn and named: columns of a table, words as they stand, regions of a picture, events in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audit.explain.document import Explanation, Part, Place, Removal
from audit.measurement import Attribution, Heatmap
from audit.text import render
from reports import charts
from reports.charts import Chart, Spec
from reports.sections import Section
from reports.showing import picture
from reports.speaker import clean, mark, number
from reports.worded import marked

if TYPE_CHECKING:
    from reports.person import Page

#: Bars of one drawing; of events and stretches, which keep their order, so many of the largest.
MOST, MOST_IN_ORDER = 12, 30
TITLES = {
    "word": mark("What each word added to the answer"),
    "region": mark("What each region of the picture added to the answer, by row and column from the top left"),
    "stretch": mark("What each stretch of the recording added to the answer"),
    "event": mark("What each event added to the answer, where t is the last"),
    "field": mark("What each field of all events added to the answer"),
}
WITHOUT = {
    "word": mark("the words {names}"), "region": mark("the regions {names} (row and column from the top left)"),
    "stretch": mark("the stretches {names}"), "event": mark("the events {names} (t is the last)"), "field": mark("the fields {names}"),
}  # fmt: skip


def drawings(page: Page, e: Explanation) -> list[Chart]:
    """One for a table, one for each input that is more than one value, and before these one of all inputs where there are several."""
    columns = list(dict.fromkeys(p.column or p.factor for p in e.parts))
    whole = [p for p in e.parts if p.column is None]
    if len(whole) == len(e.parts):
        return [_bars(page, e, page.say.t("What each input added to the answer"), [(page.called(p.factor), p) for p in e.parts[:MOST]])]
    out = []
    if len(columns) > 1:
        sums = sorted((_sum(e.parts, name) for name in columns), key=lambda p: -abs(p.value))[:MOST]
        out.append(_bars(page, e, page.say.t("What each input added to the answer"), [(page.called(p.factor), p) for p in sums]))
    for name in columns:
        parts = sorted((p for p in e.parts if p.column == name), key=lambda p: p.place)
        if parts:
            out.append(_drawn(page, e, name, parts, several=len(columns) > 1))
    return out


def without(page: Page, found: Removal) -> Section:
    """The least that changes the decision when it is taken away, or that nothing was found."""
    say = page.say
    title = say.t("The least that changes the decision")
    if found.state == "impossible":
        return Section(title, notes=[clean(render(found.why, page.lang))] if found.why else [])
    if found.state == "none" or found.decision is None:
        told = say.t(
            "Nothing that was taken away changed the decision: {n:count} parts, {asked:count} rows asked about.",
            n=found.of,
            asked=found.asked,
        )
        return Section(title, lines=[told])
    lines = [
        say.t("Taken away: {what}.", what=_named(page, found.parts)),
        say.t("The decision would then be: {label}.", label=page.label(found.decision.label)),
        *page.lead_of(found.decision),
    ]
    notes = [say.t("It was asked again with exactly this.")]
    if len(found.parts) > 1 and found.proven:
        notes.append(say.t("No smaller set of the {n:count} parts does so: every one was tried.", n=found.of))
    elif len(found.parts) > 1:
        notes.append(say.t("Found by taking away one part after the other; none of these can be put back, but a smaller set of the {n:count} parts may do so too.", n=found.of))  # fmt: skip
    if found.start is not None and any(p.kind != "word" for p in found.parts):
        notes.append(say.t("In its place stands: {start}.", start=render(found.start, page.lang)))
    if len(found.after) < len(page.d.inputs):
        notes.append(say.t("The other inputs stayed as they are."))
    after = [
        {"label": say.t("{name}, then", name=page.called(i.column)), "detail": page.shown(i), "picture": picture(i)} for i in found.after
    ]
    return Section(title, lines=lines, after=after, notes=notes)


def _named(page: Page, parts: Sequence[Place]) -> str:
    """Parts of a row by what they are, in words."""
    said = []
    for kind, template in WITHOUT.items():
        names = [clean(p.factor, 60).strip() for p in parts if p.kind == kind]
        if names:
            said.append(page.say.t(template, names=page.say.list(page.say.t("“{word}”", word=n) if kind == "word" else n for n in names)))
    return page.say.list(said)


def _sum(parts: Sequence[Part], name: str) -> Part:
    """What all parts of an input added together; without an interval, as those of its parts say nothing of their sum."""
    own = [p for p in parts if name in (p.column, p.factor if p.column is None else None)]
    if len(own) == 1 and own[0].column is None:
        return own[0]
    value = sum(p.value for p in own)
    return Part(factor=name, value=value, low=value, high=value)


def _drawn(page: Page, e: Explanation, name: str, parts: Sequence[Part], *, several: bool) -> Chart:
    kind = parts[0].kind or "word"
    title = page.say.t(TITLES[kind])
    if several:
        title = page.say.pair(page.called(name), title)
    values, labels = [page.sign(e) * p.value for p in parts], [clean(p.factor, 60).strip() for p in parts]
    if kind == "word":
        return _chart(page, title, labels, values, marked([p.factor for p in parts], values))
    if kind == "region" and name in e.grids:
        down, across = e.grids[name]
        cells = [values[r * across : (r + 1) * across] for r in range(down)]
        rows, columns = [str(i + 1) for i in range(down)], [str(i + 1) for i in range(across)]
        shown = Heatmap(caption="", row_label="", column_label="", rows=rows, columns=columns, unit=e.unit, values=cells)
        return _chart(page, title, labels, values, charts.heatmap(shown, ("", "")))
    if kind == "field":
        return _bars(page, e, title, [(clean(p.factor, 60), p) for p in sorted(parts, key=lambda p: -abs(p.value))[:MOST]])
    least = sorted((abs(p.value) for p in parts), reverse=True)[:MOST_IN_ORDER][-1]
    kept = [p for p in (parts[::-1] if kind == "event" else parts) if abs(p.value) >= least][:MOST_IN_ORDER]
    return _bars(page, e, title, [(clean(p.factor, 60), p) for p in kept])


def _bars(page: Page, e: Explanation, title: str, parts: Sequence[tuple[str, Part]]) -> Chart:
    """Bars with whiskers where there are intervals, in this order."""
    sign = page.sign(e)
    ends = [sorted((sign * p.low, sign * p.high)) for _, p in parts]
    labels = charts.unique([name[:60] for name, _ in parts])
    values = [sign * p.value for _, p in parts]
    shown = Attribution(caption="", unit=e.unit, features=labels, values=values, low=[a for a, _ in ends], high=[b for _, b in ends])
    return _chart(page, title, labels, values, charts.attribution(shown, page.unit(e), len(parts)))


def _chart(page: Page, title: str, labels: Sequence[str], values: Sequence[float], spec: Spec) -> Chart:
    said = page.say.join([f"{name} {number(v, 'signed')}" for name, v in zip(labels, values, strict=True)])
    return Chart(title, "", said, spec, "explanation.parts")
