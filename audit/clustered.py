"""Measurements of rows that belong together: estimates, tests and what they are worth, from whole clusters (`audit.stats.clusters`).

A check measures as if rows were independent and hands each measurement on to `Rates.of`, `gap` or `skill`, which put the clustered interval and
test in the place of the others. The value stays: dependence does not move it. Where rows carry survey weights too, `Rates` takes these, and all other
weighted figures are drawn by `audit.weighted.measurements`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from audit.measurement import Clusters, Estimate, Measurement, Part, Test, Weights
from audit.pairing import OTHERS, adequate, held
from audit.text import message, render

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.context import Coding, Context, Grouping
    from audit.stats.clusters import Draws, Side
    from audit.stats.extremes import OverGroups
    from audit.stats.weighted_clusters import Piles
    from audit.table import Block, Scored

    #: Rate name → (k, n) per group.
    Pairs = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
    #: From rows by group and cell; it adds cells up, so it serves counts and sums of weights alike.
    Reading = Callable[[NDArray[Any]], Pairs]

NO_INTERVAL = message("Too many draws of whole clusters leave it undefined: there are too few clusters with such rows.")


class Clustering:
    """The clusters of an audit: which set each is drawn with, and the draws, which all of a check's estimates share."""

    def __init__(self, scored: Scored, clusters: int, rng: Generator) -> None:
        from audit.stats.clusters import units

        self.scored, self.clusters, self._rng = scored, clusters, rng
        self._units = units(clusters, rng)
        self.size = int(self._units.max(initial=-1)) + 1

    @cached_property
    def draws(self) -> Draws:
        """Whole clusters, drawn with replacement."""
        from audit.stats.clusters import Draws

        return Draws(self.size, self._rng)

    def of(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Cluster codes (k,) as the sets that they are drawn with."""
        import numpy as np

        return np.asarray(self._units[codes], dtype=np.int64)

    def sums(self, values: Sequence[NDArray[Any]], codes: NDArray[Any]) -> NDArray[np.float64]:
        """Sums (U, C) of C columns of row values, by the cluster codes of the rows."""
        import numpy as np

        place = self.of(codes)
        return np.stack([np.bincount(place, weights=v, minlength=self.size) for v in values], axis=1)


class GroupRates(ABC):
    """Rates per group whose rows do not count one by one: because they belong together, or because each has a weight."""

    @abstractmethod
    def side(self, name: str, members: Sequence[int]) -> Any:
        """The rate of these slices taken together."""

    @abstractmethod
    def plain(self, name: str, members: Sequence[int]) -> Any:
        """As `side`, where no interval is asked for: its counts, its mass and its value."""

    @abstractmethod
    def worth(self, group: Any, reference: Any) -> Clusters | Weights:
        """What the rows of a comparison are worth."""

    @abstractmethod
    def valued(self, measured: Measurement, group: Any, reference: Any | None) -> Measurement:
        """A rate, or its comparison with the reference, with the value, the interval and the test that such rows give."""

    def of(self, measured: Measurement, name: str, members: Sequence[int], reference: int | None = None) -> Measurement:
        """A measurement of the rate `name`, or of its complement where it has another name, as `valued` of these slices taken together.

        A rate of one class is called "metric/class".
        """
        group = self.side(name, members)
        other = None if reference is None else self.side(name, [reference])
        if measured.metric != name.partition("/")[0]:  # the adverse rate
            group, other = group.complement(), None if other is None else other.complement()
        return self.valued(measured, group, other)

    def over(self, name: str, known: Sequence[int], *, complement: bool = False) -> OverGroups:
        """The rate (or its complement) over these groups; what chance makes of equal groups is not drawn, as such rows cannot be dealt out."""
        import numpy as np

        from audit.stats.extremes import OverGroups

        sides = [self.plain(name, members) for members in [[i] for i in known] + ([known] if known else [])]
        values = [(s.complement() if complement else s).value if s.counts[1] else np.nan for s in sides]
        return OverGroups(np.array(values[: len(known)]), values[-1] if known else np.nan)

    def pooled(self, ctx: Context, id_: str, name: str, grouping: Grouping, *, always_difference: bool) -> Iterator[Measurement]:
        """The groups that are too small to be judged, taken together, against the reference: what the question `id_` judges in their place."""
        from audit.measure import comparisons

        if grouping.reference is None:
            return
        sides = [self.side(name, [i]) for i in range(len(grouping.slices))]
        parts = [Part(slice=s, k=side.counts[0], n=side.counts[1]) for s, side in zip(grouping.slices, sides, strict=True)]
        known = [i for i, p in enumerate(parts) if i not in grouping.unknown and p.n]
        judged, reference = held(ctx.plan, id_, [sides[i].mass for i in known], always_difference=always_difference), grouping.reference
        if judged is None or reference not in known:
            return
        other = sides[reference]
        small = [
            i for i in known
            if i != reference and not adequate(parts[i], parts[reference], judged, ctx.plan, self.worth(sides[i], other))
        ]  # fmt: skip
        if len(small) > 1:
            part = Part(slice={grouping.columns[0]: OTHERS}, k=sum(parts[i].k for i in small), n=sum(parts[i].n for i in small))
            for measured in comparisons(ctx, name, part, parts[reference]):
                if measured.compare == judged.compare:
                    yield self.of(measured, name, small, reference)


def piled(ctx: Context, coding: Coding, size: int, names: Sequence[str], groupings: Sequence[Grouping | None]) -> list[Piles]:
    """For everybody (None) or each grouping, rows and weights (1 where rows carry none) by slice, cluster and code; one pass over the rows.

    `names` are the columns that the coding reads; rows whose code is `size` or more are left out.
    """
    import numpy as np

    from audit.stats.weighted_clusters import Piles

    clustering, weights = ctx.clustering, ["w"] if ctx.facts.weight is not None else []
    assert clustering is not None, "rows belong together"
    out = [Piles(len(grouping.slices) if grouping else 1, clustering.size, 2 * size) for grouping in groupings]
    for block in ctx.scored.blocks([*names, "c", *weights, *(f"g{i}" for i in range(len(ctx.facts.groups)))]):
        code = coding(block)
        kept = code < size
        units, w = clustering.of(block["c"][kept]), block["w"][kept] if weights else np.ones(int(kept.sum()))
        for grouping, piles in zip(groupings, out, strict=True):
            place = np.zeros(len(units), np.int64) if grouping is None else ctx.place(block, grouping)[kept]
            piles.count(place, units, code[kept], w)
    return out


class Rates(GroupRates):
    """Rates per group from rows and their weights by cluster and code (`piled`); `read` makes rates of codes."""

    def __init__(self, clustering: Clustering, piles: Piles, read: Reading, *, weighed: bool) -> None:
        self._clustering, self._piles, self._read, self._weighed = clustering, piles, read, weighed
        self._kept: dict[int, tuple[NDArray[np.int64], dict[str, tuple[NDArray[Any], NDArray[np.float64]]]]] = {}

    def _rates(self, slice_: int) -> tuple[NDArray[np.int64], dict[str, tuple[NDArray[Any], NDArray[np.float64]]]]:
        """The clusters (m,) of a slice; rate name → k, n, hits and rows of each, (m, 4), and k and n in each replicate, (R, 2)."""
        import numpy as np

        if slice_ not in self._kept:
            units, sums = self._piles.of(slice_)
            size = self._piles.width // 2
            rows, weights = self._read(sums[:, :size]), self._read(sums[:, size:])
            own = {name: np.stack([*weights[name], *rows[name]], axis=1) for name in rows}
            drawn = self._clustering.draws.of(np.concatenate([x[:, :2] for x in own.values()], axis=1), units)
            self._kept[slice_] = units, {name: (x, drawn[:, 2 * i : 2 * i + 2]) for i, (name, x) in enumerate(own.items())}
        return self._kept[slice_]

    def side(self, name: str, members: Sequence[int]) -> Side:
        """The rate of these slices taken together."""
        import numpy as np

        from audit.stats.clusters import Side

        held, replicates = np.zeros((self._clustering.size, 4)), []
        for i in members:
            units, rates = self._rates(i)
            held[units] += rates[name][0]
            replicates.append(rates[name][1])
        drawn = np.sum(replicates, axis=0)
        return Side(held[:, 0], held[:, 1], drawn[:, 0], drawn[:, 1], held[:, 2], held[:, 3])

    def plain(self, name: str, members: Sequence[int]) -> Side:
        """The rate of these slices taken together, without its clusters."""
        import numpy as np

        from audit.stats.clusters import Side

        (k, n), (hits, rows) = ([a[list(members)].sum(keepdims=True) for a in pairs[name]] for pairs in self._totals)
        return Side(k, n, np.zeros(0), np.zeros(0), hits, rows)

    @cached_property
    def _totals(self) -> tuple[Pairs, Pairs]:
        """Rates of each slice by weight, and by rows."""
        size = self._piles.width // 2
        return self._read(self._piles.sums[:, size:]), self._read(self._piles.sums[:, :size])

    def worth(self, group: Side, reference: Side) -> Clusters:
        """What the rows of a comparison are worth."""
        from audit.stats.clusters import worth

        return worth(group, reference)

    def valued(self, measured: Measurement, group: Side, reference: Side | None) -> Measurement:
        """A rate or its comparison over clusters: see `clustered`."""
        return clustered(measured, group, reference, weighed=self._weighed)


def clustered(measured: Measurement, group: Side, reference: Side | None, *, weighed: bool) -> Measurement:
    """A rate, or its comparison with the reference, over clusters (and by weight); the level is that of the measurement's own interval."""
    from audit.stats import clusters as stats

    if measured.estimate is None and reference is None:
        return measured
    update: dict[str, Any] = {}
    if group.counts[1] and (reference is None or reference.counts[1]):
        worth = update["clusters"] = stats.worth(group, reference)
        masses = [s.mass for s in (group, reference) if s is not None]
        if weighed:
            update["weights"] = Weights(
                design_effect=worth.design_effect, effective=worth.effective, k=[k for k, _ in masses], n=[n for _, n in masses]
            )
    if measured.estimate is not None:
        level = measured.estimate.level
        if reference is None:
            found = stats.rate(group, level=level)
        else:
            ways = {"difference": stats.difference, "ratio": stats.ratio, "odds_ratio": stats.odds}
            found = ways[measured.compare](group, reference, level=level)
        update |= _estimated(found)
    if reference is not None:
        tested = stats.equality(group, reference)
        update["test"] = Test(null="equality", method=tested[1], p_value=tested[0]) if tested else None
    return measured.model_copy(update=update)


def _estimated(found: Estimate | None) -> dict[str, Any]:
    return {"estimate": found} if found else {"estimate": None, "reason": render(NO_INTERVAL), "reason_msg": NO_INTERVAL}


def _with(measured: Measurement, found: tuple[Estimate, Clusters] | None) -> Measurement:
    estimated = _estimated(found[0] if found else None)
    return measured.model_copy(update=estimated | {"clusters": found[1] if found else None})


def gaps(ctx: Context, grouping: Grouping | None = None) -> list[NDArray[np.float64] | None]:
    """Sums per cluster, (U, 3), of what was claimed (a probability), of how often it came true, and of rows: of everybody, or of each slice.

    None in their place where no clusters were declared, and where weights are to be taken (`audit.weighted.measurements`).
    """
    import numpy as np

    from audit.ordered import claimed, columns, subject

    clustering, slices = ctx.clustering, 1 if grouping is None else len(grouping.slices)
    if clustering is None or ctx.facts.weight is not None:
        return [None] * slices
    size, what = clustering.size, subject(ctx)
    sums = np.zeros((3, slices * size))
    for block in ctx.scored.blocks(["y", "pred", "c", *columns(ctx), *(f"g{i}" for i in (grouping.places if grouping else ()))]):
        rows = block.usable()
        place = clustering.of(rows["c"])
        if grouping is not None:
            place = place + size * ctx.place(rows, grouping)
        p, true = claimed(rows, ctx, what)
        for total, values in zip(sums, (p, true, None), strict=True):
            total += np.bincount(place, weights=values, minlength=slices * size)
    return list(sums.reshape(3, slices, size).transpose(1, 2, 0))


def gap(ctx: Context, measured: Measurement, sums: NDArray[np.float64] | None) -> Measurement:
    """Calibration in the large over clusters, from sums of `gaps`, (U, 3); as it was where there are none."""
    from audit.stats import clusters as stats

    if sums is None or ctx.clustering is None or measured.estimate is None:
        return measured
    return _with(measured, stats.gap(ctx.clustering.draws, sums[:, 0], sums[:, 1], sums[:, 2], measured.estimate))


def skill(ctx: Context, measured: Measurement) -> Measurement:
    """Skill over everybody with whole clusters drawn; as it was where none were declared, where it was counted, or where weights made it."""
    import numpy as np

    from audit.stats.clusters import with_worth

    clustering, e = ctx.clustering, measured.estimate
    if clustering is None or ctx.facts.weight is not None or e is None or e.method == "exact":
        return measured
    names, columns = _losses(ctx, measured.metric)
    sums: Any = 0
    for block in ctx.scored.blocks(["y", "pred", "c", *names]):
        rows = block.usable()
        sums = sums + clustering.sums([np.asarray(c, dtype=np.float64) for c in columns(rows)], rows["c"])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = _skill(measured.metric, clustering.draws.of(sums), binary=ctx.settled.task == "binary")
    held = sums if measured.metric == "informedness" else sums[:, :1]
    return _with(measured, with_worth(e.value, values, int(np.count_nonzero(held.sum(axis=1))), e))


def _losses(ctx: Context, metric: str) -> tuple[list[str], Callable[[Block], list[NDArray[Any]]]]:
    """The columns of the scored table, and what of each row is summed: rows, loss and outcome; or the cell of outcome and decision."""
    import numpy as np

    from audit.ordered import columns, probabilities
    from audit.stats.losses import log_losses

    size = len(ctx.settled.classes)
    if metric == "r2":
        middle = float(np.mean(ctx.scored.y[ctx.scored.usable]))

        def of_quantity(rows: Block) -> list[NDArray[Any]]:
            y = rows["y"] - middle
            return [np.ones(len(y)), (rows["y"] - rows["pred"]) ** 2, y, y**2]

        return [], of_quantity
    if metric == "informedness":
        return [], lambda rows: [(rows["y"] == i) & (rows["pred"] == j) for i in range(size) for j in range(size)]

    def of_scores(rows: Block) -> list[NDArray[Any]]:
        scores, y = probabilities(rows, ctx), rows["y"].astype(np.int64)
        given = scores[np.arange(len(y)), y]
        brier = (1 - given) ** 2 if ctx.settled.task == "binary" else (scores**2).sum(axis=1) - 2 * given + 1
        return [np.ones(len(y)), log_losses(given) if metric == "log_loss_skill" else brier, *(y == i for i in range(size))]

    return columns(ctx), of_scores


def _skill(metric: str, sums: NDArray[np.float64], *, binary: bool) -> NDArray[np.float64]:
    """Skill (R,) from sums of `skill`'s columns (R, C): the loss against that of the best constant forecast on the same draws."""
    import numpy as np
    from scipy.special import xlogy

    if metric == "informedness":
        size = round(sums.shape[1] ** 0.5)
        table = sums.reshape(-1, size, size)
        recall = np.einsum("rii->ri", table) / table.sum(axis=2)
        return np.asarray((np.nansum(recall, axis=1) - 1) / np.maximum(np.isfinite(recall).sum(axis=1) - 1, 1))
    n, loss = sums[:, 0], sums[:, 1]
    if metric == "r2":
        return np.asarray(1 - loss / (sums[:, 3] - sums[:, 2] ** 2 / n))
    shares = sums[:, 2:] / n[:, None]
    if metric == "log_loss_skill":
        return np.asarray(1 - loss / n / -xlogy(shares, shares).sum(axis=1))
    trivial = 1 - (shares**2).sum(axis=1)
    return np.asarray(1 - loss / n / (trivial / 2 if binary else trivial))
