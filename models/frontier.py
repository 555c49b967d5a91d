"""Error against disparity, point by point, on rows that choose: every figure with its interval. Arrays in, records out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000
#: A rate of fewer rows is shown and not compared.
FEWEST = 10
#: A group whose weighted error grows by more than this pays for the others' equality ("levelling down").
WORSE = 0.01
#: Constraint (fairlearn's name) → the rates that it wants equal between groups.
RATES: dict[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "true_positive_rate_parity": ("true_positive_rate",),
    "false_positive_rate_parity": ("false_positive_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
}


@dataclass(frozen=True)
class Sample:
    """The rows that choose: `y` (n,) bool, the positive label; `group` (n,) object, None where unknown; `weight` in (0, 1) is what a wrong
    positive decision counts, and a wrong negative one 1 - weight: with the cut-off T of the rule `score>=T`, that rule is the best cut of a
    calibrated score."""

    y: NDArray[np.bool_]
    group: NDArray[Any]
    weight: float
    seed: int

    def losses(self, decided: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n,) in [0, 2]; the plain error where the weight is ½."""
        found: NDArray[np.float64] = 2 * self.weight * (decided & ~self.y) + 2 * (1 - self.weight) * (~decided & self.y)
        return found


def measured(sample: Sample, decided: NDArray[np.bool_], before: NDArray[np.bool_], *, constraint: str) -> dict[str, Any]:
    """A point of the frontier: weighted error, what it costs against the decisions `before`, disparity, and every group's own figures."""
    losses, were = sample.losses(decided), sample.losses(before)
    groups = _groups(sample, decided, losses, were)
    return {
        "error": _mean(losses, sample.seed),
        "cost": _mean(losses - were, sample.seed),
        "plain_error": _proportion(int((decided != sample.y).sum()), len(sample.y)),
        "selection_rate": _proportion(int(decided.sum()), len(decided)),
        "disparity": disparity(groups, RATES[constraint]),
        "groups": groups,
        "worse_for": [g["group"] for g in groups if g["n"] >= FEWEST and g["cost"] > WORSE],
    }


def _groups(sample: Sample, decided: NDArray[np.bool_], losses: NDArray[np.float64], were: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Each group's rates as counts, its accuracy, and the change of its weighted error."""
    found = []
    for name in sorted({g for g in sample.group if g is not None}):
        own = sample.group == name
        d, y = decided[own], sample.y[own]
        found.append({
            "group": name, "n": int(own.sum()), "cost": float((losses[own] - were[own]).mean()), "accuracy": _proportion(int((d == y).sum()), len(y)),
            "selection_rate": _proportion(int(d.sum()), len(d)),
            "true_positive_rate": _proportion(int(d[y].sum()), int(y.sum())),
            "false_positive_rate": _proportion(int(d[~y].sum()), int((~y).sum())),
        })  # fmt: skip
    return found


def disparity(groups: Sequence[dict[str, Any]], rates: Sequence[str]) -> dict[str, Any] | None:
    """The largest difference between two groups in one of the rates (fairlearn's `*_difference`), and Newcombe's interval for that pair.

    That this pair was picked because it is farthest apart is not in the interval. Rates of fewer than 10 rows are left out, and None is
    returned where no two groups can be compared.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    best: dict[str, Any] | None = None
    for rate in rates:
        known = sorted((g for g in groups if g[rate]["n"] >= FEWEST), key=lambda g: (g[rate]["value"], g["group"]))
        if len(known) < 2:
            continue
        low, high = known[0], known[-1]
        value = high[rate]["value"] - low[rate]["value"]
        if best is not None and value <= best["value"]:
            continue
        counts = (high[rate]["k"], high[rate]["n"], low[rate]["k"], low[rate]["n"])
        limits = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - LEVEL)
        best = {
            "value": value, "low": float(limits[0]), "high": float(limits[1]), "level": LEVEL, "method": "newcombe",
            "n": counts[1] + counts[3], "rate": rate, "highest": high["group"], "lowest": low["group"],
        }  # fmt: skip
    return best


def _proportion(k: int, n: int) -> dict[str, Any]:
    """k of n with Wilson's interval; null where there are no rows."""
    from statsmodels.stats.proportion import proportion_confint

    if not n:
        return {"value": None, "low": None, "high": None, "k": 0, "n": 0, "level": LEVEL, "method": "wilson"}
    low, high = proportion_confint(k, n, alpha=1 - LEVEL, method="wilson")
    return {"value": k / n, "low": float(low), "high": float(high), "k": k, "n": n, "level": LEVEL, "method": "wilson"}


def _mean(values: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """The mean with a percentile bootstrap over rows; the same rows are drawn for every point."""
    import numpy as np
    from scipy.stats import bootstrap

    if len(values) < 2 or np.ptp(values) == 0:
        low = high = float(values.mean())
    else:
        found = bootstrap(
            (values,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=np.random.default_rng(seed)
        )
        low, high = map(float, found.confidence_interval)
    return {"value": float(values.mean()), "low": low, "high": high, "level": LEVEL, "method": "bootstrap_percentile", "n": len(values)}


def chosen(base: dict[str, Any], points: Sequence[dict[str, Any]], *, most: float) -> int | None:
    """The place of the point with the smallest disparity among those that cost at most `most`; of equals the one that costs least.

    None where no such point has a smaller disparity than the base.
    """
    able = [
        i for i, p in enumerate(points)
        if p["disparity"] and p["cost"]["value"] <= most and p["disparity"]["value"] < base["disparity"]["value"]
    ]  # fmt: skip
    return min(able, key=lambda i: (points[i]["disparity"]["value"], points[i]["cost"]["value"]), default=None)


def efficient(points: Sequence[dict[str, Any]]) -> list[int]:
    """Places of the points that no other beats in both error and disparity, by falling disparity."""
    pairs = [(p["disparity"]["value"], p["error"]["value"]) if p["disparity"] else None for p in points]
    kept = [
        i for i, own in enumerate(pairs)
        if own is not None and not any(o is not None and o != own and o[0] <= own[0] and o[1] <= own[1] for o in pairs)
    ]  # fmt: skip
    return sorted(kept, key=lambda i: pairs[i] or (0.0, 0.0), reverse=True)


def line(name: str, point: dict[str, Any]) -> str:
    """A point as a person reads it at a terminal."""

    def shown(estimate: dict[str, Any]) -> str:
        return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"

    apart = point["disparity"]
    said = f"{shown(apart)} ({apart['rate']}: {apart['highest']} over {apart['lowest']})" if apart else "not comparable"
    worse = f"; worse for {', '.join(point['worse_for'])}" if point["worse_for"] else ""
    cost = f" ({point['cost']['value']:+.3f} [{point['cost']['low']:+.3f}, {point['cost']['high']:+.3f}])" if point["cost"]["value"] else ""
    return f"{name}: error {shown(point['error'])}{cost}, disparity {said}, selected {shown(point['selection_rate'])}{worse}"
