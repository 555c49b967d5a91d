"""Which reasons people would be given for an adverse decision, and how often none may be given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.reasons import Named, Shortfalls
    from audit.measurement import Evidence, Measurement, Message
    from audit.subject.frame import Frame

    Bools = NDArray[np.bool_]

#: Reasons that are broken down by group: the most frequent ones.
SHOWN = 5
#: Background rows at most of a method that walks a path from each of them: all of a band that has no more, so that nothing of it is left to chance.
PATHS = 25


@check(
    "explanation.reasons",
    title="Reasons for adverse decisions",
    meaning=(
        "For sampled people who do not get the favourable decision: the principal reasons, at most four, by the two methods of the commentary to Regulation B. A factor's shortfall is how far "
        "it lies below the average of applicants at or slightly above the cutoff, or of all applicants, in attributions of the score. Reported are which reasons are named how often, how "
        "often the two methods name the same, how often it is not settled which reasons to name because two are too close, and how often a prohibited basis or a stand-in for one is "
        "among them, so that no notice can be issued."
    ),
    limits=(
        "Attributions stand in for points of a scorecard: for an additive score they are the same, for any other model an analogue. A reason says what lowered this model's score against others, "
        "not what would change the decision. A stand-in for a prohibited basis is known only where it was declared, or goes strongly with a sensitive column in these rows."
    ),
    unit="share of adverse decisions",
    direction="none",
    needs=["model", "features", "table", "favourable"],
    references=["12 CFR 1002.9, comment 9(b)(2)-5", "12 CFR 1002.6(b)(2)", "Lundberg and Lee 2017"],
    about="model",
    probing=True,
)  # fmt: skip
def reasons(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=100_000)] = 200,
    background: Annotated[int, Field(ge=10, le=10_000)] = 50,
    method: Literal["passing", "everybody"] = "passing",
    proxy: Annotated[float, Field(gt=0, le=1)] = 0.5,
    completeness: Annotated[float, Field(gt=0, le=1)] = 0.05,
    budget: Annotated[int, Field(ge=1_000)] = 2_000_000,
    settling: Annotated[int, Field(ge=0)] = 2_000_000,
) -> Iterable[Measurement | Message]:
    """How often each reason is named, agreement of both methods, ties, and notices that cannot be issued.

    `settling`: model evaluations for those rows of a black box whose reasons the first look leaves open.
    """
    import numpy as np

    from audit.explain.attribute import affordable
    from audit.explain.decisions import Refused, nobody_passes, refused
    from audit.explain.explained import FROM_ANSWERS
    from audit.explain.proxies import flagged
    from audit.explain.reasons import band, shortfalls
    from audit.explain.settle import settled
    from audit.measure import rate
    from audit.subject.frame import take
    from audit.text import message

    those = refused(ctx)
    if not isinstance(those, Refused):
        yield those
        return
    judge, (frame, groups, decided), _ = those
    passing = band(frame, decided, judge.cutoff)
    if passing is None:
        yield nobody_passes()
        return
    chosen = those.first(affordable(ctx, rows, 2 * background, budget))
    adverse = take(frame, chosen)
    drawn = min(background, PATHS) if "integrated_gradients" in ctx.settled.methods else background
    pools, other = {"passing": passing.frame, "everybody": frame}, "everybody" if method == "passing" else "passing"
    first = settled(ctx, adverse, pools[method], drawn, method, output=judge.output, sign=judge.sign, budget=settling)
    second = shortfalls(ctx, adverse, pools[other], drawn, other, output=judge.output, sign=judge.sign)
    usable = np.flatnonzero((first.gaps <= completeness) & (second.gaps <= completeness))
    where: Literal["parent", "worker"] = "parent" if first.method in FROM_ANSWERS else "worker"
    yield rate(ctx, "explanation_rejected_rate", len(chosen) - len(usable), len(chosen)).model_copy(update={"computed_in": where})
    if not len(usable):
        yield message("No attribution of a refused row adds up to its answer, so no reason can be named.")
        return
    told = _told(ctx, first, second, take(adverse, usable), usable, [p.name for p in flagged(ctx, frame, groups, proxy)])
    members = {name: codes[chosen[usable]] for name, codes in groups.items()}
    yield from _shares(ctx, told, where, members)
    yield from _agreed(ctx, told, members, len(decided.score))


class _Told(NamedTuple):
    """What is named for each of n rows: the reasons by the first method and by the other, whether one of either may not be named (n,), and which
    factors are among the first method's (n, factors). `none_barred`: no input of the model can be a reason that may not be named."""

    factors: tuple[str, ...]
    names: list[Named]
    other: list[Named]
    blocked: Bools
    named: Bools
    none_barred: bool

    @property
    def order(self) -> list[int]:
        """The factors, the most frequent reason first."""
        return sorted(range(len(self.factors)), key=lambda f: (-int(self.named[:, f].sum()), self.factors[f]))


def _told(ctx: Context, first: Shortfalls, second: Shortfalls, frame: Frame, usable: NDArray[np.int64], stand_ins: list[str]) -> _Told:
    """The reasons of rows of `frame`, which are those at `usable` of the shortfalls."""
    import numpy as np

    from audit.columns import rules
    from audit.explain.reasons import barred, named

    names, other = ([named(found, int(i)) for i in usable] for found in (first, second))
    declared, sensitive = rules(ctx.facts.roles.columns), ctx.facts.roles.sensitive
    may_not = np.array(
        [[barred(f, frame, k, declared, sensitive, stand_ins) for f in first.factors] for k in range(len(usable))], dtype=bool
    )
    blocked = np.array([may_not[k, [*one.factors, *two.factors]].any() for k, (one, two) in enumerate(zip(names, other, strict=True))])
    among = np.zeros((len(names), len(first.factors)), bool)
    for k, n in enumerate(names):
        among[k, n.factors] = True
    return _Told(first.factors, names, other, blocked, among, not may_not.any())


def _shares(ctx: Context, told: _Told, where: Literal["parent", "worker"], members: dict[str, NDArray[np.int16]]) -> Iterator[Measurement]:
    """How often each factor is named; the most frequent ones in each group too."""
    from audit.measure import rate

    table = _table(told)
    for place, f in enumerate(told.order):
        k = int(told.named[:, f].sum())
        if k:
            at = {"(feature)": told.factors[f]}
            yield rate(ctx, "reason_share", k, len(told.names), slice_=at).model_copy(
                update={"computed_in": where, "evidence": [table] if place == 0 else []}
            )
            if place < SHOWN:
                yield from _by_group(ctx, "reason_share", told.named[:, f], members, at)


def _agreed(ctx: Context, told: _Told, members: dict[str, NDArray[np.int16]], n: int) -> Iterator[Measurement | Message]:
    """How far both methods name the same, what is not settled, and for how many no notice can be issued; of `n` sampled rows."""
    import numpy as np

    from audit.explain.reasons import overlap
    from audit.measure import exact, rate, value
    from audit.stats.losses import mean_loss

    same = [overlap(a.factors, b.factors) for a, b in zip(told.names, told.other, strict=True)]
    agreement = mean_loss(np.array(same), level=ctx.level("reasons_agreement"))
    yield value("reasons_agreement", agreement.model_copy(update={"low": max(0.0, agreement.low), "high": min(1.0, agreement.high)}))
    yield rate(ctx, "reasons_open_rate", sum(n.open for n in told.names), len(told.names))
    yield rate(ctx, "reasons_tied_rate", sum(any(n.tied) for n in told.names), len(told.names))
    if told.none_barred:  # no input of the model is a prohibited basis or flagged, so no notice can name one
        yield value("notice_blocked_rate", exact(0.0, n))
    else:
        yield rate(ctx, "notice_blocked_rate", int(told.blocked.sum()), len(told.names))
        yield from _by_group(ctx, "notice_blocked_rate", told.blocked, members, {})
    yield _summary(told, agreement.value)


def _by_group(ctx: Context, metric: str, hit: Bools, members: dict[str, NDArray[np.int16]], at: dict[str, str]) -> Iterator[Measurement]:
    """The share in each group of each sensitive column."""
    import numpy as np

    from audit.measure import rate

    for slice_, inside in ctx.within(members):
        yield rate(ctx, metric, int(np.count_nonzero(hit & inside)), int(inside.sum()), slice_=at | slice_)


def _table(told: _Told) -> Evidence:
    from audit.measurement import Cell, Column, Table

    columns = [
        Column(name="feature", label="input"),
        Column(name="n", label="decisions it is a reason for", kind="integer"),
        Column(name="share", label="share", kind="percent"),
        Column(name="first", label="share where it is the first reason", kind="percent"),
        Column(name="other", label="share by the other method", kind="percent"),
    ]
    n, order = len(told.names), [f for f in told.order if told.named[:, f].any()]
    rows: list[list[Cell]] = [
        [told.factors[f], int(told.named[:, f].sum()), int(told.named[:, f].sum()) / n, sum(x.factors[:1] == [f] for x in told.names) / n,
         sum(f in x.factors for x in told.other) / n]
        for f in order
    ]  # fmt: skip
    return Table(caption="Principal reasons of adverse decisions", columns=columns, rows=rows)


def _summary(told: _Told, agreement: float) -> Message:
    from audit.text import message

    n, top = len(told.names), told.order[0]
    said = message(
        "Of {n:count} adverse decisions, {share:percent} have {name} among their principal reasons; both methods name the same for {agreement:percent} of the reasons on average. For {open:percent} "
        "it is not settled which reasons to name.",
        n=n, share=int(told.named[:, top].sum()) / n, name=told.factors[top], agreement=agreement, open=sum(x.open for x in told.names) / n,
    )  # fmt: skip
    if told.blocked.any():
        return message(
            "{said} For {blocked:percent} a prohibited basis or a stand-in for one is among them: no notice can be issued.",
            said=said, blocked=float(told.blocked.mean()),
        )  # fmt: skip
    return said
