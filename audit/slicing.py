"""The rows by attributes, half and outcome: what a search over slices reads.

Attributes are the sensitive columns and other columns of the data, divided into levels. Each row falls into one of two halves by the keyed hash that draws
the sample; where rows belong together, a whole cluster does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from audit.coding import coded, codes
from audit.counting import CELLS, UNDECIDED, cell_coding, events
from audit.dataset import MISSING
from audit.errors import AuditError
from audit.prepare import MAX_GROUPS, Facts
from audit.registry import SINGLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Slice
    from audit.stats.slices import Cells, Read
    from audit.table import Block

    Ints = NDArray[np.int64]

#: Codes of a row within a half: `counting.CELLS` by whether the prediction is not known to be right or wrong (0), right (1) or wrong (2).
CODES = 3 * CELLS


class Attribute(NamedTuple):
    """A column that slices are made of: the levels that may name one, and for each code of the column its level (the last one: none).

    `sql` is None for a sensitive column, whose codes stand in the scored table under `column`.
    """

    name: str
    levels: list[str]
    table: NDArray[np.int64]
    column: str
    sql: str | None
    texts: list[str]

    @property
    def size(self) -> int:
        """The levels and one more for rows of no level that may name a slice."""
        return len(self.levels) + 1


def attributes(ctx: Context, others: Sequence[str], support: int) -> list[Attribute]:
    """The sensitive columns and the other ones; levels of fewer than `support` rows name no slice, and neither does unknown membership."""
    from audit.prepare import levels_of

    found = [_attribute(g.name, g.levels, g.sizes, f"g{i}", None, support, known_only=True) for i, g in enumerate(ctx.facts.groups)]
    sensitive = {attribute.name for attribute in found}
    for i, name in enumerate(name for name in dict.fromkeys(others) if name not in sensitive):
        sql, counted = levels_of(ctx.dataset, name, ctx.plan.bins)
        if len(counted) > MAX_GROUPS:
            raise AuditError(
                f"the column {name!r} has more than {MAX_GROUPS} values", "name a column of few values, or set its [bins] in the plan"
            )
        found.append(_attribute(name, list(counted), list(counted.values()), f"a{i}", sql, support, known_only=False))
    return found


def every_column(ctx: Context, support: int) -> list[Attribute]:
    """Sensitive columns, legitimate factors and the model's inputs of one value a row (all other columns, where no model is known), each once.

    Of a column of very many values those of `support` rows may name a slice. A column of which no level does, or that never changes, is left out.
    """
    from audit.prepare import levels_of

    found = attributes(ctx, [], support)
    constant = {g.name for g in (*ctx.facts.groups, *ctx.facts.factors) if len(g.levels) == 1}
    taken = {a.name for a in found} | {ctx.facts.roles.target}
    for i, factor in enumerate(ctx.facts.factors):
        if factor.name not in taken:
            found.append(_attribute(factor.name, factor.levels, factor.sizes, f"f{i}", None, support, known_only=False))
    taken |= {a.name for a in found}
    for i, name in enumerate(name for name in columns(ctx.facts) if name not in taken):
        sql, counted = levels_of(ctx.dataset, name, ctx.plan.bins)
        constant |= {name} if len(counted) == 1 else set()
        if len(counted) > MAX_GROUPS:
            counted = _frequent(ctx, sql, support)
        found.append(_attribute(name, list(counted), list(counted.values()), f"a{i}", sql, support, known_only=False))
    return [a for a in found if a.levels and a.name not in constant]


def columns(facts: Facts) -> list[str]:
    """The model's inputs of one value a row; where no model is known, all columns of one value a row that are nothing else."""
    if facts.recorded is None:
        return [f.name for f in facts.features if f.kind in SINGLE]
    recorded = {facts.recorded.prediction, *facts.recorded.scores, facts.decision.column, facts.roles.cluster, facts.roles.target}
    dataset = facts.dataset()
    return [name for name in facts.columns if name not in recorded and dataset.is_scalar(name)]


def _frequent(ctx: Context, sql: str, support: int) -> dict[str, int]:
    """The values that at least `support` rows have, the most frequent first."""
    tail = f"WHERE {sql} IS NOT NULL GROUP BY 1 HAVING count(*) >= {int(support)} ORDER BY 2 DESC, 1 LIMIT {MAX_GROUPS}"
    return {str(value): int(n) for value, n in ctx.dataset.ask({"value": sql, "n": "count(*)"}, tail=tail)}


def named(levels: Mapping[int, int], divided: Sequence[Attribute]) -> Slice:
    """Attribute → level as a slice of the document."""
    return {divided[i].name: divided[i].levels[level] for i, level in levels.items()}


def _attribute(name: str, texts: list[str], sizes: list[int], column: str, sql: str | None, support: int, *, known_only: bool) -> Attribute:
    import numpy as np

    large = [size >= support and not (known_only and text == MISSING) for text, size in zip(texts, sizes, strict=True)]
    levels = [text for text, kept in zip(texts, large, strict=True) if kept]
    table = np.full(len(texts) + 1, len(levels), np.int64)  # code -1 reads the last entry
    table[:-1][large] = np.arange(len(levels))
    return Attribute(name, levels, table, column, sql, texts)


def counted(ctx: Context, divided: Sequence[Attribute], depth: int, threshold: float | None) -> tuple[list[Cells], NDArray[np.int64]]:
    """The rows by levels, half and code, and those of everybody (2 · `CODES`,): one table of all attributes, or one of each set of `depth` where that would be large.

    `threshold`: a regression's absolute error counts as wrong above it. One pass over the rows.
    """
    import numpy as np

    from audit.stats.slices import DENSE, Tally, cells

    width = 2 * CODES
    places = tuple(range(len(divided)))
    small = math.prod(a.size for a in divided) * width <= DENSE
    sets = [places] if small or len(places) <= depth else list(combinations(places, depth))
    sizes = [[divided[i].size for i in chosen] for chosen in sets]
    tallies = [Tally(math.prod(size) * width) for size in sizes]
    everybody = np.zeros(width, np.int64)
    coding = _coding(ctx, threshold)
    for block, levels, half, _ in levelled(ctx, divided, [*(["y"] if ctx.facts.target_sql is not None else []), "pred"]):
        code = half * CODES + coding(block)
        everybody += np.bincount(code, minlength=width)
        for chosen, tally in zip(sets, tallies, strict=True):
            key = levels[chosen[0]].copy()
            for i in chosen[1:]:
                key *= divided[i].size
                key += levels[i]
            key *= width
            key += code
            tally.add(key)
    return [cells(t, c, s, width) for t, c, s in zip(tallies, sets, sizes, strict=True)], everybody


def levelled(ctx: Context, divided: Sequence[Attribute], names: Sequence[str]) -> Iterator[tuple[Block, list[Ints], Ints, Ints]]:
    """Blocks of the scored table with the level of each row in each attribute, its half, and its number (its cluster's where rows belong together).

    `names` are the columns of the scored table that a block holds.
    """
    import numpy as np

    from audit.scored import halves

    own = [a.column for a in divided if a.sql is None]
    clusters = ["c"] if ctx.facts.cluster is not None else []
    others = _others(ctx, [a for a in divided if a.sql is not None])
    start = 0
    for block in ctx.scored.blocks(list(dict.fromkeys([*names, *own, *clusters]))):
        n = len(block)
        more = others(n)
        number = block["c"].astype(np.int64) if clusters else np.arange(start, start + n, dtype=np.int64)
        levels = [a.table[block[a.column] if a.sql is None else more[a.column]] for a in divided]
        yield block, levels, halves(number, ctx.seed), number
        start += n


def _others(ctx: Context, divided: Sequence[Attribute]) -> Callable[[int], dict[str, Ints]]:
    """The codes of the next n rows in the columns that are not in the scored table, read from the data in step with it."""
    import numpy as np

    places = {a.column: np.array([i for i, t in enumerate(a.texts) if t != MISSING] + [_missing(a)], np.int16) for a in divided}
    return ctx.in_step(
        {a.column: coded(a.sql or "", [t for t in a.texts if t != MISSING]) for a in divided},
        lambda name, column: places[name][codes(column)],
    )


def _missing(attribute: Attribute) -> int:
    return attribute.texts.index(MISSING) if MISSING in attribute.texts else -1


def _coding(ctx: Context, threshold: float | None) -> Callable[[Block], Ints]:
    """3 · the code of `counting.cell_coding` + whether the prediction is not known to be right or wrong, right, or wrong."""
    import numpy as np

    cell, labelled, regression = cell_coding(ctx), ctx.facts.target_sql is not None, ctx.settled.task == "regression"

    def code(block: Block) -> Ints:
        out = 3 * cell(block)
        if not labelled:
            return out
        y, pred = block["y"], block["pred"]
        if not regression:
            known = (y >= 0) & (pred >= 0)
            return out + np.where(known, np.where(y == pred, 1, 2), 0)
        with np.errstate(invalid="ignore"):  # of two infinite values
            error = abs(y - pred)
        return out + np.where(np.isfinite(error), np.where(error > (threshold or 0.0), 2, 1), 0)

    return code


class Question(NamedTuple):
    """What slices are searched for: a metric that is higher than everybody else's, or lower where `low`; `read` reads k and n off counts.

    With `low`, `read` counts the complement, which is then the higher.
    """

    metric: str
    low: bool
    read: Read


def questions(ctx: Context, *, both: bool) -> list[Question]:
    """Where people fare worse, as far as this model and these data tell: wrong predictions, false alarms, missed events, and few favourable decisions.

    `both`: and where they fare better.
    """
    asked: list[tuple[str, bool, list[int], list[int]]] = []  # metric, whether lower is worse, codes that count and that do not
    if ctx.facts.target_sql is not None:
        wrong = "large_error_rate" if ctx.settled.task == "regression" else "zero_one_loss"
        asked.append((wrong, False, [3 * cell + 2 for cell in range(CELLS)], [3 * cell + 1 for cell in range(CELLS)]))
    if ctx.settled.task == "binary" and events(ctx) is not None:
        tn, fp, fn, tp = (_cells(range(2 * i, 2 * i + 2)) for i in range(4))
        asked += [("false_positive_rate", False, fp, tn), ("false_negative_rate", False, fn, tp)]
    if ctx.scored.selection is not None:
        asked.append(("selection_rate", True, _cells(range(1, UNDECIDED, 2)), _cells(range(0, UNDECIDED, 2))))
    found = []
    for metric, worse, yes, no in asked:
        for low in (worse, not worse) if both else (worse,):
            found.append(Question(metric, low, _read(no, yes) if low else _read(yes, no)))
    return found


def _cells(kept: range) -> list[int]:
    """The codes within a half of these cells of `counting`."""
    return [3 * cell + i for cell in kept for i in range(3)]


def _read(yes: list[int], no: list[int]) -> Read:
    """Counts of the two halves as (k, n), each (cells, 2)."""

    def read(counts: Ints) -> tuple[Ints, Ints]:
        halves = counts.reshape(len(counts), 2, CODES)
        k = halves[:, :, yes].sum(axis=2)
        return k, k + halves[:, :, no].sum(axis=2)

    return read


def median_error(ctx: Context) -> float | None:
    """The median absolute error of all rows of a regression; None for other tasks and without outcomes."""
    import numpy as np

    if ctx.settled.task != "regression" or ctx.facts.target_sql is None or not ctx.scored.usable.any():
        return None
    rows = ctx.scored.usable
    return float(np.median(abs(ctx.scored.y[rows] - ctx.scored.pred[rows])))
