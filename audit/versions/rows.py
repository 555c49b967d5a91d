"""The same rows under two models: both scored tables read side by side, in blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.dataset import MISSING
from audit.measurement import Slice
from audit.outputs import Settled
from audit.scored import SELF
from audit.stats import losses
from audit.stats.paired import Pair
from audit.stats.sums import Summing
from audit.table import Block, Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Codes of a row under one model: 0 no usable prediction, else 1 + 2 · right + decided for the event.
STATES = 5
#: Outcomes of a row: not known, not the event, the event.
OUTCOMES = 3
MOST_CLASSES = 32


class UnmatchedError(Exception):
    """The tables are not of the same rows."""


@dataclass
class Table:
    """A scored table with what its codes mean."""

    scored: Scored
    target: str | None
    groups: list[dict[str, Any]]

    @classmethod
    def open(cls, path: Path) -> Table:
        """`UnmatchedError` where the file does not say what its codes mean."""
        import pyarrow.parquet as pq

        said = (pq.read_schema(path).metadata or {}).get(SELF)
        if said is None:
            raise UnmatchedError
        record = json.loads(said)
        return cls(Scored(path, Settled.model_validate(record["settled"])), record["target"], record["groups"])

    @property
    def settled(self) -> Settled:
        return self.scored.settled

    def columns(self) -> list[str]:
        """The columns that a pass over the rows needs."""
        settled = self.settled
        names = ["pred", *(["y"] if self.target else [])]
        if settled.has_scores:
            names += ["score"] if settled.positive is not None else [f"score_{i}" for i in range(len(settled.classes))]
        return names


@dataclass(frozen=True)
class Joint:
    """Rows counted by outcome, by the old model's answer and by the new one's: (3, 5, 5), see `OUTCOMES` and `STATES`."""

    cells: NDArray[np.int64]

    def _pair(self, counts: Callable[[int], bool], outcomes: slice, first: int = 1) -> Pair:
        table = self.cells[outcomes].sum(axis=0)
        sums = {(a, b): 0 for a in (True, False) for b in (True, False)}
        for old in range(first, STATES):
            for new in range(first, STATES):
                sums[counts(old), counts(new)] += int(table[old, new])
        return Pair(both=sums[True, True], new=sums[False, True], old=sums[True, False], neither=sums[False, False])

    def right(self) -> Pair:
        """Decision as the outcome, over rows with an outcome."""
        return self._pair(lambda state: state > 2, slice(1, None))

    def decided(self, outcome: int | None = None, *, event: bool = True) -> Pair:
        """Decided for the event (or against it), over all rows or those of one outcome."""
        where = slice(None) if outcome is None else slice(outcome, outcome + 1)
        return self._pair(lambda state: (state % 2 == 0) == event, where)

    def answered(self) -> Pair:
        """A usable prediction at all."""
        return self._pair(lambda state: state > 0, slice(None), first=0)

    @property
    def n(self) -> int:
        """Rows with a usable prediction under both."""
        return int(self.cells[:, 1:, 1:].sum())


@dataclass
class Sums:
    """Per-row differences, new − old, of one quantity, and both means; see `Summing`."""

    old: Summing = field(default_factory=Summing)
    new: Summing = field(default_factory=Summing)
    change: Summing = field(default_factory=Summing)

    def add(self, old: NDArray[np.float64], new: NDArray[np.float64]) -> None:
        self.old.add(old)
        self.new.add(new)
        self.change.add(new - old)


class Rows:
    """Everything that is counted and summed over the rows of two scored tables, in one pass.

    `overall` and `groups` are counts; `sums` differences over everybody, `group_sums` those of a regression's groups. `differing` counts rows
    whose prediction or score is not the same under both. `UnmatchedError` where rows or outcomes are not the same.
    """

    def __init__(self, old: Table, new: Table) -> None:
        if old.scored.rows != new.scored.rows or old.settled.task != new.settled.task:
            raise UnmatchedError
        self.old, self.new = old, new
        self.regression = new.settled.task == "regression"
        self.labels = list(dict.fromkeys([*new.settled.classes, *old.settled.classes]))
        self.columns = self._columns()
        self.overall = np.zeros((OUTCOMES, STATES, STATES), np.int64)
        self.counts = {name: np.zeros((len(levels), OUTCOMES, STATES, STATES), np.int64) for name, (_, _, levels) in self.columns.items()}
        self.sums: dict[str, Sums] = {}
        self.group_sums: dict[tuple[str, str], dict[str, Sums]] = {}
        self.outcome = Summing()
        self.differing = 0
        size = len(self.labels)
        self.classes = np.zeros(size**3, np.int64) if 0 < size <= MOST_CLASSES and new.target else None
        for pair in self._blocks():
            self._add(*pair)

    def _columns(self) -> dict[str, tuple[bool, str, list[str]]]:
        """Sensitive column → (whether the new table has it, its column there, its levels): those of the new audit, then those of the old one alone."""
        found: dict[str, tuple[bool, str, list[str]]] = {}
        for table, is_new in ((self.new, True), (self.old, False)):
            for i, group in enumerate(table.groups):
                found.setdefault(group["name"], (is_new, f"g{i}", group["levels"]))
        return found

    def _blocks(self) -> Iterator[tuple[Block, Block]]:
        needed = {True: self.new.columns(), False: self.old.columns()}
        for is_new, column, _ in self.columns.values():
            needed[is_new] = [*needed[is_new], column]
        yield from zip(self.old.scored.blocks(needed[False]), self.new.scored.blocks(needed[True]), strict=True)

    def _places(self, settled: Settled) -> NDArray[np.int64]:
        """Class code → position in `labels`; the code -1 reads the last entry, -1."""
        return np.array([*(self.labels.index(c) for c in settled.classes), -1], dtype=np.int64)

    @cached_property
    def event(self) -> NDArray[np.bool_] | None:
        """Position in `labels` → whether it is the event: the positive class, or the favourable ones of several; -1 reads the last entry."""
        settled = self.new.settled
        named = [settled.positive] if settled.positive is not None else settled.favourable
        return np.array([*(c in named for c in self.labels), False]) if named and not self.regression else None

    def _outcome(self, old: Block, new: Block) -> NDArray[Any]:
        """Outcomes as positions in `labels`, -1 unknown, or as values; the same in both tables."""
        if self.regression:
            if not np.array_equal(old["y"], new["y"], equal_nan=True):
                raise UnmatchedError
            return new["y"]
        before, now = self._places(self.old.settled)[old["y"]], self._places(self.new.settled)[new["y"]]
        if np.any((before != now) & (before >= 0) & (now >= 0)):
            raise UnmatchedError
        return np.where((before >= 0) & (now >= 0), now, -1)

    def _add(self, old: Block, new: Block) -> None:
        y = self._outcome(old, new) if self.new.target and self.old.target else None
        states, defined = [], []
        for table, block in ((self.old, old), (self.new, new)):
            state, usable = self._state(table, block, y)
            states.append(state)
            defined.append(usable)
        outcome = self._coded(y, len(new))
        code = (outcome * STATES + states[0]) * STATES + states[1]
        self.overall += np.bincount(code, minlength=self.overall.size).reshape(self.overall.shape)
        members = {}
        for name, (is_new, column, levels) in self.columns.items():
            members[name] = (new if is_new else old)[column].astype(np.int64)
            joint = np.bincount(members[name] * self.overall.size + code, minlength=len(levels) * self.overall.size)
            self.counts[name] += joint.reshape(self.counts[name].shape)
        both = defined[0] & defined[1]
        self.differing += self._differ(old, new, both, defined)
        if y is None:
            return
        known = both & (np.isfinite(y) if self.regression else y >= 0)
        if self.regression:
            self._errors(y, old["pred"], new["pred"], known, members)
            return
        if self.classes is not None:
            size, (before, now) = len(self.labels), (self._places(t.settled)[b["pred"]] for t, b in ((self.old, old), (self.new, new)))
            self.classes += np.bincount((y[known] * size + before[known]) * size + now[known], minlength=size**3)
        if self.old.settled.has_forecasts and self.new.settled.has_forecasts:
            self._losses(y, old, new, known)

    def _coded(self, y: NDArray[Any] | None, rows: int) -> NDArray[np.int64]:
        if y is None:
            return np.zeros(rows, np.int64)
        if self.regression:
            known: NDArray[np.int64] = np.isfinite(y).astype(np.int64)
            return known
        event = self.event[y] if self.event is not None else np.zeros(rows, bool)
        coded: NDArray[np.int64] = np.where(y < 0, 0, 1 + event.astype(np.int64))
        return coded

    def _state(self, table: Table, block: Block, y: NDArray[Any] | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The code of each row under one model, see `STATES`, and whether it has a usable prediction."""
        if self.regression:
            usable = np.isfinite(block["pred"])
            chosen = table.scored.selection
            decided = chosen(block["pred"]) if chosen is not None else np.zeros(len(block), bool)
            right = np.zeros(len(block), bool)
        else:
            place = self._places(table.settled)[block["pred"]]
            usable = place >= 0
            decided = self.event[place] if self.event is not None else np.zeros(len(block), bool)
            right = place == y if y is not None else np.zeros(len(block), bool)
        return np.where(usable, 1 + 2 * right.astype(np.int64) + decided, 0), usable

    def _differ(self, old: Block, new: Block, both: NDArray[np.bool_], defined: list[NDArray[np.bool_]]) -> int:
        """Rows that the models do not answer alike: decision, score, or whether there is one."""
        if self.regression:
            other = old["pred"] != new["pred"]
        else:
            other = self._places(self.old.settled)[old["pred"]] != self._places(self.new.settled)[new["pred"]]
        same = self.old.columns() == self.new.columns() and self.old.settled.classes == self.new.settled.classes
        for name in (c for c in self.new.columns() if c.startswith("score")):
            other = other | (old[name] != new[name] if same else np.ones(len(new), bool))
        return int(np.count_nonzero(other & both) + np.count_nonzero(defined[0] != defined[1]))

    def _errors(
        self, y: NDArray[Any], old: NDArray[Any], new: NDArray[Any], known: NDArray[np.bool_], members: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """Absolute and squared errors of a regression, for everybody and for each group."""
        self.outcome.add(y[known])
        first, second = y - old, y - new
        groups: list[tuple[dict[str, Sums], NDArray[np.bool_]]] = [(self.sums, known)]
        for name, (_, _, levels) in self.columns.items():
            groups += [(self.group_sums.setdefault((name, level), {}), known & (members[name] == i)) for i, level in enumerate(levels)]
        for sums, rows in groups:
            for metric, (a, b) in {"absolute": (np.abs(first), np.abs(second)), "squared": (first**2, second**2)}.items():
                sums.setdefault(metric, Sums()).add(a[rows], b[rows])

    def _losses(self, y: NDArray[Any], old: Block, new: Block, known: NDArray[np.bool_]) -> None:
        found: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]] = []
        for table, block in ((self.old, old), (self.new, new)):
            settled = table.settled
            if settled.positive is not None:
                score = block["score"][known]
                given = np.where(y[known] == self.labels.index(settled.positive), score, 1 - score)
                found.append((losses.log_losses(given), (1 - given) ** 2, score))
                continue
            place = self._places(settled)[:-1]
            scores = np.zeros((int(known.sum()), len(self.labels)))
            scores[:, place] = np.stack([block[f"score_{i}"][known] for i in range(len(settled.classes))], axis=1)
            given = scores[np.arange(len(scores)), y[known]]
            found.append((losses.log_losses(given), (scores**2).sum(axis=1) - 2 * given + 1, None))
        self.sums.setdefault("log_loss", Sums()).add(found[0][0], found[1][0])
        self.sums.setdefault("brier_score", Sums()).add(found[0][1], found[1][1])
        if found[0][2] is not None and found[1][2] is not None and self.event is not None:
            event = self.event[y[known]]
            self.sums.setdefault("calibration_in_the_large", Sums()).add(found[0][2] - event, found[1][2] - event)

    # --- what is read off -------------------------------------------------------------------------------------------------------------

    @property
    def identical(self) -> bool:
        """Whether both models answer every row alike, digit by digit."""
        return self.differing == 0

    def groups(self) -> Iterator[tuple[str, Slice, Joint]]:
        """Each sensitive column, each of its known values, and its rows."""
        for name, (_, _, levels) in self.columns.items():
            for i, level in enumerate(levels):
                if level != MISSING:
                    yield name, {name: level}, Joint(self.counts[name][i])

    def ranked(self) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]] | None:
        """(event, old score, new score) of the rows that a rank metric is over; binary only, whole columns."""
        settled = self.new.settled
        if settled.positive is None or not (settled.has_scores and self.old.settled.has_scores and self.new.target):
            return None
        old, new = self.old.scored, self.new.scored
        y = self._places(settled)[new.y]
        rows = old.usable & new.usable
        return (y == self.labels.index(settled.positive))[rows], old.score[rows], new.score[rows]
