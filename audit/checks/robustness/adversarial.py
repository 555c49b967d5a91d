"""Whether moves of pixels that nobody sees change what the model decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message, Slice
    from audit.stress.adversarial import Effort, Outcome
    from audit.stress.asked import Rows

#: Shares of the range of a pixel: 0.03 is nearly 8 of 255, at which attacks on colour pictures are compared.
EPSILONS = [0.01, 0.03, 0.1]
#: Rows below which a group is no worst group.
NAMED = 10
#: More of the rows that gradients left than this, by the exact lower bound, must be turned without them for gradients to be doubted.
MASKED = 0.01


@check(
    "robustness.adversarial",
    title="Pictures moved by little so that the model errs",
    meaning=(
        "Every pixel of a picture that the model decides rightly may move by at most epsilon, a share of the range of a pixel, and attacks look for a move with which the model decides otherwise: one step "
        "along the gradient (FGSM), many (PGD), and, on as many of the rows that are left as the budget allows, PGD from random starts, APGD, and Square, which asks for answers only. The robust accuracy "
        "is the share of pictures that are decided rightly and that no attack turned, for everybody and for each group. Where no gradient is to be had, Square attacks alone."
    ),
    limits=(
        "No attack found is no proof that there is none: with more steps, other attacks or one made for this model, robust accuracy can only fall. It is about moves of every pixel by at most epsilon, and not "
        "about turned, cropped or printed pictures. Where a search without gradients finds what gradients miss, they are masked, and the figure is not to be relied on."
    ),
    unit="share of pictures",
    direction="higher",
    needs=["labels", "classes", "scores", "features", "pictures"],
    references=["Goodfellow, Shlens and Szegedy 2015", "Madry et al. 2018", "Croce and Hein 2020", "Andriushchenko et al. 2020", "Athalye, Carlini and Wagner 2018", "Clopper and Pearson 1934"],
    probing=True,
)  # fmt: skip
def adversarial(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=1, le=100_000)] = 100,
    epsilons: list[float] = EPSILONS,
    bounds: list[float] | None = None,
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    restarts: Annotated[int, Field(ge=1, le=100)] = 3,
    queries: Annotated[int, Field(ge=1, le=100_000)] = 500,
    budget: Annotated[int, Field(ge=1_000)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Robust accuracy at each epsilon, per group at the middle one, and what each attack turned."""
    from audit.stress.adversarial import Attacker, Effort
    from audit.stress.asked import Model, rows_of
    from audit.stress.pictures import Bounds, between, picture, pixels
    from audit.text import message

    if not epsilons or min(epsilons) <= 0 or max(epsilons) > 1:
        yield message("The plan's epsilons are no shares of the range of a pixel above 0 and at most 1, so no picture was changed.")
        return
    effort = Effort(tuple(sorted(set(epsilons))), steps, restarts, queries, budget)
    model, spec = Model(ctx), picture(ctx)
    gradients = model.has_gradients and len(ctx.facts.features) == 1
    chosen = rows_of(ctx, model, min(effort.rows(rows, gradients), ctx.plan.audit.sample))
    if not len(chosen):
        yield message("No sampled picture has both an outcome and a prediction.")
        return
    range_ = between(ctx, spec, pixels(chosen.frame, spec), bounds)
    if not isinstance(range_, Bounds):
        yield range_
        return
    attacker = Attacker(model, chosen, spec, range_, effort, gradients, ctx.rng("attacks"))
    found = attacker.run()
    doubt = _doubt(found)
    yield from _measured(ctx, chosen, found, effort, doubt)
    yield _summary(ctx, chosen, found, effort, gradients, doubt)


def _robust(ctx: Context, right: Any, slice_: Slice, doubt: Message | None, evidence: Iterable[Evidence] = ()) -> Measurement:
    """The share of rows that stay right, with the exact interval; where gradients cannot be trusted it may fail, for what was turned was turned, and
    never pass."""
    from audit.measure import value
    from audit.measurement import Part
    from audit.stats.rates import clopper_pearson

    k, n = int(right.sum()), len(right)
    m = value(
        "robust_accuracy",
        clopper_pearson(k, n, level=ctx.level("robust_accuracy")),
        slice_=slice_,
        evidence=evidence,
        parts=[Part(slice=slice_, k=k, n=n)],
    )
    return m if doubt is None else m.model_copy(update={"no_pass": doubt})


def _measured(ctx: Context, chosen: Rows, found: Outcome, effort: Effort, doubt: Message | None) -> Iterator[Measurement]:
    from audit.measure import value
    from audit.stats.rates import clopper_pearson

    yield value("accuracy_unattacked", clopper_pearson(int(chosen.right.sum()), len(chosen), level=ctx.level("accuracy_unattacked")))
    for place, epsilon in enumerate(effort.epsilons):
        shown = [_tries(found)] if place == 0 else []
        yield _robust(ctx, found.right[place], {"(epsilon)": f"{epsilon:g}"}, doubt, shown)
    middle = len(effort.epsilons) // 2
    for slice_, own in ctx.within(chosen.groups):
        clean = clopper_pearson(int(chosen.right[own].sum()), int(own.sum()), level=ctx.level("accuracy_unattacked"))
        yield value("accuracy_unattacked", clean, slice_=slice_)
        yield _robust(ctx, found.right[middle][own], slice_ | {"(epsilon)": f"{effort.epsilons[middle]:g}"}, doubt)
    if found.square[1] and doubt is not None:
        yield value("masked_rate", clopper_pearson(*found.square, level=ctx.level("masked_rate")))


def _doubt(found: Outcome) -> Message | None:
    """Why gradients are not to be trusted on this model; None where nothing speaks against them."""
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    with_gradients = any(t.attack == "FGSM" for t in found.tries)
    if not with_gradients:
        return None
    k, n = found.square
    masked = clopper_pearson(k, n, level=0.90)
    if masked is not None and masked.low > MASKED:
        return message(
            "Square, which asks for answers only, turned {k:count} of {n:count} pictures that attacks by gradient had left: the gradients are masked, and robust accuracy is lower than these attacks show.",
            k=k, n=n,
        )  # fmt: skip
    fast, slow = found.fgsm_and_pgd
    if fast - slow >= max(2, 0.05 * fast):
        return message(
            "One step along the gradient turned {fast:count} pictures and many steps {slow:count} of the same ones: the gradients do not lead where they should, and robust accuracy is lower than these attacks show.",
            fast=fast, slow=slow,
        )  # fmt: skip
    kept, tried = found.half
    if kept > tried / 2:
        return message(
            "Even moves by half the range of a pixel leave {kept:count} of {tried:count} pictures decided as before: the gradients lead nowhere, or the model hardly looks at the picture.",
            kept=kept, tried=tried,
        )  # fmt: skip
    return None


def _tries(found: Outcome) -> Evidence:
    from audit.measurement import Column, Table

    columns = [
        Column(name="epsilon", label="epsilon", kind="percent"),
        Column(name="attack", label="attack"),
        Column(name="rows", label="pictures it was tried on", kind="integer"),
        Column(name="turned", label="pictures turned", kind="integer"),
    ]
    return Table(caption="What each attack turned of what the ones before had left", columns=columns, rows=[[*t] for t in found.tries])


def _summary(ctx: Context, chosen: Rows, found: Outcome, effort: Effort, gradients: bool, doubt: Message | None) -> Message:
    from audit.stats.rates import clopper_pearson
    from audit.text import message

    middle, n = len(effort.epsilons) // 2, len(chosen)
    estimate = clopper_pearson(int(found.right[middle].sum()), n, level=ctx.level("robust_accuracy"))
    assert estimate is not None, "there are rows"
    said = message(
        "Of {n:count} pictures {clean:percent} are decided rightly, and {robust:percent} ({level:percent} interval {low:percent} to {high:percent}) where every pixel may move by {epsilon:percent} of its range.",
        n=n, clean=float(chosen.right.mean()), robust=estimate.value, level=estimate.level, low=estimate.low, high=estimate.high, epsilon=effort.epsilons[middle],
    )  # fmt: skip
    if worst := _worst(ctx, chosen, found.right[middle]):
        said = message("{said} Lowest for {who}: {rate:percent} of {n:count}.", said=said, who=worst[0], rate=worst[1], n=worst[2])
    if not gradients:
        said = message("{said} No gradient is to be had, so only a search by answers attacked.", said=said)
    return said if doubt is None else message("{said} {doubt}", said=said, doubt=doubt)


def _worst(ctx: Context, chosen: Rows, right: Any) -> tuple[Message, float, int] | None:
    """The group of enough rows with the lowest share, where there are two at least."""
    from audit.dataset import MISSING
    from audit.text import who

    found = [
        (float(right[own].mean()), int(own.sum()), slice_)
        for slice_, own in ctx.within(chosen.groups)
        if MISSING not in slice_.values() and own.sum() >= NAMED
    ]
    if len(found) < 2:
        return None
    share, n, slice_ = min(found, key=lambda f: f[0])
    return who(slice_), share, n
