"""What would change a decision, on the page of the person concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.explain.document import Way
from audit.text import render
from reports.sections import Section
from reports.showing import shares
from reports.speaker import clean

if TYPE_CHECKING:
    from reports.person import Page


def ways(page: Page) -> Section | None:
    """What would change the decision, or that nothing does and which limit stands against it."""
    found, say = page.d.recourse, page.say
    if found is None:
        return None
    title = say.t("What would change the decision")
    if found.state in ("not_needed", "impossible") and found.why is not None:
        return Section(title, lines=[clean(render(found.why, page.lang))])
    if found.state == "none":
        lines = [say.t("Nothing that may change was found that would change this decision.")]
        if found.binding:
            lines.append(
                say.t("What stands against it: {names}. Any one of them would open a way if it could change.", names=say.list(page.called(n) for n in found.binding))
            )  # fmt: skip
        elif found.unlimited:
            lines.append(say.t("No single limit stands against it; several together do."))
        else:
            lines.append(say.t("Not even without the declared limits was a way found."))
        return Section(title, lines=lines, notes=_fixed(page))
    tables = [_way(page, way, i, len(found.ways)) for i, way in enumerate(found.ways)]
    lines = [
        say.t(
            "With these values, and everything else as it is, the model would give the other decision. It was asked again with exactly these values."
        )
    ]
    notes = [
        say.t("Each way ends just where the decision turns: with a little less it no longer holds."),
        say.t("This is no promise. It holds for this version of the model, until {date} at the latest, and whoever decides may weigh other things.", date=page.d.valid_until),
        say.t("Only what follows from others by definition moved along; in life more moves together. Found by search: an easier way may exist.")
        if any(c.along for way in found.ways for c in way.changes)
        else say.t("Inputs were changed one by one; in life they move together. Found by search: an easier way may exist."),
        *_fixed(page),
    ]  # fmt: skip
    return Section(title, lines=lines, tables=tables, notes=notes)


def _fixed(page: Page) -> list[str]:
    fixed = page.d.recourse.fixed if page.d.recourse else ()
    return [page.say.t("Taken as unchangeable: {names}.", names=page.say.list(page.called(n) for n in fixed))] if fixed else []


def _way(page: Page, way: Way, place: int, n: int) -> dict[str, Any]:
    say = page.say
    rows = [
        {
            "what": say.t("{name} (moves along)", name=page.called(c.column)) if c.along else page.called(c.column),
            "before": page.written(c.column, c.before),
            "after": page.written(c.column, c.after),
        }
        for c in way.changes
    ]
    notes = []
    if way.score is not None and page.d.decision.cutoff is not None:
        score, cutoff = shares(way.score, page.d.decision.cutoff, least=2)
        notes.append(say.t("The score would be {score}; {cutoff} is needed.", score=score, cutoff=cutoff))
    if not way.plausible:
        notes.append(say.t("Few people in the data are like this, so it may be hard to reach."))
    caption = say.t("One way") if n == 1 else say.t("Way {k} of {n}", k=place + 1, n=n)
    return {"caption": caption, "rows": rows, "note": say.sentences(notes)}
