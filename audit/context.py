"""What a check sees: the scored table, the sample, what was declared, the model's client, and a random stream of its own."""

from __future__ import annotations

import hashlib
import math
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.dataset import MISSING
from audit.measurement import Message, Slice
from audit.outputs import Settled, interpret
from audit.plan import Plan
from audit.prepare import Facts
from audit.scored import Scoring
from audit.table import Block, Scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.clustered import Clustering
    from audit.dataset import Dataset
    from audit.explain.exposed import Standing
    from audit.explain.rows_file import Drawn
    from audit.subject.client import Client
    from audit.subject.frame import Frame

#: Up to so many combinations of levels a table of all of them is kept for a block.
DENSE = 1 << 20
#: A code for each row of a block, (k,).
Coding = Callable[["Block"], "NDArray[np.int64]"]
#: (check, metric, compare) of the findings that answer a deciding question: their intervals are at the judged level.
DECIDING = {
    ("performance.baseline", "brier_skill", "value"), ("performance.baseline", "log_loss_skill", "value"),
    ("performance.baseline", "r2", "value"), ("performance.baseline", "informedness", "value"),
    ("fairness.group", "selection_rate", "ratio"), ("fairness.group", "selection_rate", "difference"),
    ("fairness.group", "true_positive_rate", "difference"), ("fairness.group", "true_negative_rate", "difference"),
    ("calibration.overall", "calibration_in_the_large", "value"), ("calibration.groups", "calibration_in_the_large", "value"),
}  # fmt: skip


class Grouping(NamedTuple):
    """Rows divided by one sensitive column, or by all of them together: the values of each slice.

    `places` are the columns' positions in `facts.groups`, `keys` (slices,) the mixed-radix number of each slice's levels, in rising order;
    `reference` is the position of the reference group; `unknown` are positions of missing membership.
    """

    columns: tuple[str, ...]
    places: tuple[int, ...]
    keys: NDArray[np.int64]
    slices: list[Slice]
    reference: int | None
    unknown: frozenset[int]

    @property
    def single(self) -> bool:
        """Whether this is one sensitive column, and not an intersection."""
        return len(self.columns) == 1


@dataclass(frozen=True)
class Sample:
    """The rows that probing checks ask the model about again: `row` are their ids, `y` and `pred` as in the scored table."""

    frame: Frame
    row: NDArray[np.int64]
    y: NDArray[Any] | None
    pred: NDArray[Any]
    groups: dict[str, NDArray[np.int16]]


@dataclass
class Context:
    """One check's view of the audit. `work` is a folder, gone with the audit, where a check leaves what another would have to make again."""

    check: str
    facts: Facts
    settled: Settled
    scoring: Scoring
    plan: Plan
    seed: int
    model_files: dict[str, int]
    socket: socket.socket | None = None
    #: Where the model is and how its worker was started, for checks that start one for reference models.
    launching: dict[str, Any] | None = None
    work: Path | None = None
    #: What this check has to say besides, such as another way that was taken; it follows the check's own sentence.
    asides: list[Message] = field(default_factory=list)
    #: Single rows that the plan allowed this check to hand on, beside what it measures.
    single: Drawn | None = None

    def level(self, metric: str, compare: str = "value") -> float:
        """Level of the interval of a metric: the judged one (90 % by default) where it is held against a criterion, else the plan's."""
        criteria = self.plan.checks[self.check].criteria if self.check in self.plan.checks else []
        judged = (self.check, metric, compare) in DECIDING or any((c.metric, c.compare) == (metric, compare) for c in criteria)
        return round(2 * self.plan.judge.level_pass - 1, 12) if judged else self.plan.audit.level

    def rng(self, name: str = "", check: str = "") -> np.random.Generator:
        """A random stream named by (seed, check, name): adding a check moves no other number. `check` names another whose draws are to be the same."""
        import numpy as np

        digest = hashlib.sha256(f"{self.seed}/{check or self.check}/{name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "little"))

    @cached_property
    def scored(self) -> Scored:
        """All rows, scored."""
        return Scored(Path(self.scoring.table), self.settled)

    @cached_property
    def clustering(self) -> Clustering | None:
        """Which rows belong together; None where none were declared to."""
        from audit.clustered import Clustering

        return Clustering(self.scored, self.scoring.clusters, self.rng("clusters")) if self.facts.cluster is not None else None

    @cached_property
    def dataset(self) -> Dataset:
        """The rows as they were given."""
        return self.facts.dataset()

    def in_step(self, columns: Mapping[str, str], read: Callable[[str, Any], NDArray[Any]]) -> Callable[[int], dict[str, NDArray[Any]]]:
        """What gives the next n rows of columns of the data (name → SQL), beside blocks of the scored table; `read` makes an array (k,) of a piece of one."""
        import numpy as np

        if not columns:
            return lambda n: {}
        batches = self.dataset.stream(dict(columns))
        held: dict[str, NDArray[Any]] = {}
        first = next(iter(columns))

        def following(n: int) -> dict[str, NDArray[Any]]:
            while first not in held or len(held[first]) < n:
                batch = next(batches)
                for name in columns:
                    piece = read(name, batch.column(batch.schema.get_field_index(name)))
                    held[name] = np.concatenate([held[name], piece]) if name in held else piece
            out = {name: column[:n] for name, column in held.items()}
            for name, column in held.items():
                held[name] = column[n:]
            return out

        return following

    @cached_property
    def mixing(self) -> Standing | None:
        """Whether this model mixes rows by itself; None where it is of a kind that does not."""
        from audit.explain.exposed import KINDS, Standing

        return Standing(self.rng("coalitions asked twice"), self.asides.append) if self.settled.kind in KINDS else None

    @cached_property
    def client(self) -> Client:
        """The model, in its worker."""
        from audit.subject.client import Client

        assert self.socket is not None, "a check that needs the model declares it"
        return Client(self.socket)

    def groupings(self, *, intersection: bool = True) -> Iterator[Grouping]:
        """Each sensitive column, then all of them together where there are several."""
        import numpy as np

        for i, group in enumerate(self.facts.groups):
            yield self._grouping((i,), np.arange(len(group.levels)))
        if intersection and len(self.facts.groups) > 1:
            yield self._grouping(tuple(range(len(self.facts.groups))), self._combinations)

    def _grouping(self, places: tuple[int, ...], keys: NDArray[np.int64]) -> Grouping:
        groups = [self.facts.groups[i] for i in places]
        slices, unknown, reference = [], set(), None
        for position, key in enumerate(keys.tolist()):
            levels = []
            for group in reversed(groups):
                key, level = divmod(key, len(group.levels))
                levels.append(group.levels[level])
            slices.append({g.name: level for g, level in zip(groups, reversed(levels), strict=True)})
            if MISSING in levels:
                unknown.add(position)
            if slices[-1] == {g.name: g.reference for g in groups}:
                reference = position
        return Grouping(tuple(g.name for g in groups), places, keys, slices, reference, frozenset(unknown))

    @cached_property
    def _combinations(self) -> NDArray[np.int64]:
        """The combinations of levels that some row has, as mixed-radix numbers in rising order."""
        import numpy as np

        columns = tuple(range(len(self.facts.groups)))
        found = [np.zeros(0, np.int64)]
        for block in self.scored.blocks([f"g{i}" for i in columns]):
            found.append(_distinct(self._key(block, columns), math.prod(len(g.levels) for g in self.facts.groups)))
        return np.unique(np.concatenate(found))

    def _key(self, block: Block, columns: tuple[int, ...]) -> NDArray[np.int64]:
        """The levels of each row as one mixed-radix number, (k,)."""
        import numpy as np

        key = block[f"g{columns[0]}"].astype(np.int64)
        for i in columns[1:]:
            key *= len(self.facts.groups[i].levels)
            key += block[f"g{i}"]
        return key

    def place(self, block: Block, grouping: Grouping) -> NDArray[np.int64]:
        """The slice of each row of a block, (k,)."""
        import numpy as np

        key = self._key(block, grouping.places)
        if grouping.single or len(grouping.keys) == math.prod(len(self.facts.groups[i].levels) for i in grouping.places):
            return key
        return np.searchsorted(grouping.keys, key)

    def codes(self, grouping: Grouping) -> NDArray[np.int32]:
        """The slice of every row, (n,)."""
        import numpy as np

        parts = [self.place(block, grouping).astype(np.int32) for block in self.scored.blocks([f"g{i}" for i in grouping.places])]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    def counted(
        self, codings: Mapping[str, tuple[Coding, int]], names: Sequence[str], *, intersection: bool = True
    ) -> Iterator[tuple[Grouping, dict[str, NDArray[np.int64]]]]:
        """Each grouping with the rows counted by slice and code, (slices, size), for each of the codings; one pass over the rows.

        A coding is a function that gives each row of a block a code, (k,), and how many codes there are. `names` are the columns that it reads.
        """
        import numpy as np

        groupings = list(self.groupings(intersection=intersection))
        cells = [{name: np.zeros(len(g.slices) * size, np.int64) for name, (_, size) in codings.items()} for g in groupings]
        for block in self.scored.blocks([*names, *(f"g{i}" for i in range(len(self.facts.groups)))]):
            codes = {name: coding(block) for name, (coding, _) in codings.items()}
            for grouping, sums in zip(groupings, cells, strict=True):
                place = self.place(block, grouping)
                for name, (_, size) in codings.items():
                    sums[name] += np.bincount(place * size + codes[name], minlength=len(sums[name]))
        for grouping, sums in zip(groupings, cells, strict=True):
            yield grouping, {name: sums[name].reshape(-1, size) for name, (_, size) in codings.items()}

    @cached_property
    def strata(self) -> NDArray[np.int64]:
        """The combinations of levels of the legitimate factors that some row has, as mixed-radix numbers in rising order."""
        import numpy as np

        found = [np.zeros(0, np.int64)]
        for block in self.scored.blocks([f"f{i}" for i in range(len(self.facts.factors))]):
            found.append(np.unique(self._stratum(block)))
        return np.unique(np.concatenate(found))

    def _stratum(self, block: Block) -> NDArray[np.int64]:
        """The levels of each row's legitimate factors as one mixed-radix number, (k,)."""
        import numpy as np

        return np.ravel_multi_index(
            [block[f"f{i}"].astype(np.int64) for i in range(len(self.facts.factors))], [len(f.levels) for f in self.facts.factors]
        )

    def levels(self, factor: int) -> NDArray[np.int64]:
        """The level of one legitimate factor in each of `strata`."""
        import numpy as np

        return np.asarray(np.unravel_index(self.strata, [len(f.levels) for f in self.facts.factors])[factor], dtype=np.int64)

    def stratified(self, coding: Coding, size: int, names: Sequence[str]) -> Iterator[tuple[Grouping, NDArray[np.int64]]]:
        """Each sensitive column with the rows counted by group, stratum and code, (slices, strata, size); one pass over the rows."""
        import numpy as np

        groupings = list(self.groupings(intersection=False))
        strata = self.strata
        sums = [np.zeros(len(g.slices) * len(strata) * size, np.int64) for g in groupings]
        columns = [name for name, _ in self.facts.divisions()]
        for block in self.scored.blocks([*names, *columns]):
            code, stratum = coding(block), np.searchsorted(strata, self._stratum(block))
            for grouping, cells in zip(groupings, sums, strict=True):
                cells += np.bincount((self.place(block, grouping) * len(strata) + stratum) * size + code, minlength=len(cells))
        for grouping, cells in zip(groupings, sums, strict=True):
            yield grouping, cells.reshape(-1, len(strata), size)

    def chosen(self) -> Coding:
        """A coding of rows: 0 not selected, 1 selected, 2 without a usable prediction. Somebody declared which decision is favourable."""
        import numpy as np

        selection, regression = self.scored.selection, self.settled.task == "regression"
        assert selection is not None, "a check that needs selection declares it"

        def code(block: Block) -> NDArray[np.int64]:
            pred = block["pred"]
            return np.where(np.isfinite(pred) if regression else pred >= 0, selection(pred).astype(np.int64), 2)

        return code

    def sample(self, size: int) -> Sample:
        """The first `size` rows of the sample by their hash order, which the row ids stand for (decisions.md 11)."""
        import numpy as np
        import pyarrow.parquet as pq

        from audit.features import to_frame
        from audit.scored import sample_rows

        table = pq.read_table(self.scoring.sample)
        rows = table["row"].to_numpy()
        if size < len(rows):
            table = table.take(np.flatnonzero(np.isin(rows, sample_rows(self.facts.rows, size, self.seed))))
            rows = table["row"].to_numpy()
        names = [f"x{i}" for i in range(len(self.facts.features))]
        batch = table.select(names).rename_columns([f.name for f in self.facts.features]).combine_chunks().to_batches()
        frame = to_frame(batch[0], self.facts.features) if batch else {}
        y = table["y"].to_numpy() if "y" in table.column_names else None
        groups = {g.name: table[f"g{i}"].to_numpy() for i, g in enumerate(self.facts.groups)}
        return Sample(frame, rows, y, table["pred"].to_numpy(), groups)

    def within(self, members: Mapping[str, NDArray[np.int16]]) -> Iterator[tuple[Slice, NDArray[np.bool_]]]:
        """Each group of each sensitive column with its rows (n,), where it has any; `members` are the rows' codes (n,) by column.

        Unknown membership is a group like the others here: who judges or names groups leaves it out.
        """
        for group in self.facts.groups:
            for code, level in enumerate(group.levels):
                if (inside := members[group.name] == code).any():
                    yield {group.name: level}, inside

    def interpreted(self, frame: Frame) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
        """What the model says of these rows: class codes or values (n,), and probabilities (n, classes) where it has them."""
        import numpy as np

        from audit.asking import predict
        from audit.subject.frame import rows, take

        parts = [
            interpret(predict(self.client, take(frame, slice(start, start + 65_536))), self.settled)
            for start in range(0, rows(frame), 65_536)
        ]
        scores = [s for _, s in parts if s is not None]
        return np.concatenate([codes for codes, _ in parts]), np.concatenate(scores) if scores else None

    def answer(self, frame: Frame) -> NDArray[np.float64]:
        """What the model says of these rows as numbers to explain or compare: (n,) probability of the event or the value; (n, classes) otherwise."""

        return self.numbers(*self.interpreted(frame))

    def numbers(self, codes: NDArray[Any], scores: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """As `answer`, of what `interpret` makes of a model's outputs."""
        import numpy as np

        if scores is None:
            return np.asarray(codes, dtype=np.float64)
        return scores if self.settled.positive is None else scores[:, self.settled.classes.index(self.settled.positive)]


def _distinct(key: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The numbers below `size` that occur, in rising order."""
    import numpy as np

    return np.flatnonzero(np.bincount(key)) if size <= DENSE else np.unique(key)
