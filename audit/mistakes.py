"""How wrong the model is in each row, and whether rows that stood out on one half are worse than all others on the other half.

Slices, the tree of errors and clusters of mistakes find what stands out each in its own way; what they found is tested here, on rows that had no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from audit.dataset import REST
from audit.errors import AuditError
from audit.measurement import Cell, Column, Estimate, Measurement, Message, Part, Slice, Table, Test
from audit.text import message, render, who

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.slicing import Attribute
    from audit.stats.sums import Moments
    from audit.table import Block

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: How wrong a row is: "auto" counts wrong predictions of classes and squares the error of quantities, as SliceLine's authors do.
Kind = Literal["auto", "zero_one", "log_loss", "squared"]
#: Metric → what it is in a sentence.
WORDS = {"zero_one_loss": "wrong predictions", "log_loss": "log loss", "mean_squared_error": "mean squared error"}
#: Levels of all rows and columns that are held at a time, a byte or two each; of more rows those with the smallest hash are taken.
HELD = 400_000_000
NULL = "no difference in the direction found"
#: So many are named in a sentence; all are in the table.
NAMED = 3


class Errors(NamedTuple):
    """A row's error: the metric that is its mean, the columns of the scored table it is read from, and the errors of a block, NaN where unknown."""

    metric: str
    names: list[str]
    of: Callable[[Block], Floats]


def errors(ctx: Context, kind: Kind) -> Errors:
    """How a row's error is read; AuditError where the task has no such error."""
    import numpy as np

    from audit import ordered
    from audit.stats.losses import log_losses

    regression = ctx.settled.task == "regression"
    if kind == "auto":
        kind = "squared" if regression else "zero_one"
    if regression != (kind == "squared") or (kind == "log_loss" and not ctx.settled.has_forecasts):
        raise AuditError(f"the plan asks for errors of kind {kind!r}, which this model does not have", 'leave error = "auto"')

    def squared(block: Block) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray((block["pred"] - block["y"]) ** 2, dtype=np.float64)
        return np.where(np.isfinite(found), found, np.nan)

    def zero_one(block: Block) -> Floats:
        known = (block["y"] >= 0) & (block["pred"] >= 0)
        return np.where(known, (block["y"] != block["pred"]).astype(np.float64), np.nan)

    def log_loss(block: Block) -> Floats:
        known = np.flatnonzero((block["y"] >= 0) & (block["pred"] >= 0))
        found = np.full(len(block), np.nan)
        found[known] = log_losses(ordered.probabilities(block, ctx)[known, block["y"][known].astype(np.int64)])
        return found

    metric, of = {
        "squared": ("mean_squared_error", squared), "zero_one": ("zero_one_loss", zero_one), "log_loss": ("log_loss", log_loss)
    }[kind]  # fmt: skip
    return Errors(metric, ["y", "pred", *(ordered.columns(ctx) if kind == "log_loss" else [])], of)


class Rows(NamedTuple):
    """Rows whose error is known: errors (n,), the level in each attribute (n,), whether a row is of the second half, and its cluster's or its own number.

    `all` are the rows there were with a known error, of which these were taken.
    """

    metric: str
    errors: Floats
    levels: list[NDArray[np.unsignedinteger]]
    second: Bools
    number: NDArray[np.int64]
    row: NDArray[np.int64]
    clustered: bool
    all: int

    def half(self, second: bool) -> Rows:
        """Those of one half."""
        import numpy as np

        kept = np.flatnonzero(self.second == second)
        return self._replace(
            errors=self.errors[kept],
            levels=[v[kept] for v in self.levels],
            second=self.second[kept],
            number=self.number[kept],
            row=self.row[kept],
        )


def read(ctx: Context, divided: Sequence[Attribute], kind: Kind, most: int | None = None) -> Rows:
    """The rows with their errors and levels, in one pass; of more than `most` or than memory suffices for, those with the smallest hash."""
    import numpy as np

    from audit.scored import sample_rows
    from audit.slicing import levelled

    error = errors(ctx, kind)
    size = min(HELD // (len(divided) + 25), most or HELD)
    drawn = np.zeros(ctx.scored.rows, np.bool_)
    drawn[sample_rows(ctx.scored.rows, size, ctx.seed)] = True
    parts: list[tuple[Floats, list[NDArray[np.unsignedinteger]], Bools, NDArray[np.int64]]] = []
    types = [np.uint8 if a.size <= 256 else np.uint16 for a in divided]
    rows: list[NDArray[np.int64]] = []
    known = start = 0
    for block, levels, half, number in levelled(ctx, divided, error.names):
        found = error.of(block)
        usable = np.isfinite(found)
        known += int(usable.sum())
        kept = np.flatnonzero(usable & drawn[start : start + len(found)])
        parts.append((found[kept], [v[kept].astype(t) for v, t in zip(levels, types, strict=True)], half[kept] == 1, number[kept]))
        rows.append(kept + start)
        start += len(found)
    columns = [np.concatenate([p[1][i] for p in parts]) for i in range(len(divided))]
    e, second, number = (np.concatenate([p[k] for p in parts]) for k in (0, 2, 3))
    return Rows(error.metric, e, columns, second, number, np.concatenate(rows), ctx.facts.cluster is not None, known)


class Suspect(NamedTuple):
    """What stood out on the first half: its slice, which rows of the second half it holds, its rows and mean error on the first, and a score."""

    slice: Slice
    inside: Bools
    n: int
    error: float
    score: float


class Compared(NamedTuple):
    """A suspect on the second half: (rows, mean, variance) of its own and of all other rows, the difference, and the one-sided test of it."""

    suspect: Suspect
    own: Moments
    rest: Moments
    estimate: Estimate | None
    test: Test | None

    @property
    def held(self) -> float:
        """The adjusted p, 1 where nothing could be tested."""
        return 1.0 if self.test is None or self.test.adjusted_p_value is None else self.test.adjusted_p_value


def compare(ctx: Context, suspects: Sequence[Suspect], second: Rows) -> list[Compared]:
    """Each suspect against all other rows of the second half, p adjusted after Holm."""
    from audit.stats.multiplicity import holm

    found = [_compared(ctx, s, second) for s in suspects]
    adjusted = holm([c.test.p_value if c.test else 1.0 for c in found]).tolist() if found else []
    return [
        c._replace(test=c.test.model_copy(update={"adjusted_p_value": p, "tests_in_family": len(found)})) if c.test else c
        for c, p in zip(found, adjusted, strict=True)
    ]


def _compared(ctx: Context, suspect: Suspect, second: Rows) -> Compared:
    from audit.stats.compare import higher_test, mean_difference, mean_test, newcombe
    from audit.stats.sums import moments

    own, rest = moments(second.errors[suspect.inside]), moments(second.errors[~suspect.inside])
    assert own is not None, "a suspect has rows on both halves"
    assert rest is not None, "and so have all others"
    level = ctx.level(second.metric, "difference")
    tested: tuple[float, str] | None
    if second.clustered:
        estimate, tested = _over_clusters(suspect.inside, own, rest, second, level)
    elif second.metric == "zero_one_loss":
        counts = (round(own.n * own.mean), own.n, round(rest.n * rest.mean), rest.n)
        estimate, tested = newcombe(*counts, level=level), higher_test(*counts)
    else:
        estimate = mean_difference(own, rest, level=level)
        two_sided = mean_test(own, rest)
        higher = own.mean > rest.mean
        tested = (two_sided[0] / 2 if higher else 1 - two_sided[0] / 2, two_sided[1]) if two_sided else None
    test = Test(null=NULL, method=tested[1], p_value=tested[0]) if tested and estimate else None
    return Compared(suspect, own, rest, estimate, test)


def _over_clusters(
    inside: Bools, own: Moments, rest: Moments, second: Rows, level: float
) -> tuple[Estimate | None, tuple[float, str] | None]:
    """Difference of means whose variance is that of sums over clusters, with Student's distribution for the clusters on the side that has fewer.

    None where a side has fewer than two clusters. Liang and Zeger 1986.
    """
    import numpy as np
    from scipy.special import stdtr

    pull = np.where(inside, (second.errors - own.mean) / own.n, -(second.errors - rest.mean) / rest.n)
    spread, within, without = _spread(pull, inside, second)
    difference, fewest = own.mean - rest.mean, min(within, without)
    made = _student(difference, spread, fewest, level, own.n + rest.n)
    return made, (float(stdtr(fewest - 1, -difference / spread)), "sandwich_clusters") if made else None


def _spread(pull: Floats, inside: Bools, second: Rows) -> tuple[float, int, int]:
    """The standard error of a sum of `pull` (n,) over clusters, and the clusters that have rows inside and outside."""
    import numpy as np

    _, place = np.unique(second.number, return_inverse=True)
    sums = np.bincount(place, weights=pull)
    error = float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)))
    return error, len(np.unique(place[inside])), len(np.unique(place[~inside]))


def _student(value: float, spread: float, clusters: int, level: float, n: int) -> Estimate | None:
    from scipy.special import stdtrit

    from audit.stats._inputs import estimate

    if clusters < 2 or spread == 0:
        return None
    half = spread * float(stdtrit(clusters - 1, (1 + level) / 2))
    return estimate(value, value - half, value + half, level=level, method="sandwich_clusters", n=n)


def mean_of(second: Rows, inside: Bools, level: float) -> tuple[float, Estimate | None]:
    """The mean error of some rows of the second half with its interval; None where they do not show their spread. There is one row at least."""
    import numpy as np

    from audit.stats.compare import mean_interval
    from audit.stats.rates import wilson
    from audit.stats.sums import moments

    own = moments(second.errors[inside])
    assert own is not None, "a part has rows"
    if second.clustered:
        mean = float(own.mean)
        spread, clusters, _ = _spread(np.where(inside, (second.errors - mean) / own.n, 0.0), inside, second)
        return mean, _student(mean, spread, clusters, level, own.n)
    if second.metric == "zero_one_loss":
        return own.mean, wilson(round(own.n * own.mean), own.n, level=level)
    return own.mean, mean_interval(*own, level=level)


def measured(found: Sequence[Compared], metric: str, caption: Message | None = None) -> Iterator[Measurement]:
    """The difference of each suspect from all other rows, the first with a table of all of them under this caption."""
    rest = {"(rows)": REST}
    reason = message("Errors that do not vary show no interval.")
    for place, c in enumerate(found):
        parts = []
        if metric == "zero_one_loss":
            sides = ((c.suspect.slice, c.own), (rest, c.rest))
            parts = [Part(slice=slice_, k=round(m.n * m.mean), n=m.n) for slice_, m in sides]
        yield Measurement(
            metric=metric, compare="difference", slice=c.suspect.slice, against=rest, estimate=c.estimate, test=c.test, parts=parts,
            reason=None if c.estimate else render(reason), reason_msg=None if c.estimate else reason,
            evidence=[_table(found, metric, caption)] if caption and not place else [],
        )  # fmt: skip


def _table(found: Sequence[Compared], metric: str, caption: Message) -> Table:
    kind: Literal["percent", "number"] = "percent" if metric == "zero_one_loss" else "number"
    heads = [
        Column(name="slice", label="slice"), Column(name="rows", label="rows, both halves", kind="integer"), Column(name="searched", label="error, searched half", kind=kind),
        Column(name="score", label="score that ranked it", kind="number"),
        Column(name="tested", label="error, tested half", kind=kind), Column(name="rest", label="everybody else, tested half", kind=kind),
        Column(name="adjusted", label="adjusted p", kind="p_value"),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for c in found:
        p = c.test.adjusted_p_value if c.test else None
        rows.append([_written(c.suspect.slice), c.suspect.n + c.own.n, c.suspect.error, c.suspect.score, c.own.mean, c.rest.mean, p])
    return Table(caption=render(caption), caption_msg=caption, columns=heads, rows=rows)


def _written(slice_: Slice) -> str:
    """A slice in one cell: columns and their levels, those of our own without their column."""
    return " & ".join(level if name.startswith("(") else f"{name} = {level}" for name, level in slice_.items())


def said(ctx: Context, found: Sequence[Compared], metric: str) -> Message | None:
    """The plainest of those whose error is higher on the tested half too, in a sentence each; None where none is."""
    established = [c for c in sorted(found, key=lambda c: c.held) if c.held <= ctx.plan.judge.alpha_fail and c.estimate]
    sentences = [_sentence(c, metric) for c in established[:NAMED]]
    if not sentences:
        return None
    whole = sentences[-1]
    for first in reversed(sentences[:-1]):
        whole = message("{first} {rest}", first=first, rest=whole)
    return whole


def _sentence(c: Compared, metric: str) -> Message:
    assert c.estimate is not None
    e = c.estimate
    numbers = {"rate": c.own.mean, "rest": c.rest.mean, "value": e.value, "low": e.low, "high": e.high, "level": e.level, "n": c.own.n}
    words = {"who": who(c.suspect.slice), "what": message(WORDS[metric]), "p": c.held}
    if metric == "zero_one_loss":
        return message(
            "{who}: {what} {rate:percent}, everybody else {rest:percent} (a difference of {value:points} points, {level:percent} interval {low:points} to {high:points}; {n:count} rows; adjusted p {p:p}).",
            **words, **numbers,
        )  # fmt: skip
    return message(
        "{who}: {what} {rate:number}, everybody else {rest:number} (a difference of {value:signed}, {level:percent} interval {low:signed} to {high:signed}; {n:count} rows; adjusted p {p:p}).",
        **words, **numbers,
    )  # fmt: skip


def drawn(rows: Rows, sentence: Message) -> Message:
    """The sentence, with a word before it where memory did not suffice for all rows."""
    if len(rows.errors) == rows.all:
        return sentence
    return message(
        "Of {all:count} rows {rows:count} were drawn at random, as many as memory holds. {rest}", all=rows.all, rows=len(rows.errors), rest=sentence
    )  # fmt: skip
