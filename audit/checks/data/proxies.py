"""How well the model's inputs give membership in a group away, though membership itself may be no input."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Cell, Estimate, Evidence, Measurement, Message, Table
    from audit.prepare import Groups

#: Inputs that are listed one by one for each sensitive column; where there are more, all stand in a table.
MOST = 8
#: A group, and what is not of it, needs so many rows before a model is fitted to tell them apart.
ENOUGH = 50


@check(
    "data.proxies",
    title="Inputs that stand for a sensitive column",
    meaning=(
        "How strongly each input goes together with membership (Cramér's V without what chance adds: 0 is nothing, 1 gives it away), and how well a simple model of all other inputs together tells the "
        "members of a group from everybody else, on rows that it was not fitted on (ROC AUC: 0.5 is nothing, 1 is always). The same model fitted to shuffled membership is the control."
    ),
    limits=(
        "That inputs could reveal a group does not show that the audited model uses them so, and inputs that reveal it may be there for good reason. A richer model may find more: these figures are "
        "lower bounds. A sensitive column that is itself an input is left out of the inputs here."
    ),
    unit="Cramér's V, or ROC AUC",
    direction="none",
    needs=["sensitive", "features", "table"],
    references=["Bergsma 2013", "Steiger 2004", "LeDell, Petersen and van der Laan 2015", "Nadeau and Bengio 2003", "Feldman et al. 2015"],
)
def proxies(ctx: Context, *, rows: Annotated[int, Field(ge=100, le=1_000_000)] = 4000) -> Iterable[Measurement | Message]:
    """Single inputs and all together against each sensitive column, on at most `rows` rows."""
    from audit.fitted import coded_inputs
    from audit.rows import evaluation_rows
    from audit.text import message

    chosen = evaluation_rows(ctx, rows)
    inputs = coded_inputs(chosen.frame)
    said: list[Message] = []
    for i, group in enumerate(ctx.facts.groups):
        others = {name: codes for name, codes in inputs.items() if name.split("[")[0] != group.name}
        member = ctx.scored.group(i)[chosen.row]
        strongest = yield from _alone(ctx, group, member, others)
        best = yield from _together(ctx, group, member, others)
        said += [_said(group, strongest, best)] if strongest else []
    whole = said[0] if said else message("Nothing can be said of proxies on these rows.")
    for more in said[1:]:
        whole = message("{first} {second}", first=whole, second=more)
    yield whole


def _said(group: Groups, strongest: tuple[str, Estimate], best: tuple[dict[str, str], Estimate] | None) -> Message:
    from audit.text import message, who

    name, v = strongest
    if best is None:
        return message("The input that goes most with {column} is {name} (V {v:number}).", column=group.name, name=name, v=v.value)
    slice_, auc = best
    return message(
        "The input that goes most with {column} is {name} (V {v:number}); all inputs together tell {who} from everybody else with ROC AUC {auc:number} ({level:percent} interval {low:number} to {high:number}).",
        column=group.name, name=name, v=v.value, who=who(slice_), auc=auc.value, level=auc.level, low=auc.low, high=auc.high,
    )  # fmt: skip


def _alone(
    ctx: Context, group: Groups, member: NDArray[np.int16], inputs: dict[str, NDArray[np.int64]]
) -> Generator[Measurement, None, tuple[str, Estimate] | None]:
    """Cramér's V of each input with the column's known levels, the strongest first; returns the strongest."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import value
    from audit.stats.association import cramers_v

    size = len(group.levels)
    known = np.array([level != MISSING for level in group.levels])[member] if size else np.zeros(len(member), bool)
    found: dict[str, Estimate] = {}
    for name, codes in inputs.items():
        width = int(codes.max()) + 1 if len(codes) else 0
        counts = (
            np.bincount(codes[known] * size + member[known], minlength=width * size).reshape(-1, size) if width else np.zeros((1, 1), int)
        )
        estimate = cramers_v(counts, level=ctx.level("cramers_v"))
        if estimate is not None:
            found[name] = estimate
    order = sorted(found, key=lambda name: (-found[name].value, name))
    shown: list[Evidence] = [_table(group.name, [(name, found[name]) for name in order])] if len(order) > MOST else []
    for place, name in enumerate(order[:MOST]):
        yield value("cramers_v", found[name], slice_={"(feature)": name, "(of)": group.name}, evidence=shown if place == 0 else [])
    return (order[0], found[order[0]]) if order else None


def _table(column: str, found: list[tuple[str, Estimate]]) -> Table:
    from audit.measurement import Column, Table
    from audit.text import message, render

    columns = [
        Column(name="feature", label="input"), Column(name="v", label="Cramér's V", kind="number"), Column(name="low", label="low", kind="number"),
        Column(name="high", label="high", kind="number"), Column(name="rows", label="rows", kind="integer"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [[name, e.value, e.low, e.high, e.n] for name, e in found]
    caption = message("How strongly each input goes with {column}", column=column)
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)


def _together(
    ctx: Context, group: Groups, member: NDArray[np.int16], inputs: dict[str, NDArray[np.int64]]
) -> Generator[Measurement, None, tuple[dict[str, str], Estimate] | None]:
    """All inputs against membership in each group, and against shuffled membership; returns the group that is told best."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import undefined, value
    from audit.text import message

    known = np.array([level != MISSING for level in group.levels])[member]
    codes, own = [c[known] for c in inputs.values() if len(np.unique(c[known])) > 1], member[known]
    levels = [(i, level) for i, level in enumerate(group.levels) if level != MISSING]
    if len(levels) == 2:  # telling one from the other is telling the other from the one
        levels = [(i, level) for i, level in levels if level != group.reference]
    best: tuple[dict[str, str], Estimate] | None = None
    for i, level in levels:
        slice_, y = {group.name: level}, (own == i).astype(np.int64)
        if min(int(y.sum()), int((1 - y).sum())) < ENOUGH or not codes:
            few = message(
                "Fewer than {enough:count} sampled rows are of this group, or fewer are of any other, or no input varies.", enough=ENOUGH
            )
            yield undefined("membership_auc", few, slice_=slice_)
            continue
        estimate = _auc(ctx, codes, y, f"{group.name}={level}")
        control = _auc(ctx, codes, ctx.rng(f"shuffle/{group.name}={level}").permutation(y), f"shuffled/{group.name}={level}")
        yield value("membership_auc", estimate, slice_=slice_)
        yield value("membership_auc", control, slice_=slice_ | {"(control)": "(shuffled)"})
        if estimate is not None and (best is None or estimate.value > best[1].value):
            best = slice_, estimate
    return best


def _auc(ctx: Context, codes: list[NDArray[np.int64]], y: NDArray[np.int64], name: str) -> Estimate | None:
    from audit.fitted import FOLDS, together_out_of_fold
    from audit.stats.association import balanced_folds
    from audit.stats.auc import auc_over_folds

    folds = balanced_folds(y, FOLDS, ctx.rng(f"folds/{name}"))
    return auc_over_folds(together_out_of_fold(codes, y, folds), y, folds, level=ctx.level("membership_auc"))
