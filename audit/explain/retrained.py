"""Whether a way holds for the same model trained anew: asked of the reference models, which trained as the audited one did on some of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.explain.decisions import Decider
    from audit.subject.frame import Frame

#: So many of the reference models are asked.
MODELS = 5


def retrained(judge: Decider, frame: Frame) -> NDArray[np.float64] | None:
    """For each row (n,) the share of reference models that give it the favourable decision by the same rule; None where none are at hand."""
    from audit.privacy.reference_models import ask

    ctx = judge.ctx
    references = ctx.facts.references
    if references is None or not ctx.settled.has_scores or ctx.settled.task == "regression":
        return None
    some = references.model_copy(update={"files": references.files[:MODELS]})
    (scores,) = ask(ctx, some, [frame]).probabilities
    return np.asarray(np.mean([judge.decided(one.argmax(axis=1), one).favourable for one in scores], axis=0))
