"""Questions on rates of groups: each group against its reference by rule "screen", small ones pooled (verdicts.md §1, §5)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from audit.answering import JUDGED_FOR, TITLES, Case, blocked, conclude, few
from audit.dataset import MISSING
from audit.judge import BORDERLINE, SIZE_OPEN, TOO_FEW, TOO_FEW_CLUSTERS, Answer, finding, inside, outside
from audit.measure import no_comparison
from audit.measurement import Clusters, Compare, Estimate, Measurement, Message, Part, Test, Weights
from audit.outlook import Foreseen, Prospect, two_digits
from audit.pairing import FEWEST, OTHERS, adequate, held, too_few
from audit.plan import Plan
from audit.result import Criterion, Finding
from audit.text import beside, message, render, who


class Pair(NamedTuple):
    """One group against its reference: the finding that carries it (None for pooled groups), counts, and whether it may pass."""

    column: str
    group: Part
    reference: Part
    carrier: Finding | None
    adequate: bool
    compare: Compare
    criterion: Criterion
    common: float

    @property
    def pooled(self) -> bool:
        """Whether these are all groups that are too small by themselves."""
        return OTHERS in self.group.slice.values()

    @property
    def clusters(self) -> Clusters | None:
        """What the rows are worth where they belong together."""
        return self.carrier.clusters if self.carrier else None

    @property
    def valued(self) -> Clusters | Weights | None:
        """What the rows are worth where they belong together or carry weights."""
        return self.carrier.worth if self.carrier else None

    @property
    def worth(self) -> tuple[int, int]:
        """Independent rows of equal weight that group and reference are worth."""
        if self.valued is None:
            return self.group.n, self.reference.n
        mine, other = self.valued.effective
        return mine, other

    @property
    def masses(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(k, n) of group and reference: counts, or sums of weights."""
        if self.carrier is None:
            return (self.group.k, self.group.n), (self.reference.k, self.reference.n)
        mine, other = self.carrier.masses
        return mine, other

    def test(self) -> tuple[float, str] | None:
        """(p, method) of equal rates: of independent rows, or the carrier's where rows belong together or carry weights."""
        from audit.stats.compare import equality_test

        if self.valued is None or self.carrier is None:
            return equality_test(self.group.k, self.group.n, self.reference.k, self.reference.n)
        return (self.carrier.test.p_value, self.carrier.test.method) if self.carrier.test else None


def selection(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    if stopped := blocked("fairness_selection", "fairness.group", case):
        return stopped
    return _screen("fairness_selection", "selection_rate", case, findings["fairness.group"], alpha, always_difference=False)


def opportunity(case: Case, findings: dict[str, list[Finding]], alpha: float) -> Answer:
    if stopped := blocked("fairness_opportunity", "fairness.group", case):
        return stopped
    metric = "true_positive_rate" if case.event_is_favourable or case.task == "multiclass" else "true_negative_rate"
    return _screen("fairness_opportunity", metric, case, findings["fairness.group"], alpha, always_difference=True)


def _screen(id_: str, metric: str, case: Case, found: list[Finding], alpha: float, *, always_difference: bool) -> Answer:
    """Every group against its reference; groups too small to pass are pooled with their siblings (verdicts.md §5)."""
    from audit.stats.multiplicity import holm

    answer = Answer(id_, "fairness.group", message(TITLES[id_]))
    if not case.favourable:
        answer.reason = message("Nobody declared which decision is favourable: name it with --favourable.")
        return answer
    columns = _columns(metric, found)
    pairs = [
        pair
        for column, (values, compared) in columns.items()
        for pair in _pairs(id_, metric, column, values, compared, case, always_difference)
    ]
    tests = [p.test() for p in pairs]
    raw = [t[0] if t else 1.0 for t in tests]
    adjusted = holm(raw).tolist() if raw else []
    too_small: list[tuple[dict[str, str], int]] = []
    for pair, test, adjusted_p in zip(pairs, tests, adjusted, strict=True):
        unknown = _unknown(columns[pair.column][0])
        judged = _judge_pair(metric, pair, test, adjusted_p, len(pairs), alpha, case, unknown)
        if pair.carrier is None:
            answer.added.append(
                judged if pair.adequate or judged.verdict == "fail" else judged.model_copy(update={"verdict": "not_judged"})
            )
        else:
            answer.judged[judged.key] = judged
        if (pair.adequate and pair.carrier is not None) or (judged.verdict == "fail" and pair.carrier is not None):
            answer.keys.append(judged.key)
        elif not pair.adequate and not pair.pooled:
            too_small.append((pair.group.slice, pair.group.n))
    judgeable = {p.column for p in pairs if p.adequate} | {p.column for p in pairs if p.carrier and p.carrier.key in answer.keys}
    pooled = {p.column for p in pairs if p.pooled and p.adequate}
    left_out = [(s, n) for s, n in too_small if next(iter(s)) in judgeable - pooled]
    if left_out:
        answer.not_assessed.append(few(left_out, metric))
    unjudged = [c for c in columns if c not in judgeable]
    if unjudged:
        answer.reason = partial(_too_few, unjudged, [p for p in pairs if p.column in unjudged], case, alpha)
    result = conclude(answer, case)
    _foresee(answer, metric, pairs, alpha, round(2 * case.plan.judge.level_pass - 1, 12))
    if unjudged and result.verdict == "pass":
        result.verdict = "inconclusive"
    return result


def _foresee(answer: Answer, metric: str, pairs: list[Pair], alpha: float, level: float) -> None:
    """Keep what the rows of each column can show for its first comparison."""
    for column in dict.fromkeys(p.column for p in pairs):
        mine = [p for p in pairs if p.column == column]
        first = next((p.carrier.key for p in mine if p.carrier), None)
        prospects = [
            Prospect(_only(p.group.slice), *p.worth, p.common, p.compare, p.criterion.min or 0.0, p.criterion.max or float("inf"))
            for p in mine
        ]
        if first is not None:
            answer.foreseen[first] = Foreseen(column, JUDGED_FOR[metric], prospects, level, alpha)


def _columns(metric: str, found: Iterable[Finding]) -> dict[str, tuple[list[Finding], list[Finding]]]:
    """Column → (its rates, its comparisons), for single sensitive columns."""
    columns: dict[str, tuple[list[Finding], list[Finding]]] = {}
    for f in found:
        if f.metric == metric and len(f.slice) == 1 and f.parts:
            rates, compared = columns.setdefault(next(iter(f.slice)), ([], []))
            (rates if f.compare == "value" else compared).append(f)
    return columns


def _unknown(rates: list[Finding]) -> tuple[float, float, float]:
    """(k, n, all rows) of unknown membership in a column, as counts or sums of weights."""
    masses = [(f.slice, f.masses[0]) for f in rates]
    missing = [pair for s, pair in masses if MISSING in s.values()]
    return sum(k for k, _ in missing), sum(n for _, n in missing), sum(n for _, (_, n) in masses)


def _pairs(
    id_: str, metric: str, column: str, rates: list[Finding], compared: list[Finding], case: Case, always_difference: bool
) -> list[Pair]:
    known = [f.masses[0] for f in rates if MISSING not in f.slice.values() and f.parts[0].n]
    line = held(case.plan, id_, known, always_difference=always_difference)
    if line is None or not compared:
        return []
    carriers = {_only(f.slice): f for f in compared if f.compare == line.compare}
    pairs, small = [], []
    for level, f in carriers.items():
        group, reference = f.parts
        if not group.n or not reference.n:
            continue
        enough = adequate(group, reference, line, case.plan, f.worth)
        pairs.append(Pair(column, group, reference, f, enough, *line))
        if not enough and level != OTHERS:
            small.append(group)
    if len(small) > 1 and OTHERS not in carriers:
        group = Part(slice={column: OTHERS}, k=sum(p.k for p in small), n=sum(p.n for p in small))
        enough = adequate(group, pairs[0].reference, line, case.plan)
        pairs.append(Pair(column, group, pairs[0].reference, None, enough, *line))
    return pairs


def _only(slice_: dict[str, str]) -> str:
    return next(iter(slice_.values()))


def _estimate(pair: Pair, level: float) -> Estimate | None:
    from audit.stats.compare import miettinen_nurminen, newcombe

    counts = (pair.group.k, pair.group.n, pair.reference.k, pair.reference.n)
    return newcombe(*counts, level=level) if pair.compare == "difference" else miettinen_nurminen(*counts, level=level)


def _judge_pair(
    metric: str,
    pair: Pair,
    test: tuple[float, str] | None,
    adjusted_p: float,
    family: int,
    alpha: float,
    case: Case,
    unknown: tuple[float, float, float],
) -> Finding:
    """The verdict of one comparison by rule "screen", with its reason and its sentence."""
    level = round(2 * case.plan.judge.level_pass - 1, 12)
    carrier = pair.carrier or finding("fairness.group", _pooled(metric, pair, level))
    e = carrier.estimate
    update: dict[str, object] = {"criterion": pair.criterion}
    if test is not None:
        update["test"] = Test(null="equality", method=test[1], p_value=test[0], adjusted_p_value=adjusted_p, tests_in_family=family)
    established = adjusted_p <= alpha
    reference_is_zero = e is None and pair.reference.k == 0 and pair.group.k > 0
    if too_few(pair.clusters):
        why = message("A side of this comparison has {n:count} clusters; fewer than {fewest:count} are too few to judge.",
                      n=pair.clusters.fewest if pair.clusters else 0, fewest=FEWEST)  # fmt: skip
        verdict = "inconclusive"
        update |= {"reason": TOO_FEW_CLUSTERS, "reason_msg": why}
    elif (e is not None and outside(e, pair.criterion) and established) or (reference_is_zero and established):
        verdict = "fail"
    elif e is not None and pair.adequate and inside(e, pair.criterion) and _survives_unknown(pair, unknown, case.plan):
        verdict = "pass"
    else:
        verdict = "inconclusive"
        # A difference this plain is never "cannot tell", whatever the correction for other tests made of it.
        plain = established or (test is not None and test[0] < 0.001)
        code = SIZE_OPEN if plain else TOO_FEW if not pair.adequate else BORDERLINE
        update |= {"reason": code, "reason_msg": _why(code, pair, e, adjusted_p, unknown, case)}
    text = _sentence(metric, pair, e, adjusted_p, family, verdict, case, established=update.get("reason") == SIZE_OPEN)
    return carrier.model_copy(update=update | {"verdict": verdict, "sentence": render(text), "sentence_msg": text})


def _pooled(metric: str, pair: Pair, level: float) -> Measurement:
    estimate = _estimate(pair, level)
    reason = None if estimate else no_comparison()
    return Measurement(
        metric=metric, compare=pair.compare, slice=pair.group.slice, against=pair.reference.slice, parts=[pair.group, pair.reference], estimate=estimate,
        reason=render(reason) if reason else None, reason_msg=reason,
    )  # fmt: skip


def _survives_unknown(pair: Pair, unknown: tuple[float, float, float], plan: Plan) -> bool:
    """With more unknown membership than the plan allows: whether the interval stays inside however the unknown rows were divided."""
    k, n, total = unknown
    if not total or n / total <= plan.judge.unknown:
        return True
    (k1, n1), (k0, n0) = pair.masses
    # All unknown rows without the decision in the group and all with it in the reference, and the other way round.
    lowest, highest = ((k1, n1 + n - k), (k0 + k, n0 + k)), ((k1 + k, n1 + k), (k0, n0 + n - k))
    level = round(2 * plan.judge.level_pass - 1, 12)
    for mine, other in (lowest, highest):
        e = _estimate(_as_independent(pair, mine, other), level)
        if e is None or not inside(e, pair.criterion):
            return False
    return True


def _as_independent(pair: Pair, group: tuple[float, float], reference: tuple[float, float]) -> Pair:
    """The pair with these (k, n), as independent rows of equal weight."""
    # Rows of unknown membership are worth what the group's own rows are.
    shares = [rows / n for rows, (_, n) in zip(pair.worth, pair.masses, strict=True)]
    cut = [Part(slice={}, k=round(k * s), n=round(n * s)) for (k, n), s in zip((group, reference), shares, strict=True)]
    return pair._replace(group=cut[0], reference=cut[1])


def _why(why: str, pair: Pair, e: Estimate | None, p: float, unknown: tuple[float, float, float], case: Case) -> Message:
    low, high, level = (e.low, e.high, e.level) if e else (0.0, 0.0, 0.0)
    if why == SIZE_OPEN and e is None:
        return message("A difference is established (p {p:p}); how large it is has no bound, because the reference has a rate of 0.", p=p)
    if why == SIZE_OPEN and pair.compare == "difference":
        return message(
            "A difference is established (p {p:p}); whether it exceeds the limit is open: at least {low:points}, at most {high:points} points.",
            p=p,
            low=low,
            high=high,
        )
    if why == SIZE_OPEN:
        return message(
            "A difference is established (p {p:p}); whether it exceeds the limit is open: at least {low:ratio}, at most {high:ratio} times.",
            p=p,
            low=low,
            high=high,
        )
    if why == TOO_FEW and pair.valued is not None:
        numbers = {"n": pair.group.n, "n0": pair.reference.n, "m": pair.worth[0], "m0": pair.worth[1]}
        if pair.clusters is None:
            return message(
                "These rows cannot tell: {n:count} and {n0:count} rows are worth {m:count} and {m0:count} of equal weight, with which even exact equality would seldom pass.",
                **numbers,
            )  # fmt: skip
        return message(
            "These rows cannot tell: {n:count} and {n0:count} rows are worth {m:count} and {m0:count} independent ones, with which even exact equality would seldom pass.",
            **numbers,
        )  # fmt: skip
    if why == TOO_FEW:
        return message(
            "These rows cannot tell: with {n:count} and {n0:count} rows even exact equality would seldom pass.",
            n=pair.group.n,
            n0=pair.reference.n,
        )
    if e is not None and inside(e, pair.criterion):
        return message("These rows cannot tell: membership is unknown for {share:percent} of the rows, and the limit would not hold however they were divided.",
                       share=unknown[1] / unknown[2])  # fmt: skip
    if pair.compare == "difference":
        return message(
            "These rows cannot tell: the {level:percent} interval of the difference runs from {low:points} to {high:points} points.",
            low=low,
            high=high,
            level=level,
        )
    return message(
        "These rows cannot tell: the {level:percent} interval of the ratio runs from {low:ratio} to {high:ratio}.",
        low=low,
        high=high,
        level=level,
    )


def _too_few(columns: list[str], pairs: list[Pair], case: Case, alpha: float) -> Message:
    """Which columns could not be judged, and how many rows stated truths would need."""
    from audit.stats.power import rows_to_fail, rows_to_pass

    if pairs and all(too_few(p.clusters) for p in pairs):
        return message("There are too few clusters to compare the groups of {columns}: each side needs at least {n:count}.",
                       columns=columns, n=FEWEST)  # fmt: skip
    ratios = [p for p in pairs if p.compare == "ratio" and 0 < p.common < 1]
    if not ratios:
        return message("There are too few rows to compare the groups of {columns}.", columns=columns)
    pair = max(ratios, key=lambda p: p.group.n)
    share, limits = pair.group.n / (pair.group.n + pair.reference.n), (pair.criterion.min or 0.8, pair.criterion.max or 1.25)
    effect = pair.valued.design_effect if pair.valued else 1.0
    level = 2 * case.plan.judge.level_pass - 1
    passing = rows_to_pass(pair.common, share, low=limits[0], high=limits[1], level=level)
    failing = rows_to_fail(pair.common, 0.7, share, low=limits[0], high=limits[1], alpha=alpha)
    if passing is None or failing is None:
        return message("There are too few rows to compare the groups of {columns}.", columns=columns)
    return message(
        "There are too few rows to compare the groups of {columns}: if they are in truth equal, about {passing:count} rows of {group} and {reference} together, in the same "
        "proportion, would pass with 80 % chance; if the true ratio is 0.70, about {failing:count} would fail.",
        columns=columns, group=who(pair.group.slice), reference=beside(pair.group.slice, pair.reference.slice), passing=two_digits(passing * effect), failing=two_digits(failing * effect),
    )  # fmt: skip


def _sentence(metric: str, pair: Pair, e: Estimate | None, p: float, tests: int, verdict: str, case: Case, *, established: bool) -> Message:
    """One comparison for people, with its numbers, the line it was held against, and what it does not adjust for."""
    tested = message("adjusted p {p:p}, tests: {tests:count}", p=p, tests=tests) if tests > 1 else message("p {p:p}", p=p)
    (k, w), (k0, w0) = pair.masses
    numbers = {
        "group": who(pair.group.slice), "reference": beside(pair.group.slice, pair.reference.slice), "rate": k / w,
        "rate0": k0 / w0, "n": pair.group.n, "n0": pair.reference.n, "tested": tested,
    }  # fmt: skip
    if e is None:
        return message(
            "{group}: {rate:percent}, against {rate0:percent} for {reference} ({n:count} and {n0:count} rows; {tested}).",
            **numbers,
        )
    numbers |= {"value": e.value, "low": e.low, "high": e.high, "level": e.level}
    limit = (pair.criterion.min if e.value < (0 if pair.compare == "difference" else 1) else pair.criterion.max) or 0.0
    if metric == "selection_rate" and pair.compare == "ratio":
        comparison = message(
            "{group}: {rate:percent} get the favourable decision, against {rate0:percent} for {reference}; that is {value:ratio} times as often "
            "({level:percent} interval {low:ratio} to {high:ratio}; {n:count} and {n0:count} rows; {tested})", **numbers,
        )  # fmt: skip
    elif metric == "selection_rate":
        comparison = message(
            "{group}: {rate:percent} get the favourable decision, against {rate0:percent} for {reference}; a difference of {value:points} points "
            "({level:percent} interval {low:points} to {high:points}; {n:count} and {n0:count} rows; {tested})", **numbers,
        )  # fmt: skip
    else:
        comparison = message(
            "{group}: of those with the favourable outcome, {rate:percent} get the favourable decision, against {rate0:percent} for {reference}; a difference of "
            "{value:points} points ({level:percent} interval {low:points} to {high:points}; {n:count} and {n0:count} rows; {tested})", **numbers,
        )  # fmt: skip
    line = message("{limit:points} points", limit=limit) if pair.compare == "difference" else message("{limit:ratio}", limit=limit)
    if verdict == "fail":
        text = message(
            "{comparison}, beyond the limit of {line}. Not adjusted for what may legitimately differ between the groups.",
            comparison=comparison,
            line=line,
        )
    elif verdict == "pass":
        text = message("{comparison}, within the limit of {line}.", comparison=comparison, line=line)
    elif not pair.adequate and inside(e, pair.criterion):
        text = message(
            "{comparison}. The interval lies within the limits, which is no pass: with so few rows equality itself would seldom show.",
            comparison=comparison,
        )
    elif established:
        text = message(
            "{comparison}. A difference is established; whether it exceeds the limit of {line} is open.", comparison=comparison, line=line
        )
    else:
        text = message("{comparison}. Whether it exceeds the limit of {line} is open.", comparison=comparison, line=line)
    if case.decision_declared:
        return text
    if case.undeclared:
        return message("{sentence} {how}", sentence=text, how=case.undeclared)
    return message("{sentence} Decided at the model's built-in cutoff, which nobody declared.", sentence=text)
