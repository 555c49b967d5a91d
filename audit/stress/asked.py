"""What is asked of a model about changed rows: which class it decides for, and how near it is to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.subject.frame import Frame, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context, Sample

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Codes = NDArray[np.int64]


@dataclass
class Model:
    """The model of an audit under its decision rule; `asked` counts the rows that it was asked for."""

    ctx: Context
    asked: int = 0

    @property
    def event(self) -> int:
        """The class that a cutoff is held against, -1 where the most probable class is decided for."""
        return -1 if self.cutoff is None or self.ctx.settled.positive is None else self.ctx.settled.classes.index(self.ctx.settled.positive)

    @property
    def cutoff(self) -> float | None:
        """The declared cutoff of the event's probability; None where the most probable class is decided for."""
        from audit.scored import decided_by

        decision = decided_by(self.ctx.facts, self.ctx.settled)
        found = decision.value if decision.kind == "threshold" else self.ctx.scoring.decision_cutoff
        return found if self.ctx.settled.positive is not None and self.ctx.settled.has_scores and decision.kind != "column" else None

    def __call__(self, frame: Frame) -> tuple[Codes, Floats | None]:
        """Class codes (n,), -1 undefined, and probabilities (n, classes) where there are any."""
        codes, scores = self.ctx.interpreted(frame)
        self.asked += len(codes)
        decided = np.asarray(codes, dtype=np.int64)
        if self.cutoff is not None and scores is not None:
            chosen = np.where(scores[:, self.event] >= self.cutoff, self.event, 1 - self.event)
            decided = np.where(decided < 0, -1, chosen)
        return decided, scores

    @property
    def has_gradients(self) -> bool:
        """Whether gradients lead from the answer to inputs that are one tensor."""
        return "gradient_x_input" in self.ctx.settled.methods and not self.ctx.settled.stepped

    def attack(self, frame: Frame, *, method: str, **params: Any) -> Floats:
        """The rows (n, d) after an attack by gradients beside the model, under its decision rule (`audit.subject.flavors.attacks`)."""
        odds = {} if self.cutoff is None else {"event": self.event, "cutoff": _log_odds(self.cutoff)}
        probability = self.ctx.settled.outputs == "probability"
        return np.asarray(self.ctx.client.attack(frame, method=method, probability=probability, **odds, **params), dtype=np.float64)

    def lead(self, frame: Frame, own: Codes) -> Floats:
        """`ahead` of rows that are asked now; 1 or -1 where there are no scores."""
        codes, scores = self(frame)
        return np.where(codes == own, 1.0, -1.0) if scores is None else self.ahead(scores, own)

    def ahead(self, scores: Floats, own: Codes) -> Floats:
        """How far the class `own` (n,) is ahead of the nearest other one, in probability; below 0 it is no longer decided for."""
        rows = np.arange(len(own))
        if self.cutoff is not None:
            over = scores[:, self.event] - self.cutoff
            return np.where(own == self.event, over, -over)
        others = scores.copy()
        others[rows, own] = -np.inf
        return np.asarray(scores[rows, own] - others.max(axis=1))


@dataclass(frozen=True)
class Rows:
    """Sampled rows with an outcome and a prediction: the frame, outcomes `y` and decisions `own` (n,), codes of groups by column."""

    frame: Frame
    y: Codes
    own: Codes
    groups: dict[str, NDArray[np.int16]]

    @property
    def right(self) -> Bools:
        """Which rows the model decides rightly as they are."""
        return np.asarray(self.own == self.y)

    def __len__(self) -> int:
        return len(self.y)


def rows_of(ctx: Context, model: Model, size: int) -> Rows:
    """At most `size` rows of the sample, as the model decides them now."""
    sample: Sample = ctx.sample(size)
    assert sample.y is not None, "the check needs labels"
    known = np.flatnonzero(sample.y >= 0)
    frame = take(sample.frame, known)
    own, _ = model(frame) if len(known) else (np.zeros(0, np.int64), None)
    kept = np.flatnonzero(own >= 0)
    y = np.asarray(sample.y, dtype=np.int64)[known]
    return Rows(take(frame, kept), y[kept], own[kept], {name: codes[known][kept] for name, codes in sample.groups.items()})


def with_column(frame: Frame, name: str, values: Any) -> Frame:
    """The rows with other values in one column, all others as they are."""
    return {**frame, name: values}


def _log_odds(p: float) -> float:
    inside = min(max(p, 1e-12), 1 - 1e-12)
    return float(np.log(inside / (1 - inside)))
