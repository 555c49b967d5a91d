"""How explanations of single decisions vary, without showing anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.explained import Explained
    from audit.measurement import Measurement, Message


@check(
    "explanation.local",
    title="How explanations differ from row to row",
    meaning=(
        "How often each input is the strongest reason for a row's answer, and how widely its attribution spreads over the rows. Of pictures in three classes and more also what "
        "speaks for the class that came second against the one that was answered."
    ),
    limits=(
        "No single row is shown, because rows can be people: the explanation of one decision belongs to the person concerned. Single rows are had by [audit] rows = true in the plan, which puts a "
        "sample of them beside this document and into no report. A strongest reason can win by little; where coalitions are drawn, the share of rows is given in which it "
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
    """Share of rows whose strongest reason is this input, the spread of attributions, and the completeness gap.

    `groups` (name → columns) and columns whose rank correlation is at least `correlated` are explained as one. `method` is one by
    its name: exact_shap, leverage_shap, kernel_shap and lime ask for answers alone, the others run where the model is, as far as it allows.
    """
    from audit.explain import single_rows
    from audit.explain.attribute import explain
    from audit.explain.gap import believed, nothing_explained
    from audit.explain.of_pieces import explain_ways, is_table
    from audit.explain.shown import differences, one_sentence

    if not is_table(ctx):
        seen = explain_ways(ctx, rows, background, budget_not_table, method)
        if ctx.plan.audit.rows:
            ctx.single = single_rows.of_pieces(ctx, seen)
        yield from one_sentence(told for one in seen for told in differences(ctx, one))
        return
    found = explain(ctx, rows, background, budget=budget, groups=groups, correlated=correlated, method=method)
    if not len(found[0].values):
        yield from nothing_explained("top_reason_share", found)
        return
    if ctx.plan.audit.rows:
        ctx.single = single_rows.of_table(ctx, found)
    wins = _wins(found)
    for measured in (*_shares(ctx, found, wins), *believed(ctx, found)):
        yield measured.model_copy(update={"computed_in": found[0].computed_in})
    yield _summary(found, wins)


def _wins(found: list[Explained]) -> list[int]:
    """How many rows each input moves most; where nothing moved the answer, nothing is the strongest reason."""
    import numpy as np

    size = np.mean([np.abs(e.values) for e in found], axis=0)
    counts: list[int] = np.bincount(size.argmax(axis=1)[size.any(axis=1)], minlength=size.shape[1]).tolist()
    return counts


def _order(wins: list[int]) -> list[int]:
    return sorted(range(len(wins)), key=lambda j: (-wins[j], j))


def _shares(ctx: Context, found: list[Explained], wins: list[int]) -> Iterator[Measurement]:
    """The share of rows that each input moves most, with how attributions spread, and the share in which that is not settled."""
    import numpy as np

    from audit.measure import rate
    from audit.measurement import Column, Table

    first, n = found[0], len(found[0].values)
    columns = [Column(name="feature", label="input"), *(Column(name=f"p{q:02d}", label=f"{q} %", kind="number") for q in (5, 50, 95))]
    spread: list[list[str | int | float | None]] = []
    if n >= 100:  # below that, percentiles would be single people's
        spread = [[first.features[j], *(float(v) for v in np.quantile(first.values[:, j], [0.05, 0.5, 0.95]))] for j in _order(wins)]
    table = Table(caption="Spread of attributions over the rows", columns=columns, rows=spread)
    for place, j in enumerate(_order(wins)):
        yield rate(ctx, "top_reason_share", wins[j], n, slice_={"(feature)": first.features[j]}).model_copy(
            update={"evidence": [table] if place == 0 and spread else []}
        )
    if first.error is not None:
        tied = np.logical_or.reduce([e.tied for e in found])
        yield rate(ctx, "tied_top_reason_share", int(tied.sum()), n)


def _summary(found: list[Explained], wins: list[int]) -> Message:
    from audit.explain.gap import with_caveats
    from audit.text import message

    first, n = found[0], len(found[0].values)
    if not any(wins):
        return message("No input can be named: every attribution of these {n:count} rows is 0.", n=n)
    top = _order(wins)[0]
    said = message(
        "The strongest reason is most often {name}: in {share:percent} of {n:count} rows.",
        name=first.features[top],
        share=wins[top] / n,
        n=n,
    )
    return with_caveats(said, found)
