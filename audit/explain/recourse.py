"""Ways to the other decision: counterfactual rows that respect what a person can change, each of which the model was asked about.

Where gradients can be had, the nearest place that they lead to is the first way (`descent`). Then a beam search over changes of one fact at a time, each asked of the model in large batches, bounded by the cheapest way found so far; where it finds none, the
facts of people who got the decision are taken over and given back one by one (Brughmans, Leyman and Martens 2024, "NICE"). What is found is shrunk towards the
row, rounded to the column's precision, and asked again: only what then still has the decision is a way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.descent import Descent
    from audit.explain.space import Fact, Space

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

#: Rows (m, d) → whether each has the decision, and how far each is from it.
Ask = Callable[["Floats"], "tuple[Bools, Floats]"]
#: Facts that one way may change in the search; with those of a donor more can remain.
DEPTH = 4
#: Ways that are followed at once for a row, and ways that are kept.
BEAM, KEEP = 8, 12
#: Halvings of a change on the way back to the row.
HALVINGS = 8
#: People with the decision whose facts are taken over where the search finds nothing.
DONORS = 20
#: How far a changed number is missed where a way is tried, as a share of itself, and how often.
NOISE, TRIES = 0.02, 5
#: Rows of one question to the model, at most.
BATCH = 65_536
#: Rows that are looked at together, at most: the states of all of them are held at once.
ROWS = 64
#: A way is plausible where it lies no farther from the people with the decision than this share of them lie from each other.
PLAUSIBLE, NEIGHBOURS = 0.95, 5


class Way(NamedTuple):
    """One way: the changed row (d,), its cost, how many facts it changes, and the percentile of its distance to people with the decision."""

    values: Floats
    cost: float
    changes: int
    distance: float

    @property
    def plausible(self) -> bool:
        """Whether people like this occur among those with the decision."""
        return self.distance <= PLAUSIBLE


@dataclass
class Search:
    """Ways for rows of one space; `asked` counts the rows that the model was asked about."""

    space: Space
    ask: Ask
    accepted: Floats
    depth: int = DEPTH
    descent: Descent | None = None
    asked: int = field(default=0, init=False)

    def ways(self, own: Floats, most: int = 1) -> list[list[Way]]:
        """For each row (n, d) up to `most` ways with different facts changed, the cheapest plausible ones first; an empty list where none was found."""
        if len(own) > ROWS:
            return [way for start in range(0, len(own), ROWS) for way in self.ways(own[start : start + ROWS], most)]
        _, gap = self._ask(own, own)
        pool: list[list[tuple[float, Floats]]] = [[] for _ in own]
        if self.descent is not None:
            self._descend(own, self.descent, pool)
        self._beam(own, gap, pool, bound=most == 1)
        left = np.array([i for i, found in enumerate(pool) if not found], dtype=np.int64)
        if len(left) and len(self.accepted):
            self._take_over(own, left, pool)
        return self._finished(own, pool, most)

    def holds(self, own: Floats, found: Floats, rng: np.random.Generator) -> Floats:
        """Of each way (n, d) the share of `TRIES` (n,) that still has the decision where every changed number misses by up to `NOISE` of itself."""
        still = np.zeros(len(found))
        for _ in range(TRIES):
            missed = found.copy()
            for fact in (fact for fact in self.space.facts if fact.numeric):
                (j,) = fact.columns
                off = 1 + NOISE * rng.uniform(-1, 1, len(found))
                missed[:, j] = np.where(found[:, j] != own[:, j], found[:, j] * off, found[:, j])
            still += self._ask(own, missed)[0]
        return still / TRIES

    def _ask(self, own: Floats, changed: Floats) -> tuple[Bools, Floats]:
        """The decision on changed rows (m, d), each of the row `own` (m, d), with what moves along moved; none where such a row cannot be."""
        if not len(changed):
            return np.zeros(0, dtype=bool), np.zeros(0)
        matrix = self.space.derived(own, changed)
        self.asked += len(matrix)
        parts = [self.ask(matrix[i : i + BATCH]) for i in range(0, len(matrix), BATCH)]
        ok, gap = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        ok &= self.space.possible(own, matrix)
        return ok & np.isfinite(gap), np.where(np.isfinite(gap), gap, np.inf)

    def _descend(self, own: Floats, descent: Descent, pool: list[list[tuple[float, Floats]]]) -> None:
        """Where the gradient leads, made small; what costs more than that need not be tried."""
        found = descent(own)
        ok = (
            self._ask(own, found)[0]
            & self.space.changed(own, found).any(axis=1)
            & ~self.space.violations(own, self.space.derived(own, found))
        )
        at = np.flatnonzero(ok)
        found = self._smallest(own[at], found[at])
        for i, cost, values in zip(at, self.space.cost(own[at], found), found, strict=True):
            pool[i].append((float(cost), values))

    # --- the beam ---------------------------------------------------------------------------------------------------------------------

    def _beam(self, own: Floats, gap: Floats, pool: list[list[tuple[float, Floats]]], *, bound: bool) -> None:
        """One more fact changed at each step; what costs more than the cheapest way so far is not asked. `bound`: nor what costs more than the way
        that the gradient led to."""
        n, facts = len(own), self.space.facts
        row, state, used = np.arange(n), own.copy(), np.zeros((n, len(facts)), dtype=bool)
        best, rate = np.array([found[0][0] if found and bound else np.inf for found in pool]), np.full(n, np.inf)
        allowed = [fact.allowed(own) for fact in facts]
        for _ in range(self.depth):
            source, changed, which = self._steps(row, state, used, allowed)
            if not len(source):
                return
            origin = row[source]
            cost = self.space.cost(own[origin], changed)
            keep = cost < best[origin]
            source, changed, which, origin, cost = source[keep], changed[keep], which[keep], origin[keep], cost[keep]
            ok, far = self._ask(own[origin], changed)
            for i in np.flatnonzero(ok):
                pool[origin[i]].append((float(cost[i]), changed[i]))
                best[origin[i]] = min(best[origin[i]], cost[i])
            for found in (pool[i] for i in np.unique(origin[ok])):
                found.sort(key=lambda pair: pair[0])
                del found[KEEP:]
            gain = gap[origin] - far
            with np.errstate(divide="ignore", invalid="ignore"):
                np.minimum.at(rate, origin, np.where(gain > 0, cost / gain, np.inf))
                estimate = cost + np.where(far > 0, far * rate[origin], 0.0)
            estimate = np.where(np.isfinite(estimate), estimate, cost + 1e6)
            follow = np.flatnonzero(~ok & (cost < best[origin]))
            follow = _best_of_each(origin[follow], estimate[follow], follow, BEAM)
            row, state = origin[follow], changed[follow]
            used = used[source[follow]].copy()
            used[np.arange(len(follow)), which[follow]] = True
            row, state, used = _distinct(row, state, used)

    def _steps(self, row: Ints, state: Floats, used: Bools, allowed: list[Bools]) -> tuple[Ints, Floats, Ints]:
        """Every state with one more fact changed: the state it comes from, the new row, and the fact."""
        sources, rows, which = [], [], []
        for f, fact in enumerate(self.space.facts):
            source, target = np.nonzero(allowed[f][row] & ~used[:, f, None])
            if len(source):
                changed = state[source]
                changed[:, fact.columns] = fact.targets[target]
                sources.append(source)
                rows.append(changed)
                which.append(np.full(len(source), f))
        if not sources:
            return np.zeros(0, np.int64), state[:0], np.zeros(0, np.int64)
        return np.concatenate(sources), np.concatenate(rows), np.concatenate(which)

    # --- the facts of others ----------------------------------------------------------------------------------------------------------

    def _take_over(self, own: Floats, left: Ints, pool: list[list[tuple[float, Floats]]]) -> None:
        """For rows without a way: as many facts as a row may change are taken from people with the decision, the nearest first."""
        for i in left:
            mine = np.repeat(own[i : i + 1], len(self.accepted), axis=0)
            mixed = mine.copy()
            for fact in self.space.facts:
                if not len(fact.targets):
                    continue
                mixed = _where(fact, self._reachable(fact, mine, self.accepted), self.accepted, mixed)
            order = np.argsort(self.space.cost(mine, mixed), kind="stable")[:DONORS]
            mixed = np.unique(mixed[order], axis=0)
            ok, _ = self._ask(np.repeat(own[i : i + 1], len(mixed), axis=0), mixed)
            for candidate in mixed[ok][:3]:
                slim = self._sparser(own[i : i + 1], candidate[None])[0]
                pool[i].append((float(self.space.cost(own[i : i + 1], slim[None])[0]), slim))

    @staticmethod
    def _reachable(fact: Fact, own: Floats, other: Floats) -> Bools:
        """Whether each row may be given the other's value of a fact."""
        if not fact.numeric:
            return np.asarray(np.all(own[:, fact.columns] >= 0, axis=1) & np.all(other[:, fact.columns] >= 0, axis=1))
        before, after = own[:, fact.columns[0]], other[:, fact.columns[0]]
        with np.errstate(invalid="ignore"):
            inside = (after >= fact.low) & (after <= fact.high) & (fact.direction * (after - before) >= 0)
        return np.asarray(inside & np.isfinite(before) & np.isfinite(after))

    # --- what was found, made small ---------------------------------------------------------------------------------------------------

    def _finished(self, own: Floats, pool: list[list[tuple[float, Floats]]], most: int) -> list[list[Way]]:
        owner = np.array([i for i, found in enumerate(pool) for _ in found], dtype=np.int64)
        if not len(owner):
            return [[] for _ in own]
        found = np.stack([values for ways in pool for _, values in ways])
        before = own[owner]
        found = self._smallest(before, found)
        found = self.space.derived(before, found)
        ok, _ = self._ask(before, found)  # asked again, as it would be handed over
        ok &= ~self.space.violations(before, found)
        cost, changed = self.space.cost(before, found), self.space.changed(before, found)
        near = self._distance(found)
        out: list[list[Way]] = [[] for _ in own]
        order = np.lexsort((cost, near > PLAUSIBLE))
        seen: set[tuple[int, bytes]] = set()
        for i in order:
            key = (int(owner[i]), changed[i].tobytes())
            if ok[i] and key not in seen and len(out[owner[i]]) < most:
                seen.add(key)
                out[owner[i]].append(Way(found[i], float(cost[i]), int(changed[i].sum()), float(near[i])))
        return out

    def _smallest(self, own: Floats, found: Floats) -> Floats:
        """Each way made small, beginning once with the first fact and once with the last: what one gives back the others must keep."""
        facts = [fact for fact in self.space.facts if fact.numeric and len(fact.targets)]
        one, other = (self._sparser(own, self._shrunk(own, found, order)) for order in (facts, facts[::-1]))
        return np.where((self.space.cost(own, one) <= self.space.cost(own, other))[:, None], one, other)

    def _shrunk(self, own: Floats, found: Floats, facts: list[Fact]) -> Floats:
        """Each changed number moved back towards the row as far as the decision holds, by halving, at the column's precision."""
        found = found.copy()
        for fact in facts:
            (j,) = fact.columns
            active = np.flatnonzero((found[:, j] != own[:, j]) & np.isfinite(own[:, j]))
            if not len(active):
                continue
            near, far = own[active, j].copy(), found[active, j].copy()
            for halving in range(HALVINGS + 1):
                middle = (near + far) / 2 if halving else far  # first where it is, at the column's precision
                trial = found[active].copy()
                trial[:, j] = fact.rounded(middle, own[active, j])
                ok, _ = self._ask(own[active], trial)
                ok &= (trial[:, j] >= fact.low) & (trial[:, j] <= fact.high) & (trial[:, j] != own[active, j])
                far, near = np.where(ok, trial[:, j], far), np.where(ok | (halving == 0), near, middle)
            found[active, j] = far
        return found

    def _sparser(self, own: Floats, found: Floats) -> Floats:
        """Facts whose change is not needed, given back: the dearest first."""
        found = found.copy()
        costs = np.stack([fact.cost(own, found) for fact in self.space.facts], axis=1)
        order = np.argsort(-costs, axis=1, kind="stable")
        for place in range(int(np.count_nonzero(costs, axis=1).max(initial=0))):
            active = np.flatnonzero(costs[np.arange(len(found)), order[:, place]] > 0)
            trial = found[active].copy()
            for k, i in enumerate(active):
                columns = list(self.space.facts[order[i, place]].columns)
                trial[k, columns] = own[i, columns]
            ok, _ = self._ask(own[active], trial)
            ok &= np.any((trial != own[active]) & ~np.isnan(own[active]), axis=1)
            found[active[ok]] = trial[ok]
        return found

    def _distance(self, found: Floats) -> Floats:
        """Where the distance of each row (m, d) to its nearest people with the decision lies among their distances from each other, in [0, 1]."""
        if len(self.accepted) <= NEIGHBOURS:
            return np.zeros(len(found))
        people = self._placed(self.accepted)
        between = np.sort(_nearest(people, people, skip=True))
        return np.asarray(np.searchsorted(between, _nearest(self._placed(found), people), side="left") / len(between))

    def _placed(self, matrix: Floats) -> Floats:
        """Rows as percentiles of numbers and one-hot categories of weight `CATEGORY_COST`, so that distances are costs; missing lies in the middle."""
        columns = []
        for fact in self.space.facts:
            values = matrix[:, fact.columns]
            if fact.numeric and fact.grid is not None and fact.ranks is not None:
                place = np.interp(values[:, 0], fact.grid, fact.ranks)
                columns.append(np.where(np.isfinite(values[:, 0]), place, 0.5)[:, None])
            else:
                levels = np.unique(self.space.reference[:, fact.columns], axis=0)
                columns.append(np.all(values[:, None, :] == levels[None], axis=2) / 6.0)  # two places of 1/6: together 1/3
        return np.concatenate(columns, axis=1)


def evaluations(space: Space, depth: int, descent: Descent | None = None) -> int:
    """Rows that the search for one row may ask about, and what its gradients cost: what a budget is divided by."""
    from audit.explain.descent import EACH, STEPS

    targets = sum(len(fact.targets) for fact in space.facts)
    return targets * (1 + BEAM * (depth - 1)) + KEEP * HALVINGS * 2 * depth + DONORS + (0 if descent is None else EACH * STEPS)


def _nearest(rows: Floats, people: Floats, *, skip: bool = False) -> Floats:
    """Mean distance (m,) of each row to its `NEIGHBOURS` nearest people, city-block; `skip` leaves out the row itself."""
    from scipy.spatial.distance import cdist

    out = np.empty(len(rows))
    for start in range(0, len(rows), 256):
        distance = cdist(rows[start : start + 256], people, "cityblock")
        first = 1 if skip else 0
        out[start : start + 256] = np.sort(distance, axis=1)[:, first : first + NEIGHBOURS].mean(axis=1)
    return out


def _where(fact: Fact, chosen: Bools, yes: Floats, no: Floats) -> Floats:
    """Rows with a fact's columns from `yes` where chosen (n,)."""
    out = no.copy()
    for j in fact.columns:
        out[:, j] = np.where(chosen, yes[:, j], no[:, j])
    return out


def _best_of_each(owner: Ints, value: Floats, index: Ints, most: int) -> Ints:
    """Of each owner the `most` entries of `index` with the smallest value."""
    order = np.lexsort((value, owner))
    owners = owner[order]
    start = np.searchsorted(owners, owners, side="left")
    return index[order[np.arange(len(order)) - start < most]]


def _distinct(row: Ints, state: Floats, used: Bools) -> tuple[Ints, Floats, Bools]:
    """The same changes in another order are one state."""
    _, first = np.unique(np.column_stack([row, np.nan_to_num(state, nan=-1e300)]), axis=0, return_index=True)
    first.sort()
    return row[first], state[first], used[first]
