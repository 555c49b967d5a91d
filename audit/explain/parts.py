"""What a row is made of, and what it looks like with some of its parts switched off: the common ground of explainers from answers and of gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audit.subject.frame import Array, Categories, Frame, rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        place = {column: j for j, columns in enumerate(self._columns) for column in columns}
        return {name: mixed_column(own, self.background[name], row, masks[:, place[name]]) for name, own in self.frame.items()}

    @property
    def moving(self) -> Bools:
        """Parts (d,) in which some row differs from some background row; the others move no answer of the model."""
        return np.array([any(_moving(self.frame[c], self.background[c]) for c in columns) for columns in self._columns])

    @property
    def _columns(self) -> list[Sequence[str]]:
        return list(self.groups.values()) if self.groups else [[name] for name in self.frame]


def game(answers: Answers, parts: Parts, row: int) -> Game:
    """The cooperative game whose players are the parts of one row."""
    step = max(1, BATCH // parts.copies)

    def play(masks: Bools) -> Floats:
        found = []
        for start in range(0, len(masks), step):
            some = masks[start : start + step]
            found.append(answers(parts.mixed(row, some)).reshape(len(some), parts.copies, -1).mean(axis=1))
        return np.concatenate(found) if found else np.zeros((0, 1))

    return play


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
