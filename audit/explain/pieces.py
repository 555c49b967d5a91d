"""What rows are made of that are no table: words of a text, regions of a picture, events of a sequence, stretches of a recording; and rows of
several inputs. Each can be switched off, so that explainers from answers and gates work on them as on columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from audit.explain.parts import mixed_column
from audit.subject.frame import Array, Categories, Frame, rows
from audit.subject.words import pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.features import FeatureSpec

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Places = NDArray[np.int64]

#: Regions of a picture along a side, where its size allows no even division near it.
SIDE = 8
#: Stretches of a recording.
STRETCHES = 20
#: Words of a text beyond these are one part together.
MOST_WORDS = 128


class Piece(Protocol):
    """One input column. Its parts have places that mean the same in all rows: the third word, the last event."""

    @property
    def name(self) -> str:
        """The column."""
        ...

    @property
    def places(self) -> list[str]:
        """What the places are called, (d,)."""
        ...

    def at(self, row: int) -> Places:
        """The places of the parts that a row has, in the order of its masks; none where there is nothing to switch off."""
        ...

    def switched(self, row: int, masks: Bools) -> Array | Categories:
        """For masks (m, parts of the row), the column's m values with what is outside each mask switched off."""
        ...

    def pooled(self, values: Floats) -> Floats:
        """Attributions (n, d) by place, of attributions (n, numbers of the column) from beside the model."""
        ...


@dataclass(frozen=True)
class Words:
    """A text; a word that is switched off is left out, with the space after it."""

    name: str
    column: Categories

    @cached_property
    def texts(self) -> list[list[str]]:
        """The pieces of each distinct text."""
        found = [pieces(text) for text in self.column.vocabulary]
        return [p if len(p) <= MOST_WORDS else [*p[: MOST_WORDS - 1], "".join(p[MOST_WORDS - 1 :])] for p in found]

    @cached_property
    def places(self) -> list[str]:
        """Words by their number, from 1."""
        used = np.unique(self.column.codes[self.column.codes >= 0])
        return [str(i + 1) for i in range(max((len(self.texts[c]) for c in used.tolist()), default=0))]

    def of(self, row: int) -> list[str]:
        """The pieces of a row's text; none where it is missing or holds no word."""
        code = int(self.column.codes[row])
        return self.texts[code] if code >= 0 else []

    def at(self, row: int) -> Places:
        """As `Piece` says."""
        return np.arange(len(self.of(row)))

    def switched(self, row: int, masks: Bools) -> Categories:
        """As `Piece` says."""
        own = self.of(row)
        if not own:
            return Categories(np.repeat(self.column.codes[row : row + 1], len(masks)), self.column.vocabulary)
        texts = ["".join(piece for piece, kept in zip(own, mask, strict=True) if kept) for mask in masks.tolist()]
        return Categories.of(texts)

    def pooled(self, values: Floats) -> Floats:
        """The worker adds tokens up by word already."""
        return values


@dataclass(frozen=True)
class Regions:
    """A picture in a grid of regions; one that is switched off shows what background pictures show there on average."""

    name: str
    column: Array
    background: Array
    shape: tuple[int, ...]

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        return _divided(self.shape[1]), _divided(self.shape[2])

    @cached_property
    def region(self) -> Places:
        """The region of each number of a picture, (channels · height · width,)."""
        channels, height, width = self.shape
        down, across = (np.arange(size) * parts // size for size, parts in zip((height, width), self.grid, strict=True))
        return np.tile((down[:, None] * self.grid[1] + across[None, :]).reshape(-1), channels)

    @cached_property
    def mean(self) -> Array:
        """The mean background picture, black where no picture is known."""
        known = ~np.isnan(self.background)
        count = np.maximum(known.sum(axis=0), 1)
        return np.asarray(np.where(known, self.background, 0).sum(axis=0) / count, dtype=self.column.dtype)

    @property
    def places(self) -> list[str]:
        """Row and column of each region, from 1 at the top left."""
        return [f"({r + 1}, {c + 1})" for r in range(self.grid[0]) for c in range(self.grid[1])]

    def at(self, row: int) -> Places:
        """As `Piece` says; a picture that cannot be read has no parts."""
        return np.arange(0 if np.isnan(self.column[row]).all() else self.grid[0] * self.grid[1])

    def switched(self, row: int, masks: Bools) -> Array:
        """As `Piece` says."""
        own = self.column[row]
        return np.where(masks[:, self.region], own, self.mean) if masks.shape[1] else np.repeat(own[None], len(masks), axis=0)

    def pooled(self, values: Floats) -> Floats:
        """As `Piece` says."""
        return _added(values, self.region, self.grid[0] * self.grid[1])


@dataclass(frozen=True)
class Stretches:
    """A recording in stretches of equal length; one that is switched off is silent."""

    name: str
    column: Array
    rate: int

    @property
    def stretch(self) -> Places:
        """The stretch of each sample."""
        return np.asarray(np.arange(self.column.shape[1]) * self._count // self.column.shape[1])

    @property
    def _count(self) -> int:
        return min(STRETCHES, int(self.column.shape[1]))

    @property
    def places(self) -> list[str]:
        """When each begins and ends, in seconds."""
        length = self.column.shape[1]
        ends = [-(-i * length // self._count) for i in range(self._count + 1)]
        unit = (lambda n: f"{n / self.rate:.2f} s") if self.rate else str
        return [f"{unit(a)} – {unit(b)}" for a, b in pairwise(ends)]

    def at(self, row: int) -> Places:
        """The stretches in which the recording has samples."""
        return np.unique(self.stretch[~np.isnan(self.column[row])])

    def switched(self, row: int, masks: Bools) -> Array:
        """As `Piece` says."""
        own, at = self.column[row], self.at(row)
        if not len(at):
            return np.repeat(own[None], len(masks), axis=0)
        on = np.zeros((len(masks), self._count), dtype=bool)
        on[:, at] = masks
        return np.asarray(np.where(on[:, self.stretch] | np.isnan(own), own, np.zeros_like(own)))

    def pooled(self, values: Floats) -> Floats:
        """As `Piece` says."""
        return _added(values, self.stretch, self._count)


@dataclass(frozen=True)
class Events:
    """A sequence of events, counted from the last one; an event that is switched off did not happen, and the others move up."""

    name: str
    column: Array
    spec: FeatureSpec

    @property
    def shape(self) -> tuple[int, ...]:
        """Events and fields."""
        return self.spec.shape

    def events(self, row: int) -> Array:
        """What happened, (events, fields), up to the last step at which any field is known."""
        steps = self.column[row].reshape(self.shape)
        known = np.flatnonzero(~np.isnan(steps).all(axis=1))
        return np.asarray(steps[: known[-1] + 1] if len(known) else steps[:0])

    @property
    def places(self) -> list[str]:
        """t is the last event, t − 1 the one before."""
        return [f"t − {i}" if i else "t" for i in range(self.shape[0])]

    def at(self, row: int) -> Places:
        """As `Piece` says."""
        return np.arange(len(self.events(row)))[::-1]

    def switched(self, row: int, masks: Bools) -> Array:
        """As `Piece` says."""
        own = self.events(row)
        out = np.full((len(masks), *self.shape), np.nan, dtype=self.column.dtype)
        for i, mask in enumerate(masks):
            kept = own[mask]
            out[i, : len(kept)] = kept
        return out.reshape(len(masks), -1)

    def pooled(self, values: Floats) -> Floats:
        """As `Piece` says."""
        out = np.zeros((len(values), self.shape[0]))
        by_step = values.reshape(len(values), *self.shape).sum(axis=2)
        for row in range(len(values)):
            at = self.at(row)
            out[row, at] = by_step[row, : len(at)]
        return out


@dataclass(frozen=True)
class Fields:
    """The same sequence by the fields of its events; one that is switched off has, in every event, its commonest value or median."""

    name: str
    column: Array
    background: Array
    spec: FeatureSpec

    @property
    def places(self) -> list[str]:
        """The fields."""
        return [field.name for field in self.spec.fields]

    @cached_property
    def usual(self) -> Array:
        """What stands in for each field, (fields,)."""
        steps = self.background.reshape(-1, *self.spec.shape[1:])
        steps = steps[~np.isnan(steps).all(axis=1)]
        return np.array(
            [usual(steps[:, j], category=field.kind == "category") for j, field in enumerate(self.spec.fields)], dtype=self.column.dtype
        )

    def at(self, row: int) -> Places:
        """As `Piece` says; a row without events has no parts."""
        return np.arange(0 if np.isnan(self.column[row]).all() else len(self.spec.fields))

    def switched(self, row: int, masks: Bools) -> Array:
        """As `Piece` says."""
        own = self.column[row].reshape(self.spec.shape)
        happened = ~np.isnan(own).all(axis=1)
        if not masks.shape[1]:
            return np.repeat(self.column[row][None], len(masks), axis=0)
        out = np.where(masks[:, None, :] | ~happened[:, None], own, self.usual)
        return np.asarray(out.reshape(len(masks), -1), dtype=self.column.dtype)

    def pooled(self, values: Floats) -> Floats:
        """As `Piece` says."""
        return np.asarray(values.reshape(len(values), *self.spec.shape).sum(axis=1))


@dataclass(frozen=True)
class Single:
    """A column of one value a row among others that are more; what is switched off takes the values of the background rows."""

    name: str
    column: Array | Categories
    background: Array | Categories

    @property
    def places(self) -> list[str]:
        """The column."""
        return [self.name]

    def at(self, row: int) -> Places:
        """As `Piece` says."""
        return np.zeros(1, dtype=np.int64)

    def switched(self, row: int, masks: Bools) -> Array | Categories:
        """(m · background rows,)."""
        return mixed_column(self.column, self.background, row, masks[:, 0])

    def pooled(self, values: Floats) -> Floats:
        """As `Piece` says."""
        return values


@dataclass(frozen=True)
class Pieces:
    """Rows of one or several inputs, divided into the pieces of each (`Parts`)."""

    inputs: Sequence[Piece]
    copies: int = 1

    @cached_property
    def places(self) -> list[tuple[str, str]]:
        """Input and place of each part, (d,)."""
        return [(piece.name, place) for piece in self.inputs for place in piece.places]

    def divided(self) -> Iterator[tuple[Piece, slice]]:
        """Each input with its places among all."""
        start = 0
        for piece in self.inputs:
            yield piece, slice(start, start + len(piece.places))
            start += len(piece.places)

    def at(self, row: int) -> Places:
        """The places of the parts that a row has."""
        return np.concatenate([piece.at(row) + places.start for piece, places in self.divided()])

    def names(self, row: int) -> list[str]:
        """As `Parts` says."""
        return [self.places[place][1] for place in self.at(row).tolist()]

    def mixed(self, row: int, masks: Bools) -> Frame:
        """As `Parts` says."""
        frame: Frame = {}
        start = 0
        for piece in self.inputs:
            count = len(piece.at(row))
            found = piece.switched(row, masks[:, start : start + count])
            frame[piece.name] = found if isinstance(piece, Single) else _repeated(found, self.copies)
            start += count
        return frame

    def pooled(self, values: Floats, widths: Sequence[int]) -> Floats:
        """Attributions (n, d) by place, of attributions (n, numbers) from beside the model; `widths` are the numbers of each input."""
        ends = np.cumsum([0, *widths])
        return np.concatenate([p.pooled(values[:, a:b]) for p, a, b in zip(self.inputs, ends[:-1], ends[1:], strict=True)], axis=1)


def pieces_of(features: Sequence[FeatureSpec], frame: Frame, background: Frame, *, by_field: bool = False) -> Pieces:
    """The parts that rows of these inputs have; `by_field` divides sequences by field and not by event."""
    single = [spec for spec in features if spec.kind in ("number", "category", "datetime")]
    made = [_piece(spec, frame[spec.name], background[spec.name], by_field) for spec in features]
    return Pieces(made, max(1, rows(background)) if single else 1)


def _piece(spec: FeatureSpec, own: Any, background: Any, by_field: bool) -> Piece:
    if spec.kind == "text":
        return Words(spec.name, own)
    if spec.kind == "image":
        return Regions(spec.name, own, background, spec.shape)
    if spec.kind == "audio":
        return Stretches(spec.name, own, spec.rate)
    if spec.kind == "sequence":
        return Fields(spec.name, own, background, spec) if by_field else Events(spec.name, own, spec)
    return Single(spec.name, own, background)


def _divided(size: int) -> int:
    """Parts of a side: as many of 7, 8 and 6 as divide it evenly, else 8, or each pixel of a smaller one."""
    return next((n for n in (8, 7, 6) if size % n == 0), min(SIDE, size))


def _added(values: Floats, part: Places, parts: int) -> Floats:
    """Columns of values (n, numbers) added up by the part that each belongs to, (n, parts)."""
    out = np.zeros((parts, len(values)))
    np.add.at(out, part, values.T)
    return out.T


def _repeated(column: Array | Categories, copies: int) -> Array | Categories:
    if copies == 1:
        return column
    if isinstance(column, Categories):
        return Categories(np.repeat(column.codes, copies), column.vocabulary)
    return np.repeat(column, copies, axis=0)


def usual(values: Array, *, category: bool) -> float:
    """The median, or the commonest value, of what is known; NaN where nothing is."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan")
    if category:
        found, counts = np.unique(known, return_counts=True)
        return float(found[counts.argmax()])
    return float(np.median(known))
