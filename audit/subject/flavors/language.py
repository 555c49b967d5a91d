"""What a language model makes of texts: how likely it holds them, word by word, how it would go on, and where it places them.

Causal models foretell each token from those before it; masked ones each token from all others, one at a time (pseudo-log-likelihood: Salazar
et al. 2020). A text longer than the model takes is read in overlapping windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from audit.subject.flavors.base import ContractError
from audit.subject.frame import Array
from audit.subject.words import spans

#: Windows of tokens in one call of the net, and the least log-probability that a token counts, in nats: what is impossible would count for all.
BATCH, LEAST = 32, -100.0


class Encoded(NamedTuple):
    """A text as tokens: `word` is the one that each belongs to by `audit.subject.words`, -1 for none."""

    ids: list[int]
    word: list[int]


class Window(NamedTuple):
    """Tokens that the net sees at once; `scored` are the places in it whose tokens are scored, `at` where the first of them is in the text."""

    text: int
    ids: list[int]
    scored: range
    at: int


def encoded(tokenizer: Any, text: str, begin: int | None = None) -> Encoded:
    """Tokens as the model wants them, special ones included; `begin` is put before them unless it stands there."""
    found = tokenizer.encode(text)
    starts = np.array([start for start, _ in spans(text)])
    word = []
    for (first, after), special in zip(found.offsets, found.special_tokens_mask, strict=True):
        inside = not special and after > first and len(starts) > 0
        word.append(max(0, int(np.searchsorted(starts, max(first, after - 1), side="right")) - 1) if inside else -1)
    if begin is not None and (not found.ids or found.ids[0] != begin):
        return Encoded([begin, *found.ids], [-1, *word])
    return Encoded(list(found.ids), word)


def padded(rows: list[list[int]], pad: int) -> tuple[Any, Any]:
    """Token ids (n, longest) filled up on the right, and which of them are real."""
    import torch

    length = max(map(len, rows), default=0)
    ids = torch.full((len(rows), length), pad, dtype=torch.long)
    real = torch.zeros((len(rows), length), dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        real[i, : len(row)] = True
    return ids, real


@dataclass(frozen=True)
class Speaker:
    """`foretold(ids, real)`: (n, L) token ids, which of them are no padding → log-probabilities (n, L, vocabulary) of the token that comes next,
    or with `mask` (the token that hides one) of the token at each place. `hidden` gives the last layer (n, L, width). At most `limit` tokens at once."""

    foretold: Callable[[Any, Any], Any]
    tokenizer: Any
    limit: int
    pad: int = 0
    begin: int | None = None
    end: int | None = None
    mask: int | None = None
    hidden: Callable[[Any, Any], Any] | None = None
    separator: str | None = None

    def methods(self) -> list[str]:
        """What it can be asked: a masked model cannot go on with a text."""
        return ["log_likelihood", *(["continue"] if self.mask is None else []), *(["embedding"] if self.hidden else [])]

    def speak(self, texts: list[str], *, method: str, **params: Any) -> Array:
        """The answer of one of `methods` for each text."""
        if method == "log_likelihood":
            return self.log_likelihood(texts, **params)
        if method == "embedding":
            return self.embedding(texts)
        return self.going_on(texts, **params)

    def log_likelihood(self, texts: list[str], *, words: int) -> Array:
        """(n, 2 · words): the log-likelihood of each word in nats, then whether each of its tokens is the one the model holds for likeliest.

        0 beyond a text's words, and for a first token that nothing precedes.
        """
        found = [encoded(self.tokenizer, text, self.begin) for text in texts]
        out = np.zeros((len(texts), 2 * words))
        out[:, words:] = 1.0
        for i, (_, word) in enumerate(found):  # no token: nothing to foretell
            out[i, words + max(word, default=-1) + 1 :] = 0.0
            if self.mask is None and word and word[0] >= 0:
                out[i, words + word[0]] = 0.0
        windows = [w for i, e in enumerate(found) for w in (self._hidden(i, e) if self.mask is not None else self._before(i, e))]
        for window, logs, likeliest in self._read(windows):
            word = found[window.text].word
            for k in range(len(window.scored)):
                own = word[window.at + k]
                if 0 <= own < words:
                    out[window.text, own] += max(float(logs[k]), LEAST)
                    out[window.text, words + own] *= float(likeliest[k])
        return out

    def _before(self, text: int, read: Encoded) -> Iterator[Window]:
        """Windows for a causal model: after the first each scores half of what it sees, from at least as much before it."""
        ids, done = read.ids, 1
        while done < len(ids):
            start = max(0, done - (self.limit if done == 1 else self.limit - self.limit // 2))
            stop = min(len(ids), start + self.limit)
            yield Window(text, ids[start:stop], range(done - start, stop - start), done)
            done = stop

    def _hidden(self, text: int, read: Encoded) -> Iterator[Window]:
        """Windows for a masked model: each hides one token and sees what lies around it."""
        assert self.mask is not None
        for i, word in enumerate(read.word):
            if word >= 0:
                start = max(0, min(i - self.limit // 2, len(read.ids) - self.limit))
                yield Window(text, read.ids[start : start + self.limit], range(i - start, i - start + 1), i)

    def _read(self, windows: list[Window]) -> Iterator[tuple[Window, Array, Array]]:
        """Each window with the log-probability of its scored tokens, and whether each was the likeliest."""
        import torch

        for first in range(0, len(windows), BATCH):
            part = windows[first : first + BATCH]
            ids, real = padded([w.ids for w in part], self.pad)
            shown = ids.clone()
            if self.mask is not None:
                for i, window in enumerate(part):
                    shown[i, list(window.scored)] = self.mask
            with torch.inference_mode():
                logs = self.foretold(shown, real)
            for i, window in enumerate(part):
                places = torch.tensor(window.scored)
                own = logs[i, places if self.mask is not None else places - 1]
                found = own.gather(1, ids[i, places, None])[:, 0]
                yield window, found.double().numpy(), (own.argmax(dim=1) == ids[i, places]).numpy()

    def going_on(self, texts: list[str], *, tokens: int, characters: int, temperature: float = 0.0, seed: int = 0) -> Array:
        """(n, characters): code points of at most so many further tokens, -1 after their end; the likeliest token each time at temperature 0."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        out = np.full((len(texts), characters), -1.0)
        for first in range(0, len(texts), BATCH):
            rows = [self._open(text) for text in texts[first : first + BATCH]]
            starts, ended = [len(row) for row in rows], [False] * len(rows)
            for _ in range(tokens):
                ids, real = padded([row[-self.limit :] for row in rows], self.pad)
                with torch.inference_mode():
                    last = self.foretold(ids, real)[torch.arange(len(rows)), real.sum(dim=1) - 1]
                chances = (last / temperature).softmax(dim=1) if temperature > 0 else None
                chosen = last.argmax(dim=1) if chances is None else torch.multinomial(chances, 1, generator=generator)[:, 0]
                for i, token in enumerate(chosen.tolist()):
                    ended[i] = ended[i] or token == self.end
                    rows[i] += [] if ended[i] else [token]
                if all(ended):
                    break
            for i, row in enumerate(rows):
                said = self._text(row[starts[i] :])[:characters]
                out[first + i, : len(said)] = [ord(c) for c in said]
        return out

    def _open(self, text: str) -> list[int]:
        """The tokens of a text that is to be gone on with: without what the tokenizer puts at its end, and at least one."""
        found = encoded(self.tokenizer, text, self.begin)
        last = max((i for i, word in enumerate(found.word) if word >= 0), default=0)
        ids = found.ids[: last + 1]
        if not ids:
            raise ContractError("a text without a token cannot be gone on with")
        return ids

    def _text(self, ids: list[int]) -> str:
        if self.separator is None:
            return str(self.tokenizer.decode(ids))
        return self.separator.join(self.tokenizer.id_to_token(i) or "" for i in ids)

    def embedding(self, texts: list[str]) -> Array:
        """(n, width): the mean of the last layer over the tokens of the text."""
        import torch

        assert self.hidden is not None
        parts = []
        for first in range(0, len(texts), BATCH):
            found = [encoded(self.tokenizer, text, self.begin) for text in texts[first : first + BATCH]]
            ids, real = padded([e.ids[: self.limit] for e in found], self.pad)
            own = torch.zeros_like(real)
            for i, e in enumerate(found):
                own[i, : len(e.ids[: self.limit])] = torch.tensor([w >= 0 for w in e.word[: self.limit]])
            with torch.inference_mode():
                layer = self.hidden(ids, real).double()
            weight = own.double()[..., None]
            parts.append(((layer * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)).numpy())
        return np.concatenate(parts)


def only_texts(rows: Any) -> list[str]:
    """The texts of the one column that a language model is asked about; a missing one is empty."""
    if len(rows.columns) != 1 or rows.columns[0][2] is None:
        raise ContractError("a language model is asked about one column of texts")
    _, codes, vocabulary = rows.columns[0]
    return ["" if code < 0 else vocabulary[code] for code in codes.tolist()]
