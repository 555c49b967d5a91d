"""Metrics of both models over the same rows: paired tests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from audit.compared import Change
from audit.measurement import Estimate, Slice, Test
from audit.result import AuditResult
from audit.stats.cells import bootstrap
from audit.stats.paired import Pair, auc_change, mcnemar, mean_change
from audit.stats.sums import Moments
from audit.text import message, render
from audit.versions.metrics import test_of
from audit.versions.rates import change, gap_change, values
from audit.versions.rows import Joint, Rows, Sums

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]


def stream(seed: int, name: str) -> Generator:
    """A random stream named by (seed, name): one more metric moves no other number."""
    digest = hashlib.sha256(f"{seed}/compare/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def rate_of(joint: Joint, metric: str, favourable_event: bool) -> Pair:
    """The pair of a rate of `OF_GROUPS`; `favourable_event` says whether the favourable decision is the event."""
    if metric == "accuracy":
        return joint.right()
    if metric == "selection_rate":
        return joint.decided(event=favourable_event)
    return joint.decided(2, event=True) if metric == "true_positive_rate" else joint.decided(1, event=False)


def rates_of(rows: Rows, document: AuditResult) -> list[str]:
    """The rates that these rows have: decisions against outcomes, and the favourable decision where somebody declared it."""
    found = []
    if not rows.regression and rows.new.target and rows.old.target:
        found += ["accuracy"] + (["true_positive_rate", "true_negative_rate"] if rows.event is not None else [])
    if selects(rows, document):
        found.append("selection_rate")
    return found


def selects(rows: Rows, document: AuditResult) -> bool:
    """Whether both models have a favourable decision, and the same one."""
    return bool(document.data.favourable) and set(rows.old.settled.favourable) == set(rows.new.settled.favourable)


def favourable_event(document: AuditResult) -> bool:
    """Whether the favourable decision is the one for the event that is counted."""
    return document.data.positive is None or document.data.positive in document.data.favourable


def changes(rows: Rows, document: AuditResult, *, level: float, smallest: int) -> Iterator[Change]:
    """Every metric of `metrics` that these rows have, for everybody, each group of at least `smallest` rows, and each gap to the reference."""
    rates, event = rates_of(rows, document), favourable_event(document)
    overall = Joint(rows.overall)
    for metric in rates:
        yield _rate("recall" if metric == "true_positive_rate" else metric, {}, rate_of(overall, metric, event), level)
    yield from _of_classes(rows, document, level)
    yield from _of_scores(rows, level)
    if rows.regression:
        yield from _of_errors(rows.sums, {}, rows.outcome.moments(), level)
    joints = {(column, slice_[column]): joint for column, slice_, joint in rows.groups() if joint.n >= smallest}
    for (column, value), joint in joints.items():
        for metric in rates:
            yield _rate(metric, {column: value}, rate_of(joint, metric, event), level)
        if rows.regression:
            yield from _of_errors(rows.group_sums.get((column, value), {}), {column: value}, None, level)
    for (column, value), joint in joints.items():
        other = document.data.reference.get(column)
        if other is None or other == value or (column, other) not in joints:
            continue
        for metric in (m for m in rates if m != "accuracy"):
            yield from _gaps(metric, ({column: value}, {column: other}), (joint, joints[column, other]), event, document, level)


def _rate(metric: str, slice_: Slice, pair: Pair, level: float) -> Change:
    if pair.n == 0:
        return undefined(metric, slice_)
    p_value, method = mcnemar(pair)
    old, new = values(pair)
    test = Test(null="no change", method=method, p_value=p_value)
    return Change(metric=metric, slice=slice_, old=old, new=new, change=change(pair, level), test=test)


def undefined(metric: str, slice_: Slice) -> Change:
    reason = message("It is not defined on these rows.")
    return Change(metric=metric, slice=slice_, old=None, new=None, reason=render(reason), reason_msg=reason)


def _gaps(
    metric: str, slices: tuple[Slice, Slice], joints: tuple[Joint, Joint], event: bool, document: AuditResult, level: float
) -> Iterator[Change]:
    """Difference of a rate to the reference, and the ratio of selection rates."""
    pairs = [rate_of(joint, metric, event) for joint in joints]
    if not all(pair.n for pair in pairs):
        return
    (old, new), (old0, new0) = (values(pair) for pair in pairs)
    found = gap_change(pairs[0], pairs[1], level)
    about = {"metric": metric, "slice": slices[0], "against": slices[1]}
    yield Change(**about, compare="difference", old=old - old0, new=new - new0, change=found, test=test_of(found) if found else None)
    if metric != "selection_rate" or not (old0 and new0):
        return

    def ratios(counts: Counts) -> NDArray[np.float64]:
        table = counts.reshape(-1, 2, 4).astype(np.float64)  # group and reference × both, new, old, neither
        now, before = table[:, :, 0] + table[:, :, 1], table[:, :, 0] + table[:, :, 2]
        sizes = table.sum(axis=2)
        moved: NDArray[np.float64] = (now[:, 0] / now[:, 1] - before[:, 0] / before[:, 1]) * sizes[:, 1] / sizes[:, 0]
        return moved[:, None]

    cells = np.array([*pairs[0], *pairs[1]], dtype=np.int64)
    rng = stream(document.seed, f"ratio/{slices[0]}")
    (found,) = bootstrap(cells, ratios, level=level, rng=rng, strata=np.repeat([0, 1], 4)).estimates
    yield Change(**about, compare="ratio", old=old / old0, new=new / new0, change=found, test=test_of(found) if found else None)


def _of_classes(rows: Rows, document: AuditResult, level: float) -> Iterator[Change]:
    """Balanced accuracy, F1 and precision: ratios of counts whose denominators differ between the models, by the bootstrap over joint cells."""
    if rows.classes is None or not rows.classes.any():
        return
    size = len(rows.labels)
    seen = np.flatnonzero(rows.classes)
    y, before, now = np.unravel_index(seen, (size, size, size))
    positive = rows.new.settled.positive
    event = rows.labels.index(positive) if positive is not None else None
    names = ["balanced_accuracy", "f1"] + (["precision"] if event is not None else [])

    def both(counts: Counts) -> NDArray[np.float64]:
        return np.concatenate([_class_metrics(counts, y, p, size, event) for p in (before, now)], axis=1)

    def difference(counts: Counts) -> NDArray[np.float64]:
        found = both(counts)
        return found[:, len(names) :] - found[:, : len(names)]

    with np.errstate(divide="ignore", invalid="ignore"):
        points = both(rows.classes[seen][None, :])[0]
    made = bootstrap(rows.classes[seen], difference, level=level, rng=stream(document.seed, "cells")).estimates
    for i, (name, found) in enumerate(zip(names, made, strict=True)):
        old, new = float(points[i]), float(points[len(names) + i])
        if found is None or not (math.isfinite(old) and math.isfinite(new)):
            yield undefined(name, {})
        else:
            yield Change(metric=name, old=old, new=new, change=found, test=test_of(found))


def _class_metrics(counts: Counts, y: Counts, predicted: Counts, size: int, event: int | None) -> NDArray[np.float64]:
    """(R, 2 or 3): balanced accuracy, F1 (of the event, or macro) and precision from counts (R, cells) of outcome and prediction."""
    actual, chosen, hit = (np.zeros((len(counts), size)) for _ in range(3))
    for column in range(counts.shape[1]):
        actual[:, y[column]] += counts[:, column]
        chosen[:, predicted[column]] += counts[:, column]
        if y[column] == predicted[column]:
            hit[:, y[column]] += counts[:, column]
    happened = actual > 0
    recall = np.where(happened, hit / np.where(happened, actual, 1), 0.0)
    balanced = recall.sum(axis=1) / np.maximum(happened.sum(axis=1), 1)
    f1 = 2 * hit / np.where(actual + chosen > 0, actual + chosen, 1)
    if event is None:
        known = actual + chosen > 0
        return np.stack([balanced, np.where(known, f1, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)], axis=1)
    precision = np.where(chosen[:, event] > 0, hit[:, event] / np.where(chosen[:, event] > 0, chosen[:, event], 1), np.nan)
    return np.stack([balanced, f1[:, event], precision], axis=1)


def _of_scores(rows: Rows, level: float) -> Iterator[Change]:
    ranked = rows.ranked()
    if ranked is not None:
        event, old, new = ranked
        found = auc_change(event, new, old, level=level)
        if found is None:
            yield undefined("roc_auc", {})
        else:
            tested = None if rows.identical else test_of(found[2])
            yield Change(metric="roc_auc", old=found[1], new=found[0], change=found[2], test=tested)
    for metric in ("brier_score", "log_loss", "calibration_in_the_large"):
        if metric in rows.sums:
            yield _mean(metric, {}, rows.sums[metric], level)


def _mean(metric: str, slice_: Slice, sums: Sums, level: float) -> Change:
    old, new, moments = sums.old.moments(), sums.new.moments(), sums.change.moments()
    if old is None or new is None or moments is None:
        return undefined(metric, slice_)
    found = mean_change(moments, level=level)
    return Change(metric=metric, slice=slice_, old=old.mean, new=new.mean, change=found, test=test_of(found))


def _of_errors(sums: dict[str, Sums], slice_: Slice, outcome: Moments | None, level: float) -> Iterator[Change]:
    """Mean absolute error, and for everybody the share of the variation that the prediction explains."""
    if "absolute" not in sums:
        return
    yield _mean("mean_absolute_error", slice_, sums["absolute"], level)
    if outcome is None:
        return
    old, new, explained = sums["squared"].old.moments(), sums["squared"].new.moments(), explained_change(sums["squared"], outcome, level)
    if old is None or new is None or explained is None:
        yield undefined("r2", slice_)
        return
    spread = outcome.variance * (outcome.n - 1) / outcome.n
    yield Change(metric="r2", slice=slice_, old=1 - old.mean / spread, new=1 - new.mean / spread, change=explained, test=test_of(explained))


def explained_change(squared: Sums, outcome: Moments, level: float) -> Estimate | None:
    """Squared error saved by the new model in units of the outcome's variance on these rows, which is taken as the scale and not as an estimate."""
    moments, spread = squared.change.moments(), outcome.variance * (outcome.n - 1) / outcome.n
    if moments is None or spread <= 0:
        return None
    return mean_change(Moments(moments.n, -moments.mean / spread, moments.variance / spread**2), level=level)
