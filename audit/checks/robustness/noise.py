"""How much worse the model gets when inputs are noisy, missing or mistaken, overall and for each group."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.flips import Asked
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice
    from audit.stress.disturbed import Disturber, Kind
    from audit.stress.undisturbed import Lost, Undisturbed

CLEAN = {"(rows)": "(clean)"}
#: The severity whose loss is held against the criterion.
JUDGED = 2
EVERYBODY = "everybody"
COLUMNS = {"noise": "(noise)", "missing": "(missing)", "swapped": "(swapped)"}
CAPTIONS = {
    "noise": "Noise of 0.1 to 1 standard deviation on every measured number",
    "missing": "Each value missing with a chance of 5 % to 50 %",
    "swapped": "Each category swapped for another with a chance of 1 % to 10 %",
}
CURVES = {
    "noise": "Change by severity of noise",
    "missing": "Change by severity of missing values",
    "swapped": "Change by severity of swapped categories",
}
TOLD = {
    "noise": "noise of a quarter of a standard deviation on every measured number",
    "missing": "a tenth of all values missing",
    "swapped": "2.5 % of all categories swapped",
}
KINDS = {"noise": "noise", "missing": "missing values", "swapped": "swapped categories"}
WORDS = {"accuracy": "accuracy", "r2": "share of the variation explained (R²)"}


@check(
    "robustness.noise",
    title="Noisy, missing and mistaken inputs",
    meaning=(
        "Sampled rows are disturbed and the model is asked again: normal noise on every measured number, values that are missing, categories swapped for others, each at five severities; "
        "whole numbers stay whole and no value leaves the range that occurs. Shown is how much the accuracy (of a quantity: R²) changes against the same rows undisturbed, and how many decisions "
        "change, for everybody and for each group. Severity 2 is held against the limit."
    ),
    limits=(
        "Noise is drawn for each input by itself, which life rarely does: errors that go together can harm more or less. How much noise the data already hold is not known. What the severities mean "
        "is a convention. A model that bears this can still be misled by changes that somebody chooses. The worst group is picked as the largest loss of several and so looks worse than it is."
    ),
    unit="difference of accuracy or R²; share of decisions",
    direction="target",
    needs=["model", "features", "table"],
    references=["Hendrycks and Dietterich 2019", "Tango 1998", "Wilson 1927"],
    probing=True,
)  # fmt: skip
def noise(
    ctx: Context, *, rows: Annotated[int, Field(ge=1)] = 2000, budget: Annotated[int, Field(ge=20)] = 5_000_000
) -> Iterable[Measurement | Message]:
    """Accuracy and decisions over five severities of three kinds of disturbance, against the undisturbed rows."""
    import numpy as np

    from audit.columns import rules
    from audit.measure import rate, undefined
    from audit.stress.disturbed import AMOUNTS, SEVERITIES, Disturber
    from audit.stress.undisturbed import Lost, undisturbed
    from audit.subject.frame import take
    from audit.text import message

    sample = ctx.sample(max(2, min(rows, ctx.plan.audit.sample, budget // (2 + len(AMOUNTS) * len(SEVERITIES)))))
    defined = np.flatnonzero(np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0)
    if not len(defined):
        yield message("No sampled row has a usable prediction, so nothing could be changed.")
        return
    if ctx.facts.decision.kind == "column":
        yield message("The decisions are a column of the data and not the model's, so they cannot be had for disturbed rows.")
        return
    frame = take(sample.frame, defined)
    groups = {name: codes[defined] for name, codes in sample.groups.items()}
    clean = undisturbed(ctx, frame, None if sample.y is None else sample.y[defined], groups)
    if (repeated := clean.moved(clean.again)) is not None:
        yield rate(ctx, "repeat_rate", int(repeated.sum()), len(defined), what="rows with a usable prediction")
    disturber = Disturber(frame, rules(ctx.facts.roles.columns), ctx.rng)
    told: list[Told] = []
    without: list[Kind] = []
    gone = False
    for kind in (k for k in AMOUNTS if disturber.touches(k)):
        if gone:
            why = message("Not tried: the model has answered nothing since an earlier disturbance.")
            yield undefined(clean.metric, why, slice_={COLUMNS[kind]: str(JUDGED)}, against=CLEAN, compare="difference")
            without.append(kind)
            continue
        found = yield from _kind(ctx, kind, disturber, clean)
        if not isinstance(found, Lost):
            told += found
            continue
        if found.gone is not None and not told:
            raise found.gone
        gone = found.gone is not None
        without.append(kind)
    yield _summary(told, clean.metric, without)


class Told(NamedTuple):
    """What one kind did at the judged severity: to whom, the change (None where no outcome is known), the share of decisions that changed."""

    kind: Kind
    slice: Slice
    change: Estimate | None
    decisions: float | None


def _kind(ctx: Context, kind: Kind, disturber: Disturber, clean: Undisturbed) -> Generator[Measurement, None, list[Told] | Lost]:
    """One kind of disturbance at every severity; hands back what is to be said of it, or why nothing is."""
    from audit.measure import rate, undefined
    from audit.measurement import Measurement
    from audit.stress.disturbed import SEVERITIES
    from audit.stress.undisturbed import Lost, ask_disturbed

    at, answers = {COLUMNS[kind]: str(JUDGED)}, [clean.again]
    for severity in SEVERITIES:
        asked = ask_disturbed(ctx, clean, disturber.at(kind, severity), severity)
        if isinstance(asked, Lost):
            yield undefined(clean.metric, asked.reason, slice_=at, against=CLEAN, compare="difference")
            return asked
        answers.append(asked)
    judged, told = answers[JUDGED], []
    moved, evidence = clean.moved(judged), [_table(kind, clean, answers), *_curve(ctx, kind, clean, answers)]
    for slice_, inside in clean.slices:
        share, change = None if moved is None else float(moved[inside].mean()), clean.change(judged, inside)
        made = []
        if change is not None:
            made.append(Measurement(metric=clean.metric, compare="difference", slice=slice_ | at, against=CLEAN, estimate=change))
        if moved is not None:
            made.append(rate(ctx, "changed_decisions", int(moved[inside].sum()), int(inside.sum()), slice_=slice_ | at))
        for m in made:
            yield m.model_copy(update={"evidence": evidence})
            evidence = []
        told.append(Told(kind, slice_, change, share))
    return told


def _table(kind: Kind, clean: Undisturbed, answers: list[Asked]) -> Evidence:
    """Every severity with what it does to everybody, and to the group that loses most."""
    import numpy as np

    from audit.measurement import Cell, Column, Table
    from audit.stress.disturbed import AMOUNTS
    from audit.text import message, render, who

    lines: list[list[Cell]] = []
    for severity, asked in enumerate(answers):
        change, moved = clean.change(asked, clean.slices[0][1]), clean.moved(asked)
        groups = [(c.value, slice_) for slice_, inside in clean.large if (c := clean.change(asked, inside)) is not None]
        worst = min(groups, key=lambda pair: pair[0]) if groups and severity else None
        lines.append(
            [
                severity, AMOUNTS[kind][severity - 1] if severity else 0.0, None if moved is None else float(np.mean(moved)), clean.accuracy(asked),
                *((change.value, change.low, change.high) if change else (None, None, None)),
                render(who(worst[1])) if worst else None, worst[0] if worst else None,
            ]
        )  # fmt: skip
    noisy = kind == "noise"
    columns = [
        Column(name="severity", label="severity", kind="number"),
        Column(name="amount", label="standard deviations", kind="number") if noisy else Column(name="amount", label="share of values", kind="percent"),
        Column(name="changed", label="decisions changed", kind="percent"), Column(name="accuracy", label="accuracy", kind="percent"),
        Column(name="change", label="change in points", kind="points"), Column(name="low", label="at least", kind="points"),
        Column(name="high", label="at most", kind="points"), Column(name="worst", label="group that loses most"),
        Column(name="worst_change", label="its change in points", kind="points"),
    ]  # fmt: skip
    kept = [i for i in range(len(columns)) if any(line[i] is not None for line in lines)]
    caption = message(CAPTIONS[kind])
    return Table(
        caption=CAPTIONS[kind], caption_msg=caption, columns=[columns[i] for i in kept], rows=[[line[i] for i in kept] for line in lines]
    )


def _curve(ctx: Context, kind: Kind, clean: Undisturbed, answers: list[Asked]) -> list[Evidence]:
    """The change over severities with its interval: everybody, and the groups with rows enough."""
    from audit.measurement import Curve, Series
    from audit.text import message, render, who

    lines = []
    for slice_, inside in [clean.slices[0], *clean.large][:6]:
        found = [c for asked in answers if (c := clean.change(asked, inside)) is not None]
        if len(found) == len(answers):
            lines.append(
                Series(
                    name=render(who(slice_)) if slice_ else EVERYBODY, x=[float(s) for s in range(len(answers))], y=[c.value for c in found],
                    low=[c.low for c in found], high=[c.high for c in found], n=[c.n for c in found],
                )
            )  # fmt: skip
    if not lines:
        return []
    label = "change of R² in points" if clean.metric == "r2" else "change of the accuracy in points"
    caption = message(CURVES[kind])
    return [
        Curve(
            name="severity", caption=CURVES[kind], caption_msg=caption, x_label="severity", y_label=label, y_kind="points",
            current=float(JUDGED), series=lines,
        )
    ]  # fmt: skip


def _summary(told: list[Told], metric: str, without: list[Kind]) -> Message:
    """The kind that costs most at the judged severity and the group that it costs most, and what is not known because the model did not answer."""
    from audit.text import message

    said = _most(told, metric)
    if not told or not without:
        return said
    names = [message(KINDS[kind]) for kind in without]
    return message("{said} Left out, because the model did not answer: {names}.", said=said, names=names)


def _most(told: list[Told], metric: str) -> Message:
    """The kind that costs most at the judged severity, and the group that it costs most."""
    from audit.stress.undisturbed import OF_GROUP
    from audit.text import message, who

    everybody = [t for t in told if not t.slice]
    if not everybody:
        return message("No input could be disturbed, or the model answers no disturbed row: see the reasons.")
    known = [(t.change.value, t.kind, t.change) for t in everybody if t.change is not None]
    if not known:
        most = max(everybody, key=lambda t: t.decisions or 0.0)
        what, share = message(TOLD[most.kind]), most.decisions or 0.0
        return message(
            "No outcome is known, so decisions alone are compared: {what} changes {share:percent} of them.", what=what, share=share
        )
    _, kind, change = min(known, key=lambda t: t[0])
    said = message(
        "Of what was tried at severity {severity:count}, {what} costs most: {metric} changes by {change:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
        severity=JUDGED, what=message(TOLD[kind]), metric=message(WORDS[metric]), change=change.value, low=change.low, high=change.high, level=change.level, n=change.n,
    )  # fmt: skip
    groups = [
        (t.change.value, t.slice, t.change) for t in told if t.slice and t.kind == kind and t.change is not None and t.change.n >= OF_GROUP
    ]
    if not groups:
        return said
    _, slice_, own = min(groups, key=lambda t: t[0])
    return message(
        "{said} Of the groups it costs {who} most: {change:points} points ({low:points} to {high:points}).", said=said, who=who(slice_), change=own.value, low=own.low, high=own.high,
    )  # fmt: skip
