"""What a row is made of, and what it looks like with some of its parts switched off: the common ground of explainers from answers and of gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audit.subject.frame import Array, Categories, Frame, rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.exposed import Exposed

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Rows sent to the model at once, at most.
BATCH = 65_536
#: Rows (m, ·) → outputs (m, k).
Answers = Callable[[Frame], "Floats"]
#: Which parts are the row's own, (m, d) → the mean answer over what stands in for the others, (m, k).
Game = Callable[["Bools"], "Floats"]


class Parts(Protocol):
    """Rows divided into parts: columns of a table, words of a text, regions of a picture, events of a sequence."""

    @property
    def copies(self) -> int:
        """Rows that one mask becomes: one for each background row that stands in for what is switched off."""
        ...

    def names(self, row: int) -> list[str]:
        """The parts of a row, (d,)."""
        ...

    def mixed(self, row: int, masks: Bools) -> Frame:
        """For masks (m, d), the m · copies rows in which the parts outside each mask are replaced; those of one mask stand together."""
        ...


@dataclass(frozen=True)
class Columns:
    """Rows of a table, divided into their columns, or into groups of them; what is switched off takes the values of the background rows."""

    frame: Frame
    background: Frame
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def copies(self) -> int:
        """The background rows."""
        return rows(self.background)

    def names(self, row: int) -> list[str]:
        """The columns or groups, the same for every row."""
        return list(self.groups or self.frame)

    def mixed(self, row: int, masks: Bools) -> Frame:
        """As `Parts` says."""
        kept = self.by_column(masks)
        return {name: mixed_column(own, self.background[name], row, kept[:, j]) for j, (name, own) in enumerate(self.frame.items())}

    def by_column(self, masks: Bools) -> Bools:
        """Masks (m, parts) as masks (m, columns) of the frame."""
        place = {column: j for j, columns in enumerate(self._columns) for column in columns}
        return masks[:, [place[name] for name in self.frame]]

    @property
    def moving(self) -> Bools:
        """Parts (d,) in which some row differs from some background row; the others move no answer of the model."""
        return np.array([any(_moving(self.frame[c], self.background[c]) for c in columns) for columns in self._columns])

    @property
    def _columns(self) -> list[Sequence[str]]:
        return list(self.groups.values()) if self.groups else [[name] for name in self.frame]


@dataclass(frozen=True)
class RowGame:
    """The cooperative game whose players are the parts of one row; `moving` (d,) names those that play, where the others move no answer.

    `exposed` asks without making the rows, where the model can be asked so.
    """

    answers: Answers
    parts: Parts
    row: int
    moving: Bools | None = None
    exposed: Exposed | None = None

    def __call__(self, masks: Bools) -> Floats:
        """Mean answers (m, k) for masks (m, players)."""
        own: Floats = together([self], masks)[0]
        return own

    def frame(self, masks: Bools) -> Frame:
        """The rows to ask about: m · copies."""
        return self.parts.mixed(self.row, self.whole(masks))

    def whole(self, masks: Bools) -> Bools:
        """Masks (m, players) as masks of all parts."""
        if self.moving is None:
            return masks
        whole = np.zeros((len(masks), len(self.moving)), dtype=bool)
        whole[:, self.moving] = masks
        return whole


def game(answers: Answers, parts: Parts, row: int, exposed: Exposed | None = None) -> RowGame:
    """The game of one row, of all its parts."""
    return RowGame(answers, parts, row, exposed=exposed)


def together(games: Sequence[Game], masks: Bools) -> Floats:
    """Several games asked about the same masks (m, d), (games, m, k): those of rows of one kind in few large calls, as small ones cost more."""
    first = games[0]
    if not isinstance(first, RowGame) or not all(isinstance(g, RowGame) and g.answers == first.answers for g in games):
        return np.stack([play(masks) for play in games])
    copies = max(1, first.parts.copies)
    at_once, step = max(1, BATCH // max(1, copies * len(masks))), max(1, BATCH // copies)
    found: list[Floats] = []
    for i in range(0, len(games), at_once):
        some = [g for g in games[i : i + at_once] if isinstance(g, RowGame)]
        of_masks = []
        for start in range(0, len(masks), step):
            told = _told(some, masks[start : start + step])
            of_masks.append(told.reshape(len(some), -1, copies, told.shape[-1]).mean(axis=2))
        found.append(np.concatenate(of_masks, axis=1) if of_masks else np.zeros((len(some), 0, 1)))
    whole: Floats = np.concatenate(found)
    return whole


def _told(games: Sequence[RowGame], masks: Bools) -> Floats:
    """Answers (games · masks · copies, k) of games of one kind, in one call where possible."""
    first = games[0]
    alike = all(g.exposed is first.exposed and g.parts is first.parts and g.moving is first.moving for g in games)
    if first.exposed is not None and isinstance(first.parts, Columns) and alike:
        found = first.exposed(first.parts, [g.row for g in games], first.whole(masks))
        if found is not None:
            return found
    asked = joined([g.frame(masks) for g in games])
    return first.answers(asked) if asked is not None else np.concatenate([g.answers(g.frame(masks)) for g in games])


def joined(frames: Sequence[Frame]) -> Frame | None:
    """The rows of several frames in one; None where a column's codes do not mean the same in all of them."""
    if len(frames) == 1:
        return frames[0]
    out: Frame = {}
    for name, column in frames[0].items():
        columns = [frame[name] for frame in frames]
        if isinstance(column, Categories):
            coded = [c for c in columns if isinstance(c, Categories) and c.vocabulary == column.vocabulary]
            if len(coded) < len(columns):
                return None
            out[name] = Categories(np.concatenate([c.codes for c in coded]), column.vocabulary)
        else:
            out[name] = np.concatenate([c for c in columns if not isinstance(c, Categories)])
    return out


def mixed_column(own: Array | Categories, background: Array | Categories, row: int, kept: Bools) -> Array | Categories:
    """One column (m · b,): the row's own value where it is kept (m,), else that of each background row."""
    if isinstance(own, Categories):
        assert isinstance(background, Categories)
        codes, vocabulary = _recoded(own, background)
        return Categories(np.where(kept[:, None], own.codes[row], codes[None, :]).reshape(-1).astype(np.int32), vocabulary)
    assert not isinstance(background, Categories)
    keep = kept.reshape(-1, *([1] * own.ndim))
    mixed = np.where(keep, own[row], background[None, :].astype(own.dtype))
    return mixed.reshape(-1, *own.shape[1:])


def _moving(own: Array | Categories, background: Array | Categories) -> bool:
    """Whether a column holds more than one value, rows and background taken together; all missing values are one."""
    if isinstance(own, Categories):
        assert isinstance(background, Categories)
        codes, _ = _recoded(own, background)
        return len(np.unique(np.concatenate([own.codes, codes]))) > 1
    assert not isinstance(background, Categories)
    return len(np.unique(np.concatenate([own, background.astype(own.dtype)]), axis=0)) > 1


def _recoded(own: Categories, background: Categories) -> tuple[Array, tuple[str, ...]]:
    """The background's codes in a vocabulary that begins with the row's own, and that vocabulary."""
    if background.vocabulary == own.vocabulary:
        return background.codes, own.vocabulary
    vocabulary = tuple(dict.fromkeys((*own.vocabulary, *background.vocabulary)))
    place = {value: code for code, value in enumerate(vocabulary)}
    lookup = np.array([*(place[v] for v in background.vocabulary), -1], dtype=np.int32)
    return lookup[background.codes], vocabulary
