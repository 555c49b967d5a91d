"""What unknown membership could hide: how far two groups could be apart however the rows of unknown membership were divided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context, Grouping
    from audit.measurement import Measurement, Message


@check(
    "fairness.unknown",
    title="What unknown membership could hide",
    meaning=(
        "Where a sensitive column is missing for some rows: each group against the reference by ratio and difference, with an interval that holds however the unknown rows were divided between "
        "the groups. Its ends are those of the two worst divisions (all unknown rows with the favourable decision in one of the two and all without it in the other), each with its own sampling interval."
    ),
    limits=(
        "The interval is wide by design: nothing is assumed about who is missing, and no division in between is likelier than another. The estimate is that of the rows whose membership is known. Above the plan's share of unknown rows a "
        "deciding comparison passes only if it would hold at both ends; below that share the bounds are shown and decide nothing."
    ),
    unit="ratio; difference of shares",
    direction="target",
    needs=["sensitive", "favourable"],
    references=["Manski 2003", "Kallus, Mao and Zhou 2022", "Miettinen and Nurminen 1985", "Newcombe 1998"],
    reported_only=["worst_case_selection_rate", "worst_case_true_positive_rate"],
)  # fmt: skip
def unknown(ctx: Context) -> Iterable[Measurement | Message]:
    """Worst-case bounds for each group of each sensitive column that is missing in some rows."""
    from audit.counting import CELLS, cell_coding, rates
    from audit.text import message, who

    labelled = ctx.facts.target_sql is not None and ctx.settled.task != "regression"
    widest: tuple[float, Measurement, float] | None = None
    for grouping, counted in ctx.counted({"cells": (cell_coding(ctx), CELLS)}, ["pred", *(["y"] if labelled else [])], intersection=False):
        pairs = rates(ctx, counted["cells"])
        for name in ("selection_rate", "true_positive_rate"):
            if name in pairs and grouping.unknown:
                k, n = pairs[name]
                for m in _bounds(ctx, f"worst_case_{name}", grouping, k.tolist(), n.tolist()):
                    yield m
                    e = m.estimate
                    if (
                        name == "selection_rate"
                        and m.compare == "ratio"
                        and e is not None
                        and (widest is None or e.high / max(e.low, 1e-9) > widest[0])
                    ):
                        missing = sum(n.tolist()[i] for i in grouping.unknown)
                        widest = e.high / max(e.low, 1e-9), m, missing / max(1, int(n.sum()))
    if widest is None:
        yield message("Membership is known for every row that counts, or no two groups can be compared: no bounds are needed.")
        return
    _, m, share = widest
    e = m.estimate
    assert e is not None
    yield message(
        "{group}: {value:ratio} times as often as the reference gets the favourable decision where membership is known; with the {share:percent} of rows whose membership is unknown, "
        "anything from {low:ratio} to {high:ratio} is possible ({level:percent} interval of the two worst divisions). Of all groups this is the widest range.",
        group=who(m.slice), value=e.value, share=share, low=e.low, high=e.high, level=e.level,
    )  # fmt: skip


def _bounds(ctx: Context, metric: str, grouping: Grouping, k: list[int], n: list[int]) -> Iterator[Measurement]:
    """Ratio and difference of each known group to the reference, over all divisions of the unknown rows."""
    from audit.measure import undefined
    from audit.measurement import Compare, Estimate, Measurement, Part
    from audit.stats.compare import miettinen_nurminen, newcombe
    from audit.text import message

    reference = grouping.reference
    if reference is None or not n[reference]:
        return
    more, rows = sum(k[i] for i in grouping.unknown), sum(n[i] for i in grouping.unknown)
    for i, slice_ in enumerate(grouping.slices):
        if i == reference or i in grouping.unknown or not n[i]:
            continue
        here = k[i], n[i], k[reference], n[reference]
        lowest = k[i], n[i] + rows - more, k[reference] + more, n[reference] + more
        highest = k[i] + more, n[i] + more, k[reference], n[reference] + rows - more
        parts = [Part(slice=s, k=a, n=b) for s, a, b in ((slice_, *here[:2]), (grouping.slices[reference], *here[2:]))]
        ways: list[tuple[Compare, Callable[..., Estimate | None]]] = [("ratio", miettinen_nurminen), ("difference", newcombe)]
        for compare, way in ways:
            level = ctx.level(metric, compare)
            known, low, high = (way(*counts, level=level) for counts in (here, lowest, highest))
            against = grouping.slices[reference]
            if known is None or low is None or high is None:
                reason = message("The reference may have no row with the favourable decision: the ratio then has no bound.")
                yield undefined(metric, reason, slice_=slice_, against=against, compare=compare, parts=parts)
                continue
            estimate = Estimate(value=known.value, low=low.low, high=high.high, level=level, method="worst_case", n=known.n + rows)
            yield Measurement(metric=metric, compare=compare, slice=slice_, against=against, estimate=estimate, parts=parts)
