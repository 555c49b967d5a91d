"""Within what radius no move of the pixels can change a decision that is voted on under noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Measurement, Message
    from audit.stats.smoothing import Certificate
    from audit.stress.asked import Model, Rows
    from audit.stress.pictures import Bounds

RADII = [0.0, 0.25, 0.5]
#: Draws that choose the class which the others then vote on.
CHOOSING = 100
#: Pictures in one question.
BATCH = 1000


@check(
    "robustness.certified",
    title="Pictures whose decision noise certifies",
    meaning=(
        "The model is asked about each picture many times under normal noise of sigma, a share of the range of a pixel, and what most answers say is the decision of the smoothed model. The lower bound of the winner's share "
        "gives a radius (L2, in the same unit) within which no move of the pixels changes that decision, with a confidence of 99.9 % for each picture. Shown is the share of pictures that the smoothed model decides rightly "
        "with at least such a radius, how often it abstains, and how often the model is right without noise. It is tried only where the plan names sigma."
    ),
    limits=(
        "The certificate is about the smoothed model, which votes under noise, and not about the model as it is used. It is meaningful only for a model that was trained with noise of about this sigma: others err under it, and the "
        "low figure says nothing of attacks. The radius is bounded by the number of votes and is about the L2 norm alone."
    ),
    unit="share of pictures",
    direction="higher",
    needs=["labels", "classes", "features", "pictures", "sigma"],
    references=["Cohen, Rosenfeld and Kolter 2019", "Clopper and Pearson 1934"],
    probing=True,
)  # fmt: skip
def certified(
    ctx: Context,
    *,
    sigma: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0,
    rows: Annotated[int, Field(ge=1, le=100_000)] = 100,
    votes: Annotated[int, Field(ge=100, le=1_000_000)] = 1000,
    radii: list[float] = RADII,
    bounds: list[float] | None = None,
) -> Iterable[Measurement | Message]:
    """Certified accuracy at each radius, for everybody and each group; `rows` times `votes` and the draws that choose are the budget."""
    from audit.measure import rate, value
    from audit.stats.rates import clopper_pearson
    from audit.stress.asked import Model, rows_of
    from audit.stress.pictures import Bounds, between, picture, pixels
    from audit.text import message

    model, spec = Model(ctx), picture(ctx)
    chosen = rows_of(ctx, model, min(rows, ctx.plan.audit.sample))
    if not len(chosen):
        yield message("No sampled picture has both an outcome and a prediction.")
        return
    range_ = between(ctx, spec, pixels(chosen.frame, spec), bounds)
    if not isinstance(range_, Bounds):
        yield range_
        return
    winner, found = _votes(ctx, model, chosen, spec.name, range_, sigma, votes)
    level = ctx.level("certified_accuracy")
    yield value("accuracy_unattacked", clopper_pearson(int(chosen.right.sum()), len(chosen), level=ctx.level("accuracy_unattacked")))
    yield rate(ctx, "abstention_rate", sum(c.radius is None for c in found), len(found))
    for radius in sorted(set(radii)):
        sure = _sure(winner, found, chosen, radius)
        for slice_, own in [({}, chosen.y == chosen.y), *ctx.within(chosen.groups)]:
            at = {**slice_, "(radius)": f"{radius:g}"}
            yield value("certified_accuracy", clopper_pearson(int(sure[own].sum()), int(own.sum()), level=level), slice_=at)
    yield message(
        "Under noise of {sigma:ratio} of the range of a pixel {smooth:percent} of {n:count} pictures are decided rightly with a certificate; without noise the model is right about {clean:percent}. "
        "That is meaningful only if the model was trained with such noise.",
        sigma=sigma, smooth=float(_sure(winner, found, chosen, 0.0).mean()), n=len(chosen), clean=float(chosen.right.mean()),
    )  # fmt: skip


def _votes(
    ctx: Context, model: Model, chosen: Rows, name: str, bounds: Bounds, sigma: float, votes: int
) -> tuple[NDArray[np.int64], list[Certificate]]:
    """The class that the first draws choose for each picture, (n,), and what the other draws certify of it."""
    import numpy as np

    from audit.stats.smoothing import certify
    from audit.stress.asked import with_column
    from audit.subject.frame import take

    own, winner, found = np.asarray(chosen.frame[name], dtype=np.float32), np.zeros(len(chosen), np.int64), []
    rng, classes = ctx.rng("noise"), len(ctx.settled.classes)
    for i in range(len(chosen)):
        counts = []
        for draws in (CHOOSING, votes):
            seen = np.zeros(classes, np.int64)
            for start in range(0, draws, BATCH):
                k = min(BATCH, draws - start)
                noise = (sigma * bounds.width * rng.standard_normal((k, own.shape[1]))).astype(np.float32)
                codes, _ = model(with_column(take(chosen.frame, np.full(k, i)), name, own[i] + noise))
                seen += np.bincount(codes[codes >= 0], minlength=classes)
            counts.append(seen)
        winner[i] = counts[0].argmax()
        found.append(certify(int(counts[1][winner[i]]), votes, sigma=sigma))
    return winner, found


def _sure(winner: NDArray[np.int64], found: list[Certificate], chosen: Rows, radius: float) -> NDArray[np.bool_]:
    """Which pictures are decided rightly with at least this radius, (n,)."""
    import numpy as np

    return np.asarray((winner == chosen.y) & np.array([c.radius is not None and c.radius >= radius for c in found]))
