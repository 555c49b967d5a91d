"""How explanations of single decisions vary, without showing anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.result import Measurement, Message


@check(
    "explanation.local",
    title="How explanations differ between people",
    meaning="How often each input is the strongest reason for a row's answer, and how widely its attribution spreads over the rows.",
    limits=(
        "No single row is shown, because rows are people: the explanation of one decision belongs to the person concerned. A strongest reason can win by little; where coalitions are drawn, the share of rows is given in which it "
        "is within two standard errors of the next. The limits of the global explanation hold here too."
    ),
    unit="share of rows",
    direction="none",
    needs=["model", "features"],
    references=["Lundberg and Lee 2017", "Sundararajan, Taly and Yan 2017", "Covert and Lee 2021", "Musco and Witter 2025"],
    about="evidence",
    probing=True,
    groupings=["groups"],
)
def local(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=2, le=1_000_000)] = 500,
    background: Annotated[int, Field(ge=1, le=10_000)] = 50,
    budget: Annotated[int, Field(ge=1_000)] = 2_000_000,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
    groups: Annotated[dict[str, list[str]] | None, Field()] = None,
    correlated: Annotated[float, Field(gt=0, le=1)] = 1.0,
    method: Annotated[str, Field(pattern="^(auto|leverage_shap|kernel_shap|lime)$")] = "auto",
) -> Iterable[Measurement | Message]:
    """Share of rows whose strongest reason is this input, the spread of attributions, and the completeness gap.

    `groups` (name → columns) and columns whose rank correlation is at least `correlated` are explained as one. `method` other than
    auto takes nothing but the model's answers, whatever model it is.
    """
    import numpy as np

    from audit.explain.attribute import FROM_ANSWERS, affordable, explain
    from audit.explain.gap import believed, nothing_explained, with_caveats
    from audit.explain.groups import grouped
    from audit.explain.of_pieces import explain_ways, is_table
    from audit.explain.shown import differences, one_sentence
    from audit.measure import rate
    from audit.result import Column, Table
    from audit.text import message

    if not is_table(ctx):
        seen = explain_ways(ctx, rows, background, budget_not_table)
        yield from one_sentence(told for one in seen for told in differences(ctx, one))
        return
    together = grouped(ctx, groups, correlated)
    size_ = affordable(ctx, rows, background, budget, parts=len(together), method=method)
    found = explain(ctx, size_, background, budget=budget, groups=together, method=method)
    first = found[0]
    if not len(first.values):
        yield from nothing_explained("top_reason_share", found)
        return
    where = "parent" if first.method in FROM_ANSWERS else "worker"
    size = np.mean([np.abs(e.values) for e in found], axis=0)
    moved = size.any(axis=1)  # where nothing moved the answer, nothing is the strongest reason
    wins = np.bincount(size.argmax(axis=1)[moved], minlength=size.shape[1])
    order = sorted(range(len(wins)), key=lambda j: (-int(wins[j]), j))
    columns = [Column(name="feature", label="input"), *(Column(name=f"p{q:02d}", label=f"{q} %", kind="number") for q in (5, 50, 95))]
    spread: list[list[str | int | float | None]] = []
    if len(size) >= 100:  # below that, percentiles would be single people's
        spread = [[first.features[j], *(float(v) for v in np.quantile(first.values[:, j], [0.05, 0.5, 0.95]))] for j in order]
    table = Table(caption="Spread of attributions over the rows", columns=columns, rows=spread)
    for place, j in enumerate(order):
        yield rate(ctx, "top_reason_share", int(wins[j]), len(size), slice_={"(feature)": first.features[j]}).model_copy(
            update={"computed_in": where, "evidence": [table] if place == 0 and spread else []}
        )
    if first.error is not None:
        tied = np.logical_or.reduce([e.tied for e in found])
        yield rate(ctx, "tied_top_reason_share", int(tied.sum()), len(size)).model_copy(update={"computed_in": where})
    for measured in believed(ctx, found):
        yield measured.model_copy(update={"computed_in": where})
    if not wins.any():
        yield message("No input can be named: every attribution of these {n:count} rows is 0.", n=len(size))
        return
    said = message(
        "The strongest reason is most often {name}: in {share:percent} of {n:count} rows.",
        name=first.features[order[0]],
        share=int(wins[order[0]]) / len(size),
        n=len(size),
    )
    yield with_caveats(said, found)
