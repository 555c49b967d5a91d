"""Whether rows belong together: equal rows, identifiers that repeat, and how alike the rows of one cluster are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message, Table
    from audit.table import Block

    Value = tuple[list[str], Callable[[Block], NDArray[np.generic]]]  # the columns that it reads, and the value of each row of a block


@check(
    "data.dependence",
    title="Whether rows belong together",
    meaning=(
        "Rows of one person, school or hospital resemble each other, so that n of them tell less than n independent rows. Counted are rows that equal an earlier row in every "
        "column, and columns that look like identifiers and repeat. Where clusters were declared (--cluster): how many and how large they are, how alike their rows are (the "
        "intra-cluster correlation; 0 no more than any others, 1 equal), and the design effect: so many rows are worth one independent row."
    ),
    limits=(
        "An identifier is known by its name, or by being a text that is nearly different in each row; a number column whose name does not say so is never taken for one. Rows can "
        "depend on each other without any column that shows it, over time or place for example. Clusters are taken to be independent of each other."
    ),
    unit="rows; correlation; ratio of variances",
    direction="none",
    references=["Kish 1965", "Karlin, Cameron and Williams 1981", "Rao and Scott 1992", "Field and Welsh 2007"],
)
def dependence(ctx: Context) -> Iterable[Measurement | Message]:
    """Duplicates, candidate identifiers, and what declared clusters cost."""
    from audit.dependence import duplicates
    from audit.measure import exact, value
    from audit.text import message

    rows, repeats = ctx.facts.rows, ctx.facts.repeats
    twice = duplicates(ctx.dataset)
    yield value("duplicate_rows", exact(float(twice), rows))
    yield value("repeating_identifiers", exact(float(len(repeats)), rows), evidence=[_identifiers(ctx)] if repeats else [])
    numbers = {"twice": twice, "names": [r.name for r in repeats]}
    if ctx.clustering is not None and ctx.facts.cluster is not None:
        yield from _clusters(ctx)
        yield message(
            "{clusters:count} clusters of {column} in {rows:count} rows; rows that equal an earlier row: {twice:count}.",
            clusters=ctx.clustering.clusters, column=ctx.facts.cluster.name, rows=rows, twice=twice,
        )  # fmt: skip
    elif repeats and ctx.facts.roles.independent:
        yield message(
            "Columns that look like identifiers and repeat: {names}; the auditor states that rows are independent. Rows that equal an earlier row: {twice:count}.",
            **numbers,
        )
    elif repeats:
        yield message(
            "Columns that look like identifiers and repeat: {names}; nobody said whether their rows belong together. Rows that equal an earlier row: {twice:count}.",
            **numbers,
        )
    else:
        yield message("No column looks like an identifier that repeats; rows that equal an earlier row: {twice:count}.", **numbers)


def _identifiers(ctx: Context) -> Table:
    from audit.measurement import Column, Table

    columns = [
        Column(name="column", label="column"), Column(name="values", label="different values", kind="integer"),
        Column(name="rows", label="rows", kind="integer"), Column(name="largest", label="rows of the largest", kind="integer"),
    ]  # fmt: skip
    return Table(
        caption="Columns that look like identifiers and repeat",
        columns=columns,
        rows=[[r.name, r.values, r.rows, r.largest] for r in ctx.facts.repeats],
    )


def _clusters(ctx: Context) -> Iterator[Measurement]:
    """Number and sizes of clusters; correlation and design effect of outcome and decision."""
    import numpy as np

    from audit.measure import exact, value
    from audit.measurement import Column, Table

    assert ctx.clustering is not None
    sizes = np.zeros(ctx.clustering.clusters, np.int64)
    for block in ctx.scored.blocks(["c"]):
        sizes += np.bincount(block["c"], minlength=len(sizes))
    shares = [("median", 0.5), ("90th percentile", 0.9), ("99th percentile", 0.99), ("largest", 1.0)]
    table = Table(
        caption="Rows in a cluster",
        columns=[Column(name="alone", label="clusters of one row", kind="integer")]
        + [Column(name=f"q{round(100 * q)}", label=label, kind="integer") for label, q in shares],
        rows=[[int((sizes == 1).sum()), *(int(np.quantile(sizes, q, method="inverted_cdf")) for _, q in shares)]],
    )
    yield value("clusters", exact(float(len(sizes)), ctx.facts.rows), evidence=[table])
    for name, values in _values(ctx).items():
        yield from _alike(ctx, name, values)


def _values(ctx: Context) -> dict[str, Value]:
    """What is compared within clusters: the outcome's event or value, and the decision's."""
    settled, scored = ctx.settled, ctx.scored
    found: dict[str, Value] = {}
    if settled.task == "regression":
        if ctx.facts.target_sql is not None:
            found["outcome"] = (["y", "pred"], lambda b: b["y"])
        return found | {"decision": (["pred"], lambda b: b["pred"])}
    if ctx.facts.target_sql is not None and settled.positive is not None:
        event = settled.classes.index(settled.positive)
        found["outcome"] = (["y", "pred"], lambda b: b["y"] == event)
    if scored.selection is not None:
        selection = scored.selection
        found["decision"] = (["pred"], lambda b: selection(b["pred"]))
    return found


def _alike(ctx: Context, name: str, what: Value) -> Iterator[Measurement]:
    """Intra-cluster correlation and design effect of a value of rows, with intervals from draws of whole clusters."""
    import numpy as np

    from audit.measure import value
    from audit.stats import clusters as stats
    from audit.text import message

    clustering = ctx.clustering
    assert clustering is not None
    sums = _sums(ctx, what)
    rows = int(sums[2].sum())
    each = stats.alike(*sums)
    by_unit = np.stack([np.bincount(clustering.of(np.arange(len(each))), weights=c, minlength=clustering.size) for c in each.T], axis=1)
    drawn = clustering.draws.of(by_unit)
    reason = message("No cluster has two rows, or the value never varies.")
    for metric, statistic in ((f"{name}_correlation", stats.pairwise), (f"{name}_design_effect", stats.of_mean)):
        found = stats.interval(
            float(statistic(by_unit.sum(axis=0))),
            statistic(drawn),
            clusters=int(np.count_nonzero(by_unit[:, 2])),
            level=ctx.level(metric),
            n=rows,
        )
        yield value(metric, found, reason=reason)


def _sums(ctx: Context, what: Value) -> NDArray[np.float64]:
    """Sum, sum of squares (around the overall mean) and rows of a value in each cluster, (3, K)."""
    import numpy as np

    names, function = what
    size = ctx.clustering.clusters if ctx.clustering else 0

    def pieces() -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
        for block in ctx.scored.blocks([*names, "c"]):
            kept: Block = block.usable() if "y" in names else block.predicted()
            yield kept["c"], np.asarray(function(kept), dtype=np.float64)

    totals = [(float(x.sum()), len(x)) for _, x in pieces()]
    rows = sum(n for _, n in totals)
    mean = sum(t for t, _ in totals) / rows if rows else 0.0
    sums = np.zeros((3, size))
    for codes, x in pieces():
        for total, weights in zip(sums, (x - mean, (x - mean) ** 2, None), strict=True):
            total += np.bincount(codes, weights=weights, minlength=size)
    return sums
