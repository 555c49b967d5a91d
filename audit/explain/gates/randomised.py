"""The same explainer over a model that learned nothing: weights drawn again or trees grown on shuffled answers, beside the model, or a random
function in its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audit.explain.attribute import Explainer
from audit.subject.frame import Array, Categories, Frame
from audit.subject.words import pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audit.explain.explained import Explained

    Floats = NDArray[np.float64]

#: Hidden units of the random function.
HIDDEN = 32
#: Numbers that the words of a text become.
WIDTH = 16


@dataclass(frozen=True)
class Redrawn:
    """An explainer beside the model; `randomise` goes with each request, and the model is itself again after it."""

    explainer: Explainer
    seed: int

    def explain(self, frame: Frame, *, stream: str = "") -> list[Explained]:
        """Attributions of the randomised model."""
        return self.explainer.explain(frame, stream=stream, randomise=self.seed)


@dataclass(frozen=True)
class RandomFunction:
    """A net that was never trained: one hidden layer of tanh over columns that are centred and scaled by `background`, weights normal.

    Values of a category get a random number each, by what they say; what is missing counts as 0. `texts` are columns of words: each word moves `WIDTH`
    numbers, wherever it stands. Answers lie in (0, 1), as those of a model that gives
    probabilities, and every input is used alike.
    """

    background: Frame
    outputs: int
    seed: int
    texts: frozenset[str] = frozenset()

    def __call__(self, frame: Frame) -> Floats:
        """Answers (n, outputs)."""
        x = np.concatenate([self._number(name, column) for name, column in frame.items()], axis=1)
        rng = np.random.default_rng(self.seed)
        hidden = np.tanh(x @ rng.normal(size=(x.shape[1], HIDDEN)) / np.sqrt(x.shape[1]) + rng.normal(size=HIDDEN))
        answer: Floats = 1 / (1 + np.exp(-3 * hidden @ rng.normal(size=(HIDDEN, self.outputs)) / np.sqrt(HIDDEN)))
        return answer

    def _number(self, name: str, column: Array | Categories) -> Floats:
        """A column as numbers (n, width) of about unit size."""
        if isinstance(column, Categories) and name in self.texts:
            said = [self._text(name, text) for text in column.vocabulary]
            return np.asarray(np.array([*said, np.zeros(WIDTH)])[column.codes])
        if isinstance(column, Categories):
            words: Floats = np.array([*(self._word(name, w) for w in column.vocabulary), 0.0])
            return np.asarray(words[column.codes][:, None])
        near = self.background[name]
        assert not isinstance(near, Categories)
        known, own = (c.reshape(len(c), -1).astype(np.float64) for c in (near, column))
        centre = np.nan_to_num(np.nanmean(known, axis=0)) if np.isfinite(known).any() else np.zeros(known.shape[1])
        spread = float(np.nanstd(known)) if np.isfinite(known).any() else 1.0
        return np.asarray(np.nan_to_num((own - centre) / (spread if spread > 0 else 1.0)))

    def _text(self, name: str, text: str) -> Floats:
        """The sum over the words of a text, (WIDTH,), of about unit size for a text of a dozen words."""
        total = np.zeros(WIDTH)
        for word in pieces(text):
            total += _moved(self.seed, name, word.strip().lower())
        return np.asarray(total / np.sqrt(12))

    def _word(self, name: str, word: str) -> float:
        return float(_drawn(self.seed, name, word).normal())


@lru_cache(maxsize=4_096)
def _moved(seed: int, name: str, word: str) -> Floats:
    """What a word of a text moves, (WIDTH,): kept, as the variants of a text hold the same words thousands of times."""
    return _drawn(seed, name, word).normal(size=WIDTH)


def _drawn(seed: int, name: str, word: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}/{word}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


@dataclass(frozen=True)
class Impostor(Explainer):
    """An explainer from answers alone that is given a random function's answers for the model's."""

    seed: int = 0

    def answer(self, frame: Frame) -> Floats:
        """Answers of the random function, (n, outputs)."""
        return RandomFunction(self.background, len(self.outputs), self.seed)(frame)


def randomised(explainer: Explainer, seed: int) -> Callable[..., list[Explained]]:
    """`explain` of the same method over a randomised model."""
    if explainer.beside:
        return Redrawn(explainer, seed).explain
    return Impostor(**{f.name: getattr(explainer, f.name) for f in fields(explainer)}, seed=seed).explain
