"""How much worse the model gets when pictures, recordings or sequences do."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.features import FeatureSpec
    from audit.flips import Asked
    from audit.measurement import Cell, Estimate, Evidence, Measurement, Message, Slice
    from audit.stress.corruptions import Kind
    from audit.stress.pictures import Bounds
    from audit.stress.undisturbed import Undisturbed
    from audit.subject.frame import Frame

CLEAN = {"(rows)": "(clean)"}
#: The severity whose loss is held against the criterion.
JUDGED = 2
COLUMNS = {"noise": "(noise)", "blur": "(blur)", "jpeg": "(jpeg)", "contrast": "(contrast)"}
TOLD = {"noise": "noise", "blur": "blur", "jpeg": "JPEG compression", "contrast": "weak contrast"}


class Done(NamedTuple):
    """The answers to one kind of corruption, by severity from 0."""

    kind: Kind
    answers: list[Asked]


@check(
    "robustness.corruptions",
    title="Blurred, noisy and compressed inputs",
    meaning=(
        "Sampled pictures are blurred, compressed as JPEG, made noisy and robbed of contrast, each at the five severities of CIFAR-10-C, and the model is asked again; recordings and the numbers of sequences get noise "
        "of 0.1 to 1 standard deviation. Shown is how much the accuracy changes against the same rows undisturbed, for everybody and for each group, and the mean error over all kinds and severities. "
        "Severity 2 is held against the limit."
    ),
    limits=(
        "The severities are a convention for small photographs, and other pictures may lose more or less by them. Rain, other cameras and other scanners are not tried. A model that bears these can still be misled by "
        "changes that somebody chooses. The mean corruption error is not divided by that of a reference model, as published ones are. The worst group is picked as the largest loss of several and so looks worse than it is."
    ),
    unit="difference of accuracy; share of rows",
    direction="target",
    needs=["features", "signals"],
    references=["Hendrycks and Dietterich 2019", "Tango 1998"],
    probing=True,
)  # fmt: skip
def corruptions(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1)] = 500,
    bounds: list[float] | None = None,
    budget: Annotated[int, Field(ge=30)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Accuracy over kinds and severities against the undisturbed rows, and the mean error over all."""
    import numpy as np

    from audit.stress.corruptions import SEVERITIES, kinds
    from audit.stress.pictures import Bounds, between
    from audit.stress.undisturbed import undisturbed
    from audit.subject.frame import take
    from audit.text import message

    spec = next(f for f in ctx.facts.features if f.kind in ("image", "audio", "sequence"))
    if ctx.facts.decision.kind == "column":
        yield message("The decisions are a column of the data and not the model's, so they cannot be had for disturbed rows.")
        return
    sample = ctx.sample(max(2, min(rows, ctx.plan.audit.sample, budget // (2 + max(1, len(kinds(spec))) * len(SEVERITIES)))))
    defined = np.flatnonzero(np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0)
    if not len(defined) or not kinds(spec):
        yield message("No sampled row has a usable prediction, or its input holds no numbers, so nothing could be changed.")
        return
    frame = take(sample.frame, defined)
    x = np.asarray(frame[spec.name], dtype=np.float32)
    range_ = between(ctx, spec, x, bounds) if spec.kind == "image" else None
    if range_ is not None and not isinstance(range_, Bounds):
        yield range_
        return
    groups = {name: codes[defined] for name, codes in sample.groups.items()}
    clean = undisturbed(ctx, frame, None if sample.y is None else sample.y[defined], groups)
    done = []
    for kind in kinds(spec):
        asked = yield from _asked(ctx, clean, frame, x, spec, kind, range_)
        done += [] if asked is None else [Done(kind, asked)]
    yield from _measured(ctx, clean, done)
    yield _summary(clean, done)


def _asked(
    ctx: Context, clean: Undisturbed, frame: Frame, x: NDArray[np.float32], spec: FeatureSpec, kind: Kind, bounds: Bounds | None
) -> Generator[Measurement, None, list[Asked] | None]:
    """The answers at every severity, or why there are none."""
    from audit.measure import undefined
    from audit.stress.corruptions import SEVERITIES, corrupted
    from audit.stress.undisturbed import Lost, ask_disturbed

    answers = [clean.again]
    for severity in SEVERITIES:
        changed = corrupted(x, spec, kind, severity, bounds, ctx.rng(kind))
        asked = ask_disturbed(ctx, clean, {**frame, spec.name: changed}, severity)
        if isinstance(asked, Lost):
            if asked.gone is not None:
                raise asked.gone
            yield undefined(clean.metric, asked.reason, slice_={COLUMNS[kind]: str(JUDGED)}, against=CLEAN, compare="difference")
            return None
        answers.append(asked)
    return answers


def _measured(ctx: Context, clean: Undisturbed, done: list[Done]) -> Iterator[Measurement]:
    """The judged severity of each kind, and the mean error, for everybody and each group."""
    from audit.measure import rate
    from audit.measurement import Measurement

    evidence = [*_table(clean, done), *_curve(clean, done)] if done else []
    for one in done:
        at, moved = {COLUMNS[one.kind]: str(JUDGED)}, clean.moved(one.answers[JUDGED])
        for slice_, inside in clean.slices:
            change = clean.change(one.answers[JUDGED], inside)
            if change is not None:
                m = Measurement(
                    metric=clean.metric, compare="difference", slice=slice_ | at, against=slice_ | CLEAN, estimate=change, evidence=evidence
                )
                yield m
                evidence = []
            if moved is not None:
                m = rate(ctx, "changed_decisions", int(moved[inside].sum()), int(inside.sum()), slice_=slice_ | at)
                yield m.model_copy(update={"evidence": evidence})
                evidence = []
    yield from _mean_error(ctx, clean, done)


def _mean_error(ctx: Context, clean: Undisturbed, done: list[Done]) -> Iterator[Measurement]:
    """The share of wrong decisions over all kinds and severities, averaged by row."""
    import numpy as np

    from audit.measure import exact, value
    from audit.stats.losses import mean_loss

    if clean.y is None or clean.metric == "r2" or not done:
        return
    y, known = clean.y, clean.y >= 0
    answers = [a.decision for one in done for a in one.answers[1:] if a.decision is not None]
    wrong = np.mean([decision != y for decision in answers], axis=0)
    for slice_, inside in clean.slices:
        own = wrong[inside & known]
        if len(own):
            level = ctx.level("mean_corruption_error")
            found = mean_loss(own, level=level) if np.ptp(own) else exact(float(own[0]), len(own))
            kept = found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})
            yield value("mean_corruption_error", kept, slice_=slice_)


def _worst(clean: Undisturbed, asked: Asked) -> tuple[Slice, Estimate] | None:
    """The group with rows enough that loses most."""
    found = [(slice_, c) for slice_, inside in clean.large if (c := clean.change(asked, inside)) is not None]
    return min(found, key=lambda pair: pair[1].value) if found else None


def _table(clean: Undisturbed, done: list[Done]) -> list[Evidence]:
    import numpy as np

    from audit.measurement import Column, Table
    from audit.text import render, who

    lines: list[list[Cell]] = []
    for one in done:
        for severity, asked in enumerate(one.answers):
            change, moved, worst = clean.change(asked, clean.slices[0][1]), clean.moved(asked), _worst(clean, asked) if severity else None
            shown = (change.value, change.low, change.high) if change else (None, None, None)
            lines.append(
                [
                    TOLD[one.kind], severity, None if moved is None else float(np.mean(moved)), clean.accuracy(asked), *shown,
                    render(who(worst[0])) if worst else None, worst[1].value if worst else None,
                ]
            )  # fmt: skip
    columns = [
        Column(name="corruption", label="corruption"), Column(name="severity", label="severity", kind="integer"),
        Column(name="changed", label="decisions changed", kind="percent"), Column(name="accuracy", label="accuracy", kind="percent"),
        Column(name="change", label="change in points", kind="points"), Column(name="low", label="at least", kind="points"),
        Column(name="high", label="at most", kind="points"), Column(name="worst", label="group that loses most"),
        Column(name="worst_change", label="its change in points", kind="points"),
    ]  # fmt: skip
    kept = [i for i in range(len(columns)) if any(line[i] is not None for line in lines)]
    rows = [[line[i] for i in kept] for line in lines]
    return [Table(caption="Every kind of corruption at every severity", columns=[columns[i] for i in kept], rows=rows)]


def _curve(clean: Undisturbed, done: list[Done]) -> list[Evidence]:
    """The change over severities, a line for each kind."""
    from audit.measurement import Curve, Series

    lines = []
    for one in done:
        found = [c for asked in one.answers if (c := clean.change(asked, clean.slices[0][1])) is not None]
        if len(found) == len(one.answers):
            lines.append(
                Series(
                    name=TOLD[one.kind], x=[float(s) for s in range(len(found))], y=[c.value for c in found], low=[c.low for c in found],
                    high=[c.high for c in found], n=[c.n for c in found],
                )
            )  # fmt: skip
    if not lines:
        return []
    label = "change of R² in points" if clean.metric == "r2" else "change of the accuracy in points"
    return [
        Curve(name="corruption", caption="Change by kind and severity of corruption", x_label="severity", y_label=label, y_kind="points", series=lines)
    ]  # fmt: skip


def _summary(clean: Undisturbed, done: list[Done]) -> Message:
    """The kind that costs most at the judged severity, and the group that it costs most."""
    from audit.text import message, who

    if not done:
        return message("No input could be disturbed, or the model answers no disturbed row: see the reasons.")
    found = [(c, one) for one in done if (c := clean.change(one.answers[JUDGED], clean.slices[0][1])) is not None]
    if not found:
        return message("No outcome is known, so it is only shown how many decisions change when the inputs get worse.")
    change, one = min(found, key=lambda pair: pair[0].value)
    told: dict[str, object] = {
        "severity": JUDGED, "what": message(TOLD[one.kind]), "change": change.value, "low": change.low, "high": change.high, "level": change.level, "n": change.n,
    }  # fmt: skip
    if len(found) == 1:
        said = message(
            "Only {what} was tried: at severity {severity:count} the accuracy changes by {change:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
            **told,
        )
    else:
        said = message(
            "Of what was tried at severity {severity:count}, {what} costs most: the accuracy changes by {change:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} rows).",
            **told,
        )
    if (worst := _worst(clean, one.answers[JUDGED])) is None:
        return said
    if worst[1].value >= 0:
        return message("{said} No group with rows enough loses any.", said=said)
    return message(
        "{said} Of the groups it costs {who} most: {change:points} points ({low:points} to {high:points}).",
        said=said, who=who(worst[0]), change=worst[1].value, low=worst[1].low, high=worst[1].high,
    )  # fmt: skip
