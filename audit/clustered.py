"""Measurements of rows that belong together: estimates, tests and what they are worth, from whole clusters (`audit.stats.clusters`).

A check measures as if rows were independent and hands each measurement on to `Rates.of`, `gap` or `skill`, which put the clustered interval and
test in the place of the others. The value stays: dependence does not move it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from audit.pairing import OTHERS, adequate, held
from audit.result import Clusters, Estimate, Measurement, Part, Test, Weights
from audit.text import message, render

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.context import Context, Grouping
    from audit.stats.clusters import Draws, Side
    from audit.table import Block, Scored

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
    def worth(self, group: Any, reference: Any) -> Clusters | Weights:
        """What the rows of a comparison are worth."""

    @abstractmethod
    def of(self, measured: Measurement, name: str, members: Sequence[int], reference: int | None = None) -> Measurement:
        """A measurement of the rate `name` with the interval and the test that such rows give."""

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


class Rates(GroupRates):
    """Rates per group from counts per cluster: name → k and n, (slices, U) each."""

    def __init__(self, clustering: Clustering, rates: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
        import numpy as np

        self._rates = rates
        stacked = np.concatenate([array for pair in rates.values() for array in pair], axis=0)  # (2 · rates · slices, U)
        drawn = clustering.draws.of(stacked.T)
        self._drawn, slices = {}, len(stacked) // max(1, 2 * len(rates))
        for i, name in enumerate(rates):
            start = 2 * i * slices
            self._drawn[name] = (drawn[:, start : start + slices], drawn[:, start + slices : start + 2 * slices])

    def side(self, name: str, members: Sequence[int]) -> Side:
        """The rate of these slices taken together."""
        from audit.stats.clusters import Side

        (k, n), (drawn_k, drawn_n) = self._rates[name], self._drawn[name]
        rows = list(members)
        return Side(
            k[rows].sum(axis=0).astype(float), n[rows].sum(axis=0).astype(float), drawn_k[:, rows].sum(axis=1), drawn_n[:, rows].sum(axis=1)
        )

    def worth(self, group: Side, reference: Side) -> Clusters:
        """What the rows of a comparison are worth."""
        from audit.stats.clusters import worth

        return worth(group, reference)

    def of(self, measured: Measurement, name: str, members: Sequence[int], reference: int | None = None) -> Measurement:
        """A measurement of the rate `name` with the interval and the test that whole clusters give."""
        group = self.side(name, members)
        other = None if reference is None else self.side(name, [reference])
        if measured.metric != name:  # the adverse rate
            group, other = group.complement(), None if other is None else other.complement()
        return clustered(measured, group, other)


def clustered(measured: Measurement, group: Side, reference: Side | None) -> Measurement:
    """A rate, or its comparison with the reference, over clusters; the level is that of the measurement's own interval."""
    from audit.stats import clusters as stats

    if measured.estimate is None and reference is None:
        return measured
    update: dict[str, Any] = {}
    if group.counts[1] and (reference is None or reference.counts[1]):
        update["clusters"] = stats.worth(group, reference)
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

    None in their place where no clusters were declared.
    """
    import numpy as np

    from audit.ordered import claimed, columns, subject

    clustering, slices = ctx.clustering, 1 if grouping is None else len(grouping.slices)
    if clustering is None:
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
    """Skill over everybody with whole clusters drawn; as it was where none were declared or it was counted and not estimated."""
    import numpy as np

    from audit.stats.clusters import with_worth

    clustering, e = ctx.clustering, measured.estimate
    if clustering is None or e is None or e.method == "exact":
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
