"""Every metric of fairlearn over the groups of each sensitive column: reported, never judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Coding, Context, Grouping
    from audit.counting import Pair
    from audit.measurement import Estimate, Measurement, Message
    from audit.stats.extremes import How, OverGroups
    from audit.table import Block

#: fairlearn's metric → the extremes over groups that fairlearn names (fairlearn 0.15, `METRICS_SPEC`).
DERIVED: dict[str, tuple[How, ...]] = {
    "true_positive_rate": ("difference", "ratio"), "true_negative_rate": ("difference", "ratio"), "false_positive_rate": ("difference", "ratio"),
    "false_negative_rate": ("difference", "ratio"), "selection_rate": ("difference", "ratio"), "accuracy_score": ("difference", "ratio", "group_min"),
    "zero_one_loss": ("difference", "ratio", "group_max"), "balanced_accuracy_score": ("group_min",), "precision_score": ("group_min",),
    "recall_score": ("group_min",), "f1_score": ("group_min",), "roc_auc_score": ("group_min",), "log_loss": ("group_max",),
    "mean_absolute_error": ("group_max",), "mean_squared_error": ("group_max",), "r2_score": ("group_min",),
}  # fmt: skip
#: Equalized odds beside the worst case over groups, which `fairness.group` reports: to the value of all rows, and the mean of both rates.
ODDS: dict[str, tuple[How, bool]] = {
    "equalized_odds_difference_to_overall": ("difference_to_overall", False), "equalized_odds_ratio_to_overall": ("ratio_to_overall", False),
    "equalized_odds_difference_mean": ("difference", True), "equalized_odds_ratio_mean": ("ratio", True),
    "equalized_odds_difference_mean_to_overall": ("difference_to_overall", True), "equalized_odds_ratio_mean_to_overall": ("ratio_to_overall", True),
}  # fmt: skip
TO_OVERALL: dict[str, How] = {"difference": "difference_to_overall", "ratio": "ratio_to_overall"}
EXTREMES = [
    *(f"{name}_{how}" for name, hows in DERIVED.items() for how in hows),
    *(f"{name}_{TO_OVERALL[how]}" for name, hows in DERIVED.items() for how in hows if how in TO_OVERALL),
    *ODDS,
]
#: With more classes than this the pairs of outcome and decision are not counted.
MOST_CLASSES = 32


class Over(NamedTuple):
    """A metric over the known groups of a grouping, the rows that it counts, and the same as fairlearn would print it."""

    groups: OverGroups
    rows: int
    printed: OverGroups


@check(
    "fairness.metrics",
    title="All metrics of fairlearn",
    meaning=(
        "What fairlearn's MetricFrame gives, by its names: rows, error rates, F1 and losses per group, and over the groups of a column the largest difference, the smallest "
        "ratio, the best or the worst value; to_overall holds each group against everybody whose group is known. Beside each extreme stands what chance alone gives for groups "
        "of these sizes. For several classes precision, recall and F1 are means over the classes (macro), ROC AUC is that of each class against the rest."
    ),
    limits=(
        "The worst of several groups looks bad by chance alone, and the more so the more groups there are and the smaller they are: read an extreme beside its chance quantile. "
        "A metric that a group's rows do not define is left out for that group, where fairlearn counts it as 0. Extremes have no interval and are never judged. "
        "Error rates and losses take the recorded outcomes at their word, and intervals of rows without survey weights take these to be independent."
    ),
    unit="share of rows, or as the metric has it",
    direction="none",
    weighs="weighted",
    needs=["sensitive"],
    reported_only=EXTREMES,
    references=["Bird et al. 2020 (fairlearn)", "Phipson and Smyth 2010", "Efron and Tibshirani 1993"],
)  # fmt: skip
def metrics(
    ctx: Context,
    *,
    draws: Annotated[int, Field(ge=25, le=100_000)] = 2000,
    replicates: Annotated[int, Field(ge=25, le=100_000)] = 1000,
) -> Iterable[Measurement | Message]:
    """fairlearn's metrics per group and over groups, from counts; rank metrics, losses and errors from the rows of each group."""
    from audit.counting import CELLS, cell_coding
    from audit.measure import undefined
    from audit.over_groups import in_one_table
    from audit.text import message

    if ctx.facts.weight is not None:
        yield from _by_weight(ctx)
        return
    drawn = beyond = 0
    pairs = _pair_coding(ctx)
    codings: dict[str, tuple[Coding, int]] = {"cells": (cell_coding(ctx), CELLS)} | ({"pairs": pairs} if pairs else {})
    labelled = ctx.facts.target_sql is not None and ctx.settled.task != "regression"
    for grouping, counted in ctx.counted(codings, ["pred", *(["y"] if labelled else [])]):
        yield from _sizes(grouping, counted["cells"])
        over = _over_cells(ctx, grouping, counted, draws)
        if "pairs" in counted:
            yield from _by_group(ctx, grouping, counted["pairs"][:, :-1], replicates)
        elif labelled:
            why = message("With more than {n:count} classes, metrics of outcome by decision are not counted by group.", n=MOST_CLASSES)
            yield undefined("accuracy_score_difference", why, slice_=dict.fromkeys(grouping.columns, "*"))
        if ctx.facts.target_sql is not None:
            yield from _over_rows(ctx, grouping, over)
        for m in in_one_table(_extremes(grouping, over)):
            if m.test is not None:
                drawn, beyond = drawn + 1, beyond + (m.test.p_value <= 0.05)
            yield m
    if not drawn and ctx.clustering is not None:
        yield message(
            "Extremes over groups are given as they are: rows of one {column} belong together, so how large they get among equal groups is not simulated.",
            column=str(ctx.facts.roles.cluster),
        )
        return
    if not drawn:
        yield message("No two groups have rows that can be compared.")
        return
    yield message(
        "Of {n:count} extremes over groups, {beyond:count} are beyond what chance gives 95 % of the time for equal groups of these sizes; if all groups were "
        "equal, about one in twenty would be.", n=drawn, beyond=beyond,
    )  # fmt: skip


def _by_weight(ctx: Context) -> Iterator[Measurement | Message]:
    """The same where rows carry survey weights."""
    from audit.weighted import over_groups as weighted

    def extremes(grouping: Grouping, found: dict[str, OverGroups], rows: dict[str, int]) -> Iterator[Measurement]:
        over = {name: Over(*parts) for name, parts in weighted.printed(found, rows).items() if name in DERIVED}
        return _extremes(grouping, over)

    yield from weighted.sizes(ctx)
    yield from weighted.metrics(ctx, extremes, MOST_CLASSES)


def _pair_coding(ctx: Context) -> tuple[Coding, int] | None:
    """A coding of rows by class of the outcome and of the decision, which runs faster; the last code is for rows that lack one."""
    import numpy as np

    classes = len(ctx.settled.classes)
    if ctx.settled.task == "regression" or ctx.facts.target_sql is None or classes > MOST_CLASSES:
        return None

    def coding(block: Block) -> NDArray[np.int64]:
        y, pred = block["y"].astype(np.int64), block["pred"].astype(np.int64)
        return np.where((y >= 0) & (pred >= 0), y * classes + pred, classes * classes)

    return coding, classes * classes + 1


def _sizes(grouping: Grouping, cells: NDArray[np.int64]) -> Iterator[Measurement]:
    """fairlearn's `count`: rows with a decision."""
    from audit.counting import UNDECIDED
    from audit.measure import exact, value

    for slice_, n in zip(grouping.slices, cells[:, :UNDECIDED].sum(axis=1).tolist(), strict=True):
        yield value("count", exact(float(n), n), slice_=slice_)


def _known(grouping: Grouping) -> list[int]:
    return [i for i in range(len(grouping.slices)) if i not in grouping.unknown]


def _event(ctx: Context) -> int | None:
    """The class that precision, recall and F1 speak of; None for the mean over the classes."""
    return ctx.settled.classes.index(ctx.settled.positive) if ctx.settled.positive is not None else None


def _over_cells(ctx: Context, grouping: Grouping, counted: dict[str, NDArray[np.int64]], draws: int) -> dict[str, Over]:
    """Metrics that are functions of counts, over the known groups, with what they are when rows are dealt to the groups at random."""
    from audit.counting import by_event, rates
    from audit.over_groups import as_printed
    from audit.stats import confusion
    from audit.stats.extremes import cells_over_groups, rates_over_groups

    known, name = _known(grouping), "/".join(grouping.columns)
    draws = 0 if ctx.clustering is not None else draws  # rows that belong together may not be dealt out one by one
    pairs: dict[str, Pair] = {k: v for k, v in rates(ctx, counted["cells"]).items() if k in DERIVED or k == "precision"}
    rows = by_event(counted["cells"]).sum(axis=1)
    tables: dict[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {}
    if "pairs" in counted:
        cells, event = counted["pairs"][:, :-1], _event(ctx)
        t = confusion.tallies(cells)
        rows, right = cells.sum(axis=1), t.hit.sum(axis=1)
        pairs |= {"accuracy_score": (right, rows), "zero_one_loss": (rows - right, rows)}
        tables = {
            "balanced_accuracy_score": lambda c: confusion.balanced_accuracy(confusion.tallies(c)),
            "f1_score": lambda c: confusion.f1(confusion.tallies(c), event),
        }
        if event is None:
            tables |= {
                "precision_score": lambda c: confusion.precision(confusion.tallies(c), None),
                "recall_score": lambda c: confusion.recall(confusion.tallies(c), None),
            }
        else:
            pairs |= {"precision_score": pairs["precision"], "recall_score": pairs["true_positive_rate"]}
    pairs.pop("precision", None)
    out = {}
    for metric, (k, n) in pairs.items():
        # The draws of `fairness.group`, so that what both report has one p.
        rng = ctx.rng(f"extremes/{name}/{metric}", check="fairness.group")
        over = rates_over_groups(k[known], n[known], rng=rng, draws=draws)
        out[metric] = Over(over, int(n[known].sum()), as_printed(metric, over, rows[known]))
    for metric, of in tables.items():
        over = cells_over_groups(cells[known], of, rng=ctx.rng(f"{name}/{metric}"), draws=draws)
        out[metric] = Over(over, int(rows[known].sum()), as_printed(metric, over, rows[known]))
    return out


def _by_group(ctx: Context, grouping: Grouping, cells: NDArray[np.int64], replicates: int) -> Iterator[Measurement]:
    """F1 and balanced accuracy of each group, with intervals by the bootstrap over cells."""
    import numpy as np

    from audit.measure import value
    from audit.stats import confusion
    from audit.stats.crosstab import Crosstab
    from audit.text import message

    if not cells.sum():
        return
    event = _event(ctx)
    table = Crosstab(("group",), (tuple(map(str, range(len(cells)))),), np.arange(len(cells))[:, None], cells)
    of = [lambda c: confusion.f1(confusion.tallies(c), event), lambda c: confusion.balanced_accuracy(confusion.tallies(c))]
    level, rng = ctx.level("f1_score"), ctx.rng(f"bootstrap/{'/'.join(grouping.columns)}")
    found = iter(table.resample([["group"]], of, level=level, rng=rng, replicates=replicates).estimates)
    sizes = cells.sum(axis=1).tolist()
    for slice_, n in zip(grouping.slices, sizes, strict=True):
        for metric in ("f1_score", "balanced_accuracy_score"):
            estimate = next(found)
            estimate = estimate.model_copy(update={"n": n}) if estimate else None
            yield value(
                metric, estimate, slice_=slice_, reason=message("Too few rows of this group have an outcome, or none has what it counts.")
            )


def _rows(ctx: Context, grouping: Grouping, columns: list[NDArray[np.float64]]) -> Iterator[list[NDArray[np.float64]]]:
    """For each slice these columns of its usable rows, in row order."""
    from itertools import pairwise

    import numpy as np

    usable = ctx.scored.usable
    codes = ctx.codes(grouping)[usable]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(grouping.slices) + 1))
    held = [column[usable][order] for column in columns]
    for start, end in pairwise(bounds):
        yield [column[start:end] for column in held]


def _over_rows(ctx: Context, grouping: Grouping, over: dict[str, Over]) -> Iterator[Measurement]:
    """Losses, errors and rank metrics of each group; what they are over groups goes into `over`."""
    import numpy as np

    from audit.measure import value
    from audit.stats.extremes import OverGroups
    from audit.text import message

    if ctx.settled.task == "regression":
        columns, of = [ctx.scored.y, ctx.scored.pred], _errors
    elif ctx.settled.has_scores:
        columns, of = [ctx.scored.y, *ctx.scored.scores().T], _losses
    else:
        return
    found: dict[str, list[One]] = {}
    rows = []
    for slice_, members in zip(grouping.slices, _rows(ctx, grouping, columns), strict=True):
        rows.append(len(members[0]))
        for metric, one in of(ctx, members).items():
            found.setdefault(metric, []).append(one)
            if metric not in ELSEWHERE:
                reason = message("Fewer than two rows of this group have an outcome, or all outcomes are the same.")
                yield value(metric, one.estimate, slice_=slice_, reason=reason)
    known = _known(grouping)
    for metric, ones in found.items():
        ours, theirs = (OverGroups(np.array([v[i] for v in ones])[known], np.nan) for i in (0, 1))
        over[metric] = Over(ours, sum(rows[i] for i in known), theirs)


class One(NamedTuple):
    """A metric of one group, NaN where undefined; what scikit-learn prints for it; the estimate with its interval."""

    value: float
    printed: float
    estimate: Estimate | None


#: What other checks report per group.
ELSEWHERE = ("roc_auc_score", "mean_absolute_error")


def _mean(values: NDArray[np.float64], level: float) -> One:
    import math

    from audit.stats.losses import mean_size_of
    from audit.stats.sums import moments

    m = moments(values)
    mean = math.nan if m is None else m.mean
    return One(mean, mean, mean_size_of(m, level=level) if m is not None and m.n > 1 else None)


def _losses(ctx: Context, members: list[NDArray[np.float64]]) -> dict[str, One]:
    """ROC AUC of the event, or of each class against the rest, and log loss of forecasts; `members` are outcome codes and the score of each class."""
    import math

    import numpy as np

    from audit.stats.auc import delong
    from audit.stats.losses import log_losses
    from audit.stats.ranked import rank

    y, scores = members[0].astype(np.int64), np.stack(members[1:], axis=1)
    classes = [_event(ctx)] if ctx.settled.task == "binary" and _event(ctx) is not None else range(scores.shape[1])
    aucs = [delong(rank(scores[:, c], y == c)) for c in classes]
    auc = math.nan if any(a is None for a in aucs) else math.fsum(a[0] for a in aucs if a) / len(aucs)
    ranked = {"roc_auc_score": One(auc, auc, None)}
    if not ctx.settled.has_forecasts:
        return ranked
    return ranked | {"log_loss": _mean(log_losses(scores[np.arange(len(y)), y]), ctx.level("log_loss"))}


def _errors(ctx: Context, members: list[NDArray[np.float64]]) -> dict[str, One]:
    """Errors of a predicted quantity; `members` are outcomes and predictions."""
    import math

    import numpy as np

    from audit.stats import losses

    y, prediction = members
    error = y - prediction
    if len(y) > 1 and np.ptp(y) > 0:
        estimate = losses.r2(y, prediction, level=ctx.level("r2_score"))
        explained = One(estimate.value, estimate.value, estimate)
    else:
        printed = math.nan if len(y) < 2 else float(not error.any())  # as scikit-learn has it where all outcomes are the same
        explained = One(math.nan, printed, None)
    return {
        "mean_absolute_error": _mean(np.abs(error), ctx.level("mean_absolute_error")),
        "mean_squared_error": _mean(error**2, ctx.level("mean_squared_error")), "r2_score": explained,
    }  # fmt: skip


def _extremes(grouping: Grouping, over: dict[str, Over]) -> Iterator[Measurement]:
    """Every extreme that fairlearn names; of an intersection those between groups."""
    from audit.over_groups import measured

    for name, metric in over.items():
        for how in DERIVED[name]:
            for each in (how, TO_OVERALL[how]) if how in TO_OVERALL and grouping.single else (how,):
                yield measured(f"{name}_{each}", grouping, [metric.groups], each, metric.rows, printed=[metric.printed])
    odds = [over[name] for name in ("true_positive_rate", "false_positive_rate") if name in over]
    if grouping.single and len(odds) == 2:
        for name, (how, mean) in ODDS.items():
            rows = sum(m.rows for m in odds)  # events and non-events
            yield measured(name, grouping, [m.groups for m in odds], how, rows, mean=mean, printed=[m.printed for m in odds])
