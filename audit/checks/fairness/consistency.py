"""Whether people who are alike are decided on alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context, Sample
    from audit.measurement import Measurement, Message


@check(
    "fairness.consistency",
    title="People who are alike",
    meaning=(
        "Each of one half of the sampled rows is held against its nearest neighbours in the other half, by all inputs but the sensitive ones: consistency is 1 less the mean distance between its decision and theirs "
        "(1: alike rows are always decided on alike), for everybody and for each group. Beside it stands what neighbours picked at random would give, and the share of rows that have a neighbour at distance 0 with another decision."
    ),
    limits=(
        "What alike means is taken from the inputs at face value, each counting the same; people who know the matter may see it otherwise, and inputs can carry what is sensitive. Near any cutoff "
        "neighbours are parted, so a useful model does not reach 1. The interval takes the other half as given. Reported only, never judged."
    ),
    unit="share",
    direction="higher",
    needs=["features", "table", "favourable"],
    references=["Dwork, Hardt, Pitassi, Reingold and Zemel 2012", "Zemel, Wu, Swersky, Pitassi and Dwork 2013", "Gower 1971"],
    reported_only=["consistency", "consistency_by_chance", "parted_twins"],
)  # fmt: skip
def consistency(
    ctx: Context, *, rows: Annotated[int, Field(ge=20, le=20_000)] = 2000, neighbours: Annotated[int, Field(ge=1, le=100)] = 5
) -> Iterable[Measurement | Message]:
    """Consistency of decisions among near rows, overall and per group; no further question to the model."""
    import numpy as np

    from audit.dataset import MISSING
    from audit.measure import rate, value
    from audit.stats.losses import mean_loss
    from audit.text import message

    sample = ctx.sample(min(rows, ctx.plan.audit.sample))
    selection = ctx.scored.selection
    assert selection is not None, "a check that needs selection declares it"
    defined = np.flatnonzero(np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0)
    asked, others = defined[::2], defined[1::2]
    if len(others) < neighbours or len(asked) < 2:
        yield message("There are too few sampled rows with a usable prediction to look for neighbours.")
        return
    chosen = np.asarray(selection(sample.pred), dtype=np.float64)
    place, distance = _nearest(ctx, sample, asked, others, neighbours)
    theirs = chosen[others][place]
    agreed = 1 - np.abs(chosen[asked] - theirs.mean(axis=1))
    few = message("Fewer than two rows are here, or all are decided on alike with their neighbours.")
    level = ctx.level("consistency")
    whole = mean_loss(agreed, level=level)
    for slice_, own in [({}, np.ones(len(asked), dtype=bool)), *(
        ({g.name: name}, sample.groups[g.name][asked] == code) for g in ctx.facts.groups for code, name in enumerate(g.levels) if name != MISSING
    )]:  # fmt: skip
        found = mean_loss(agreed[own], level=level) if np.count_nonzero(own) > 1 else None
        if found is not None:
            found = found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})
        yield value("consistency", found, slice_=slice_, reason=few)
    shuffled = others[ctx.rng("chance").integers(0, len(others), size=place.shape)]
    by_chance = mean_loss(1 - np.abs(chosen[asked] - chosen[shuffled].mean(axis=1)), level=level)
    yield value("consistency_by_chance", by_chance)
    twin = distance[:, 0] == 0
    parted = twin & ((distance == 0) & (theirs != chosen[asked][:, None])).any(axis=1)
    yield rate(
        ctx,
        "parted_twins",
        int(parted.sum()),
        int(twin.sum()),
        what="rows with a neighbour that is the same in all inputs but the sensitive ones",
    )
    yield message(
        "A row's decision agrees with those of its {k:count} nearest neighbours to {mean:percent} ({level:percent} interval {low:percent} to {high:percent}; {n:count} rows); with as many rows picked at random, to {chance:percent}.",
        k=neighbours, mean=whole.value, low=max(0.0, whole.low), high=min(1.0, whole.high), level=level, n=whole.n, chance=by_chance.value,
    )  # fmt: skip


def _nearest(
    ctx: Context, sample: Sample, asked: NDArray[np.int64], others: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest of the others and their distances, by the inputs that are not sensitive."""
    import numpy as np

    from audit.stats.neighbours import nearest, standardised
    from audit.subject.frame import Categories

    sensitive = {g.name for g in ctx.facts.groups}
    columns = [column for name, column in sample.frame.items() if name not in sensitive]
    numbers = standardised([np.asarray(c) for c in columns if not isinstance(c, Categories)])
    if not len(numbers):
        numbers = np.zeros((len(sample.pred), 0))
    codes = np.zeros((len(sample.pred), 0), np.int64)
    held = [c.codes.astype(np.int64) for c in columns if isinstance(c, Categories)]
    if held:
        codes = np.stack(held, axis=1)
    return nearest((numbers[asked], numbers[others]), (codes[asked], codes[others]), k)
