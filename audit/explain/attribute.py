"""Attributions by the method that fits the model, measured against the model's own answers.

Trees and networks are explained beside the model (Tree SHAP, Integrated Gradients), so those numbers are its own testimony and say so; every
other model is explained from here by SHAP over its answers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.errors import AuditError
from audit.explain.explained import FROM_ANSWERS, METHODS, Explained, Method, defined
from audit.explain.exposed import Exposed
from audit.explain.gap import METHODS as CALLED
from audit.explain.groups import grouped
from audit.explain.kept import shared
from audit.explain.lime import lime
from audit.explain.parts import Columns, Game, RowGame
from audit.explain.shapley import MOST_EXACT, PRECISION, Shapley, exact, first, sampled
from audit.outputs import interpret
from audit.subject.client import Prediction
from audit.subject.frame import Frame, rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.outputs import Settled

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Places = NDArray[np.int64]

#: The method that fits the model.
AUTO = "auto"
#: Coalitions asked for each part where they are drawn, and for each row at least.
COALITIONS, LEAST = 16, 256
#: Parts of the background, each with draws of its own: the same number of evaluations, and what one draw misses averages out. On the net of the
#: benchmark ten of them have a third of the error of one.
PARTS = 10
#: Background rows from which Integrated Gradients start; each costs a path of its own, of about so many steps where nothing tells how many.
STARTS, STEPS = 10, 800
#: Rows from which on all coalitions are asked, rather than drawn ones for more rows.
ENOUGH = 200
#: Rows that tell what a path takes.
TRIED = 8
#: Random points on random lines that GradientSHAP takes for a row.
DRAWS = 200


@dataclass(frozen=True)
class Explainer:
    """One method against one background, ready for any rows of this subject; `outputs` are explained one by one.

    `groups` are columns that are switched on and off together, and every column is in one; empty: each alone. `coalitions` are what a method
    that draws them may ask for each row, on average over the rows of a call; no more are asked where the errors are below `precision`.
    """

    ctx: Context
    method: Method
    background: Frame
    outputs: tuple[int, ...]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    coalitions: int = 0
    precision: float = PRECISION

    @property
    def beside(self) -> bool:
        """Whether the method runs where the model is, and not from its answers alone."""
        return self.method not in FROM_ANSWERS

    def explain(self, frame: Frame, *, stream: str = "", randomise: int | None = None) -> list[Explained]:
        """Attributions of rows (n, ·), one entry for each output. `stream` names the random numbers of a method that samples.

        `randomise`: a seed with which the model is made meaningless for this call; only for methods beside the model. Rows for some variant
        of which the model gives no answer have NaN for values: see `defined`.
        """
        if not self.beside:
            return self._from_answers(frame, stream)
        params = {} if randomise is None else {"randomise": randomise}
        if self.method == "gradient_shap":
            params |= {"draws": DRAWS, "seed": int(self.ctx.rng(f"draws{stream}").integers(2**31))}
        found = [self._beside(frame, output, **params) for output in self.outputs]
        return [e.summed(self.groups) for e in found] if self.groups else found

    def answer(self, frame: Frame) -> Floats:
        """The model's answers (n, outputs) in the unit that is explained, asked for through `predict`."""
        if not self.beside:
            return self._chosen(self.ctx.answer(frame))
        raw = self.ctx.client.predict(frame).values
        return self._read(raw)

    def _read(self, raw: Floats) -> Floats:
        """The same of raw outputs (n, k)."""
        if self.beside:
            return np.stack([_in_unit(self.ctx, raw, output, self.unit) for output in self.outputs], axis=1)
        return self._chosen(self.ctx.numbers(*interpret(Prediction(raw, None), self.ctx.settled)))

    def _chosen(self, found: Floats) -> Floats:
        return found[:, None] if found.ndim == 1 else found[:, list(self.outputs)]

    @property
    def exposed(self) -> Exposed | None:
        """How this explainer's answers about mixed rows may be asked for without making the rows; None where they may not."""
        standing = self.ctx.mixing
        if standing is None or type(self).answer is not Explainer.answer:
            return None
        return Exposed(standing, self.ctx.client.mixed, self._read, self.answer)

    @cached_property
    def unit(self) -> str:
        """log-odds, logit, probability, value or label."""
        if not self.beside:
            settled = self.ctx.settled
            return "value" if settled.task == "regression" else "probability" if settled.has_scores else "label"
        return self.explain(take(self.background, slice(0, 1)))[0].unit

    def _beside(self, frame: Frame, output: int, **params: int) -> Explained:
        """Attributions from the worker, held against the answers that it gave when asked to predict."""
        ctx = self.ctx
        column = output if ctx.settled.positive is None else (output if ctx.settled.task != "binary" else _raw_column(ctx, frame, output))
        found = ctx.client.attribute(frame, self.background, method=self.method, output=column, **params)
        # A net's worker tells a logit by its numbers, and one row's may lie in [0, 1]: what was settled over many rows is known better.
        unit = found.unit if found.unit == "log-odds" or ctx.settled.outputs == "label" else ctx.settled.outputs
        answer = _in_unit(ctx, ctx.client.predict(frame).values, output, unit)
        against = rows(self.background) if found.estimand == "background" else 0
        return Explained(list(frame), found.values, found.base, answer, unit, self.method, against, estimand=found.estimand)

    def _from_answers(self, frame: Frame, stream: str) -> list[Explained]:
        """SHAP over answers: every coalition where there are no more than would be drawn, or of up to 12 inputs; a part that never differs gets 0."""
        parts = Columns(frame, self.background, self.groups)
        names, moving = list(parts.groups or frame), parts.moving
        d = int(moving.sum())
        few = d <= MOST_EXACT and (self.method == "exact_shap" or 1 << d <= (self.coalitions or wanted(d)))
        if self.method == "lime":
            return self._surrogates(parts, names, frame, stream)
        found = exact(self._games(parts, moving), d) if few else self._drawn(parts, moving, stream)
        values, error = (None if v is None else _all_parts(v, moving) for v in (found.values, found.error))
        assert values is not None
        own = self.answer(frame)
        return [
            Explained(
                names, values[:, :, i], found.base[:, i], own[:, i], self.unit, "exact_shap" if few else self.method, parts.copies,
                error=None if error is None else error[:, :, i],
            )
            for i in range(values.shape[2])
        ]  # fmt: skip

    def _games(self, parts: Columns, moving: Bools) -> list[Game]:
        """The games of the rows, of what moves; the rest takes no part."""
        answers, exposed = self.answer, self.exposed  # one and the same for all rows, so that they can be asked together
        return [RowGame(answers, parts, i, moving, exposed) for i in range(rows(parts.frame))]

    def _surrogates(self, parts: Columns, names: list[str], frame: Frame, stream: str) -> list[Explained]:
        """LIME's coefficients; what does not move has none."""
        moving, own = parts.moving, self.answer(frame)
        d = int(moving.sum())
        variants = min(self.coalitions or wanted(d), wanted(d))  # Captum makes them one by one
        found = lime(self._games(parts, moving), d, own.shape[1], variants=variants, rng=self.ctx.rng(f"variants{stream}"))
        values, error = _all_parts(found.values, moving), _all_parts(found.error, moving)
        return [
            Explained(
                names, values[:, :, i], found.base[:, i], own[:, i], self.unit, "lime", rows(self.background), error=error[:, :, i], fit=found.fit[:, i]
            )
            for i in range(own.shape[1])
        ]  # fmt: skip

    def _drawn(self, parts: Columns, moving: Bools, stream: str) -> Shapley:
        """From drawn coalitions, other ones for each tenth of the background."""
        d, tenths = int(moving.sum()), [replace(parts, background=take(self.background, slice(g, None, PARTS))) for g in range(PARTS)]
        tenths = [part for part in tenths if part.copies]
        games = list(zip(*(self._games(part, moving) for part in tenths), strict=True))
        return sampled(
            games, d, sampler="kernel_shap" if self.method == "kernel_shap" else "leverage_shap", coalitions=self.coalitions or wanted(d),
            rng=self.ctx.rng(f"coalitions{stream}"), shares=[part.copies for part in tenths], precision=self.precision,
        )  # fmt: skip


def explainer(
    ctx: Context, background: Frame, *, groups: Mapping[str, Sequence[str]] | None = None, coalitions: int = 0, method: str = AUTO
) -> Explainer:
    """The method that fits this model, for the event, the value, or each class in turn; or another that needs nothing but answers, by its name.

    From answers: all coalitions of up to 12 parts; above that Leverage SHAP, which at the same number of coalitions has had about half the squared
    error of Kernel SHAP on the games of the tests and of the benchmark.
    """
    settled, together, outputs = ctx.settled, groups or {}, _outputs(ctx.settled)
    beside = runs_beside(settled.methods, method)
    if beside == "integrated_gradients":
        return Explainer(ctx, beside, take(background, slice(0, STARTS)), outputs, together)
    if beside is not None:
        return Explainer(ctx, beside, background, outputs, together)
    return from_answers(ctx, background, groups=groups, coalitions=coalitions, method=method)


def runs_beside(able: Sequence[str], method: str) -> Method | None:
    """Which method runs where the model is: the one that is named, or the first that fits among those that the model is `able` to; None for those
    that ask for answers alone."""
    if method == AUTO:
        fitting: tuple[Method, ...] = ("tree_shap", "integrated_gradients")
        return next((m for m in fitting if m in able), None)
    return next((m for m in METHODS if m == method and m not in FROM_ANSWERS), None)


def refuse_method(able: Sequence[str], method: str, answers: Sequence[Method] = FROM_ANSWERS) -> None:
    """AuditError where the plan names a method that this model does not allow, or, of `answers`, one that such rows do not."""
    allowed = [AUTO, *answers, *(m for m in METHODS if m in able and m not in FROM_ANSWERS)]
    if method not in allowed:
        raise AuditError(
            f"the plan asks for {CALLED[method]} ({method}), which this model does not allow", f"choose one of {', '.join(allowed)}"
        )


def from_answers(
    ctx: Context, background: Frame, *, groups: Mapping[str, Sequence[str]] | None = None, coalitions: int = 0, method: str = AUTO
) -> Explainer:
    """As `explainer`, from the model's answers alone, whatever else it offers."""
    outputs, together = _outputs(ctx.settled), groups or {}
    chosen: Method = next((m for m in FROM_ANSWERS if m == method), "leverage_shap")
    if method in (AUTO, "exact_shap") and len(together or ctx.facts.features) <= MOST_EXACT:
        return Explainer(ctx, "exact_shap", background, outputs, together)
    return Explainer(ctx, chosen, background, outputs, together, coalitions)


def _outputs(settled: Settled) -> tuple[int, ...]:
    """What is explained: the value, the event, or each class in turn."""
    if settled.task == "regression" or not settled.has_scores:
        return (0,)
    return (settled.classes.index(settled.positive),) if settled.positive is not None else tuple(range(len(settled.classes)))


class Picked(NamedTuple):
    """Rows to explain, others that are the background, and the ids (n,) of the rows to explain."""

    frame: Frame
    background: Frame
    row: Places


def draw(ctx: Context, size: int, background: int) -> tuple[Frame, Frame]:
    """Up to `size` sampled rows to explain, and `background` others."""
    found = draw_known(ctx, size, background)
    return found.frame, found.background


def draw_known(ctx: Context, size: int, background: int) -> Picked:
    """The rows of `draw`, and which rows of the data they are."""
    drawn = ctx.sample(ctx.plan.audit.sample)
    usable = np.isfinite(drawn.pred) if ctx.settled.task == "regression" else drawn.pred >= 0
    answered = np.flatnonzero(usable)  # what the model refuses cannot be explained
    whole = take(drawn.frame, answered)
    total = rows(whole)
    order = ctx.rng("background").permutation(total)
    reference, explained = order[: min(background, max(1, total // 2))], np.sort(order[min(background, total // 2) :][:size])
    return Picked(take(whole, explained), take(whole, reference), drawn.row[answered[explained]])


def explain(
    ctx: Context,
    size: int,
    background: int,
    *,
    budget: int = 0,
    groups: Mapping[str, Sequence[str]] | None = None,
    correlated: float = 1.0,
    method: str = AUTO,
) -> list[Explained]:
    """Attributions of up to `size` sampled rows against `background` others: of the event, of the value, or of each class in turn.

    `budget` is in model evaluations and says how many rows there are (0: all of them); what they leave of it goes to those whose values have not
    settled. `groups` and `correlated` are as `grouped` has them. Rows that could not be explained are left out and counted. Checks that ask for the same
    get the same, made once.
    """

    def make(ctx: Context) -> list[Explained]:
        together = grouped(ctx, groups, correlated)
        chosen = settled_method(ctx, size, background, budget, parts=len(together), method=method)
        fits = affordable(ctx, size, background, budget, parts=len(together), method=chosen) if budget else size
        frame, base, row = draw_known(ctx, fits, background)
        each = max(budget // max(1, rows(frame) * rows(base)), 4 * len(together or ctx.facts.features)) if budget else 0
        found = explainer(ctx, base, groups=together, coalitions=each, method=chosen).explain(frame)
        return defined([e._replace(row=row) for e in found])

    what = {"rows": size, "background": background, "budget": budget, "groups": groups or {}, "correlated": correlated, "method": method}
    return shared(ctx, what, make)


def settled_method(ctx: Context, size: int, background: int, budget: int, *, parts: int = 0, method: str = AUTO) -> str:
    """The method for up to `size` rows within a budget of model evaluations: as named, or what fits the model.

    From answers, all coalitions where they can be asked for `size` rows, or for `ENOUGH`; else they are drawn, for more rows: what the draw leaves
    open is far less than what fewer rows would.
    """
    d = parts or max(1, len(ctx.facts.features))
    refuse_method([m for m in ctx.settled.methods if m != "grad_cam"], method)  # which is for pictures
    if method == "exact_shap" and d > MOST_EXACT:
        raise AuditError(
            f"SHAP over all coalitions of {d} inputs would ask {1 << d:,} of them for every row",
            f"choose auto, leverage_shap or kernel_shap as the method, or put columns together until {MOST_EXACT} groups are left",
        )
    if method != AUTO or not budget or d > MOST_EXACT or {"tree_shap", "integrated_gradients"} & set(ctx.settled.methods):
        return method
    fits = budget // (background * (1 << d))
    return "exact_shap" if fits >= min(size, ENOUGH, ctx.facts.rows) else "leverage_shap"


def affordable(ctx: Context, size: int, background: int, budget: int, *, parts: int = 0, method: str = AUTO) -> int:
    """Rows that fit into `budget` model evaluations, fixed before anything is explained (forward and backward count as three)."""
    d = parts or max(1, len(ctx.facts.features))
    beside = runs_beside(ctx.settled.methods, method)
    if beside == "integrated_gradients":
        cost = round(3 * min(STARTS, background) * steps(ctx))
    elif beside is not None:
        cost = {"tree_shap": background, "deep_shap": 3 * background, "gradient_shap": 3 * DRAWS}.get(beside, 3)
    else:
        cost = background * (1 << d if d <= MOST_EXACT and method in (AUTO, "exact_shap") else wanted(d))
    return max(10, min(size, budget // cost))


def steps(ctx: Context) -> float:
    """Gradients that a path takes in this model, told by a few rows: nets differ by a factor of thirty."""
    frame, base = draw(ctx, TRIED, 1)
    if not rows(frame):
        return STEPS
    output = max(_outputs(ctx.settled))
    return ctx.client.attribute(frame, base, method="integrated_gradients", output=output).gradients or STEPS


def wanted(d: int) -> int:
    """Coalitions for a row of d parts, on average."""
    return max(COALITIONS * d, LEAST, 2 * first(d))


def _all_parts(values: Floats, moving: Bools) -> Floats:
    """(n, moving, k) as (n, d, k), 0 for what does not move."""
    whole = np.zeros((len(values), len(moving), values.shape[2]))
    whole[:, moving] = values
    whole[np.isnan(values).any(axis=(1, 2))] = np.nan  # a row without an answer has none for any part
    return whole


def _raw_column(ctx: Context, frame: Frame, output: int) -> int:
    """The event's place among the raw outputs: a model with one column has it there, whichever class it is."""
    one = ctx.client.predict(take(frame, slice(0, 1))).values.shape[1] == 1
    return 1 if one else output


def _in_unit(ctx: Context, raw: Floats, output: int, unit: str) -> Floats:
    """One output (n,) of raw answers in the unit that was explained."""
    if unit == "value":
        return np.asarray(raw[:, 0])
    column = np.asarray(raw[:, output] if raw.shape[1] > 1 else raw[:, 0])
    if unit == "logit" and ctx.settled.outputs == "logit":
        return column
    if unit in ("log-odds", "logit") and ctx.settled.outputs == "probability" and ctx.settled.task == "binary":
        inside = np.clip(column, 1e-15, 1 - 1e-15)
        return np.asarray(np.log(inside / (1 - inside)))
    if unit in ("log-odds", "logit") and ctx.settled.outputs == "probability":
        return np.asarray(np.log(np.clip(column, 1e-300, None)))
    return column
