"""One decision: what was decided, how the answer comes about, the reasons, and what would change it. Runs as a job beside the model."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np
import rfc8785

from audit import columns
from audit.asking import complete
from audit.context import Context
from audit.errors import AuditError
from audit.explain.decisions import Decided, Decider, decider
from audit.explain.document import Change, Decision, Explanation, Gate, Input, Method, Part, Reason, Reasons, Recourse, Way
from audit.explain.proxies import flagged
from audit.explain.reasons import Shortfalls, band, barred, beaten_by_chance, named, overlap, shortfalls
from audit.explain.recourse import Search
from audit.explain.space import space_of
from audit.features import FeatureSpec
from audit.outputs import Settled
from audit.plan import Plan, parameters
from audit.prepare import Facts
from audit.registry import SINGLE, checks
from audit.result import Message
from audit.rows import single_row, training_rows
from audit.scored import Scoring, decided_by
from audit.subject.client import WorkerError
from audit.subject.frame import Categories, Frame, label_text
from audit.text import message

Json = dict[str, Any]
#: Applicants that one row is held against; one row can afford more than an audit of many.
BACKGROUND = 200
#: Of their length, so much of the attributions may be the draw of the background.
STABLE = 0.5
#: So many of the random orders may do better than the attributions' own, when factors are taken away.
CHANCE = 0.05
#: Ways that are shown.
WAYS = 3
#: Rows of the training data that a row's values are held against.
SEEN = 20_000

NO_ANSWER = "The model gives no answer for this row, so there is nothing to explain."
NOT_TABLE = "An input of the model is no single number or category, and this version explains single decisions of tables."
NOT_DECLARED = "Nobody declared which decision is favourable: name it with --favourable."
ALL_ALIKE = "No sampled applicant gets the favourable decision, so there is nobody to compare with."
NOT_THIS_VARIANT = "The model gives no answer for some variants of this row, so its answer cannot be divided among the inputs."
GRANTED = "The favourable decision was given already."


def explain(arguments: Json, worker: socket.socket | None) -> Json:
    """Job: everything about one row that `arguments` asks for: `row` and `values`, `explain`, `reasons` and `recourse` (booleans)."""
    plan = Plan.model_validate(arguments["plan"])
    plan = plan.model_copy(update={"audit": plan.audit.model_copy(update={"sample": arguments["sample"]})})
    context = Context(
        check="explain", facts=Facts.model_validate(arguments["facts"]), settled=Settled.model_validate(arguments["settled"]),
        scoring=Scoring.model_validate(arguments["scoring"]), plan=plan, seed=arguments["seed"], model_files=arguments["files"], socket=worker,
    )  # fmt: skip
    return Single(context, arguments["row"], arguments["values"]).told(arguments)


class Single:
    """One row of one audit: `row` is its place in the data, `values` replace some of its inputs, or are all of them."""

    def __init__(self, ctx: Context, row: int | None, values: Mapping[str, Any]) -> None:
        self.ctx, self.row, self.values = ctx, row, values
        facts = ctx.facts
        if any(f.kind not in SINGLE for f in facts.features):
            raise AuditError("an input of the model is no single number or category", "single decisions are explained for tables only")
        if row is not None and not 0 <= row < facts.rows:
            raise AuditError(f"there is no row {row}: the data have {facts.rows} rows, counted from 0", f"give --row 0 to {facts.rows - 1}")
        self.frame = changed(single_row(ctx, row) if row is not None else {}, facts.features, values)
        codes, scores = self._asked()
        self.code, self.scores = codes[0], None if scores is None else scores[0]
        found = decider(ctx) if ctx.settled.favourable else message(NOT_DECLARED)
        self.judge: Decider | None = found if isinstance(found, Decider) else None
        self.why: Message | None = found if isinstance(found, Message) else None
        self.decided: Decided | None = self.judge.decided(codes, scores) if self.judge else None
        self.rules = columns.rules(facts.roles.columns)
        self.params = parameters(ctx.plan, checks()["explanation.reasons"])

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
        return {key: _plain(value) for key, value in out.items()}

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
        score = (
            float(self.decided.score[0]) if self.decided is not None and np.isfinite(self.decided.score[0]) and settled.has_scores else None
        )
        favourable = bool(self.decided.favourable[0]) if self.decided is not None and self.answered else None
        return Decision(
            label=self._label() if self.answered else "", favourable=favourable, wanted=settled.favourable[0] if len(settled.favourable) == 1 else None,
            score=score, cutoff=cutoff if settled.has_scores else None, rule=ctx.facts.roles.decision or "predict",
            declared=rule.kind != "predict" or ctx.facts.roles.decision is not None,
        )  # fmt: skip

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
        reference = self.ctx.sample(self.ctx.plan.audit.sample).frame
        out = []
        for spec in self.ctx.facts.features:
            column, low, high, most = reference[spec.name], None, None, None
            coded = spec.name in self.rules and bool(self.rules[spec.name].values)  # numbers that stand for words
            if isinstance(column, Categories):
                counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.vocabulary) or 1)
                most = column.vocabulary[int(counts.argmax())] if column.vocabulary else None
            elif column.dtype.kind in "iufb":
                known = np.asarray(column, dtype=np.float64)
                known = known[np.isfinite(known)]
                if len(known) and coded:
                    most = label_text(np.unique(known)[np.unique(known, return_counts=True)[1].argmax()])
                elif len(known):
                    low, high = (float(q) for q in np.quantile(known, (0.25, 0.75), method="inverted_cdf"))
            out.append(Input(column=spec.name, value=self.value(spec.name), kind=_kind(spec), low=low, high=high, most=most))
        return out

    def notes(self) -> list[Message]:
        """What is unusual about the row, and what was not declared."""
        notes = [] if self.answered else [message(NO_ANSWER)]
        missing = [name for name in self.frame if self.value(name) is None]
        if missing:
            notes.append(message("Not known for this row: {names}.", names=missing))
        known = self._known()
        for name, column in self.frame.items():
            notes += _strange(name, column, known[name], self.ctx.facts.training is not None) if self.value(name) is not None else []
        if self.ctx.facts.roles.decision is None:
            notes.append(message("Nobody declared how scores become decisions: the model's own cutoff was used."))
        return notes

    def _known(self) -> Frame:
        """Rows that the row is held against: those of training, where they are known."""
        if self.ctx.facts.training is not None:
            return training_rows(self.ctx, SEEN).frame
        return self.ctx.sample(self.ctx.plan.audit.sample).frame

    # --- why --------------------------------------------------------------------------------------------------------------------------

    def explained(self) -> tuple[Explanation | None, Message | None]:
        """What each factor adds to the answer against all applicants, and the tests that this had to pass."""
        if not self.answered:
            return None, message(NO_ANSWER)
        settled = self.ctx.settled
        output = 0 if settled.positive is not None or settled.task == "regression" else int(self.code)
        found = self._attributed("everybody", output=output)
        if not np.isfinite(found.mean).all():
            return None, message(NOT_THIS_VARIANT)
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
        everybody = self.ctx.sample(self.ctx.plan.audit.sample).frame if pool is None else pool
        return shortfalls(self.ctx, self.frame, everybody, BACKGROUND, name, output=output, sign=sign)

    def _gates(self, found: Shortfalls, *, output: int, sign: int = 1) -> list[Gate]:
        everybody = self.ctx.sample(self.ctx.plan.audit.sample).frame
        luck = beaten_by_chance(self.ctx, self.frame, 0, everybody, found, output=output, sign=sign)
        limit, gap, noise = self.params["completeness"], float(found.gaps[0]), float(min(found.noise[0], 1e9))
        return [
            Gate(name="completeness", value=gap, limit=limit, passed=gap <= limit),
            Gate(name="stability", value=noise, limit=STABLE, passed=noise <= STABLE),
            Gate(name="deletion", value=luck, limit=CHANCE, passed=luck <= CHANCE),
        ]

    def reasons(self) -> Reasons:
        """The principal reasons by both methods, unless one of them may not be named or the explanation failed its tests."""
        judge, decided = self.judge, self.decided
        if judge is None or decided is None:
            return Reasons(state="impossible", why=self.why)
        if not self.answered:
            return Reasons(state="impossible", why=message(NO_ANSWER))
        if decided.favourable[0]:
            return Reasons(state="not_needed", why=message(GRANTED))
        frame, groups, others = judge.everybody
        passing = band(frame, others, judge.cutoff)
        if passing is None:
            return Reasons(state="impossible", why=message(ALL_ALIKE))
        pools = {"passing": passing.frame, "everybody": frame}
        found = {name: self._attributed(name, pool, output=judge.output, sign=judge.sign) for name, pool in pools.items()}
        if not all(np.isfinite(f.mean).all() for f in found.values()):
            return Reasons(state="impossible", why=message(NOT_THIS_VARIANT))
        first = self.params["method"]
        order = [first, *(name for name in pools if name != first)]
        stand_ins = [p.name for p in flagged(self.ctx, frame, groups, self.params["proxy"])]
        bounds = {"passing": (passing.low, passing.high), "everybody": (float(others.score.min()), float(others.score.max()))}
        methods = [
            Method(against=name, applicants=found[name].background, score_low=bounds[name][0], score_high=bounds[name][1], reasons=self._named(found[name], pools[name], stand_ins))
            for name in order
        ]  # fmt: skip
        if not all(gate.passed for f in found.values() for gate in self._gates(f, output=judge.output, sign=judge.sign)):
            return Reasons(state="rejected", methods=methods)
        state = "none" if not methods[0].reasons else "blocked" if any(r.barred for m in methods for r in m.reasons) else "given"
        one, other = (named(found[name], 0) for name in order)
        return Reasons(state=state, methods=methods, agreement=overlap(one.factors, other.factors), open=one.open)

    def _named(self, found: Shortfalls, pool: Frame, stand_ins: list[str]) -> list[Reason]:
        chosen, ranked = named(found, 0), np.argsort(-found.mean[0], kind="stable")
        out = []
        for place, (factor, tied) in enumerate(zip(chosen.factors, chosen.tied, strict=True)):
            mean, low, high = found.interval(0, factor)
            rival = int(ranked[place + 1]) if place + 1 < len(ranked) else None
            margin = None if rival is None else float(mean - max(0.0, found.mean[0, rival]))
            name = found.factors[factor]
            may_not = barred(name, self.frame, 0, self.rules, self.ctx.facts.roles.sensitive, stand_ins)
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
        """The nearest ways to the favourable decision, or the declared limit that leaves none."""
        judge, decided = self.judge, self.decided
        if judge is None or decided is None:
            return Recourse(state="impossible", why=self.why)
        if not self.answered:
            return Recourse(state="impossible", why=message(NO_ANSWER))
        if decided.favourable[0]:
            return Recourse(state="not_needed", why=message(GRANTED))
        search = self._search(judge, self.rules)
        fixed = [f.name for f in search.space.facts if f.fixed in ("immutable", "prohibited")]
        (ways,) = search.ways(search.space.coding.matrix(self.frame), WAYS)
        ways.sort(key=lambda way: (not way.plausible, way.changes, way.cost))  # for people, few changes are easier than many small ones
        if ways:
            return Recourse(
                state="found",
                ways=[self._way(search, judge, way.values, way.cost, way.distance, way.plausible) for way in ways],
                fixed=fixed,
                asked=search.asked,
            )
        binding, asked = [], search.asked
        limited = [n for n, r in self.rules.items() if n in self.frame and (r.immutable or r.monotone != "none" or r.range is not None)]
        for name in limited:
            loose = self.rules[name].model_copy(update={"immutable": False, "monotone": "none", "range": None})
            lifted = self._search(judge, {**self.rules, name: loose})
            if lifted.ways(lifted.space.coding.matrix(self.frame))[0]:
                binding.append(name)
            asked += lifted.asked
        free = {n: r.model_copy(update={"immutable": False, "monotone": "none", "range": None}) for n, r in self.rules.items()}
        unlimited = self._search(judge, free)
        found = bool(unlimited.ways(unlimited.space.coding.matrix(self.frame))[0])
        return Recourse(state="none", fixed=fixed, binding=binding, unlimited=found, asked=asked + unlimited.asked)

    def _search(self, judge: Decider, rules: Mapping[str, columns.ColumnRule]) -> Search:
        frame, _, others = judge.everybody
        space = space_of(frame, rules, self.ctx.facts.roles.sensitive, self.frame)
        return Search(space, lambda matrix: judge(space.coding.frame(matrix)).asked, space.reference[others.favourable])

    def _way(self, search: Search, judge: Decider, values: Any, cost: float, distance: float, plausible: bool) -> Way:
        after = search.space.coding.frame(values[None])
        found = judge(after)
        changes = [
            Change(column=name, before=self.value(name), after=plain(after[name]))
            for name in self.frame
            if plain(after[name]) != self.value(name)
        ]
        score = float(found.score[0]) if self.ctx.settled.has_scores else None
        return Way(changes=changes, cost=cost, score=score, distance=distance, plausible=plausible)


def plain(column: Any) -> str | float | bool | None:
    """The one value of a column of one row; None where it is missing."""
    if isinstance(column, Categories):
        return column.vocabulary[column.codes[0]] if column.codes[0] >= 0 else None
    if column.dtype.kind == "M":
        return None if np.isnat(column[0]) else str(column[0].astype("datetime64[s]"))
    if column.dtype.kind == "b":
        return bool(column[0])
    return float(column[0]) if np.isfinite(column[0]) else None


def changed(frame: Frame, features: list[FeatureSpec], values: Mapping[str, Any]) -> Frame:
    """A frame of one row with some inputs replaced; AuditError where a value is not what the input holds, or an input has none."""
    names = [f.name for f in features]
    for name in values:
        if name not in names:
            raise AuditError(f"{name!r} is no input of the model", f"its inputs are {', '.join(names[:40])}")
    without = [name for name in names if name not in values and name not in frame]
    if without:
        raise AuditError(f"no value was given for {', '.join(without[:10])}", "give every input, or a row to start from")
    return {f.name: _column(f, values[f.name]) if f.name in values else frame[f.name] for f in features}


def _column(spec: FeatureSpec, value: Any) -> Any:
    wrong = AuditError(f"{value!r} is no value for the input {spec.name!r}", f"it holds a {spec.kind}, or null where it is not known")
    if spec.read == "text":
        if value is None:
            return Categories(np.array([-1], np.int32), ())
        if isinstance(value, bool | int | float):
            value = label_text(value)
        if not isinstance(value, str) or len(value) > 10_000:
            raise wrong
        return Categories(np.array([0], np.int32), (value,))
    if spec.read == "datetime":
        try:
            return np.array([value], dtype="datetime64[ns]")
        except (ValueError, TypeError):
            raise wrong from None
    if value is not None and not isinstance(value, bool | int | float):
        raise wrong
    number = np.nan if value is None else float(value)
    if np.isinf(number) or (spec.read == "int64" and np.isfinite(number) and (number != np.rint(number) or abs(number) >= 2**53)):
        raise wrong
    if spec.read in ("int64", "bool") and np.isfinite(number):
        return np.array([number]).astype(spec.read)
    return np.array([number])


def _kind(spec: FeatureSpec) -> Any:
    return spec.kind if spec.kind in ("number", "category", "datetime") else "category"


def _strange(name: str, column: Any, known: Any, training: bool) -> list[Message]:
    """Notes on a value that no row of the data has, or that lies beyond all of them."""
    where = message("the training rows") if training else message("the sampled rows")
    if isinstance(column, Categories):
        seen = {known.vocabulary[c] for c in np.unique(known.codes) if c >= 0}
        value = column.vocabulary[column.codes[0]]
        return [] if value in seen else [message("{name} is {value}, which none of {where} has.", name=name, value=value, where=where)]
    if column.dtype.kind not in "iuf":
        return []
    numbers = np.asarray(known, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    value, low, high = float(column[0]), float(numbers.min(initial=np.inf)), float(numbers.max(initial=-np.inf))
    if not len(numbers) or low <= value <= high:
        return []
    return [
        message(
            "{name} is {value:number}, outside what {where} have ({low:number} to {high:number}): the model was not fitted to such values.",
            name=name, value=value, where=where, low=low, high=high,
        )
    ]  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
