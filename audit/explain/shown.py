"""What explanations of rows that are no table say of all of them together, without showing a row (decisions.md 22): words that many texts share,
regions and stretches, events counted from the last, fields. What fewer rows than the smallest group have is withheld."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.explain.gap import METHODS, believed, nothing_explained, with_caveats
from audit.explain.pieces import Events, Fields, Piece, Regions, Single, Words
from audit.explain.runner_up import runner_up
from audit.measure import rate, value
from audit.measurement import Attribution, Column, Heatmap, Measurement, Message, Table
from audit.stats.losses import mean_loss, mean_size
from audit.text import message, who

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.of_pieces import Seen
    from audit.measurement import Estimate, Evidence

    Floats = NDArray[np.float64]

#: Words shown, those with the largest mean attribution; regions named.
SHOWN_WORDS, MOST_REGIONS = 20, 10
#: How the parts of an input are called in a slice.
SLICES = {
    "Words": "(word)",
    "Regions": "(region)",
    "Stretches": "(stretch)",
    "Events": "(event)",
    "Fields": "(field)",
    "Single": "(feature)",
}
HOW = "{first} ({method}; explained: {target}, against {start}; {n:count} rows; unit: {unit})."
MOVE_MOST = {
    "Words": "The words that move the answers most: {names}",
    "Regions": "The regions of the picture that move the answers most, as row and column from the top left: {names}",
    "Stretches": "The stretches of the recording that move the answers most: {names}",
    "Events": "The events that move the answers most, where t is the last: {names}",
    "Fields": "The fields of the events that move the answers most: {names}",
    "Single": "The inputs that move the answers most: {names}",
}
BY = {"Events": "Mean size of attributions by event", "Fields": "Mean size of attributions by field of the events"}
STRONGEST = {
    "Events": "Of the events, the strongest reason is most often {name}: in {share:percent} of {n:count} rows.",
    "Fields": "Of the fields of all events, the strongest reason is most often {name}: in {share:percent} of {n:count} rows.",
    "Single": "The strongest reason is most often {name}: in {share:percent} of {n:count} rows.",
}
NONE = "Nothing could be shown that at least {least:count} rows share"
#: What stands in for what is switched off.
STARTS = {
    "Words": "the text without its words",
    "Regions": "the mean background picture",
    "Pictures": "background pictures",
    "Stretches": "silence",
    "Events": "no events",
    "Fields": "the usual value of each field",
    "Single": "background rows, and the text without its words",
    "Usual": "the usual value of each column, and the text without its words",
}


class Line(NamedTuple):
    """A part with its mean attribution over the rows that have it, or the mean of its size."""

    name: str
    metric: str
    estimate: Estimate


def overall(ctx: Context, seen: Seen) -> Iterator[Measurement | Message]:
    """Mean attributions by part, their pictures, the completeness gap, and one sentence."""
    found, parts = seen.explained, seen.pieces
    if not len(found.values):
        yield from nothing_explained("mean_abs_attribution", [found])
        return
    named: list[Line] = []
    if len(parts.inputs) > 1:
        named = sorted(_by_input(ctx, seen), key=lambda line: -line.estimate.value)
        yield from _measured(named, "(feature)", seen.where, [_bars("Mean size of attributions", found.unit, named)])
    for piece, places in parts.divided():
        if isinstance(piece, Single):
            continue
        lines, pictures = _lines(ctx, seen, piece, places)
        named = named or sorted(lines, key=lambda line: -abs(line.estimate.value))
        yield from _measured(lines, SLICES[type(piece).__name__], seen.where, pictures)
    for measured in believed(ctx, [found]):
        yield measured.model_copy(update={"computed_in": seen.where})
    if named and not np.any(found.values):
        yield _with_notes(message("No input can be named: every attribution of these {n:count} rows is 0.", n=len(found.values)), seen)
        return
    yield _sentence(ctx, seen, [line.name for line in named[:3] if line.estimate.value != 0])


def _sentence(ctx: Context, seen: Seen, names: list[str]) -> Message:
    found, parts = seen.explained, seen.pieces
    kind = "Single" if len(parts.inputs) > 1 else type(parts.inputs[0]).__name__
    first = message(MOVE_MOST[kind], names=names) if names else message(NONE, least=ctx.plan.disclosure.min_group_size)
    own = ctx.settled.task != "regression" and ctx.settled.positive is None
    start = {
        "Single": "Usual" if found.method == "integrated_gradients" else kind,
        "Regions": "Pictures" if found.method == "deep_shap" else kind,
    }
    target = message("each row's own answer") if own else message("the quantity")
    if ctx.settled.positive is not None:
        target = message("class {value}", value=ctx.settled.positive)
    said = message(
        HOW, first=first, method=message(METHODS[found.method]), target=target,
        start=message(STARTS[start.get(kind, kind)]), n=len(found.values), unit=message(found.unit),
    )  # fmt: skip
    return _with_notes(said, seen)


def _with_notes(said: Message, seen: Seen) -> Message:
    if seen.instead is not None:
        said = message("{first} {rest}", first=said, rest=seen.instead)
    return with_caveats(said, [seen.explained])


def _measured(lines: list[Line], slice_: str, where: str, pictures: Sequence[Evidence]) -> Iterator[Measurement]:
    for place, line in enumerate(lines):
        shown = pictures if place == 0 else []
        yield value(line.metric, line.estimate, slice_={slice_: line.name}, evidence=shown).model_copy(update={"computed_in": where})


def _by_input(ctx: Context, seen: Seen) -> Iterator[Line]:
    """The size of what all parts of an input together move, over all rows."""
    for piece, places in seen.pieces.divided():
        size = np.abs(seen.explained.values[:, places].sum(axis=1))
        yield Line(piece.name, "mean_abs_attribution", mean_size(size, level=ctx.level("mean_abs_attribution")))


def _lines(ctx: Context, seen: Seen, piece: Piece, places: slice) -> tuple[list[Line], Sequence[Evidence]]:
    """What is said of one input, and its pictures."""
    found = seen.explained
    values, present = found.values[:, places], seen.present[:, places]
    if isinstance(piece, Words):
        return _of_words(ctx, piece, values, found.unit)
    level, least = ctx.level("mean_abs_attribution"), ctx.plan.disclosure.min_group_size
    shared = [j for j in range(values.shape[1]) if present[:, j].sum() >= least]
    lines = [Line(piece.places[j], "mean_abs_attribution", mean_size(np.abs(values[present[:, j], j]), level=level)) for j in shared]
    if isinstance(piece, Regions):
        lines = sorted(lines, key=lambda line: -line.estimate.value)[:MOST_REGIONS]
        return lines, _maps(piece, np.abs(values), found.unit) if shared else []
    if isinstance(piece, Fields):
        lines.sort(key=lambda line: -line.estimate.value)
    return lines, [_bars(BY.get(type(piece).__name__, "Mean size of attributions"), found.unit, lines)] if lines else []


def _of_words(ctx: Context, piece: Words, values: Floats, unit: str) -> tuple[list[Line], Sequence[Evidence]]:
    """Words that enough texts share, with the mean of what they move where they occur; a word twice in a text counts with its sum."""
    by_word: dict[str, list[float]] = {}
    for row, moved in enumerate(values):
        own: dict[str, float] = {}
        for text, amount in zip(piece.of(row), moved.tolist(), strict=False):
            word = text.strip().lower()
            own[word] = own.get(word, 0.0) + amount
        for word, amount in own.items():
            by_word.setdefault(word, []).append(amount)
    level = ctx.level("mean_attribution")
    least = max(2, ctx.plan.disclosure.min_group_size)
    shared = {w: np.array(v) for w, v in by_word.items() if len(v) >= least and any(map(str.isalnum, w))}
    lines = [Line(word, "mean_attribution", mean_loss(moved, level=level)) for word, moved in shared.items()]
    lines = sorted(lines, key=lambda line: (-abs(line.estimate.value), line.name))[:SHOWN_WORDS]
    if not lines:
        return [], []
    columns = [
        Column(name="word", label="word"), Column(name="texts", label="texts with it", kind="integer"),
        Column(name="mean", label="mean attribution", kind="number"), Column(name="size", label="mean size", kind="number"),
    ]  # fmt: skip
    cells: list[list[str | int | float | None]] = [
        [line.name, line.estimate.n, line.estimate.value, float(np.abs(shared[line.name]).mean())] for line in lines
    ]
    table = Table(caption="Words that texts share, and what they move", columns=columns, rows=cells)
    return lines, [_bars("Mean attribution of words, where they occur", unit, lines), table]


def _bars(caption: str, unit: str, lines: list[Line]) -> Attribution:
    return Attribution(
        caption=caption, unit=unit, features=[line.name for line in lines], values=[line.estimate.value for line in lines],
        low=[line.estimate.low for line in lines], high=[line.estimate.high for line in lines],
    )  # fmt: skip


def _maps(piece: Regions, size: Floats, unit: str) -> list[Evidence]:
    """Where the model looks, and beside it the mean background picture in the same grid: no row is shown."""
    down, across = piece.grid
    area = np.bincount(piece.region, minlength=down * across)
    looks = np.bincount(piece.region, weights=piece.mean.astype(np.float64), minlength=down * across) / area

    def drawn(caption: str, unit: str, cells: Floats) -> Heatmap:
        rows, columns = [str(i + 1) for i in range(down)], [str(i + 1) for i in range(across)]
        shape = cells.reshape(down, across).tolist()
        return Heatmap(caption=caption, row_label="", column_label="", rows=rows, columns=columns, unit=unit, values=shape)

    return [
        drawn("Mean size of attributions by region of the picture", unit, size.mean(axis=0)),
        drawn("The mean background picture, by region", "brightness", looks),
    ]


def differences(ctx: Context, seen: Seen) -> Iterator[Measurement | Message]:
    """How often each part is a row's strongest reason, and the completeness gap."""
    found = seen.explained
    size, names, kinds = _comparable(seen)
    with_parts = np.flatnonzero(seen.present.any(axis=1))
    if not len(with_parts):
        yield from nothing_explained("top_reason_share", [found])
        return
    wins = np.bincount(size[with_parts].argmax(axis=1), minlength=size.shape[1])
    least = ctx.plan.disclosure.min_group_size
    shown = [j for j in sorted(range(len(wins)), key=lambda j: (-int(wins[j]), j)) if wins[j] >= least][:MOST_REGIONS]
    for j in shown:
        share = rate(ctx, "top_reason_share", int(wins[j]), len(with_parts), slice_={kinds[j]: names[j]})
        yield share.model_copy(update={"computed_in": seen.where})
    led = list(runner_up(ctx, seen))
    yield from led
    for measured in believed(ctx, [found]):
        yield measured.model_copy(update={"computed_in": seen.where})
    if shown:
        inputs = seen.pieces.inputs
        kind = type(inputs[0]).__name__ if len(inputs) == 1 and isinstance(inputs[0], Events | Fields) else "Single"
        said = message(
            STRONGEST[kind],
            name=who({kinds[shown[0]]: names[shown[0]]}), share=int(wins[shown[0]]) / len(with_parts), n=len(with_parts),
        )  # fmt: skip
    else:
        said = message("No part is the strongest reason in {least:count} of {n:count} rows or more.", least=least, n=len(with_parts))
    for lead in (measured.estimate.value for measured in led if measured.estimate is not None):
        more = message(
            "The answered class leads over the runner-up by {lead:number} on average (unit: {unit}); the map shows where pictures speak for the runner-up.",
            lead=lead, unit=message(found.unit),
        )  # fmt: skip
        said = message("{first} {rest}", first=said, rest=more)
    yield _with_notes(said, seen)


def _comparable(seen: Seen) -> tuple[Floats, list[str], list[str]]:
    """Sizes (n, d) of parts that mean the same in all rows, their names and how a slice calls them: where there are several inputs each is one
    part, and words alone are told apart by their number."""
    sizes, names, kinds = [], [], []
    for piece, places in seen.pieces.divided():
        own = seen.explained.values[:, places]
        if len(seen.pieces.inputs) > 1:
            sizes.append(np.abs(own.sum(axis=1, keepdims=True)))
            names.append(piece.name)
            kinds.append("(feature)")
        else:
            sizes.append(np.abs(own))
            names += piece.places
            kinds += ["(word number)" if isinstance(piece, Words) else SLICES[type(piece).__name__]] * len(piece.places)
    return np.concatenate(sizes, axis=1), names, kinds


def one_sentence(told: Iterable[Measurement | Message]) -> Iterator[Measurement | Message]:
    """The measurements of several accounts, the worse of two of the same metric and slice, and last their sentences as one."""
    said: Message | None = None
    found: dict[tuple[str, str], Measurement] = {}
    for one in told:
        if isinstance(one, Message):
            said = one if said is None else message("{first} {rest}", first=said, rest=one)
        else:
            key = (one.metric, str(one.slice))
            if key not in found or _at(one) > _at(found[key]):
                found[key] = one
    yield from found.values()
    assert said is not None, "every account ends with a sentence"
    yield said


def _at(measured: Measurement) -> float:
    return -np.inf if measured.estimate is None else measured.estimate.value
