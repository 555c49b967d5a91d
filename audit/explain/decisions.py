"""Which decision a person wants, how far a row is from it, and who gets it: what reasons and recourse both ask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit.subject.frame import Frame, rows, take
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Message

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Why nothing can be said of the decisions of an audit.
NOT_ITS_OWN = "The decisions are a column of the data and not the model's, so the model's inputs are no reasons for them."
NO_SCORES = "The model gives labels of several classes and no scores, so nothing says how near a row is to the favourable one."
SEVERAL = "Several classes are favourable, so no one score says how near a row is to them."


class Decided(NamedTuple):
    """Of n rows: who gets the favourable decision, the score that decides (larger is nearer to it; NaN where undefined), and how far a row is
    from the cutoff in log-odds (probabilities) or in the score's own unit; 0 where the decision is favourable."""

    favourable: Bools
    score: Floats
    gap: Floats

    @property
    def asked(self) -> tuple[Bools, Floats]:
        """What a search asks: whether each row has the decision, and how far it is from it; undefined is infinitely far."""
        return self.favourable, np.where(np.isfinite(self.score), self.gap, np.inf)


class Everybody(NamedTuple):
    """Rows (n, ·), their level of each sensitive column (n,), and how they are decided."""

    frame: Frame
    groups: dict[str, NDArray[np.int16]]
    decided: Decided


@dataclass(frozen=True)
class Decider:
    """The decision rule of an audit, seen from the side of those who want the favourable decision.

    `cutoff` is the score from which a row gets it, None where classes compete; `sign` is +1 where a larger answer of the model is better for the
    person; `output` is the place of the explained class among the explainer's outputs.
    """

    ctx: Context
    cutoff: float | None
    sign: int
    output: int

    def __call__(self, frame: Frame) -> Decided:
        """The decisions on these rows, asked of the model."""
        codes, scores = self.ctx.interpreted(frame)
        return self.decided(codes, scores)

    def decided(self, codes: NDArray[Any], scores: Floats | None) -> Decided:
        """As `__call__`, from class codes or values (n,) and probabilities (n, classes)."""
        settled = self.ctx.settled
        if settled.task == "regression":
            score = self.sign * np.asarray(codes, dtype=np.float64)
            assert self.cutoff is not None
            chosen = np.isfinite(score) & (score > self.cutoff)
            return Decided(chosen, score, np.where(chosen, 0.0, self.cutoff - score))
        wanted = settled.classes.index(settled.favourable[0])
        if scores is None:
            chosen = codes == wanted
            return Decided(chosen, np.where(codes < 0, np.nan, chosen.astype(np.float64)), np.where(chosen, 0.0, 1.0))
        own = scores[:, wanted]
        if self.cutoff is not None:
            strict = self.sign < 0  # the event is chosen from its cutoff on, so its opposite only above the complement
            chosen = np.isfinite(own) & ((own > self.cutoff) if strict else (own >= self.cutoff))
            return Decided(chosen, own, np.where(chosen, 0.0, np.abs(_logit(own) - _logit(np.array(self.cutoff))) + 1e-9))
        chosen = codes == wanted
        rival = np.max(np.delete(scores, wanted, axis=1), axis=1)
        return Decided(chosen, own, np.where(chosen, 0.0, np.abs(_logit(rival) - _logit(own)) + 1e-9))

    @cached_property
    def everybody(self) -> Everybody:
        """The sampled rows with a usable prediction, and how they are decided."""
        sample = self.ctx.sample(self.ctx.plan.audit.sample)
        found = self(sample.frame)
        defined = np.flatnonzero(np.isfinite(found.score))
        groups = {name: codes[defined] for name, codes in sample.groups.items()}
        return Everybody(take(sample.frame, defined), groups, Decided(found.favourable[defined], found.score[defined], found.gap[defined]))


class Refused(NamedTuple):
    """The sampled rows and who decides them, with the places (k,) of those that do not get the decision, in the check's own order."""

    judge: Decider
    everybody: Everybody
    order: NDArray[np.int64]

    def first(self, size: int) -> NDArray[np.int64]:
        """Up to `size` of those who do not get it, in the order of the rows."""
        return np.sort(self.order[:size])


def refused(ctx: Context) -> Refused | Message:
    """Those who do not get the favourable decision, or the reason why nothing can be said of them."""
    judge = decider(ctx)
    if not isinstance(judge, Decider):
        return judge
    without = np.flatnonzero(~judge.everybody.decided.favourable)
    if not len(without):
        return message("Every sampled row gets the favourable decision, so nobody is owed reasons or a way to it.")
    return Refused(judge, judge.everybody, ctx.rng("rows").permutation(without))


def decider(ctx: Context) -> Decider | Message:
    """Who decides, or the reason why nothing can be said; somebody declared which decision is favourable."""
    from audit.scored import decided_by

    settled = ctx.settled
    if settled.task == "regression":
        pred = ctx.scored.pred[ctx.scored.predicted]
        sign = 1 if settled.favourable == ["high"] else -1
        return Decider(ctx, sign * float(np.median(pred)) if len(pred) else 0.0, sign, 0)
    if len(settled.favourable) != 1:
        return message(SEVERAL)
    rule = decided_by(ctx.facts, settled)
    if rule.kind == "column":
        return message(NOT_ITS_OWN)
    wanted = settled.classes.index(settled.favourable[0])
    if settled.positive is None and not settled.has_scores:
        return message(NO_SCORES)
    if settled.positive is None:
        return Decider(ctx, None, 1, wanted)
    better = settled.positive if settled.has_scores else settled.classes[1]  # without scores the answer is the place of the class
    sign = 1 if settled.favourable[0] == better else -1
    cutoff = rule.value if rule.kind == "threshold" else ctx.scoring.decision_cutoff
    if cutoff is None:  # the model's own decision, which is asked and not assumed
        return Decider(ctx, None, sign, 0)
    return Decider(ctx, cutoff if sign > 0 else 1 - cutoff, sign, 0)


def nobody_passes() -> Message:
    """Why nobody can be compared with the refused."""
    return message("No sampled applicant gets the favourable decision, so there is nobody to compare with.")


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)))


def split(frame: Frame, parts: int, rng: np.random.Generator) -> list[Frame]:
    """A frame's rows dealt out into up to `parts` frames of equal size, at least one row each."""
    order = rng.permutation(rows(frame))
    size = max(1, len(order) // parts)
    return [take(frame, np.sort(order[i * size : (i + 1) * size])) for i in range(min(parts, len(order) // size))]
