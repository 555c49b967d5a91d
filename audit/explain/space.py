"""What may change of a row, to what, and at what cost: the ground on which a way to another decision is looked for.

Rows travel as a matrix (n, d) of numbers, one column for each input: numbers as they are (NaN = missing), texts and dates as places in a
vocabulary (-1 = missing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audit.columns import ColumnRule
from audit.subject.frame import Categories, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Cost of another category: as far as two people drawn at random are apart on average in percentiles, E|U − V| = 1/3.
CATEGORY_COST = 1 / 3
#: No change is free, even between two values that stand for nobody.
LEAST_COST = 1e-9
#: Values of a column of numbers that are tried: so many quantiles.
GRID = 16
#: A way out leads to values between these quantiles of the data, so that it does not lead where nobody is.
ENDS = (0.01, 0.99)
#: Why a fact cannot change.
Fixed = Literal["immutable", "prohibited", "date", "constant", "derived"]


@dataclass(frozen=True)
class Coding:
    """How a frame becomes a matrix and back: the vocabulary of each column of texts or dates, the type of each column of numbers."""

    names: tuple[str, ...]
    vocabularies: dict[str, tuple[Any, ...]]
    types: dict[str, np.dtype[Any]]

    def matrix(self, frame: Frame) -> Floats:
        """A frame's rows, (n, d)."""
        return np.stack([self._coded(name, frame[name]) for name in self.names], axis=1)

    def _coded(self, name: str, column: Any) -> Floats:
        if name not in self.vocabularies:
            return np.asarray(column, dtype=np.float64)
        place = {value: i for i, value in enumerate(self.vocabularies[name])}
        if isinstance(column, Categories):
            lookup = np.array([*(place.get(v, -1) for v in column.vocabulary), -1], dtype=np.float64)
            return lookup[column.codes]
        return np.array([place.get(v, -1) for v in column.tolist()], dtype=np.float64)

    def frame(self, matrix: Floats) -> Frame:
        """Rows (n, d) as the model takes them."""
        return {name: self._decoded(name, matrix[:, j]) for j, name in enumerate(self.names)}

    def _decoded(self, name: str, values: Floats) -> Any:
        if name not in self.vocabularies:
            kind = self.types[name]
            whole = kind.kind in "iub" and bool(np.isfinite(values).all())
            return np.rint(values).astype(kind) if whole else np.array(values, dtype=np.float64)
        codes = values.astype(np.int32)
        if self.types[name].kind == "M":
            return np.array([*self.vocabularies[name], None], dtype="datetime64[ns]")[codes]
        return Categories(codes, self.vocabularies[name])


def coding(frames: Iterable[Frame]) -> Coding:
    """The coding of columns that all these frames share; the first frame settles types."""
    given = list(frames)
    vocabularies: dict[str, tuple[Any, ...]] = {}
    types: dict[str, np.dtype[Any]] = {}
    for name, first in given[0].items():
        columns = [frame[name] for frame in given]
        if isinstance(first, Categories):
            types[name] = np.dtype(object)
            vocabularies[name] = tuple(dict.fromkeys(v for c in columns if isinstance(c, Categories) for v in c.vocabulary))
        else:
            types[name] = first.dtype
            if first.dtype.kind == "M":
                vocabularies[name] = tuple(dict.fromkeys(v for c in columns if not isinstance(c, Categories) for v in c.tolist()))
    return Coding(tuple(given[0]), vocabularies, types)


@dataclass(frozen=True)
class Fact:
    """One thing that is true of a row: an input, or the inputs of a one-hot group.

    `targets` (t, columns) are the values that it may be given; `grid` and `ranks` (u,) are the values of numbers that occur and the share of the
    data below each (half of the equal ones included); `step` is what numbers are rounded to.
    """

    name: str
    columns: tuple[int, ...]
    numeric: bool
    targets: Floats
    direction: int = 0
    low: float = -np.inf
    high: float = np.inf
    grid: Floats | None = None
    ranks: Floats | None = None
    step: float = 0.0
    fixed: Fixed | None = None

    def cost(self, own: Floats, other: Floats) -> Floats:
        """Cost (n,) of the change between rows (n, d): the shift in percentiles (Ustun, Spangher and Liu 2019), or that of another category."""
        if self.fixed == "derived":
            return np.zeros(len(own))  # paid for where it comes from
        before, after = own[:, self.columns], other[:, self.columns]
        if self.numeric:
            assert self.grid is not None
            assert self.ranks is not None
            moved: Floats = np.abs(np.interp(after[:, 0], self.grid, self.ranks) - np.interp(before[:, 0], self.grid, self.ranks))
            moved = np.where(np.isfinite(moved), np.maximum(moved, LEAST_COST), 1.0)  # to or from a missing value: the whole range
            return np.where(_same(before, after)[:, 0], 0.0, moved)
        return np.where(_same(before, after).all(axis=1), 0.0, CATEGORY_COST)

    def allowed(self, own: Floats) -> Bools:
        """Which targets (n, t) each row (n, d) may be given: another value in the right direction; what is missing stays missing."""
        value = own[:, self.columns]
        other: Bools = np.any(value[:, None, :] != self.targets[None], axis=2)
        if not self.numeric:
            return np.asarray(other & np.all(value >= 0, axis=1)[:, None])
        change = self.targets[None, :, 0] - value
        return np.asarray(other & np.isfinite(value) & (self.direction * change >= 0))

    def rounded(self, value: Floats, own: Floats) -> Floats:
        """Numbers (n,) at the column's own precision, rounded away from `own` so that what was reached stays reached."""
        if not self.step:
            return value
        places = np.round(value / self.step, 6)
        away = np.where(value > own, np.ceil(places), np.floor(places)) * self.step
        tidy = np.round(away, max(0, -int(np.floor(np.log10(self.step)))))
        return np.clip(tidy, self.low, self.high)


@dataclass(frozen=True)
class Space:
    """Every fact of the rows, with the data that they are held against: `reference` (m, d)."""

    coding: Coding
    facts: tuple[Fact, ...]
    rules: Mapping[str, ColumnRule]
    sensitive: frozenset[str]
    reference: Floats

    def cost(self, own: Floats, other: Floats) -> Floats:
        """Total cost (n,) of the changes between rows (n, d): the sum over facts, in percentiles; 0 = unchanged."""
        return np.asarray(np.sum([fact.cost(own, other) for fact in self.facts], axis=0))

    def changed(self, own: Floats, other: Floats) -> Bools:
        """Which facts (n, facts) differ between rows (n, d); missing is equal to missing, and what only moves along with others does not count."""
        same = _same(own, other)
        return np.stack([~same[:, fact.columns].all(axis=1) & (fact.fixed != "derived") for fact in self.facts], axis=1)

    @property
    def ratios(self) -> list[tuple[Fact, int, int]]:
        """The facts that move with two others, and the columns of those."""
        place = {name: j for j, name in enumerate(self.coding.names)}
        of = {fact.name: self.rules[fact.name].ratio for fact in self.facts if fact.fixed == "derived"}
        return [(fact, place[pair[0]], place[pair[1]]) for fact in self.facts if (pair := of.get(fact.name)) is not None]

    @property
    def sources(self) -> set[int]:
        """The columns that others move with, or are held against."""
        place = {name: j for j, name in enumerate(self.coding.names)}
        floors = {place[rule.at_least] for rule in self.rules.values() if rule.at_least in place}
        return floors | {j for _, above, below in self.ratios for j in (above, below)}

    def derived(self, own: Floats, other: Floats) -> Floats:
        """`other` (n, d) with each ratio moved as far as its two columns were, at its own precision; NaN where that is not defined."""
        if not self.ratios:
            return other
        out = other.copy()
        for fact, above, below in self.ratios:
            (j,) = fact.columns
            with np.errstate(divide="ignore", invalid="ignore"):
                exact = own[:, j] * (other[:, above] / own[:, above]) / (other[:, below] / own[:, below])
            tidy = np.round(np.rint(exact / fact.step) * fact.step, max(0, -int(np.floor(np.log10(fact.step))))) if fact.step else exact
            stays = _same(own[:, above], other[:, above]) & _same(own[:, below], other[:, below])
            out[:, j] = np.where(stays, own[:, j], np.where(np.isfinite(tidy), tidy, np.nan))
        return out

    def possible(self, own: Floats, other: Floats) -> Bools:
        """Whether each changed row (n, d) can be at all: what moves with others is defined, and nothing that moved lies below what it never falls below."""
        fine = np.ones(len(own), dtype=bool)
        for fact, *_ in self.ratios:
            fine &= _same(own[:, fact.columns[0]], other[:, fact.columns[0]]) | np.isfinite(other[:, fact.columns[0]])
        place = {name: j for j, name in enumerate(self.coding.names)}
        for name, floor in ((name, rule.at_least) for name, rule in self.rules.items() if rule.at_least is not None):
            if name in place and floor in place:
                j, k = place[name], place[floor]
                moved = ~_same(own[:, j], other[:, j]) | ~_same(own[:, k], other[:, k])
                with np.errstate(invalid="ignore"):
                    fine &= ~(moved & (other[:, j] < other[:, k]))
        return fine

    def violations(self, own: Floats, other: Floats) -> Bools:
        """Rows (n,) whose change breaks a declaration, straight from the rules and not from what the search made of them."""
        broken = ~self.possible(own, other) | ~_same(self.derived(own, other), other).all(axis=1)
        groups: dict[str, list[int]] = {}
        for j, name in enumerate(self.coding.names):
            before, after, rule = own[:, j], other[:, j], self.rules.get(name, ColumnRule())
            moved = ~_same(before, after)
            if rule.immutable or forbidden(name, rule, self.sensitive):
                broken |= moved
            broken |= moved & ~np.isfinite(after)
            with np.errstate(invalid="ignore"):
                broken |= moved & ((rule.monotone == "increasing") & (after < before) | (rule.monotone == "decreasing") & (after > before))
                if rule.range is not None:
                    broken |= moved & ((after < rule.range[0]) | (after > rule.range[1]))
            broken |= moved & rule.integer & (after != np.rint(after))
            if name in self.coding.vocabularies:
                broken |= moved & ((after < 0) | (after >= len(self.coding.vocabularies[name])))
            if rule.one_hot is not None:
                groups.setdefault(rule.one_hot, []).append(j)
        for columns in groups.values():
            moved = np.any(own[:, columns] != other[:, columns], axis=1)
            broken |= moved & ((other[:, columns].sum(axis=1) != 1) | ~np.isin(other[:, columns], (0, 1)).all(axis=1))
        return broken


def _same(one: Floats, other: Floats) -> Bools:
    """Equal, or both missing."""
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))


def forbidden(name: str, rule: ColumnRule, sensitive: Iterable[str]) -> bool:
    """Whether a column is no ground for a decision, so that nobody is told to change it either."""
    return name in sensitive or rule.prohibited not in (None, False)


def space_of(reference: Frame, rules: Mapping[str, ColumnRule], sensitive: Iterable[str], *others: Frame) -> Space:
    """The facts of rows like `reference`; `others` are frames whose rows will be changed and may hold values of their own."""
    code, kept = coding([reference, *others]), frozenset(sensitive)
    known = code.matrix(reference)
    facts: list[Fact] = []
    grouped: dict[str, list[int]] = {}
    for j, name in enumerate(code.names):
        rule = rules.get(name, ColumnRule())
        if rule.one_hot is not None:
            grouped.setdefault(rule.one_hot, []).append(j)
            continue
        facts.append(_fact(name, j, known[:, j], rule, code, fixed=_fixed([name], rules, kept)))
    for group, columns in grouped.items():
        names = [code.names[j] for j in columns]
        values = np.eye(len(columns))
        seen = values[[bool(np.any(known[:, j] == 1)) for j in columns]]
        facts.append(_settled(Fact(group, tuple(columns), False, seen, fixed=_fixed(names, rules, kept))))
    return Space(code, tuple(facts), dict(rules), kept, known)


def _fixed(names: list[str], rules: Mapping[str, ColumnRule], sensitive: frozenset[str]) -> Fixed | None:
    declared = [rules.get(name, ColumnRule()) for name in names]
    if any(rule.ratio is not None for rule in declared):
        return "derived"
    if any(rule.immutable for rule in declared):
        return "immutable"
    return "prohibited" if any(forbidden(n, r, sensitive) for n, r in zip(names, declared, strict=True)) else None


def _settled(fact: Fact) -> Fact:
    """A fact with fewer than two values, or that cannot change, has no targets."""
    fixed = fact.fixed or ("constant" if len(fact.targets) < 2 else None)
    return Fact(**{**vars(fact), "fixed": fixed, "targets": fact.targets[:0] if fixed else fact.targets})


def _fact(name: str, j: int, values: Floats, rule: ColumnRule, code: Coding, fixed: Fixed | None) -> Fact:
    if name in code.vocabularies:
        seen = np.unique(values[values >= 0])
        date: Fixed | None = "date" if code.types[name].kind == "M" else None
        return _settled(Fact(name, (j,), False, seen[:, None], fixed=fixed or date))
    known = values[np.isfinite(values)]
    grid, counts = np.unique(known, return_counts=True)
    if not len(grid):
        return Fact(name, (j,), True, np.zeros((0, 1)), grid=np.zeros(1), ranks=np.zeros(1), fixed=fixed or "constant")
    ranks = (np.cumsum(counts) - counts / 2) / len(known)
    low, high = np.quantile(known, ENDS, method="inverted_cdf")
    if rule.range is not None:
        low, high = max(low, rule.range[0]), min(high, rule.range[1])
    step = _step(known, rule.integer)
    if rule.integer:
        low, high = np.ceil(low), np.floor(high)
    inside = known[(known >= low) & (known <= high)]
    if rule.integer:
        inside = np.rint(inside)
    distinct = np.unique(inside)
    if len(distinct) > GRID:
        distinct = np.unique(np.quantile(inside, np.linspace(0, 1, GRID), method="inverted_cdf"))
    if rule.range is not None and low <= high:
        distinct = np.union1d(distinct, (low, high))
    direction = {"increasing": 1, "decreasing": -1, "none": 0}[rule.monotone]
    return _settled(Fact(name, (j,), True, distinct[:, None], direction, float(low), float(high), grid, ranks, step, fixed))


def _step(values: Floats, integer: bool) -> float:
    """The precision of a column: 1, 0.1, 0.01 or 0.001 where all values have it, else about a hundredth of its spread."""
    if integer:
        return 1.0
    for places in range(4):
        scaled = values * 10.0**places
        if bool(np.all(np.abs(scaled - np.rint(scaled)) < 1e-6 * np.maximum(1, np.abs(scaled)))):
            return float(10.0**-places)
    low, high = np.quantile(values, (0.25, 0.75))
    spread = float(high - low) or float(np.ptp(values)) or 1.0
    return float(10.0 ** np.floor(np.log10(spread / 100)))
