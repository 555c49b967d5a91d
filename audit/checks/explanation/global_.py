"""Which inputs move the model's answers, over many rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.result import Measurement, Message


METHODS = {"tree_shap": "tree SHAP", "integrated_gradients": "Integrated Gradients", "permutation_shap": "permutation SHAP"}


@check(
    "explanation.global",
    title="What moves the model's answers",
    meaning=(
        "The mean size of each input's attribution over sampled rows: how far, on average, knowing this input moves the answer away from what background rows would get. "
        "Tree SHAP for trees, Integrated Gradients for networks, permutation SHAP otherwise. The completeness gap is how far the attributions of a row miss what they should add up to."
    ),
    limits=(
        "An attribution says what the model uses, not what causes the outcome. Inputs that go together share their weight in ways that depend on the method. Figures computed "
        "beside the model are its own testimony, held against its answers by the completeness gap."
    ),
    unit="as named: log-odds, logit, probability or the unit of the outcome",
    direction="none",
    needs=["model", "features", "table"],
    references=["Lundberg and Lee 2017", "Lundberg et al. 2020", "Sundararajan, Taly and Yan 2017", "Castro, Gómez and Tejada 2009"],
    about="evidence",
    probing=True,
)
def global_(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=1_000_000)] = 2000,
    background: Annotated[int, Field(ge=1, le=10_000)] = 50,
    budget: Annotated[int, Field(ge=1_000)] = 5_000_000,
) -> Iterable[Measurement | Message]:
    """Mean |attribution| per input with its interval over the sampled rows, and the 95th percentile of the completeness gap."""
    import numpy as np

    from audit.explain.attribute import affordable, explain
    from audit.explain.gap import gap
    from audit.measure import value
    from audit.result import Attribution
    from audit.stats.losses import mean_loss
    from audit.text import message

    found = explain(ctx, affordable(ctx, rows, background, budget), background)
    first = found[0]
    size = np.mean([np.abs(e.values) for e in found], axis=0)
    where = "parent" if first.method == "permutation_shap" else "worker"
    level = ctx.level("mean_abs_attribution")
    means = [mean_loss(size[:, j], level=level) for j in range(size.shape[1])]
    order = sorted(range(len(means)), key=lambda j: -means[j].value)
    shown = Attribution(
        caption="Mean size of attributions", unit=first.unit, features=[first.features[j] for j in order], values=[means[j].value for j in order],
        low=[max(0.0, means[j].low) for j in order], high=[means[j].high for j in order],
    )  # fmt: skip
    for place, j in enumerate(order):
        yield value(
            "mean_abs_attribution", means[j], slice_={"(feature)": first.features[j]}, evidence=[shown] if place == 0 else []
        ).model_copy(update={"computed_in": where})
    yield gap(ctx, found).model_copy(update={"computed_in": where})
    top = [first.features[j] for j in order[:3] if means[j].value > 0]
    if not top:
        yield message("No input can be named: every attribution of these {n:count} rows is 0.", n=len(size))
        return
    yield message(
        "The inputs that move the answers most: {names} ({method}; {n:count} rows against {background:count} background rows; unit: {unit}).",
        names=top, method=message(METHODS[first.method]), n=len(size), background=first.background, unit=message(first.unit),
    )  # fmt: skip
