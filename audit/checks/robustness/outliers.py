"""Whether rows of a kind that the model has never seen can be told: by its own doubt, and by how far their inputs lie from the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate, Measurement, Message
    from audit.stats.outliers import Reference
    from audit.subject.frame import Frame
    from audit.training import Training

#: Rows a side below which nothing is said.
LEAST = 20
DOUBT, ENERGY = "(doubt)", "(energy)"


@check(
    "robustness.outliers",
    title="Rows unlike any that the model has seen",
    meaning=(
        "Two sets of rows are planted: rows mixed column by column from others, and rows whose numbers are moved four to six standard deviations away. Do scores tell them from audited rows? The scores are the model's own "
        "doubt (1 − its highest probability), its energy where it gives logits, and two distances of the inputs from training rows (from half of the audited rows where these are not known). An area under the ROC curve of one "
        "half is a coin; beside it the share of planted rows that pass where 95 % of the real ones do."
    ),
    limits=(
        "Planted rows are not the odd rows that life will bring. Mixed rows are often quite possible ones, so no score should tell them all. A model whose doubt tells nothing is no worse on usual rows, but it needs a guard "
        "before it: the distances show what a simple one would see."
    ),
    unit="ROC AUC; share of planted rows",
    direction="higher",
    needs=["model", "features", "table"],
    references=["Hendrycks and Gimpel 2017", "Liu et al. 2020", "Lee et al. 2018", "Sun et al. 2022", "DeLong, DeLong and Clarke-Pearson 1988"],
    probing=True,
)  # fmt: skip
def outliers(ctx: Context, *, rows: Annotated[int, Field(ge=20)] = 1000) -> Iterable[Measurement | Message]:
    """AUC and passing share of each score on planted rows."""
    import numpy as np

    from audit.columns import rules
    from audit.planted import far, mixed
    from audit.stress.disturbed import Disturber
    from audit.text import message

    usual, frame = _rows(ctx, min(rows, ctx.plan.audit.sample))
    if usual is None:
        yield message("Fewer than {n:count} rows to learn what is usual from, or to tell planted rows from.", n=LEAST)
        return
    disturber = Disturber(frame, rules(ctx.facts.roles.columns), ctx.rng)
    space, reference = _reference(usual, frame)
    real = _scores(ctx, frame, space(frame), reference)
    sets = {"(mixed)": mixed(disturber, ctx.rng("mixed")), "(far)": far(disturber, ctx.rng("far"))}
    told: dict[str, dict[str, Estimate]] = {}
    for name, planted in sets.items():
        if planted is not None:
            own = _scores(ctx, planted, space(planted), reference)
            told[name] = {}
            for score in real:
                inside, outside = (x[np.isfinite(x)] for x in (real[score], own[score]))
                for m in _told(ctx, name, score, inside, outside):
                    if m.metric == "outlier_auc" and m.estimate is not None:
                        told[name][score] = m.estimate
                    yield m
    if _seen(ctx) is None:
        ctx.asides.append(
            message(
                "Training rows other than the audited ones are not known, so half of the audited rows stands for what is usual: nothing is said of rows unlike those that the model has seen."
            )
        )
    yield _summary(told["(far)"] if told.get("(far)") else told["(mixed)"], far_away=bool(told.get("(far)")))


def _seen(ctx: Context) -> Training | None:
    """The rows that trained the model; None where they are not known or are the audited ones."""
    training = ctx.facts.training
    return training if training is not None and training.sha256 != ctx.facts.sha256 else None


def _rows(ctx: Context, size: int) -> tuple[Frame | None, Frame]:
    """Rows that are usual (training rows, else half of the audited ones), and audited rows to tell planted ones from."""
    import numpy as np

    from audit.rows import training_rows
    from audit.scored import halves
    from audit.subject.frame import rows as count
    from audit.subject.frame import take

    sample = ctx.sample(size)
    defined = np.isfinite(sample.pred) if ctx.settled.task == "regression" else sample.pred >= 0
    if _seen(ctx) is not None:
        usual, frame = training_rows(ctx, size).frame, take(sample.frame, np.flatnonzero(defined))
    else:
        half = halves(sample.row, ctx.seed + 1)  # the sample is drawn by the hash of the seed itself
        usual, frame = (take(sample.frame, np.flatnonzero(defined & (half == k))) for k in (0, 1))
    return (usual if min(count(usual), count(frame)) >= LEAST else None), frame


def _reference(usual: Frame, frame: Frame) -> tuple[Callable[[Frame], NDArray[np.float64]], Reference]:
    """How frames become points, and what is usual among them."""
    from audit.stats.outliers import Reference
    from audit.subject.frame import rows as count
    from audit.subject.frame import take
    from audit.two_sets import Space, together

    n = count(usual)
    space = Space(take(together(usual, frame), slice(0, n)))

    def points(rows: Frame) -> NDArray[np.float64]:
        return space.points(take(together(usual, rows), slice(n, None)))

    return points, Reference(space.points(take(together(usual, frame), slice(0, n))))


def _scores(ctx: Context, frame: Frame, points: NDArray[np.float64], reference: Reference) -> dict[str, NDArray[np.float64]]:
    """Each score of these rows (n,); higher is more unlike, NaN where the model gives no answer."""
    import numpy as np

    from audit.asking import predict
    from audit.outputs import interpret
    from audit.stats.outliers import doubt, energy

    found = {}
    if ctx.settled.has_scores and ctx.settled.task != "regression":
        said = predict(ctx.client, frame)
        probabilities = interpret(said, ctx.settled)[1]
        assert probabilities is not None
        found[DOUBT] = doubt(probabilities)
        if ctx.settled.outputs == "logit":
            logits = said.values if said.values.shape[1] > 1 else np.concatenate([np.zeros_like(said.values), said.values], axis=1)
            found[ENERGY] = energy(logits)
    return found | {"(mahalanobis)": reference.mahalanobis(points), "(neighbour)": reference.neighbour(points)}


def _told(ctx: Context, name: str, score: str, inside: NDArray[np.float64], outside: NDArray[np.float64]) -> Iterator[Measurement]:
    """How well one score tells one set of planted rows from the real ones."""
    from audit.measure import value
    from audit.stats.auc import roc_auc
    from audit.stats.privacy.membership import tpr_at
    from audit.text import message

    at, why = {"(method)": score, "(rows)": name}, message("The model gives too few usable answers to these rows.")
    yield value("outlier_auc", roc_auc(outside, inside, level=ctx.level("outlier_auc")), slice_=at, reason=why)
    caught = tpr_at(outside, inside, fpr=0.05, level=ctx.level("passing_share"))
    passed = caught and caught.model_copy(update={"value": 1 - caught.value, "low": 1 - caught.high, "high": 1 - caught.low})
    yield value("passing_share", passed, slice_=at, reason=why)


def _summary(told: dict[str, Estimate], *, far_away: bool) -> Message:
    from audit.text import level, message

    distances = {score: e for score, e in told.items() if score not in (DOUBT, ENERGY)}
    if not distances:
        return message("Nothing could be said of the planted rows: see the reasons.")
    best = max(distances, key=lambda score: distances[score].value)
    e = distances[best]
    what = message("rows moved far outside") if far_away else message("rows mixed from others")
    said = message(
        "Of the distances of the inputs, {score} tells {what} best: AUC {auc:ratio} ({low:ratio} to {high:ratio}; 0.5 is a coin).",
        score=level(best),
        what=what,
        auc=e.value,
        low=e.low,
        high=e.high,
    )
    if DOUBT not in told:
        return said
    own = told[DOUBT]
    return message(
        "The model's own doubt tells {what} with an AUC of {auc:ratio} ({low:ratio} to {high:ratio}). {said}",
        what=what,
        auc=own.value,
        low=own.low,
        high=own.high,
        said=said,
    )
