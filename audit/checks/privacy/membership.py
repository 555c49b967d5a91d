"""Whether the model tells who was in its training data: membership inference, by one half of the rows chosen and on the other measured."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Evidence, Measurement, Message, Slice
    from audit.privacy.attacks import Attack, Side, Sides

#: Rows a side below which nothing is judged; others in the measured half for a false-positive rate of 0.1 %; rows a side of a group.
ENOUGH, FOR_RARE, OF_GROUP = 1000, 10_000, 500
ATTACKS = {
    "loss": "loss of the row", "surplus": "log odds above the mean of rows like it", "quantile": "log odds above the 99 % quantile of rows like it (QMIA)",
    "rmia": "probability against that of reference models (RMIA)", "lira": "log odds against reference models that did not train on the row (LiRA)",
    "lira_online": "log odds against reference models that did and that did not train on the row (LiRA)",
}  # fmt: skip


@check(
    "privacy.membership",
    title="Whether the model tells who was in its training data",
    meaning=(
        "Rows that trained the model and audited rows that did not are told apart by what the model says of them: by the loss, by how far the log odds of the outcome exceed what rows like it have, and, where "
        "reference models are known that were trained as this one was on random halves of the rows, by how these answer. One half of the rows chooses the attack, and the other half measures it: how many "
        "members are found where 1 % of the others are taken for members, and the area under the ROC curve. An attack that finds nothing has 1 % and one half. Rows that were planted as canaries are left out."
    ),
    limits=(
        "The attacks know the model's answers only; attackers with more find more, and that these find nothing does not show that nothing leaks. Without four reference models or more a small figure is no pass. "
        "Members and others must be drawn alike: audited rows of another time or place are told from members by that. The implied epsilon is what the attack would need of a private model; it is no property of this one."
    ),
    unit="share of members",
    direction="lower",
    needs=["labels", "classes", "scores", "training", "features"],
    references=[
        "Yeom, Giacomelli, Fredrikson and Jha 2018",
        "Bertran et al. 2023",
        "Carlini et al. 2022",
        "Zarifzadeh, Liu and Shokri 2024",
        "Clopper and Pearson 1934",
        "DeLong, DeLong and Clarke-Pearson 1988",
    ],
    probing=True,
)
def membership(
    ctx: Context, *, rows: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000, references: str | None = None
) -> Iterable[Measurement | Message]:
    """Attacks on at most `rows` members and as many others, overall and for each group that is large enough; `references` is a folder of reference
    models, where --references names none and training logged none."""
    from audit.privacy.attacks import attacks, sides, why_not
    from audit.rows import once
    from audit.text import message

    if reason := why_not(ctx):
        yield reason
        return
    both = sides(ctx, once(ctx, rows))
    members, others = both.members, both.others
    halves = [int((side.half == k).sum()) for side in (members, others) for k in (0, 1)]
    if min(halves) < 2:
        yield message(
            "There are too few rows on one side to tell members from others: {members:count} members, {others:count} others.",
            members=len(members),
            others=len(others),
        )
        return
    tried = attacks(members, others, seed=int(ctx.rng("regression").integers(2**31)))
    fpr = 0.01 if min(len(members), len(others)) >= ENOUGH else 0.05
    inside, outside = members.half == 1, others.half == 1
    best = _best([a for a in tried if a.sound], ~inside, ~outside, fpr)
    told = yield from _overall(ctx, best, inside, outside, fpr, both, _table(tried, members, others, fpr))
    yield from _alarms(tried, outside)
    yield from _groups(ctx, best, both)
    yield _with_references(told, both, best) if told else message("It is not defined on these rows.")


def _best(tried: list[Attack], inside: NDArray[np.bool_], outside: NDArray[np.bool_], fpr: float) -> tuple[Attack, Attack]:
    """The attack with the largest area, and that with the most members found, on the half that chooses."""
    return max(tried, key=lambda a: _area(a, inside, outside)), max(tried, key=lambda a: _found(a, inside, outside, fpr))


def _area(attack: Attack, inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> float:
    from audit.stats.auc import roc_auc

    found = roc_auc(attack.members[inside], attack.others[outside], level=0.9)
    return found.value if found else 0.0


def _found(attack: Attack, inside: NDArray[np.bool_], outside: NDArray[np.bool_], fpr: float) -> float:
    from audit.stats.privacy.membership import tpr_at

    found = tpr_at(attack.members[inside], attack.others[outside], fpr=fpr, level=0.9)
    return found.value if found else 0.0


def _overall(
    ctx: Context,
    best: tuple[Attack, Attack],
    inside: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    fpr: float,
    both: Sides,
    table: Evidence,
) -> Generator[Measurement, None, Message | None]:
    from audit.measure import undefined, value
    from audit.stats.auc import roc_auc
    from audit.stats.privacy.membership import implied_epsilon, tpr_at
    from audit.text import message

    few = None
    if fpr > 0.01:
        few = message(
            "{members:count} members and {others:count} others: with fewer than {n:count} on either side the figures are reported and not judged. Give more rows with --training and --data, or a larger --sample.",
            members=len(both.members), others=len(both.others), n=ENOUGH,
        )  # fmt: skip
    ranked, rare = best
    name = "tpr_at_fpr_5" if few else "tpr_at_fpr_1"
    area = roc_auc(ranked.members[inside], ranked.others[outside], level=ctx.level("attack_auc"))
    hit = tpr_at(rare.members[inside], rare.others[outside], fpr=fpr, level=ctx.level("tpr_at_fpr_1"))
    yield _unjudged(_open(value("attack_auc", area, evidence=[table]), both), few)
    yield _unjudged(_open(value(name, hit), both), few)
    if hit is not None:
        yield value("implied_epsilon", implied_epsilon(hit, fpr))
    if int(outside.sum()) >= FOR_RARE:
        rarest = tpr_at(rare.members[inside], rare.others[outside], fpr=0.001, level=ctx.level("tpr_at_fpr_01"))
        yield _open(value("tpr_at_fpr_01", rarest), both)
    else:
        yield undefined(
            "tpr_at_fpr_01",
            message("A false-positive rate of 0.1 % needs {n:count} rows that did not train in the half that measures.", n=FOR_RARE),
        )
    if area is None or hit is None:
        return None
    told = _sentence(area, hit, fpr, int(inside.sum()), int(outside.sum()))
    return told if few is None else message("{first} {rest}", first=told, rest=few)


def _sentence(area: Estimate, hit: Estimate, fpr: float, members: int, others: int) -> Message:
    from audit.text import message

    return message(
        "Where {fpr:percent} of the rows that did not train are taken for members, {hit:percent} of the members are found ({level:percent} interval {low:percent} to {high:percent}, the threshold's own error "
        "included); ROC AUC {auc:number} ({auc_low:number} to {auc_high:number}). Measured on {members:count} members and {others:count} others; the attack was chosen on as many further rows.",
        fpr=fpr, hit=hit.value, low=hit.low, high=hit.high, level=hit.level, auc=area.value, auc_low=area.low, auc_high=area.high, members=members, others=others,
    )  # fmt: skip


def _with_references(told: Message, both: Sides, best: tuple[Attack, Attack]) -> Message:
    """The sentence, and by which attack and beside how many reference models it was found."""
    from audit.text import message

    area, rare = (message(ATTACKS[a.name]) for a in best)
    by = (
        message("Members were found by this score: {rare}.", rare=rare)
        if best[0].name == best[1].name
        else message("Members were found by this score: {rare}; the area is that of: {area}.", rare=rare, area=area)
    )
    if not both.references:
        return message("{first} {rest}", first=told, rest=message("{by} No reference models were at hand.", by=by))
    used = message("{by} Reference models: {n:count}.", by=by, n=both.references)
    if both.alike is False:
        other = message(
            "They have another number of weights than the audited model, so that they show less than models of its own kind would: train them as it was trained, as models.train --references K does."
        )
        used = message("{first} {rest}", first=used, rest=other)
    return message("{first} {rest}", first=told, rest=used)


def _open(m: Measurement, both: Sides) -> Measurement:
    """The measurement, no pass where too few reference models were asked, or such as show less: no attack that worked is no proof that none would."""
    from audit.privacy.attacks import FOR_RATIO
    from audit.text import message

    if both.references >= FOR_RATIO and both.alike is not False:
        return m
    if both.references >= FOR_RATIO:
        why = message(
            "Inside the limit, and no pass: the reference models are not of the audited model's architecture, and others may find more."
        )
    else:
        why = message(
            "Inside the limit, and no pass: with fewer than {n:count} reference models an attack that finds nothing shows little.",
            n=FOR_RATIO,
        )
    return m.model_copy(update={"no_pass": why})


def _unjudged(m: Measurement, why: Message | None) -> Measurement:
    """The measurement with the reason why no criterion is to be held against it."""
    from audit.text import render

    return m if why is None or m.estimate is None else m.model_copy(update={"reason": render(why), "reason_msg": why})


def _alarms(tried: list[Attack], outside: NDArray[np.bool_]) -> Iterator[Measurement]:
    """The share of others that the attack by quantiles takes for members by its own threshold, where it means to take 1 %."""
    from audit.measure import value
    from audit.stats.rates import clopper_pearson

    for attack in tried:
        if attack.alarms is not None:
            alarms = int((attack.others[outside] > 0).sum())
            yield value("quantile_false_positive_rate", clopper_pearson(alarms, int(outside.sum()), level=0.95))


def _groups(ctx: Context, best: tuple[Attack, Attack], both: Sides) -> Iterator[Measurement]:
    """Each group with enough rows on both sides of the measured half: its own others give its threshold."""
    from audit.measure import value
    from audit.stats.auc import roc_auc
    from audit.stats.privacy.membership import implied_epsilon, tpr_at

    (ranked, rare), members, others = best, both.members, both.others
    for group in ctx.facts.groups:
        if group.name not in members.groups:
            continue
        for code, level in enumerate(group.levels):
            inside, outside = ((side.groups[group.name] == code) & (side.half == 1) for side in (members, others))
            if min(int(inside.sum()), int(outside.sum())) < OF_GROUP:
                continue
            slice_: Slice = {group.name: level}
            area = roc_auc(ranked.members[inside], ranked.others[outside], level=ctx.level("attack_auc"))
            yield _open(value("attack_auc", area, slice_=slice_), both)
            hit = tpr_at(rare.members[inside], rare.others[outside], fpr=0.01, level=ctx.level("tpr_at_fpr_1"))
            yield _open(value("tpr_at_fpr_1", hit, slice_=slice_), both)
            if hit is not None:
                yield value("implied_epsilon", implied_epsilon(hit, 0.01), slice_=slice_)


def _table(tried: list[Attack], members: Side, others: Side, fpr: float) -> Evidence:
    """Every attack on the half that chose and on the half that measured."""
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render

    caption = message(
        "Attacks, on the half of the rows that chooses and on the half that measures (members found at {fpr:percent} false positives)",
        fpr=fpr,
    )
    columns = [
        Column(name="attack", label="attack"), Column(name="auc_first", label="ROC AUC, choosing", kind="number"), Column(name="tpr_first", label="members found, choosing", kind="percent"),
        Column(name="auc", label="ROC AUC, measuring", kind="number"), Column(name="tpr", label="members found, measuring", kind="percent"),
        Column(name="sound", label="keeps its own false-positive rate"),
    ]  # fmt: skip
    figures: list[Callable[..., float]] = [_area, lambda a, i, o: _found(a, i, o, fpr)]
    kept = {True: "yes", False: "no: not to be chosen"}
    rows: list[list[Cell]] = [
        [ATTACKS[a.name], *(f(a, members.half == k, others.half == k) for k in (0, 1) for f in figures), "—" if a.alarms is None else kept[a.sound]] for a in tried
    ]  # fmt: skip
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)
