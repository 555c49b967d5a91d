"""Who was in training? Scores by which members of the training set are told from audited rows, and the halves that keep them honest.

Of members and others one half chooses the attack, and what it is worth is measured on the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.result import Message
from audit.text import message
from audit.training import LOGGED

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.rows import Rows

#: Inputs beyond which no regression of scores on inputs is tried: pictures and the like.
WIDEST = 300


@dataclass(frozen=True)
class Side:
    """Members or others: their class probabilities (k, classes), outcomes (k,), half (k,) 0 or 1, codes of groups by name, and inputs as a table."""

    probabilities: NDArray[np.float64]
    y: NDArray[np.int64]
    half: NDArray[np.int64]
    groups: dict[str, NDArray[np.int64]]
    inputs: pd.DataFrame

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Attack:
    """A score of both sides, (members,) and (others,); high means "was in"."""

    name: str
    members: NDArray[np.float64]
    others: NDArray[np.float64]


def why_not(ctx: Context) -> Message | None:
    """Why nobody can be told from anybody here; None where it can be tried."""
    training = ctx.facts.training
    assert training is not None
    if training.sha256 == ctx.facts.sha256:
        return message("The audited rows are the training rows: there is nobody who was not in training to tell the members from.")
    return None


def sides(ctx: Context, size: int) -> tuple[Side, Side]:
    """At most `size` training rows without planted canaries, and at most `size` audited rows, with what the model says of them."""
    import numpy as np

    from audit.rows import evaluation_rows, training_rows

    members = training_rows(ctx, size, groups=True)
    planted = np.isin(members.row, _planted(ctx))
    others = evaluation_rows(ctx, size)
    _, probabilities = ctx.interpreted(members.frame)
    assert probabilities is not None, "the check needs scores"
    codes = {g.name: ctx.scored.group(i)[others.row].astype(np.int64) for i, g in enumerate(ctx.facts.groups)}
    return _side(ctx, members, probabilities, members.groups, ~planted), _side(ctx, others, ctx.scored.scores()[others.row], codes, None)


def _side(
    ctx: Context, rows: Rows, probabilities: NDArray[np.float64], groups: Mapping[str, NDArray[np.int64]], keep: NDArray[np.bool_] | None
) -> Side:
    import numpy as np

    from audit.fitted import table
    from audit.scored import halves

    assert rows.y is not None
    usable = (rows.y >= 0) & np.isfinite(probabilities).all(axis=1)
    usable = usable if keep is None else usable & keep
    inputs = table(rows.frame)[usable].reset_index(drop=True)
    split = halves(rows.row, ctx.seed)[usable]
    return Side(probabilities[usable], rows.y[usable].astype(np.int64), split, {k: v[usable] for k, v in groups.items()}, inputs)


def _planted(ctx: Context) -> NDArray[np.int64]:
    """Places of canaries among the training rows: their labels are wrong, so they are no members like others."""
    import numpy as np

    from audit.dataset import open_dataset

    privacy, training = ctx.facts.privacy, ctx.facts.training
    if privacy is None or privacy.canaries is None or training is None or training.source != LOGGED:
        return np.zeros(0, np.int64)
    dataset = open_dataset(privacy.canaries)
    if "row" not in dataset.types:
        return np.zeros(0, np.int64)
    parts = [b.column(0).to_numpy(zero_copy_only=False) for b in dataset.stream({"r": f"coalesce({dataset.number('row')}, -1)"})]
    return np.concatenate(parts).astype(np.int64)


def attacks(members: Side, others: Side, *, seed: int) -> list[Attack]:
    """The scores that one model alone allows: the loss, and how far the log odds exceed what a row like this has on average among others."""
    import numpy as np

    from audit.stats.privacy.membership import TINY, log_odds

    def loss(side: Side) -> NDArray[np.float64]:
        return np.asarray(np.log(np.maximum(side.probabilities[np.arange(len(side)), side.y], TINY)))

    found = [Attack("loss", loss(members), loss(others))]
    if members.inputs.shape[1] <= WIDEST and np.bincount(others.half, minlength=2)[0] >= 200:
        found.append(_surplus(members, others, log_odds(members.probabilities, members.y), log_odds(others.probabilities, others.y), seed))
    return found


def _surplus(members: Side, others: Side, phi: NDArray[np.float64], phi_others: NDArray[np.float64], seed: int) -> Attack:
    """Fitted on the first half of the others; these get their own surplus from fits without them."""
    from audit.stats.privacy.regression import expected, surplus_out_of_fold

    x, x_others = _numbers(members, others)
    first = others.half == 0
    fitted = expected(x_others[first], phi_others[first], seed=seed)
    score = phi_others - fitted.predict(x_others)
    score[first] = surplus_out_of_fold(x_others[first], phi_others[first], seed=seed)
    return Attack("surplus", phi - fitted.predict(x), score)


def _numbers(members: Side, others: Side) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs and outcome of both sides as numbers (k, d): texts by their place among all texts of the column, NaN where missing."""
    import numpy as np
    import pandas as pd

    both = pd.concat([members.inputs, others.inputs], ignore_index=True)
    columns: list[Any] = []
    for name in both.columns:
        column = both[name]
        if column.dtype == object:
            codes = pd.Categorical(column).codes.astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            columns.append(column.to_numpy(dtype=np.float64))
    columns.append(np.concatenate([members.y, others.y]).astype(np.float64))
    whole = np.stack(columns, axis=1)
    return whole[: len(members)], whole[len(members) :]
