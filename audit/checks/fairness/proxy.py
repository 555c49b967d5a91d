"""Groups that are known only by a probability: two estimates that err in opposite directions, and what no assumption can exceed."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "fairness.proxy",
    title="Groups that are known only by a probability",
    meaning=(
        "Where nobody recorded who belongs to a group and a column gives each row's probability of belonging (from names and places, say): the difference of selection rates between the group and everybody else, three times. Rows sorted by a "
        "cutoff on that probability, which usually exaggerates; rows counted in both groups by their probability, which usually understates; and the least and the largest difference that any membership with these probabilities could have."
    ),
    limits=(
        "All of it stands on the probabilities being right for these people; those made for another population are not. Between the bounds nothing is established, so nothing here is judged. Which of the two estimates is nearer the truth depends on what "
        "the probability does not know: if membership is tied to the decision beyond it, either can be off in either direction."
    ),
    unit="difference of shares",
    direction="target",
    needs=["favourable", "columns"],
    lists=["probability"],
    references=["Chen, Kallus, Mao, Svacha and Udell 2019", "Kallus, Mao and Zhou 2022", "Fréchet 1951"],
    reported_only=["thresholded_difference", "probability_weighted_difference", "possible_difference"],
)  # fmt: skip
def proxy(
    ctx: Context,
    *,
    probability: list[str] | None = None,
    cutoff: Annotated[float, Field(ge=0.5, lt=1)] = 0.8,
    bins: Annotated[int, Field(ge=1, le=1000)] = 20,
    draws: Annotated[int, Field(ge=200, le=100_000)] = 2000,
) -> Iterable[Measurement | Message]:
    """For each column of probabilities: thresholded, weighted and bounded differences of selection rates."""
    from audit.text import message

    said: list[Message] = []
    for name in probability or []:
        found = yield from _column(ctx, name, cutoff, bins, draws)
        said += [found] if found is not None else []
    yield message("{parts}", parts=said) if said else message("No column of probabilities could be used.")


def _column(ctx: Context, name: str, cutoff: float, bins: int, draws: int) -> Generator[Measurement, None, Message | None]:
    """One column; hands back what is to be said of it."""

    from audit.measure import undefined, value
    from audit.stats.compare import newcombe
    from audit.stats.proxies import bounds, weighted_difference
    from audit.text import message

    at = {"(column)": name}
    p, chosen = _read(ctx, name)
    if not len(p):
        reason = message("The column holds no probabilities, which are numbers from 0 to 1.")
        yield undefined("probability_weighted_difference", reason, slice_=at)
        return None
    inside, outside = p >= cutoff, p <= 1 - cutoff
    counts = (int(chosen[inside].sum()), int(inside.sum()), int(chosen[outside].sum()), int(outside.sum()))
    sorted_ = newcombe(*counts, level=ctx.level("thresholded_difference"))
    yield value(
        "thresholded_difference", sorted_, slice_=at, reason=message("No row is so surely in the group, or none so surely outside.")
    )
    spread = weighted_difference(p, chosen, level=ctx.level("probability_weighted_difference"))
    yield value("probability_weighted_difference", spread, slice_=at, reason=message("The probabilities put everybody in one group."))
    possible = bounds(p, chosen, bins=bins, level=ctx.level("possible_difference"), draws=draws, rng=ctx.rng(f"proxy/{name}"))
    yield value("possible_difference", possible, slice_=at, reason=message("The probabilities put everybody in one group."))
    if spread is None or possible is None:
        return None
    if sorted_ is None:
        return message(
            "{column}: counted by probability, the group's selection rate differs from that of everybody else by {weighted:points} points; by what is known, anything from {low:points} to {high:points} points is possible.",
            column=name, weighted=spread.value, low=possible.low, high=possible.high,
        )  # fmt: skip
    return message(
        "{column}: the group's selection rate differs from that of everybody else by {sorted:points} points among rows sorted at a probability of {cutoff:percent}, by {weighted:points} counted by probability; "
        "by what is known, anything from {low:points} to {high:points} points is possible.",
        column=name, sorted=sorted_.value, cutoff=cutoff, weighted=spread.value, low=possible.low, high=possible.high,
    )  # fmt: skip


def _read(ctx: Context, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The probability of each row that has one and a usable prediction, and whether it was selected; nothing where a number is no probability."""
    import numpy as np

    dataset, selection = ctx.dataset, ctx.scored.selection
    assert selection is not None, "a check that needs selection declares it"
    if not dataset.is_number(name):
        return np.zeros(0), np.zeros(0, bool)
    parts = [b.column(0).to_numpy(zero_copy_only=False) for b in dataset.stream({"p": f"CAST({dataset.number(name)} AS DOUBLE)"})]
    p = np.concatenate(parts).astype(np.float64)
    known = np.isfinite(p)
    if not known.any() or p[known].min() < 0 or p[known].max() > 1:
        return np.zeros(0), np.zeros(0, bool)
    kept = known & ctx.scored.predicted
    return p[kept], np.asarray(selection(ctx.scored.pred[kept]))
