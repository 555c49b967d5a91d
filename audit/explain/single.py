"""One decision: what was decided, how the answer comes about, the reasons, and what would change it. Asked beside the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import rfc8785
from numpy.typing import NDArray

from audit.asking import complete
from audit.errors import AuditError
from audit.explain.decisions import Decided, nobody_passes
from audit.explain.document import Change, Decision, Explanation, Gate, Input, Method, Part, Reason, Reasons, Recourse, Way
from audit.explain.held import Held
from audit.explain.reasons import Shortfalls, barred, beaten_by_chance, named, overlap, shortfalls
from audit.explain.recourse import Search
from audit.explain.recourse import Way as Found
from audit.explain.values import changed, plain, strange
from audit.measurement import Message
from audit.rows import single_row
from audit.scored import decided_by
from audit.subject.client import WorkerError
from audit.subject.frame import Categories, Frame
from audit.text import message

Json = dict[str, Any]
#: Applicants that one row is held against; one row can afford more than an audit of many.
BACKGROUND = 200
#: Of their length, so much of the attributions may be the draw of the background.
STABLE = 0.5
#: So many of the random orders may do better than the attributions' own, when factors are taken away.
CHANCE = 0.05
#: Ways that are shown, and that these are chosen from.
WAYS, LOOKED_AT = 3, 9

NO_ANSWER = "The model gives no answer for this row, so there is nothing to explain."
NOT_THIS_VARIANT = "The model gives no answer for some variants of this row, so its answer cannot be divided among the inputs."
GRANTED = "The favourable decision was given already."


class Single:
    """One row of one audit: `row` is its place in the data, `values` replace some of its inputs, or are all of them."""

    def __init__(self, held: Held, row: int | None, values: Mapping[str, Any]) -> None:
        self.held, self.ctx, self.judge, self.rules, self.row, self.values = held, held.ctx, held.judge, held.rules, row, values
        facts = self.ctx.facts
        if row is not None and not 0 <= row < facts.rows:
            raise AuditError(f"there is no row {row}: the data have {facts.rows} rows, counted from 0", f"give --row 0 to {facts.rows - 1}")
        self.frame, self.done = changed(
            single_row(self.ctx, row) if row is not None else {}, facts.features, values, {} if held.table else held.brightest
        )
        self.look()

    def look(self) -> None:
        """Ask the model about the row as it is."""
        codes, scores = self._asked()
        self.code, self.scores = codes[0], None if scores is None else scores[0]
        self.decided: Decided | None = self.judge.decided(codes, scores) if self.judge else None

    def told(self, asked: Json) -> Json:
        """The parts of the document that depend on the row, as JSON."""
        explanation, why = self.explained() if asked["explain"] else (None, None)
        out = {
            "subject": {"row": self.row, "changed": sorted(self.values) if self.row is not None else [], "inputs_sha256": self._digest()},
            "decision": self.decision(), "inputs": self.inputs(), "notes": self.notes(),
            "explanation": explanation, "explanation_why": why,
            "reasons": self.reasons() if asked["reasons"] else None,
            "recourse": self.recourse() if asked["recourse"] else None,
        }  # fmt: skip
        return {key: as_json(value) for key, value in out.items()}

    def _asked(self) -> tuple[Any, Any]:
        """The model's answer; none where it refuses a row that has gaps."""
        try:
            return self.ctx.interpreted(self.frame)
        except WorkerError as error:
            if error.kind != "model" or complete(self.frame).all():
                raise
            settled = self.ctx.settled
            scores = np.full((1, len(settled.classes)), np.nan) if settled.has_scores else None
            return np.array([np.nan if settled.task == "regression" else -1]), scores

    # --- the row ----------------------------------------------------------------------------------------------------------------------

    def value(self, name: str) -> str | float | bool | None:
        """One input as the model gets it; None where it is missing."""
        return plain(self.frame[name])

    def _digest(self) -> str:
        return hashlib.sha256(rfc8785.dumps({name: self.value(name) for name in self.frame})).hexdigest()

    @property
    def answered(self) -> bool:
        """Whether the model gives this row a usable answer."""
        return bool(np.isfinite(self.code)) if self.ctx.settled.task == "regression" else bool(self.code >= 0)

    def decision(self) -> Decision:
        """What was decided, by which rule."""
        ctx, settled = self.ctx, self.ctx.settled
        rule = decided_by(ctx.facts, settled)
        cutoff = self.judge.cutoff if self.judge else None
        score = self._score() if settled.has_scores else None
        favourable = bool(self.decided.favourable[0]) if self.decided is not None and self.answered else None
        return Decision(
            label=self._label() if self.answered else "", favourable=favourable, wanted=settled.favourable[0] if len(settled.favourable) == 1 else None,
            score=score, cutoff=cutoff if settled.has_scores else None, rule=ctx.facts.roles.decision or "predict",
            declared=rule.kind != "predict" or ctx.facts.roles.decision is not None,
        )  # fmt: skip

    def _score(self) -> float | None:
        """The score of the favourable decision; where nobody declared one, of what was decided."""
        own = (
            self.decided.score[0]
            if self.decided is not None
            else self.scores[int(self.code)]
            if self.scores is not None and self.answered
            else np.nan
        )
        return float(own) if np.isfinite(own) else None

    def _label(self) -> str:
        settled = self.ctx.settled
        if settled.task == "regression":
            return f"{float(self.code):.6g}"
        if self.decided is not None and settled.positive is not None and self.judge is not None and self.judge.cutoff is not None:
            wanted = settled.favourable[0]
            return wanted if self.decided.favourable[0] else next(c for c in settled.classes if c != wanted)
        return settled.classes[int(self.code)]

    def inputs(self) -> list[Input]:
        """Every input beside what is usual in the data."""
        return [
            Input(column=f.name, value=self.value(f.name), kind=f.kind, **self.held.usual[f.name]._asdict())
            for f in self.ctx.facts.features
        ]

    def notes(self) -> list[Message]:
        """What is unusual about the row, and what was not declared."""
        notes = [*([] if self.answered else [no_answer()]), *self.done]
        missing = [name for name in self.frame if self.value(name) is None]
        if missing:
            notes.append(message("Not known for this row: {names}.", names=missing))
        known = self.held.known
        for name in (f.name for f in self.held.singles if self.value(f.name) is not None):
            notes += strange(name, self.frame[name], known[name], self.ctx.facts.training is not None)
        if self.ctx.facts.roles.decision is None:
            notes.append(message("Nobody declared how scores become decisions: the model's own cutoff was used."))
        return notes

    # --- why --------------------------------------------------------------------------------------------------------------------------

    def explained(self) -> tuple[Explanation | None, Message | None]:
        """What each factor adds to the answer against all applicants, and the tests that this had to pass."""
        if not self.answered:
            return None, no_answer()
        settled = self.ctx.settled
        output = 0 if settled.positive is not None or settled.task == "regression" else int(self.code)
        found = self._attributed("everybody", output=output)
        if not np.isfinite(found.mean).all():
            return None, no_variant()
        name = settled.positive or (settled.classes[int(self.code)] if settled.classes else self.ctx.facts.roles.target or "")
        parts = [Part(factor=f, value=-m, low=-high, high=-low) for f, (m, low, high) in self._intervals(found)]
        return Explanation(
            method=found.method, unit=found.unit, output=name, background=found.background, base=float(found.base[0]), answer=float(found.answer[0]),
            parts=sorted(parts, key=lambda p: -abs(p.value)), gates=self._gates(found, output=output),
        ), None  # fmt: skip

    @staticmethod
    def _intervals(found: Shortfalls) -> list[tuple[str, tuple[float, float, float]]]:
        return [(factor, found.interval(0, i)) for i, factor in enumerate(found.factors)]

    def _attributed(self, name: str, pool: Frame | None = None, *, output: int, sign: int = 1) -> Shortfalls:
        return shortfalls(self.ctx, self.frame, self.held.frame if pool is None else pool, BACKGROUND, name, output=output, sign=sign)

    def _gates(self, found: Shortfalls, *, output: int, sign: int = 1) -> list[Gate]:
        luck = beaten_by_chance(self.ctx, self.frame, 0, self.held.frame, found, output=output, sign=sign)
        limit, gap, noise = self.held.params["completeness"], float(found.gaps[0]), float(min(found.noise[0], 1e9))
        return [
            Gate(name="completeness", value=gap, limit=limit, passed=gap <= limit),
            Gate(name="stability", value=noise, limit=STABLE, passed=noise <= STABLE),
            Gate(name="deletion", value=luck, limit=CHANCE, passed=luck <= CHANCE),
        ]

    def _none_owed(self) -> tuple[Literal["impossible", "not_needed"], Message | None] | None:
        """Why neither reasons nor ways are owed; None where they are."""
        if self.judge is None or self.decided is None:
            return "impossible", self.held.why
        if not self.answered:
            return "impossible", no_answer()
        return ("not_needed", message(GRANTED)) if self.decided.favourable[0] else None

    def reasons(self) -> Reasons:
        """The principal reasons by both methods, unless one of them may not be named or the explanation failed its tests."""
        if (none := self._none_owed()) is not None:
            return Reasons(state=none[0], why=none[1])
        passing, judge = self.held.passing, self.judge
        if passing is None or judge is None:
            return Reasons(state="impossible", why=nobody_passes())
        scores = self.held.everybody.decided.score
        pools = {
            "passing": (passing.frame, passing.low, passing.high),
            "everybody": (self.held.everybody.frame, float(scores.min()), float(scores.max())),
        }
        first = self.held.params["method"]
        order = [first, *(name for name in pools if name != first)]
        found = {name: self._attributed(name, pools[name][0], output=judge.output, sign=judge.sign) for name in order}
        if not all(np.isfinite(f.mean).all() for f in found.values()):
            return Reasons(state="impossible", why=no_variant())
        methods = [
            Method(against=name, applicants=found[name].background, score_low=low, score_high=high, reasons=self._named(found[name], frame))
            for name, (frame, low, high) in ((name, pools[name]) for name in order)
        ]
        if not all(gate.passed for f in found.values() for gate in self._gates(f, output=judge.output, sign=judge.sign)):
            return Reasons(state="rejected", methods=methods)
        state = "none" if not methods[0].reasons else "blocked" if any(r.barred for m in methods for r in m.reasons) else "given"
        one, other = (named(found[name], 0) for name in order)
        return Reasons(state=state, methods=methods, agreement=overlap(one.factors, other.factors), open=one.open)

    def _named(self, found: Shortfalls, pool: Frame) -> list[Reason]:
        chosen, ranked = named(found, 0), np.argsort(-found.mean[0], kind="stable")
        out = []
        for place, (factor, tied) in enumerate(zip(chosen.factors, chosen.tied, strict=True)):
            mean, low, high = found.interval(0, factor)
            rival = int(ranked[place + 1]) if place + 1 < len(ranked) else None
            margin = None if rival is None else float(mean - max(0.0, found.mean[0, rival]))
            name = found.factors[factor]
            may_not = barred(name, self.frame, 0, self.rules, self.ctx.facts.roles.sensitive, self.held.stand_ins)
            average, same = self._beside(name, pool)
            out.append(
                Reason(factor=name, shortfall=mean, low=low, high=high, margin=margin, tied=tied, barred=may_not, mean=average, same=same)
            )
        return out

    def _beside(self, name: str, pool: Frame) -> tuple[float | None, float | None]:
        """Of the applicants compared with: the average of a number, and the share with the row's own value."""
        if name not in pool or self.value(name) is None:
            return None, None
        column, own = pool[name], self.value(name)
        if isinstance(column, Categories):
            code = column.vocabulary.index(own) if own in column.vocabulary else -2
            return None, float(np.mean(column.codes == code))
        if column.dtype.kind not in "iufb":
            return None, None
        numbers = np.asarray(column, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        return (float(numbers.mean()), float(np.mean(numbers == own))) if len(numbers) else (None, None)

    # --- what would change it ---------------------------------------------------------------------------------------------------------

    def recourse(self) -> Recourse:
        """The nearest ways to the favourable decision, or the declared limits that leave none."""
        if (none := self._none_owed()) is not None:
            return Recourse(state=none[0], why=none[1])
        search = self.held.search(self.frame)
        fixed = [f.name for f in search.space.facts if f.fixed in ("immutable", "prohibited")]
        own = search.space.coding.matrix(self.frame)
        (found,) = search.ways(own, LOOKED_AT)
        if ways := unlike(search, own, found)[:WAYS]:
            return Recourse(state="found", ways=[self._way(search, way) for way in ways], fixed=fixed, asked=search.asked)
        return self._binding(fixed, search.asked)

    def _binding(self, fixed: list[str], asked: int) -> Recourse:
        """No way: which declared limits each of which alone, lifted, opens one, and whether all of them together do."""
        loose = {
            n: r.model_copy(update={"immutable": False, "monotone": "none", "range": None})
            for n, r in self.rules.items()
            if n in self.frame and (r.immutable or r.monotone != "none" or r.range is not None)
        }
        tried = {name: self.held.search(self.frame, {**self.rules, name: rule}) for name, rule in loose.items()}
        opened = {name: bool(search.ways(search.space.coding.matrix(self.frame))[0]) for name, search in tried.items()}
        free = self.held.search(self.frame, {**self.rules, **loose})
        unlimited = bool(free.ways(free.space.coding.matrix(self.frame))[0])
        return Recourse(
            state="none", fixed=fixed, binding=[name for name, found in opened.items() if found], unlimited=unlimited,
            asked=asked + sum(search.asked for search in tried.values()) + free.asked,
        )  # fmt: skip

    def _way(self, search: Search, found: Found) -> Way:
        assert self.judge is not None
        after = search.space.coding.frame(found.values[None])
        along = {fact.name for fact, *_ in search.space.ratios}
        changes = [
            Change(column=name, before=self.value(name), after=plain(after[name]), along=name in along)
            for name in self.frame
            if plain(after[name]) != self.value(name)
        ]
        score = float(self.judge(after).score[0]) if self.ctx.settled.has_scores else None
        return Way(changes=changes, cost=found.cost, score=score, distance=found.distance, plausible=found.plausible)


def unlike(search: Search, own: NDArray[np.float64], ways: list[Found]) -> list[Found]:
    """Ways of one row (1, d), for people: few changes are easier than many small ones, and one that changes all that another changes and more is no
    other way."""
    kept: list[tuple[Found, NDArray[np.bool_]]] = []
    for way in sorted(ways, key=lambda way: (not way.plausible, way.changes, way.cost)):
        changed = search.space.changed(own, way.values[None])[0]
        if not any(np.all(changed[before]) for _, before in kept):
            kept.append((way, changed))
    return [way for way, _ in kept]


def no_answer() -> Message:
    """Why nothing is explained of a row that the model refuses."""
    return message(NO_ANSWER)


def no_variant() -> Message:
    """Why nothing is explained of a row whose variants the model refuses."""
    return message(NOT_THIS_VARIANT)


def as_json(value: Any) -> Any:
    """Records as plain JSON."""
    if isinstance(value, list):
        return [as_json(v) for v in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
