"""How far explanations may be believed, as measurements: do the parts add up to the whole, and did drawn values settle?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from audit.explain.explained import PARTIAL
from audit.measurement import Measurement, Message
from audit.stats.quantiles import quantile
from audit.text import message

if TYPE_CHECKING:
    from audit.context import Context
    from audit.explain.explained import Explained

#: What a method is called in a sentence.
METHODS: dict[str, str] = {
    "tree_shap": "tree SHAP",
    "integrated_gradients": "Integrated Gradients",
    "deep_shap": "DeepLIFT-SHAP",
    "exact_shap": "SHAP over all coalitions",
    "kernel_shap": "paired Kernel SHAP",
    "leverage_shap": "Leverage SHAP",
    "lime": "LIME",
    "gradient_x_input": "gradient × input",
    "gradient_shap": "GradientSHAP",
    "lrp": "layer-wise relevance propagation (LRP)",
    "grad_cam": "Grad-CAM",
}


def gap(ctx: Context, found: list[Explained]) -> Measurement:
    """95th percentile of the relative miss over the explained rows (the worst of the classes, where there are several)."""
    worst = np.max([e.gaps for e in found], axis=0)
    return Measurement(metric="completeness_gap", estimate=quantile(worst, 0.95, level=ctx.level("completeness_gap"), clamped=True))


def believed(ctx: Context, found: list[Explained]) -> Iterator[Measurement]:
    """What there is to judge explanations by.

    The completeness gap, unless the method does not claim to be complete; the 95th percentile over the rows of the largest standard error in the
    range of a row's values, where something was drawn; the median fit of surrogate models.
    """
    if found[0].method in PARTIAL:
        return
    if found[0].fit is None:
        yield gap(ctx, found)
    else:
        fit = np.min([e.fit for e in found if e.fit is not None], axis=0)
        yield Measurement(metric="surrogate_r2", estimate=quantile(fit, 0.5, level=ctx.level("surrogate_r2"), clamped=True))
    if found[0].error is not None:
        worst = np.max([e.unsettled for e in found], axis=0)
        yield Measurement(metric="sampling_error", estimate=quantile(worst, 0.95, level=ctx.level("sampling_error"), clamped=True))


def caveats(found: list[Explained]) -> list[Message]:
    """What is to be said of values that were drawn and have not settled, and of rows that could not be explained."""
    from audit.explain.shapley import PRECISION

    said, n = [], len(found[0].values)
    open_ = int((np.max([e.unsettled for e in found], axis=0) > PRECISION).sum())
    if open_:
        said.append(message(
            "In {k:count} of {n:count} rows the values had not settled when the budget was used up: their standard error exceeds {limit:percent} of their range.",
            k=open_, n=n, limit=PRECISION,
        ))  # fmt: skip
    if found[0].left_out:
        said.append(message(
            "Left out are {k:count} rows: the model gave no answer for some of their variants, or the budget was too small to tell anything.", k=found[0].left_out
        ))  # fmt: skip
    return said


def with_caveats(said: Message, found: list[Explained]) -> Message:
    """A sentence, and `caveats` after it."""
    for more in caveats(found):
        said = message("{first} {rest}", first=said, rest=more)
    return said


def nothing_explained(metric: str, found: list[Explained]) -> Iterator[Measurement | Message]:
    """What a check says where not one row is left."""
    from audit.measure import undefined

    reason = message(
        "No row could be explained: the model gave no answer for some variants of each of {n:count} rows.", n=found[0].left_out
    )
    yield undefined(metric, reason)
    yield reason
