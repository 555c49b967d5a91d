"""One decision about a row that is no table: what its words, regions, events or stretches add to the answer, before the gates, and the fewest of them
without which the decision is another."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import rfc8785

from audit.explain.document import Explanation, Gate, Input, Part, Place, Reasons, Removal
from audit.explain.explained import FLOOR, PARTIAL
from audit.explain.fewest import fewest
from audit.explain.gates import deletion, infidelity, measured, randomisation
from audit.explain.gates.pieces import PiecesBench
from audit.explain.given import value_of
from audit.explain.of_pieces import Seen, Way, seen
from audit.explain.pieces import Piece, Regions, Words
from audit.explain.pieces import Single as Whole
from audit.explain.reasons import NOTHING, ORDERS
from audit.explain.shapley import unsettled
from audit.explain.shown import STARTS
from audit.explain.single import CHANCE, STABLE, Json, Single, as_json, no_answer, no_variant
from audit.features import BATCH_NUMBERS
from audit.subject.frame import Frame, take
from audit.text import message

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.document import Kind
    from audit.measurement import Message

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: What the parts of an input are.
KINDS: dict[str, Kind] = {"Words": "word", "Regions": "region", "Stretches": "stretch", "Events": "event", "Fields": "field"}
#: Masks of random subsets, as the gate takes.
MASKS = 60
#: Two standard errors.
TWO = 1.96

NO_REASONS = "Principal reasons name inputs that a person can check one by one. This model reads more than single values, and a word, a region or an event is no reason by itself: what counted is shown, and no reasons are named."
NO_PARTS = "Nothing in this row can be taken away: it holds no word, no picture, no event and no sound."
NO_DECISION = "The model gives a quantity and nobody declared which values are favourable, so there is no decision that could change."


class Parted(Single):
    """As `Single`, for models of which an input is more than one value."""

    def told(self, asked: Json) -> Json:
        """As `Single.told`; what would change the decision is what could be taken away."""
        also = self.also() if asked["explain"] else []
        removal = self.removal() if asked["recourse"] else None
        return super().told(asked | {"recourse": False}) | {"also": as_json(also), "removal": as_json(removal)}

    # --- the row ----------------------------------------------------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        """One input as the model gets it: as `Single.value`, or as `given.value_of`."""
        spec = self._decoded.get(name)
        return super().value(name) if spec is None else value_of(spec, self.frame[name], self.held.brightest.get(name))

    @cached_property
    def _decoded(self) -> dict[str, Any]:
        return {f.name: f for f in self.ctx.facts.features if f.read == "decoded"}

    def _digest(self) -> str:
        told = {
            n: hashlib.sha256(np.asarray(c).tobytes()).hexdigest() if n in self._decoded else self.value(n) for n, c in self.frame.items()
        }
        return hashlib.sha256(rfc8785.dumps(told)).hexdigest()

    def inputs(self) -> list[Input]:
        """Every input, single values beside what is usual."""
        usual = {name: found._asdict() for name, found in self.held.usual.items()}
        return [Input(column=f.name, value=self.value(f.name), kind=f.kind, **usual.get(f.name, {})) for f in self.ctx.facts.features]

    # --- why --------------------------------------------------------------------------------------------------------------------------

    def explained(self) -> tuple[Explanation | None, Message | None]:
        """What each part adds to the answer, and the tests that this had to pass; a sequence by its events."""
        return self._explained(0)

    def also(self) -> list[Explanation]:
        """The same answer divided otherwise: a sequence by its fields."""
        return [e for k in range(1, len(self.held.ways)) for e in [self._explained(k)[0]] if e is not None]

    def _explained(self, which: int) -> tuple[Explanation | None, Message | None]:
        if not self.answered:
            return None, no_answer()
        (way, instead), settled = self.held.ways[which], self.ctx.settled
        own = way.own(self.frame)
        one = seen(way, way.explain(self.frame, own), self.frame)
        found = one.explained
        if not len(found.values):
            return None, no_variant()
        if not one.present.any():
            return None, message(NO_PARTS)
        parts = [self._part(one, place, int(j)) for j, place in places(one)]
        output = settled.positive or (settled.classes[int(own[0])] if settled.classes else self.ctx.facts.roles.target or "")
        return Explanation(
            method=found.method, unit=found.unit, output=output, background=found.background, base=float(found.base[0]), answer=float(found.answer[0]),
            parts=sorted(parts, key=lambda p: -abs(p.value)), gates=list(self._trials(PiecesBench(way, one, own), way)), start=start(way, one),
            grids={p.name: p.grid for p in one.pieces.inputs if isinstance(p, Regions)}, instead=instead,
        ), None  # fmt: skip

    def _part(self, one: Seen, place: Place, j: int) -> Part:
        value = float(one.explained.values[0, j])
        half = 0.0 if one.explained.error is None else TWO * float(one.explained.error[0, j])
        return Part(**place.model_dump(), value=value, low=value - half, high=value + half)

    def _trials(self, bench: PiecesBench, way: Way) -> Iterator[Gate]:
        """The tests of one row's attributions; without those that say nothing of so few parts, or that the method does not claim."""
        ctx, found, own = way.ctx, bench.seen.explained, bench.values[0][:, 0]
        if found.method not in PARTIAL:
            base, answer = float(bench.bases()[0]), float(way.of(self.frame, bench.own)[0])
            moved = max(abs(answer - base), FLOOR * float(np.abs(own).sum()), 1e-12)
            yield _gate("completeness", abs(float(own.sum()) + base - answer) / moved, self.held.params["completeness"])
        if found.error is not None:
            drawn = found.error[0, bench.seen.pieces.at(0)]
            yield _gate("stability", min(float(unsettled(own[None, :, None], drawn[None, :, None])[0]), 1e9), STABLE)
        if len(own) < 2:
            return
        play, rng = bench.play(0), ctx.rng("orders of one")
        area = deletion.areas(play, [deletion.order(own), *(rng.permutation(len(own)) for _ in range(ORDERS))])[:, 0]
        yield _gate("deletion", float(np.mean(area[1:] < area[0] - NOTHING * np.ptp(area))), CHANCE)
        off = infidelity.subsets(len(own), MASKS, ctx.rng("masks of one"))
        missed = infidelity.scale_free(infidelity.predicted_by(own[:, None], off)[:, 0], infidelity.change_of(play, off)[:, 0])
        if missed is not None and math.isfinite(missed) and (limit := self._limit("explanation.infidelity", "infidelity")) is not None:
            yield _gate("infidelity", missed, limit)
        if (limit := self._limit("explanation.randomisation", "randomised_similarity")) is not None:
            yield from _dependent(bench, limit, ctx.rng("models of one"))

    def _limit(self, check: str, metric: str) -> float | None:
        """What the plan allows a number to be."""
        return next((c.max for c in self.ctx.plan.checks[check].criteria if c.metric == metric and c.compare == "value"), None)

    def reasons(self) -> Reasons:
        """None: no part of a text, a picture or a sequence is a reason by itself."""
        return Reasons(state="impossible", why=message(NO_REASONS))

    # --- what would change it ---------------------------------------------------------------------------------------------------------

    def removal(self) -> Removal:
        """The fewest parts without which the decision is another; columns of one value stay as they are."""
        if not self.answered:
            return Removal(state="impossible", why=no_answer())
        if self.ctx.settled.task == "regression" and self.judge is None:
            return Removal(state="impossible", why=message(NO_DECISION))
        way = self.held.ways[0][0]
        parts = way.parts(self.frame)
        inputs = [piece for piece in parts.inputs if not isinstance(piece, Whole)]
        every = [place for piece in inputs for place in of_piece(piece)]
        if not every:
            return Removal(state="impossible", why=message(NO_PARTS))
        found = fewest(lambda masks: self._without(inputs, masks), len(every))
        if not found.parts:
            return Removal(state="none", of=len(every), asked=found.asked, start=start(way, inputs))
        mask = np.ones((1, len(every)), dtype=bool)
        mask[0, found.parts] = False
        then = copy.copy(self)
        then.frame = self._switched(inputs, mask)
        then.look()
        return Removal(
            state="found", parts=[every[i] for i in found.parts], decision=then.decision(), start=start(way, inputs), proven=found.proven, of=len(every), asked=found.asked,
            after=[i for i, before in zip(then.inputs(), self.inputs(), strict=True) if i.value != before.value],
        )  # fmt: skip

    def _switched(self, inputs: list[Piece], masks: Bools) -> Frame:
        """The row once for each mask (m, parts), without what is outside it."""
        frame = take(self.frame, np.zeros(len(masks), dtype=np.int64))
        begin = 0
        for piece in inputs:
            count = len(piece.at(0))
            frame[piece.name] = piece.switched(0, masks[:, begin : begin + count])
            begin += count
        return frame

    def _without(self, inputs: list[Piece], masks: Bools) -> tuple[Bools, Floats]:
        """Whether the decision is another for each mask (m,), and how far it is from that."""
        step = max(1, BATCH_NUMBERS // max(1, sum(math.prod(f.shape) for f in self._decoded.values())))
        asked = [self.ctx.interpreted(self._switched(inputs, masks[i : i + step])) for i in range(0, len(masks), step)]
        codes = np.concatenate([c for c, _ in asked])
        scores = None if asked[0][1] is None else np.concatenate([s for _, s in asked if s is not None])
        if self.judge is not None and self.decided is not None and self.judge.cutoff is not None:
            decided, has = self.judge.decided(codes, scores), bool(self.decided.favourable[0])
            other = np.isfinite(decided.score) & (decided.favourable != has)
            return other, decided.score if has else -decided.score
        other = (codes >= 0) & (codes != self.code)
        if scores is None:
            return other, np.zeros(len(codes))
        own = int(self.code)
        return other, scores[:, own] - np.delete(scores, own, axis=1).max(axis=1)


def of_piece(piece: Piece) -> list[Place]:
    """The parts of a row's input, in the order of its masks."""
    kind = KINDS.get(type(piece).__name__)
    if kind is None:
        return [Place(factor=piece.name)]
    names = piece.of(0) if isinstance(piece, Words) else piece.places
    return [Place(factor=names[place], column=piece.name, kind=kind, place=place) for place in piece.at(0).tolist()]


def places(one: Seen) -> Iterator[tuple[int, Place]]:
    """Each part of the row with its place among its attributions."""
    for piece, span in one.pieces.divided():
        yield from zip((piece.at(0) + span.start).tolist(), of_piece(piece), strict=True)


def start(way: Way, of: Seen | list[Piece]) -> Message:
    """What stands in for a part that is switched off."""
    inputs = of.pieces.inputs if isinstance(of, Seen) else of
    if len(inputs) > 1 and isinstance(of, Seen):
        return message(STARTS["Usual" if way.method == "integrated_gradients" else "Single"])
    kinds = list(dict.fromkeys(type(piece).__name__ for piece in inputs))
    named = [
        message(STARTS["Pictures" if kind == "Regions" and isinstance(of, Seen) and way.method == "deep_shap" else kind]) for kind in kinds
    ]
    return named[0] if len(named) == 1 else message("{names}", names=named)


def _gate(name: Any, value: float, limit: float) -> Gate:
    return Gate(name=name, value=value, limit=limit, passed=value <= limit)


def _dependent(bench: PiecesBench, limit: float, rng: np.random.Generator) -> Iterator[Gate]:
    """How much the attributions are like those of models that learned nothing: by the ranks of their sizes or with their signs, whichever tells more of the
    two apart, because one row has too few pairs of such models to choose as the check does. Nothing where ranks say too little."""
    if len(bench.values[0]) < randomisation.FEWEST:
        return
    others = [bench.randomised(seed) for seed in rng.integers(0, 2**31, 2).tolist()]
    if not all(own.any() for other in others for own in other):
        return
    found = measured.against_random_models(bench, others)
    signed = found.similarity if found.signed is None else found.signed
    yield _gate("randomisation", min(float(found.similarity[0]), float(signed[0])), limit)
