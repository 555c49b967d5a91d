"""The scored table, read in blocks of rows or a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.outputs import Settled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Rows of a block: arrays of this length stay in the processor's cache, and their memory is used again for the next block.
BLOCK = 4 * 65_536


@dataclass(frozen=True)
class Block:
    """Rows that follow each other: arrays of one length by column name, valid until the next block is read."""

    columns: dict[str, NDArray[Any]]
    regression: bool

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def usable(self) -> Block:
        """The rows with an outcome and a defined prediction; the block holds `y` and `pred`."""
        return self._where("y", "pred")

    def predicted(self) -> Block:
        """The rows with a defined prediction; the block holds `pred`."""
        return self._where("pred")

    def _where(self, *names: str) -> Block:
        import numpy as np

        keep: NDArray[np.bool_] | None = None
        for column in (self[name] for name in names):
            if not self.regression and len(column) and column.min() >= 0:
                continue
            known = np.isfinite(column) if self.regression else column >= 0
            keep = known if keep is None else keep & known
        return self if keep is None else Block({name: column[keep] for name, column in self.columns.items()}, self.regression)


@dataclass
class Scored:
    """The scored table: `blocks` for what is summed or counted, whole columns for what is not."""

    path: Path
    settled: Settled

    @cached_property
    def _file(self) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path)

    @cached_property
    def rows(self) -> int:
        """Number of rows, those without outcome included."""
        return int(self._file.metadata.num_rows)

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """These columns in row order, `BLOCK` rows at a time; the arrays of a block are filled anew with the next."""
        import numpy as np

        regression, schema, filled = self.settled.task == "regression", self._file.schema_arrow, 0
        held = {name: np.empty(min(BLOCK, self.rows), schema.field(name).type.to_pandas_dtype()) for name in names}
        for group in range(self._file.num_row_groups):
            part, start = self._file.read_row_group(group, columns=list(names), use_threads=False), 0
            values = {name: part[name].to_numpy() for name in names}
            while start < len(part):
                size = min(len(part) - start, BLOCK - filled)
                for name, column in values.items():
                    held[name][filled : filled + size] = column[start : start + size]
                start, filled = start + size, filled + size
                if filled == BLOCK:
                    yield Block(held, regression)
                    filled = 0
        if filled:
            yield Block({name: column[:filled] for name, column in held.items()}, regression)

    def column(self, name: str) -> NDArray[Any]:
        """One column of all rows, read-only."""
        values: NDArray[Any] = self._file.read(columns=[name], use_threads=False)[name].to_numpy()
        return values

    @cached_property
    def y(self) -> NDArray[Any]:
        """Outcome: class codes (n,) int16 with -1 for missing, or values with NaN."""
        return self.column("y")

    @cached_property
    def pred(self) -> NDArray[Any]:
        """Prediction after the decision rule: class codes (n,) int16 with -1 for undefined, or values."""
        return self.column("pred")

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Rows with an outcome and a defined prediction, (n,)."""
        import numpy as np

        if self.settled.task == "regression":
            return np.asarray(np.isfinite(self.y) & np.isfinite(self.pred))
        return np.asarray((self.y >= 0) & (self.pred >= 0))

    @cached_property
    def predicted(self) -> NDArray[np.bool_]:
        """Rows with a defined prediction, (n,)."""
        import numpy as np

        return np.asarray(np.isfinite(self.pred) if self.settled.task == "regression" else self.pred >= 0)

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """Probability of the event, (n,), NaN where undefined; binary only."""
        return self.column("score")

    def scores(self) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        import numpy as np

        if self.settled.task == "binary":
            event = self.settled.classes.index(self.settled.positive or "")
            return np.stack([1 - self.score, self.score] if event == 1 else [self.score, 1 - self.score], axis=1)
        return np.stack([self.column(f"score_{i}") for i in range(len(self.settled.classes))], axis=1)

    def _median(self) -> float:
        """Median of all predictions: where rows carry weights, the least with half of the weight at or below it."""
        import numpy as np

        pred = self.pred[self.predicted]
        if not len(pred):
            return float("inf")
        if "w" not in self._file.schema_arrow.names:
            return float(np.median(pred))
        order = np.argsort(pred, kind="stable")
        below = np.cumsum(self.column("w")[self.predicted][order])
        return float(pred[order][np.searchsorted(below, below[-1] / 2)])

    def group(self, index: int) -> NDArray[np.int16]:
        """Codes of the sensitive column at this position, (n,)."""
        return self.column(f"g{index}")

    @cached_property
    def selection(self) -> Callable[[NDArray[Any]], NDArray[np.bool_]] | None:
        """Predictions (k,) → whether each is favourable; None where nobody declared what is favourable."""
        import numpy as np

        favourable = self.settled.favourable
        if not favourable:
            return None
        if self.settled.task == "regression":
            median = self._median()
            return lambda pred: np.asarray(pred > median if favourable == ["high"] else pred < median)
        table = np.array([*(c in favourable for c in self.settled.classes), False])  # code -1 reads the last entry
        return lambda pred: np.asarray(table[pred])
