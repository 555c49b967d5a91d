"""A language model, asked from the auditor's side: how likely it holds texts, how it goes on with them, where it places them."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from audit.subject.words import spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.subject.frame import Frame

    Floats = NDArray[np.float64]

#: Texts in one call.
CALL = 64


class Spoken(NamedTuple):
    """A text's words, the log-likelihood of each in nats, and whether each is what the model holds for likeliest there."""

    words: list[str]
    logs: Floats
    told: NDArray[np.bool_]

    @property
    def total(self) -> float:
        """Log-likelihood of the whole text."""
        return float(self.logs.sum())


def likelihoods(ctx: Context, texts: Sequence[str]) -> list[Spoken]:
    """Each text word by word; a masked model's are pseudo-log-likelihoods."""
    out = []
    for first in range(0, len(texts), CALL):
        part = list(texts[first : first + CALL])
        words = [[text[a:b] for a, b in spans(text)] for text in part]
        width = max(1, max(map(len, words)))
        found = ctx.client.speak(_frame(ctx, part), method="log_likelihood", columns=2 * width, words=width)
        out += [Spoken(w, row[: len(w)], row[width : width + len(w)] > 0) for w, row in zip(words, found, strict=True)]
    return out


def completions(ctx: Context, prompts: Sequence[str], *, tokens: int, temperature: float = 0.0, seed: int = 0) -> list[str]:
    """How the model goes on with each prompt by at most so many tokens: the likeliest each time, or drawn at a temperature."""
    import numpy as np

    characters, out = 24 * tokens, []
    for first in range(0, len(prompts), CALL):
        part = list(prompts[first : first + CALL])
        found = ctx.client.speak(
            _frame(ctx, part),
            method="continue",
            columns=characters,
            tokens=tokens,
            characters=characters,
            temperature=temperature,
            seed=seed,
        )
        points = np.where((found >= 0) & (found < 0x110000) & ~((found >= 0xD800) & (found < 0xE000)), found, -1).astype(np.int64)
        out += ["".join(chr(p) for p in row.tolist() if p >= 0) for row in points]
    return out


def embeddings(ctx: Context, texts: Sequence[str]) -> Floats:
    """(n, width): where the model places each text."""
    import numpy as np

    parts = [ctx.client.speak(_frame(ctx, list(texts[i : i + CALL])), method="embedding", columns=None) for i in range(0, len(texts), CALL)]
    return np.concatenate(parts)


def masked(ctx: Context) -> bool:
    """Whether the model fills gaps rather than going on."""
    return "continue" not in ctx.settled.methods


def shared(one: list[str], other: list[str]) -> tuple[list[int], list[int]]:
    """The places of the words that both texts have in the same order (Ratcliff and Obershelp 1988)."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [b.a + i for b in blocks for i in range(b.size)], [b.b + i for b in blocks for i in range(b.size)]


def afford(ctx: Context, texts: Sequence[str], budget: int) -> int:
    """How many of these texts a budget of model evaluations takes: a causal model reads one at once, a masked one each word apart."""
    spent = 0
    for i, text in enumerate(texts):
        spent += max(1, len(spans(text))) if masked(ctx) else 1
        if spent > budget:
            return i
    return len(texts)


def text_column(ctx: Context) -> str:
    """The model's first input that is a text; there is one where a check needs texts or a language model."""
    return next(f.name for f in ctx.facts.features if f.kind == "text")


def _frame(ctx: Context, texts: list[str]) -> Frame:
    from audit.subject.frame import Categories

    return {text_column(ctx): Categories.of(texts)}
