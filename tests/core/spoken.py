"""A language model that is written down, the context that asks it, and what a check found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from audit import plan as plans
from audit.judge import judge_reported
from audit.measurement import Measurement, Message
from audit.subject.frame import Categories
from audit.subject.words import spans
from audit.text import render

Log = Callable[[list[str], int], float]


class Model:
    """A language model that is a function: the log-likelihood of each word of a text, what it says to a prompt, where it places a text."""

    def __init__(
        self, log: Log | None = None, say: Callable[[str], str] | None = None, place: dict[str, tuple[float, ...]] | None = None
    ) -> None:
        self.log, self.say, self.place = log or (lambda words, i: -1.0), say, place or {}
        self.asked: list[str] = []

    def speak(self, frame: dict[str, Categories], *, method: str, columns: int | None, **params: Any) -> np.ndarray:
        column = frame["text"]
        texts = [column.vocabulary[c] for c in column.codes]
        self.asked += texts
        if method == "embedding":
            return np.array([self.place[t] for t in texts])
        assert columns is not None
        out = np.zeros((len(texts), columns))
        if method == "continue":
            assert self.say is not None
            out[:] = -1
            for i, text in enumerate(texts):
                said = self.say(text)[:columns]
                out[i, : len(said)] = [ord(c) for c in said]
            return out
        for i, text in enumerate(texts):
            words = [text[a:b] for a, b in spans(text)]
            logs = [self.log(words, k) for k in range(len(words))]
            out[i, : len(words)] = logs
            out[i, columns // 2 : columns // 2 + len(words)] = [x > math.log(0.5) for x in logs]
        return out


def context(
    model: Model, *, masked: bool = False, audited: list[str] | None = None, training: list[str] | None = None, tmp: Path | None = None
) -> Any:
    """As much of a context as these checks see."""
    rows = audited or ["nothing"]
    known = None
    if training is not None and tmp is not None:
        from audit.dataset import open_dataset

        pd.DataFrame({"text": training}).to_parquet(tmp / "training.parquet")
        known = SimpleNamespace(rows=len(training), dataset=lambda: open_dataset(str(tmp / "training.parquet")))
    return SimpleNamespace(
        client=model,
        settled=SimpleNamespace(methods=["log_likelihood"] + ([] if masked else ["continue"])),
        facts=SimpleNamespace(features=[SimpleNamespace(name="text", kind="text")], training=known),
        plan=SimpleNamespace(audit=SimpleNamespace(sample=2000)),
        level=lambda metric, compare="value": 0.9 if (metric, compare) == ("recited_rate", "value") else 0.95,
        rng=lambda name="": np.random.default_rng(len(name)),
        sample=lambda size: SimpleNamespace(frame={"text": Categories(np.arange(len(rows), dtype=np.int32), tuple(rows))}),
    )


def file(folder: Path, rows: list[dict[str, Any]], name: str = "bank.csv") -> str:
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return str(folder / name)


def split(found: Iterable[Measurement | Message]) -> tuple[list[Measurement], str]:
    """Measurements, and the last sentence in both languages, so that a wrong value in a template shows."""
    *rest, last = list(found)
    assert isinstance(last, Message)
    assert render(last, "zh") != render(last)
    return [m for m in rest if isinstance(m, Measurement)], render(last)


def estimate(found: list[Measurement], metric: str, slice_: dict[str, str] | None = None, compare: str = "value") -> Any:
    return next(m.estimate for m in found if (m.metric, m.compare, m.slice) == (metric, compare, slice_ or {}))


def verdicts(check: str, found: list[Measurement], metric: str, compare: str = "value") -> set[str]:
    """What the built-in plan makes of them."""
    judged = judge_reported(check, found, plans.load(None), judgeable=True)
    return {f.verdict for f in judged if (f.metric, f.compare) == (metric, compare)}
