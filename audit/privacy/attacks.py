"""Who was in training? Scores by which members of the training set are told from audited rows, and the halves that keep them honest.

Of members and others one half chooses the attack, and what it is worth is measured on the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.measurement import Message
from audit.text import message
from audit.training import LOGGED

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Estimate
    from audit.rows import Rows

#: Inputs beyond which no regression of scores on inputs is tried: pictures and the like.
WIDEST = 300
#: Reference models from which on the likelihood ratio is tried, and a small upper bound is worth a pass.
FOR_RATIO = 4
#: The false-positive rate at which the quantile of each row's score is learnt.
RATE = 0.01


@dataclass(frozen=True)
class Side:
    """Members or others: their class probabilities (k, classes), outcomes (k,), half (k,) 0 or 1, codes of groups by name, and inputs as a table.

    `beside` are the probabilities of the outcome under each reference model with its log odds, (2, K, k), and `keep` (K, k) says which of
    them trained on the row; K is 0 where there are none.
    """

    probabilities: NDArray[np.float64]
    y: NDArray[np.int64]
    half: NDArray[np.int64]
    groups: dict[str, NDArray[np.int64]]
    inputs: pd.DataFrame
    beside: NDArray[np.float64]
    keep: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Attack:
    """A score of both sides, (members,) and (others,); high means "was in". `alarms`: of others in the choosing half the share that an attack
    with a threshold of its own takes for members, where it should be `RATE`; without the rate in its interval the attack is not to be chosen."""

    name: str
    members: NDArray[np.float64]
    others: NDArray[np.float64]
    alarms: Estimate | None = None

    @property
    def sound(self) -> bool:
        """Whether the attack keeps the false-positive rate that it states, as far as the choosing half tells."""
        return self.alarms is None or self.alarms.low <= RATE <= self.alarms.high


def why_not(ctx: Context) -> Message | None:
    """Why nobody can be told from anybody here; None where it can be tried."""
    training = ctx.facts.training
    assert training is not None
    if training.sha256 == ctx.facts.sha256:
        return message("The audited rows are the training rows: there is nobody who was not in training to tell the members from.")
    return None


@dataclass(frozen=True)
class Sides:
    """Both sides; `references` are K, and `alike` whether each of them has as many weights as the audited model (None: not known)."""

    members: Side
    others: Side
    references: int = 0
    alike: bool | None = None


def sides(ctx: Context, size: int) -> Sides:
    """At most `size` training rows without planted canaries, and at most `size` audited rows, with what the model and the references say of them."""
    import numpy as np

    from audit.rows import evaluation_rows, training_rows

    members = training_rows(ctx, size, groups=True)
    planted = np.isin(members.row, _planted(ctx))
    others = evaluation_rows(ctx, size)
    _, probabilities = ctx.interpreted(members.frame)
    assert probabilities is not None, "the check needs scores"
    codes = {g.name: ctx.scored.group(i)[others.row].astype(np.int64) for i, g in enumerate(ctx.facts.groups)}
    (beside, others_beside), (keep, others_keep), alike = _references(ctx, members, others)
    return Sides(
        _side(ctx, members, probabilities, members.groups, beside, keep, ~planted),
        _side(ctx, others, ctx.scored.scores()[others.row], codes, others_beside, others_keep, np.ones(len(others.row), np.bool_)),
        len(keep), alike,
    )  # fmt: skip


def _references(ctx: Context, members: Rows, others: Rows) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]], bool | None]:
    """For members and others what the reference models say of the outcome, (2, K, k), and which trained on the row, (K, k)."""
    import numpy as np

    from audit.privacy.reference_models import ask, kept
    from audit.stats.privacy.membership import log_odds

    found, both = ctx.facts.references, (members, others)
    if found is None:
        return [np.zeros((2, 0, len(r.row))) for r in both], [np.zeros((0, len(r.row)), np.bool_) for r in both], None
    said, record = ask(ctx, found, [r.frame for r in both]), kept(found)
    beside = []
    for rows, answers in zip(both, said.probabilities, strict=True):
        assert rows.y is not None
        y = np.maximum(rows.y, 0).astype(np.int64)  # rows without an outcome are left out later
        own = answers[:, np.arange(len(y)), y]
        beside.append(np.stack([own, np.stack([log_odds(p, y) for p in answers])]))
    alike = None if said.parameters is None or ctx.settled.parameters is None else said.parameters == ctx.settled.parameters
    return beside, [record.training[:, members.row], record.audited[:, others.row]], alike


def _side(
    ctx: Context,
    rows: Rows,
    probabilities: NDArray[np.float64],
    groups: Mapping[str, NDArray[np.int64]],
    beside: NDArray[np.float64],
    keep: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
) -> Side:
    """The rows that have an outcome and an answer of every model and, with two references or more, one that did not train on them."""
    import numpy as np

    from audit.fitted import table
    from audit.scored import halves

    assert rows.y is not None
    usable = wanted & (rows.y >= 0) & np.isfinite(probabilities).all(axis=1) & np.isfinite(beside).all(axis=(0, 1))
    if len(keep) > 1:
        usable &= ~keep.all(axis=0)
    inputs = table(rows.frame)[usable].reset_index(drop=True)
    split = halves(rows.row, ctx.seed)[usable]
    coded = {k: v[usable] for k, v in groups.items()}
    return Side(probabilities[usable], rows.y[usable].astype(np.int64), split, coded, inputs, beside[:, :, usable], keep[:, usable])


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
    """Every score that the answers allow: those of one model alone, and those that hold it against reference models where there are some."""
    import numpy as np

    from audit.stats.privacy.membership import TINY, log_odds

    def loss(side: Side) -> NDArray[np.float64]:
        return np.asarray(np.log(np.maximum(side.probabilities[np.arange(len(side)), side.y], TINY)))

    found = [Attack("loss", loss(members), loss(others))]
    phi, phi_others = log_odds(members.probabilities, members.y), log_odds(others.probabilities, others.y)
    first = int((others.half == 0).sum())
    if members.inputs.shape[1] <= WIDEST and first >= 200:
        alike = _Alike(*_numbers(members, others), phi, phi_others, others.half)
        found.append(_surplus(alike, seed))
        if first * 0.8 >= 20 / RATE:
            found.append(_quantile(alike, seed))
    return found + _against_references(members, others, np.concatenate([phi, phi_others]))


@dataclass(frozen=True)
class _Alike:
    """Log odds of members and others, (m,) and (n,), beside numbers that say which rows are alike; `half` (n,) of the others, 0 is the fitted one."""

    x: NDArray[np.float64]
    x_others: NDArray[np.float64]
    phi: NDArray[np.float64]
    phi_others: NDArray[np.float64]
    half: NDArray[np.int64]

    @property
    def first(self) -> NDArray[np.bool_]:
        """The others that a fit is made on."""
        found: NDArray[np.bool_] = self.half == 0
        return found

    def above(self, fitted: Any, held: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How far log odds exceed a fit: of members, and of others, those that it was made on by `held`, fits without them."""
        others = self.phi_others - fitted.predict(self.x_others)
        others[self.first] = held
        return self.phi - fitted.predict(self.x), others


def _surplus(rows: _Alike, seed: int) -> Attack:
    """How far the log odds exceed their mean for rows like this."""
    from audit.stats.privacy.regression import expected, surplus_out_of_fold

    own = rows.x_others[rows.first], rows.phi_others[rows.first]
    return Attack("surplus", *rows.above(expected(*own, seed=seed), surplus_out_of_fold(*own, seed=seed)))


def _quantile(rows: _Alike, seed: int) -> Attack:
    """How far the log odds exceed their 99 % quantile for rows like this: above 0, a row is called a member (Bertran et al. 2023)."""
    from audit.stats.privacy.regression import excess_out_of_fold, quantile
    from audit.stats.rates import clopper_pearson

    own = rows.x_others[rows.first], rows.phi_others[rows.first]
    held = excess_out_of_fold(*own, fpr=RATE, seed=seed)
    alarms = clopper_pearson(int((held > 0).sum()), len(held), level=0.95)
    return Attack("quantile", *rows.above(quantile(*own, fpr=RATE, seed=seed), held), alarms)


def _against_references(members: Side, others: Side, phi: NDArray[np.float64]) -> list[Attack]:
    """The ratio to what the references say, and with four or more of them how likely the log odds `phi` (members, then others) would be without the row."""
    import numpy as np

    from audit.stats.privacy.references import lira_online, rmia, surprise

    keep = np.concatenate([members.keep, others.keep], axis=1)
    if not len(keep):
        return []
    own = np.concatenate([side.probabilities[np.arange(len(side)), side.y] for side in (members, others)])
    p, phi_references = np.concatenate([members.beside, others.beside], axis=2)
    scores = {"rmia": rmia(own, p, keep)}
    if len(keep) >= FOR_RATIO:
        scores["lira"] = surprise(phi, phi_references, keep)
        if keep.any(axis=0).all():
            scores["lira_online"] = lira_online(phi, phi_references, keep)
    return [Attack(name, score[: len(members)], score[len(members) :]) for name, score in scores.items()]


def _numbers(members: Side, others: Side) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inputs and outcome of both sides as numbers (k, d)."""
    import numpy as np

    x, x_others = numbers(members.inputs, others.inputs)
    return np.column_stack([x, members.y]), np.column_stack([x_others, others.y])


def numbers(one: pd.DataFrame, other: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two tables of the same columns as numbers (k, d): texts by their place among all texts of the column, NaN where missing."""
    import numpy as np
    import pandas as pd

    both = pd.concat([one, other], ignore_index=True)
    columns: list[Any] = []
    for name in both.columns:
        column = both[name]
        if column.dtype == object:
            codes = pd.Categorical(column).codes.astype(np.float64)
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            columns.append(column.to_numpy(dtype=np.float64))
    whole = np.stack(columns, axis=1) if columns else np.zeros((len(both), 0))
    return whole[: len(one)], whole[len(one) :]
