"""A sensitive input of training rows, guessed from all else about them: with the model's answers, and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from audit.dataset import MISSING
from audit.measurement import Message
from audit.text import message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.rows import Rows
    from audit.stats.paired import Pair

#: Rows of which the imputation learns, and the fewest of them and of training rows.
LEARNT, FEWEST = 4000, 200
#: How strongly the log probability of the outcome may count beside the imputation's.
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)


class Guessed(NamedTuple):
    """Rows of the measuring half by whether the guess with the model (new) and the imputation alone (old) are right, and for each true value its
    rows and the shares of right guesses."""

    pair: Pair
    by_value: list[tuple[str, int, float, float]]


def guess(ctx: Context, name: str, rows: int, values: int) -> Guessed | Message:
    """The input `name` of at most `rows` training rows, guessed among its `values` largest groups; or why it cannot be."""
    import numpy as np

    from audit.rows import evaluation_rows, training_rows
    from audit.scored import halves

    place = next(i for i, g in enumerate(ctx.facts.groups) if g.name == name)
    levels = [code for code, level in enumerate(ctx.facts.groups[place].levels) if level != MISSING][:values]
    members = training_rows(ctx, rows, groups=True)
    if name not in members.groups:
        return message("The audit cuts this column into bins, and the training rows hold it uncut.")
    others = evaluation_rows(ctx, LEARNT)
    own = ctx.scored.group(place)[others.row].astype(np.int64)
    known, learnt = _known(members, members.groups[name], levels), _known(others, own, levels)
    if len(known) < FEWEST or len(learnt) < FEWEST or len(np.unique(own[learnt])) < 2:
        return message(
            "Too few rows with a known value and outcome on one side: {members:count} training rows, {others:count} audited rows.",
            members=len(known),
            others=len(learnt),
        )
    imputed = _imputed(ctx, name, (others, learnt, own), (members, known), levels)
    told = _told(ctx, name, members, known, members.groups[name], levels)
    truth = np.searchsorted(levels, members.groups[name][known])  # codes rise as groups get smaller
    half = halves(members.row[known], ctx.seed)
    choosing, measuring = half == 0, half == 1
    told = np.where(np.isfinite(told).all(axis=1, keepdims=True), told, 0.0)
    right = np.stack([np.equal(np.argmax(imputed + w * told, axis=1), truth) for w in WEIGHTS])
    best = int(right[:, choosing].sum(axis=1).argmax())  # of equal ones the smallest
    with_, without, true = right[best][measuring], (imputed.argmax(axis=1) == truth)[measuring], truth[measuring]
    return _counted(with_, without, true, [ctx.facts.groups[place].levels[code] for code in levels])


def _counted(with_: NDArray[np.bool_], without: NDArray[np.bool_], true: NDArray[np.int64], names: list[str]) -> Guessed:
    import numpy as np

    from audit.stats.paired import Pair

    pair = Pair(*(int(np.count_nonzero(x)) for x in (with_ & without, with_ & ~without, ~with_ & without, ~with_ & ~without)))
    shares = [(name, int((true == k).sum()), with_[true == k], without[true == k]) for k, name in enumerate(names)]
    return Guessed(pair, [(name, n, float(a.mean()), float(b.mean())) for name, n, a, b in shares if n])


def _known(rows: Rows, codes: NDArray[np.int64], levels: list[int]) -> NDArray[np.int64]:
    """Places of rows with an outcome and one of the values."""
    import numpy as np

    assert rows.y is not None
    return np.flatnonzero((rows.y >= 0) & np.isin(codes, levels))


def _imputed(
    ctx: Context,
    name: str,
    learning: tuple[Rows, NDArray[np.int64], NDArray[np.int64]],
    asking: tuple[Rows, NDArray[np.int64]],
    levels: list[int],
) -> NDArray[np.float64]:
    """ln of the chance of each value (k, values) for the rows asked about, from their other inputs and outcome, learnt on audited rows."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    from audit.privacy.attacks import numbers

    (others, learnt, codes), (members, known) = learning, asking
    x_members, x_others = numbers(_rest(members, name, known), _rest(others, name, learnt))
    assert members.y is not None
    assert others.y is not None
    x_members = np.column_stack([x_members, members.y[known]])
    x_others = np.column_stack([x_others, others.y[learnt]])
    seed = int(ctx.rng(f"imputation/{name}").integers(2**31))
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, min_samples_leaf=20, early_stopping=True, random_state=seed)
        found = model.fit(x_others, codes[learnt]).predict_proba(x_members)
    out = np.full((len(known), len(levels)), 1e-6)
    for column, code in enumerate(model.classes_):
        out[:, levels.index(int(code))] = np.maximum(found[:, column], 1e-6)
    return np.asarray(np.log(out))


def _rest(rows: Rows, name: str, chosen: NDArray[np.int64]) -> Any:
    """The other inputs of the chosen rows as a table."""
    from audit.fitted import table
    from audit.subject.frame import take

    return table(take({k: v for k, v in rows.frame.items() if k != name}, chosen))


def _told(
    ctx: Context, name: str, members: Rows, known: NDArray[np.int64], codes: NDArray[np.int64], levels: list[int]
) -> NDArray[np.float64]:
    """ln of the model's probability of the true outcome (k, values) where the input takes the middle value of each group; NaN where it does not answer."""
    import numpy as np

    from audit.subject.frame import Categories, take

    assert members.y is not None
    frame, y = take(members.frame, known), members.y[known].astype(np.int64)
    column = members.frame[name]
    values = column.codes if isinstance(column, Categories) else column
    out = np.full((len(known), len(levels)), np.nan)
    for k, code in enumerate(levels):
        own = np.flatnonzero(codes == code)
        if not len(own):
            continue
        donor = own[np.argsort(values[own], kind="stable")[(len(own) - 1) // 2]]
        value = column.codes[donor] if isinstance(column, Categories) else column[donor]
        filled = {
            **frame,
            name: Categories(np.full(len(known), value, column.codes.dtype), column.vocabulary)
            if isinstance(column, Categories)
            else np.full(len(known), value),
        }
        _, probabilities = ctx.interpreted(filled)
        assert probabilities is not None, "the check needs scores"
        out[:, k] = np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-30))
    absent = np.isnan(out).all(axis=0)
    out[:, absent] = -69.0  # nobody in training had it
    return out
