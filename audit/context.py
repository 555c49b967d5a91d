"""What a check sees: the scored table, the sample, what was declared, the model's client, and a random stream of its own."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.dataset import MISSING
from audit.outputs import Settled, interpret
from audit.plan import Plan
from audit.prepare import Facts
from audit.result import Slice
from audit.scored import Scored, Scoring

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.dataset import Dataset
    from audit.subject.client import Client
    from audit.subject.frame import Frame

#: (check, metric, compare) of the findings that answer a deciding question: their intervals are at the judged level.
DECIDING = {
    ("performance.baseline", "brier_skill", "value"), ("performance.baseline", "log_loss_skill", "value"),
    ("performance.baseline", "r2", "value"), ("performance.baseline", "informedness", "value"),
    ("fairness.group", "selection_rate", "ratio"), ("fairness.group", "selection_rate", "difference"),
    ("fairness.group", "true_positive_rate", "difference"), ("fairness.group", "true_negative_rate", "difference"),
    ("calibration.overall", "calibration_in_the_large", "value"), ("calibration.groups", "calibration_in_the_large", "value"),
}  # fmt: skip


class Grouping(NamedTuple):
    """Rows divided by one sensitive column, or by all of them together.

    `codes` (n,) points into `slices`; `reference` is the position of the reference group; `unknown` are positions of missing membership.
    """

    columns: tuple[str, ...]
    codes: NDArray[np.int32]
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
    """One check's view of the audit."""

    check: str
    facts: Facts
    settled: Settled
    scoring: Scoring
    plan: Plan
    seed: int
    model_files: dict[str, int]
    socket: socket.socket | None = None

    def level(self, metric: str, compare: str = "value") -> float:
        """Level of the interval of a metric: the judged one (90 % by default) where it is held against a criterion, else the plan's."""
        criteria = self.plan.checks[self.check].criteria if self.check in self.plan.checks else []
        judged = (self.check, metric, compare) in DECIDING or any((c.metric, c.compare) == (metric, compare) for c in criteria)
        return round(2 * self.plan.judge.level_pass - 1, 12) if judged else self.plan.audit.level

    def rng(self, name: str = "") -> np.random.Generator:
        """A random stream named by (seed, check, name): adding a check moves no other number."""
        import numpy as np

        digest = hashlib.sha256(f"{self.seed}/{self.check}/{name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "little"))

    @cached_property
    def scored(self) -> Scored:
        """All rows, scored."""
        return Scored(Path(self.scoring.table), self.facts, self.settled)

    @cached_property
    def dataset(self) -> Dataset:
        """The rows as they were given."""
        return self.facts.dataset()

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
            reference = group.levels.index(group.reference) if group.reference is not None else None
            unknown = frozenset(j for j, level in enumerate(group.levels) if level == MISSING)
            slices = [{group.name: level} for level in group.levels]
            yield Grouping((group.name,), self.scored.group(i).astype(np.int32), slices, reference, unknown)
        if intersection and len(self.facts.groups) > 1:
            yield self._intersection()

    def _intersection(self) -> Grouping:
        import numpy as np

        groups = self.facts.groups
        key = np.zeros(self.scored.rows, dtype=np.int64)
        for i, group in enumerate(groups):
            key = key * len(group.levels) + self.scored.group(i)
        found = np.flatnonzero(np.bincount(key))
        place = np.zeros(int(found[-1]) + 1, dtype=np.int32)
        place[found] = np.arange(len(found), dtype=np.int32)
        codes = place[key]
        slices, unknown, reference = [], set(), None
        for position, value in enumerate(found.tolist()):
            levels = []
            for group in reversed(groups):
                value, level = divmod(value, len(group.levels))
                levels.append(group.levels[level])
            slices.append({g.name: level for g, level in zip(groups, reversed(levels), strict=True)})
            if MISSING in levels:
                unknown.add(position)
            if slices[-1] == {g.name: g.reference for g in groups}:
                reference = position
        return Grouping(tuple(g.name for g in groups), codes, slices, reference, frozenset(unknown))

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

    def answer(self, frame: Frame) -> NDArray[np.float64]:
        """What the model says of these rows as numbers to explain or compare: (n,) probability of the event or the value; (n, classes) otherwise."""
        import numpy as np

        from audit.asking import predict
        from audit.subject.frame import rows, take

        parts = []
        for start in range(0, rows(frame), 65_536):
            prediction = predict(self.client, take(frame, slice(start, start + 65_536)))
            codes, scores = interpret(prediction, self.settled)
            if scores is None:
                parts.append(np.asarray(codes, dtype=np.float64))
            elif self.settled.positive is not None:
                parts.append(scores[:, self.settled.classes.index(self.settled.positive)])
            else:
                parts.append(scores)
        return np.concatenate(parts)
