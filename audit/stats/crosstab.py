"""Rows counted once by several columns together and by what was decided of them: every metric of every group is read off these counts.

So a bootstrap of all of them costs the same for a thousand rows and for a billion (see `cells`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from audit.stats._inputs import Floats, Ints
from audit.stats.cells import Bootstrap, bootstrap

if TYPE_CHECKING:
    import pyarrow

#: Counts (…, C) of the codes → values (…), NaN where undefined.
Metric = Callable[[NDArray[Any]], Floats]
#: Up to so many combinations of levels and codes are counted in a table of all of them.
DENSE = 1 << 24


class Crosstab(NamedTuple):
    """`counts` (combinations, C) of rows by code, for each combination of levels that occurs; `places` (combinations, columns) are its levels."""

    columns: tuple[str, ...]
    levels: tuple[tuple[str | None, ...], ...]
    places: Ints
    counts: Ints

    def groups(self, columns: Sequence[str]) -> tuple[list[tuple[str | None, ...]], Ints]:
        """The groups that these columns make, and to which of them each combination belongs, (combinations,)."""
        chosen = [self.columns.index(name) for name in columns]
        found, member = np.unique(self.places[:, chosen], axis=0, return_inverse=True)
        names = [tuple(self.levels[c][level] for c, level in zip(chosen, row, strict=True)) for row in found.tolist()]
        return names, member.reshape(-1).astype(np.int64)

    def by(self, columns: Sequence[str]) -> tuple[list[tuple[str | None, ...]], Ints]:
        """The groups that these columns make, and their counts (groups, C)."""
        names, member = self.groups(columns)
        counts = np.zeros((len(names), self.counts.shape[1]), dtype=np.int64)
        np.add.at(counts, member, self.counts)
        return names, counts

    def resample(
        self, groupings: Sequence[Sequence[str]], metrics: Sequence[Metric], *, level: float, rng: Generator, replicates: int = 2000
    ) -> Bootstrap:
        """Intervals of every metric of every group of every grouping, in this order: groupings, their groups, metrics.

        Rows are resampled over all groups together, as fairlearn's `MetricFrame(n_boot=…)` does.
        """
        codes, combinations = self.counts.shape[1], self.counts.shape[0]
        members = [self.groups(columns) for columns in groupings]
        total = sum(len(names) for names, _ in members)
        belongs, start = np.zeros((combinations, total)), 0
        for names, member in members:
            belongs[np.arange(combinations), start + member] = 1.0
            start += len(names)

        def values(counts: Ints) -> Floats:
            # Sums of integers below 2^53 are exact as floats, and a matrix product is many times faster on them.
            summed = counts.reshape(-1, combinations).astype(np.float64) @ belongs
            tables = np.moveaxis(summed.reshape(-1, codes, total), 1, 2)
            return np.stack([metric(tables) for metric in metrics], axis=2).reshape(len(counts), -1)

        return bootstrap(self.counts.T.ravel(), values, level=level, rng=rng, replicates=replicates)


def crosstab(columns: Mapping[str, ArrayLike | pyarrow.Array], codes: ArrayLike, size: int) -> Crosstab:
    """Rows by the text of each column and by a code in [0, size), all of length n; a missing text is a level of its own, None.

    ValueError where lengths differ or a code is out of range.
    """
    code = np.asarray(codes)
    if code.ndim != 1 or code.dtype.kind not in "iub" or (code.size and not 0 <= int(code.min()) <= int(code.max()) < size):
        raise ValueError(f"expected integer codes in [0, {size}) of shape (n,), got {code.dtype} of shape {code.shape}")
    if not columns:
        raise ValueError("expected at least one column")
    encoded = {name: _encoded(name, values, code.size) for name, values in columns.items()}
    sizes = [max(1, len(levels)) for levels, _ in encoded.values()]
    if math.prod(sizes) * size >= 2**62:
        raise ValueError("expected columns of fewer levels: their combinations cannot be numbered")
    key: NDArray[Any] = np.zeros(code.size, dtype=np.int64 if math.prod(sizes) * size > 2**31 else np.int32)
    for n, (_, level) in zip(sizes, encoded.values(), strict=True):
        key *= n
        key += level
    key *= size
    key += code
    if math.prod(sizes) * size <= DENSE:
        counted = np.bincount(key, minlength=math.prod(sizes) * size).reshape(-1, size)
        keys = np.flatnonzero(counted.any(axis=1))
        counts = counted[keys]
    else:
        cells, times = np.unique(key, return_counts=True)
        keys, place = np.unique(cells // size, return_inverse=True)
        counts = np.zeros((len(keys), size), dtype=np.int64)
        counts[place, cells % size] = times
    places = np.stack(np.unravel_index(keys, sizes), axis=1) if len(keys) else np.zeros((0, len(sizes)), np.int64)
    return Crosstab(tuple(encoded), tuple(levels for levels, _ in encoded.values()), places.astype(np.int64), counts.astype(np.int64))


def _encoded(name: str, values: ArrayLike | pyarrow.Array, n: int) -> tuple[tuple[str | None, ...], NDArray[np.int32]]:
    """The distinct texts of a column in rising order, a missing one last, and the place of each row's text among them."""
    import pyarrow as pa

    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if len(array) != n:
        raise ValueError(f"expected {n} values of {name}, got {len(array)}")
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    texts = array.dictionary.cast(pa.string()).to_pylist()
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts) + 1, dtype=np.int32)
    place[order] = np.arange(len(texts))
    place[-1] = len(texts)
    levels = (*(texts[i] for i in order), *([None] if array.null_count else []))
    return levels, place[array.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
