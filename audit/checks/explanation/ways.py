"""What other methods say of the same answers, and whether they deserve belief."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "explanation.ways",
    title="What other methods of explanation say",
    meaning=(
        "Other methods that run beside a net explain the same answers of pictures or texts: Integrated Gradients pixel by pixel, Grad-CAM (where the last convolution looked), "
        "layer-wise relevance propagation and GradientSHAP, as far as its layers allow. Each goes through the gates of the explanation above: does it add up (where it claims to), "
        "predict what the model does, put the parts in an order that matters, depend on the model and stay the same. What fails one is crossed out, and not asked the rest."
    ),
    limits=(
        "Methods answer different questions, and agreement is no proof of truth. Grad-CAM and relevance propagation claim no share of the answer, so that predicting what it does "
        "when regions are blotted out is more than they promise."
    ),
    unit="as named",
    direction="none",
    needs=["model", "features", "perceived"],
    references=["Selvaraju et al. 2017", "Bach et al. 2015", "Sundararajan, Taly and Yan 2017", "Erion et al. 2021", "Krishna et al. 2024"],
    about="evidence",
    probing=True,
)
def ways(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=10, le=1_000_000)] = 20,
    background: Annotated[int, Field(ge=1, le=10_000)] = 20,
    budget_not_table: Annotated[int, Field(ge=1_000)] = 50_000,
    methods: Annotated[list[str] | None, Field()] = None,
) -> Iterable[Measurement | Message]:
    """For each method the numbers of its gates, its agreement with the main explanation, and its picture.

    `methods` are any of integrated_gradients, grad_cam, lrp, gradient_shap and deep_shap; all that the net allows where none are named.
    """
    from audit.explain.gap import METHODS
    from audit.explain.gates.findings import Gate
    from audit.explain.ways import by_pixel, tried
    from audit.text import message

    names = methods if methods is not None else ["integrated_gradients", "grad_cam", "lrp", "gradient_shap"]
    main, found = tried(ctx, names, rows=rows, background=background, budget=budget_not_table)
    if not found:
        yield Gate(ctx, main).none("feature_agreement", message("No other method that runs beside the model applies to it."))
        yield message("No other method that runs beside the model applies to it.")
        return
    stand: list[Message] = []
    fall: list[Message] = []
    for one in found:
        pictures = by_pixel(one)
        for place, measured in enumerate(one.measured):
            yield measured.model_copy(update={"evidence": pictures}) if place == 0 else measured
        name = message(METHODS[one.bench.method])
        if one.rejected is None:
            stand.append(name)
        else:
            fall.append(message("{method}: {why}", method=name, why=one.rejected))
    least = min(one.bench.n for one in found)
    target = (
        message("class {value}", value=ctx.settled.positive)
        if ctx.settled.positive is not None
        else message("the quantity")
        if ctx.settled.task == "regression"
        else message("each row's own answer")
    )
    if stand and fall:
        yield message(
            "Of {target}, beside {main}: no gate rejects {stand}; crossed out: {fall} ({n:count} rows).",
            target=target, main=message(METHODS[main.method]), stand=stand, fall=fall, n=least,
        )  # fmt: skip
    elif stand:
        yield message(
            "Of {target}, beside {main}: no gate rejects {stand} ({n:count} rows).",
            target=target, main=message(METHODS[main.method]), stand=stand, n=least,
        )  # fmt: skip
    else:
        yield message(
            "Of {target}, beside {main}: no other method stands; crossed out: {fall} ({n:count} rows).",
            target=target, main=message(METHODS[main.method]), fall=fall, n=least,
        )  # fmt: skip
