"""Which inputs move the model's answers, over many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.explained import Explained
    from audit.measurement import Estimate, Measurement, Message


@check(
    "explanation.global",
    title="What moves the model's answers",
    meaning=(
        "The mean size of each input's attribution over sampled rows: how far, on average, knowing this input moves the answer away from what background rows would get. "
        "Of a text the inputs are its words, of a picture its regions, of a sequence its events and their fields, of a recording its stretches. "
        "Tree SHAP for trees, Integrated Gradients or DeepLIFT-SHAP for networks; otherwise SHAP over all coalitions of up to 12 inputs where they can be asked for enough rows, else over drawn ones, with their standard errors. "
        "A logit (log-odds) is the model's score before it becomes a probability: one more multiplies the odds by 2.7. "
        "The completeness gap is how far the attributions of a row miss what they should add up to; the sampling error is the largest standard error of a row in the range of its attributions. "
        "On request: any method by its name, as far as the model allows it; LIME, a linear model of the answers near a row, is judged by how well it fits (R²) and how far "
        "repetitions agree."
    ),
    limits=(
        "An attribution says what the model uses, not what causes the outcome. Inputs that go together share their weight in ways that depend on the method. Figures computed "
        "beside the model are its own testimony, held against its answers by the completeness gap. A text without some of its words, or a picture with a region blotted out, is one that the model may never "
        "have seen."
    ),
    unit="as named: log-odds, logit, probability or the unit of the outcome",
    direction="none",
    needs=["model", "features"],
    references=[
        "Lundberg and Lee 2017",
        "Lundberg et al. 2020",
        "Sundararajan, Taly and Yan 2017",
        "Covert and Lee 2021",
        "Musco and Witter 2025",
        "Shrikumar, Greenside and Kundaje 2017",
    ],
    about="evidence",
    probing=True,
    groupings=["groups"],
)
def global_(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=1_000_000)] = 2000,
    background: Annotated[int, Field(ge=1, le=10_000)] = 50,
    budget: Annotated[int, Field(ge=1_000)] = 4_000_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
    groups: Annotated[dict[str, list[str]] | None, Field()] = None,
    correlated: Annotated[float, Field(gt=0, le=1)] = 1.0,
    method: Annotated[
        str,
        Field(
            pattern="^(auto|exact_shap|leverage_shap|kernel_shap|lime|tree_shap|integrated_gradients|deep_shap|gradient_shap|lrp|grad_cam|gradient_x_input)$"
        ),
    ] = "auto",
) -> Iterable[Measurement | Message]:
    """Mean |attribution| per input with its interval over the sampled rows, and the 95th percentile of the completeness gap.

    `groups` (name → columns) and columns whose rank correlation is at least `correlated` are explained as one. `method` is one by
    its name: exact_shap, leverage_shap, kernel_shap and lime ask for answers alone, the others run where the model is, as far as it allows.
    """
    from audit.explain.attribute import explain
    from audit.explain.gap import believed, nothing_explained
    from audit.explain.of_pieces import explain_ways, is_table
    from audit.explain.shown import one_sentence, overall

    if not is_table(ctx):
        seen = explain_ways(ctx, rows, background, budget_not_table, method)
        yield from one_sentence(told for one in seen for told in overall(ctx, one))
        return
    found = explain(ctx, rows, background, budget=budget, groups=groups, correlated=correlated, method=method)
    if not len(found[0].values):
        yield from nothing_explained("mean_abs_attribution", found)
        return
    means = _means(ctx, found)
    for measured in (*_sizes(found[0], means), *believed(ctx, found)):
        yield measured.model_copy(update={"computed_in": found[0].computed_in})
    yield _summary(found, means)


def _means(ctx: Context, found: list[Explained]) -> list[Estimate]:
    """Mean size of each input's attribution, averaged over the outputs."""
    import numpy as np

    from audit.stats.losses import mean_size

    size, level = np.mean([np.abs(e.values) for e in found], axis=0), ctx.level("mean_abs_attribution")
    # Rows share their coalitions, so that the errors of the draw may not average out over them.
    drawn = np.zeros(size.shape[1]) if found[0].error is None else np.mean([e.error for e in found if e.error is not None], axis=(0, 1))
    return [mean_size(size[:, j], level=level, more=float(drawn[j])) for j in range(size.shape[1])]


def _order(means: list[Estimate]) -> list[int]:
    return sorted(range(len(means)), key=lambda j: -means[j].value)


def _sizes(first: Explained, means: list[Estimate]) -> Iterator[Measurement]:
    """The means, the largest first, with their picture."""
    from audit.measure import value
    from audit.measurement import Attribution

    order = _order(means)
    shown = Attribution(
        caption="Mean size of attributions", unit=first.unit, features=[first.features[j] for j in order], values=[means[j].value for j in order],
        low=[means[j].low for j in order], high=[means[j].high for j in order],
    )  # fmt: skip
    for place, j in enumerate(order):
        yield value("mean_abs_attribution", means[j], slice_={"(feature)": first.features[j]}, evidence=[shown] if place == 0 else [])


def _summary(found: list[Explained], means: list[Estimate]) -> Message:
    from audit.explain.gap import METHODS, with_caveats
    from audit.text import message

    first = found[0]
    top = [first.features[j] for j in _order(means)[:3] if means[j].value > 0]
    if not top:
        return message("No input can be named: every attribution of these {n:count} rows is 0.", n=len(first.values))
    given = {"names": top, "method": message(METHODS[first.method]), "n": len(first.values), "unit": message(first.unit)}
    if first.estimand == "path_dependent":
        said = message(
            "The inputs that move the answers most: {names} ({method}, path-dependent: what is not known goes the ways that the training rows went, no background rows; {n:count} rows; unit: {unit}).",
            **given,
        )
    else:
        said = message(
            "The inputs that move the answers most: {names} ({method}; {n:count} rows against {background:count} background rows; unit: {unit}).",
            background=first.background, **given,
        )  # fmt: skip
    return with_caveats(said, found)
