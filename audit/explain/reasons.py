"""The principal reasons of an adverse decision, by the two methods of the official commentary to Regulation B (12 CFR 1002.9, comment 9(b)(2)-5).

A factor's shortfall is how far its points lie below the average points of other applicants: of those at or slightly above the cutoff ("passing"), or of
all ("everybody"). Points are attributions on the scale that decides; against a background they are already differences from its average, so the shortfall is
the attribution with its sign turned. For an additive score this is the commentary's own arithmetic; for any other model it is an analogue, and the agreement
of the two methods and the error of every shortfall stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from audit.columns import ColumnRule
from audit.explain.explained import FLOOR, Explained
from audit.explain.shapley import PRECISION
from audit.explain.space import forbidden
from audit.subject.frame import Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.decisions import Decided

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Against = Literal["passing", "everybody"]
#: More than four reasons are unlikely to help (comment 9(b)(2)-1).
MOST = 4
#: The band "at or slightly above" the cutoff: so much of the score's standard deviation, and at least so many applicants.
BAND, LEAST = 0.10, 25
#: The background is dealt into so many parts, which are explained apart: their spread is the error of a shortfall.
PARTS = 5
#: A shortfall below this share of the largest is none but for rounding.
NOTHING = 1e-9
#: Random orders that an explanation is held against, and background rows that stand in for what is taken away.
ORDERS, COPIES = 40, 50
#: From this age on age may not count against an applicant (12 CFR 1002.2(o), 1002.6(b)(2)(iv)).
ELDERLY = 62.0


class Band(NamedTuple):
    """The applicants at or slightly above the cutoff: their rows, and the lowest and highest score among them."""

    frame: Frame
    low: float
    high: float


@dataclass(frozen=True)
class Shortfalls:
    """`parts` (parts, n, factors) are shortfalls against each part of the background, positive = below its average; `miss` (n,) is what the attributions
    leave unexplained, in their own `unit`, and `gaps` (n,) the same as a share of what they explain (of a hundredth of their sizes, where these cancel).

    `base` and `answer` (n,) are the mean answer to the background and the answer to the row, as the model gives them.
    `left` is the share of the variance that the background leaves, for all rows or for each (n,): 1 where it is a small sample, 0 where it holds
    everybody it stands for. `drawn` (parts, n, factors) are standard errors of the draw of coalitions, None where nothing was drawn; `level` is that of
    the intervals.
    """

    factors: tuple[str, ...]
    parts: Floats
    miss: Floats
    gaps: Floats
    unit: str
    method: str
    background: int
    left: float | Floats
    base: Floats
    answer: Floats
    drawn: Floats | None = None
    level: float = 0.95

    @property
    def mean(self) -> Floats:
        """Shortfalls (n, factors) against the whole background."""
        return np.asarray(self.parts.mean(axis=0))

    def margin(self, row: int, first: int, second: int) -> tuple[float, float, float]:
        """By how much one factor's shortfall exceeds another's, with its interval at `level`: over the parts of the background (Student), the draw
        of coalitions (normal), and the miss."""
        d = len(self.factors)  # shortfalls add up to a fixed sum, so what the draw adds to one it takes from the others
        return self._interval(
            self.parts[:, row, first] - self.parts[:, row, second], row, self._chance(row, [first, second]) * d / max(1, d - 1)
        )

    def interval(self, row: int, factor: int) -> tuple[float, float, float]:
        """One shortfall with its interval, as `margin` has it."""
        return self._interval(self.parts[:, row, factor], row, self._chance(row, [factor]))

    def _chance(self, row: int, factors: list[int]) -> float:
        """Variance that the draw of coalitions gives to the mean over the parts, of factors summed up."""
        return 0.0 if self.drawn is None else float((self.drawn[:, row, factors] ** 2).sum()) / len(self.parts) ** 2

    def _interval(self, values: Floats, row: int, chance: float) -> tuple[float, float, float]:
        from scipy.special import ndtri, stdtrit

        centre, k, left = float(values.mean()), len(values), float(np.broadcast_to(self.left, self.miss.shape)[row])
        upper = (1 + self.level) / 2
        if left == 0:
            half = 0.0
        elif k < 2:
            half = np.inf
        else:
            half = float(stdtrit(k - 1, upper)) * float(values.std(ddof=1)) * np.sqrt(left / k)
        half = float(np.hypot(half, ndtri(upper) * np.sqrt(chance))) + float(self.miss[row])
        return centre, centre - half, centre + half

    @property
    def noise(self) -> Floats:
        """Length of the errors over the length of the shortfalls (n,): 0 = the draws do not matter, 1 = they are all there is."""
        left = np.broadcast_to(self.left, self.miss.shape)
        if len(self.parts) < 2:
            return np.where(left > 0, np.inf, 0.0)
        square = self.parts.var(axis=0, ddof=1) * (left / len(self.parts))[:, None]
        if self.drawn is not None:
            square = square + (self.drawn**2).sum(axis=0) / len(self.parts) ** 2
        length = np.linalg.norm(self.mean, axis=1)
        return np.asarray(np.sqrt(square.sum(axis=1)) / np.where(length > 0, length, 1.0))


def shortfall(points: Floats, base: Floats) -> Floats:
    """How far each factor's points (factors,) lie below the average points of others (factors,): the commentary's own arithmetic."""
    return np.asarray(base, dtype=np.float64) - np.asarray(points, dtype=np.float64)


def principal(shortfalls: Floats, most: int = MOST) -> list[int]:
    """The factors with the largest shortfalls above 0, the largest first, at most `most`; of equal ones the earlier."""
    values = np.asarray(shortfalls, dtype=np.float64)
    least = NOTHING * max(float(np.max(np.abs(values), initial=0.0)), 1e-300)
    order = np.argsort(-values, kind="stable")
    return [int(i) for i in order[:most] if values[i] > least]


class Named(NamedTuple):
    """What is named for one decision: the factors in order; for each, whether it is told from the next one, which may be the first that is not named."""

    factors: list[int]
    tied: list[bool]

    @property
    def open(self) -> bool:
        """Whether it is not settled which factors are named, as the last of them and the first left out are too close."""
        return bool(self.tied) and self.tied[-1]


def named(found: Shortfalls, row: int, most: int = MOST) -> Named:
    """The principal reasons of one row, with what cannot be told apart: two shortfalls whose difference has an interval that holds 0."""
    mean = found.mean[row]
    order = [int(i) for i in np.argsort(-mean, kind="stable")]
    chosen = principal(mean, most)
    tied = []
    for place, factor in enumerate(chosen):
        if place + 1 >= len(order) or mean[order[place + 1]] <= 0:
            tied.append(False)  # what comes next is no shortfall, and so no rival
            continue
        difference, low, _ = found.margin(row, factor, order[place + 1])
        tied.append(low <= 0 or difference <= NOTHING * abs(mean[factor]))
    return Named(chosen, tied)


def overlap(first: Sequence[int], second: Sequence[int]) -> float:
    """Share of the named reasons that both methods name: 1 = the same reasons, whatever their order; two empty lists agree."""
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else 1.0


def band(frame: Frame, found: Decided, cutoff: float | None, *, least: int = LEAST) -> Band | None:
    """The applicants who just got the favourable decision: up to a tenth of the score's standard deviation above the cutoff, and at least `least`
    of them where there are as many; None where nobody got it. Without a cutoff the lowest score that got it stands for one."""
    chosen = np.flatnonzero(found.favourable)
    if not len(chosen):
        return None
    scores = found.score[chosen]
    start = cutoff if cutoff is not None else float(scores.min())
    order = np.argsort(scores, kind="stable")
    near = int(np.count_nonzero(scores <= start + BAND * float(np.std(found.score))))
    inside = order[: max(near, min(least, len(order)))]
    return Band(take(frame, np.sort(chosen[inside])), float(scores[inside].min()), float(scores[inside].max()))


def factors_of(names: Sequence[str], rules: Mapping[str, ColumnRule]) -> dict[str, list[str]]:
    """Factor → its columns: a one-hot group is one factor, every other input is one by itself."""
    out: dict[str, list[str]] = {}
    for name in names:
        group = rules[name].one_hot if name in rules else None
        out.setdefault(group or name, []).append(name)
    return out


def shortfalls(
    ctx: Context, frame: Frame, pool: Frame, size: int, name: str, *, output: int = 0, sign: int = 1, coalitions: int = 0
) -> Shortfalls:
    """Shortfalls of rows (n, ·) against up to `size` of the applicants in `pool`, drawn and dealt into parts by the stream `name`.

    `output` is the place of the explained output; `sign` is −1 where a smaller answer is better. `coalitions` as of `Explainer`. A larger draw holds
    a smaller one of the same name.
    """
    from audit.columns import rules
    from audit.explain.attribute import explainer, from_answers
    from audit.explain.decisions import split

    rng, everybody = ctx.rng(f"background/{name}"), rows(pool)
    background = split(take(pool, np.sort(rng.permutation(everybody)[:size])), PARTS, rng)
    factors = factors_of(list(frame), rules(ctx.facts.roles.columns))
    groups = factors if len(factors) < len(frame) else None
    ready, found = explainer, list[Explained]()
    precision = 0.0 if coalitions else PRECISION  # whoever names their number wants them all
    for i, part in enumerate(background):
        one = replace(ready(ctx, part, groups=groups, coalitions=coalitions), precision=precision).explain(frame, stream=f"{name}/{i}")[
            output
        ]
        if one.estimand != "background":  # values that hold against the training rows alone say nothing of these applicants
            ready = from_answers
            one = replace(ready(ctx, part, groups=groups, coalitions=coalitions), precision=precision).explain(frame, stream=f"{name}/{i}")[
                output
            ]
        found.append(one)
    first, used = found[0], sum(e.background for e in found)
    parts = np.stack([-sign * e.values for e in found])
    base = np.asarray(np.mean([e.base for e in found], axis=0))
    miss = np.abs(-sign * parts.mean(axis=0).sum(axis=1) + base - first.answer)
    moved = np.maximum(np.abs(first.answer - base), np.maximum(FLOOR * np.abs(parts.mean(axis=0)).sum(axis=1), 1e-12))
    drawn = None if first.error is None else np.stack([e.error if e.error is not None else np.zeros_like(e.values) for e in found])
    left = max(0.0, 1 - used / everybody)
    return Shortfalls(tuple(factors), parts, miss, miss / moved, first.unit, first.method, used, left, base, first.answer, drawn)


def beaten_by_chance(ctx: Context, frame: Frame, row: int, pool: Frame, found: Shortfalls, *, output: int = 0, sign: int = 1) -> float:
    """Share of random orders that bring the answer down faster than the attributions' own order, when one factor after the other takes
    the values of others: 0 = the order is better than chance, about ½ = it is worth nothing (Samek et al. 2017)."""
    from audit.columns import rules
    from audit.explain.attribute import from_answers
    from audit.explain.gates.deletion import areas, order
    from audit.explain.parts import Columns, game

    rng = ctx.rng("orders")
    background = take(pool, np.sort(rng.permutation(rows(pool))[:COPIES]))
    groups = factors_of(list(frame), rules(ctx.facts.roles.columns))
    asked = from_answers(ctx, background)
    play = game(asked.answer, Columns(frame, background, groups), row, asked.exposed)
    orders = [order(-found.mean[row]), *(rng.permutation(len(found.factors)) for _ in range(ORDERS))]
    area = sign * areas(lambda masks: play(masks)[:, [output]], orders)[:, 0]
    return float(np.mean(area[1:] < area[0] - NOTHING * np.ptp(area)))  # of few factors chance draws the very same order now and then


def barred(
    factor: str, frame: Frame, row: int, rules: Mapping[str, ColumnRule], sensitive: Sequence[str], proxies: Sequence[str] = ()
) -> bool:
    """Whether a factor may be no reason for this row: a prohibited basis, a flagged stand-in for one, or the age of somebody who is elderly or of
    unknown age."""
    columns = [name for name in frame if name == factor or (name in rules and rules[name].one_hot == factor)]
    for name in columns:
        rule = rules.get(name, ColumnRule())
        if rule.prohibited == "age":
            age = float(np.asarray(frame[name])[row]) if not hasattr(frame[name], "codes") else np.nan
            if not age < ELDERLY:
                return True
        elif name in proxies or forbidden(name, rule, sensitive):
            return True
    return False
