"""What the gates ask of an explanation, whatever its rows are made of: a table's columns, or words, regions, events and stretches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from audit.explain.gates import controls, measured
from audit.explain.gates.randomised import randomised
from audit.explain.gates.second import affordable, second
from audit.explain.gates.trial import OnTrial, PerRow, Trial, stacked, trial
from audit.measurement import Message
from audit.subject.frame import take
from audit.text import message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.attribute import Explainer
    from audit.explain.explained import Method
    from audit.explain.gates.measured import Near
    from audit.explain.parts import Game
    from audit.measurement import Measurement, Slice

    Floats = NDArray[np.float64]

#: Background rows of the explanation that is shown, where the plan names no other number.
SHOWN = 50
#: Rows among which those with enough parts are looked for, for each that is wanted.
LOOKED_THROUGH = 10


class Bench(OnTrial, Protocol):
    """An explanation on trial, and what can be done with it; attributions are (d, k) for each row."""

    @property
    def slice(self) -> Slice:
        """How its findings name it."""
        ...

    @property
    def division(self) -> str | None:
        """How rows were divided where there are two ways; else None."""
        ...

    @property
    def beside(self) -> bool:
        """Whether the method runs where the model is."""
        ...

    @property
    def explanations(self) -> int:
        """How many explanations of all rows the budget allows, the first included."""
        ...

    def gaps(self) -> Floats:
        """The relative miss of completeness per row, (n,)."""
        ...

    def gradient(self) -> dict[str, PerRow]:
        """The gradient times the input under its name; nothing for models without one."""
        ...

    def again(self, run: int) -> PerRow:
        """The same rows with other random numbers."""
        ...

    def randomised(self, seed: int) -> PerRow:
        """The same rows over a model that learned nothing."""
        ...

    def near(self, neighbours: int, radius: float, rng: np.random.Generator) -> Near | None:
        """How far attributions move over neighbours of each row; None where no input holds numbers that could move."""
        ...

    def other(self, budget: int) -> PerRow | None:
        """Another method's attributions of the first rows; None where there is none to set beside."""
        ...


@dataclass(frozen=True)
class TableBench:
    """Rows of a table."""

    ctx: Context
    trial: Trial
    explainer: Explainer
    explanations: int = 1

    @property
    def slice(self) -> Slice:
        """As `Bench` says."""
        return {"(method)": f"({self.trial.method})"}

    @property
    def division(self) -> None:
        """As `Bench` says."""
        return None

    @property
    def beside(self) -> bool:
        """As `Bench` says."""
        return self.explainer.beside

    @property
    def method(self) -> Method:
        """As `Bench` says."""
        return self.trial.method

    @property
    def n(self) -> int:
        """As `Bench` says."""
        return self.trial.n

    @property
    def values(self) -> Floats:
        """As `Bench` says; (n, d, k)."""
        return self.trial.values

    def play(self, row: int) -> Game:
        """As `Bench` says."""
        return self.trial.play(row)

    def gaps(self) -> Floats:
        """As `Bench` says."""
        return measured.completeness(self.trial)

    def gradient(self) -> dict[str, PerRow]:
        """As `Bench` says."""
        return dict(controls.gradient(self.explainer, self.trial))

    def again(self, run: int) -> Floats:
        """As `Bench` says."""
        return stacked(self.explainer.explain(self.trial.frame, stream=f"/seed {run}"))

    def randomised(self, seed: int) -> Floats:
        """As `Bench` says."""
        return stacked(randomised(self.explainer, seed)(self.trial.frame))

    def near(self, neighbours: int, radius: float, rng: np.random.Generator) -> Near | None:
        """As `Bench` says."""
        ctx = self.ctx
        spread = measured.spreads(ctx.sample(ctx.plan.audit.sample).frame)
        decide = None if ctx.settled.task == "regression" else lambda frame: ctx.interpreted(frame)[0]
        return measured.near(self.trial, neighbours, radius, spread, decide, rng) if spread else None

    def other(self, budget: int) -> Floats | None:
        """As `Bench` says."""
        if (way := second(self.explainer)) is None:
            return None
        return stacked(way.explain(take(self.trial.frame, slice(0, affordable(self.explainer, self.values.shape[1], budget)))))


def benches(
    ctx: Context,
    *,
    rows: int,
    background: int,
    budget: int,
    budget_not_table: int,
    explanations: int = 1,
    least: int = 1,
    parts: int = 1,
    masks: Callable[[int], int] = lambda d: 0,
) -> Iterator[Bench]:
    """The explanations that `explanation.global` shows, on trial, on as many rows as the budget allows, fixed beforehand: one of a table, two of
    sequences, by event and by field, which share the budget.

    A row takes `explanations` explanations, not fewer than `least`, and answers to `masks(d)` masks of its d parts; rows of `parts` parts or more are
    preferred.
    """
    from audit.explain.attribute import AUTO, draw
    from audit.explain.gates.pieces import bench
    from audit.explain.of_pieces import by_fields, chosen, is_table
    from audit.registry import SINGLE

    if is_table(ctx):
        made = trial(ctx, rows=rows, background=background, budget=budget, explanations=explanations, masks=masks(len(ctx.facts.features)))
        yield TableBench(ctx, *made, explanations)
        return
    shown = ctx.plan.checks["explanation.global"].params if "explanation.global" in ctx.plan.checks else {}
    if not any(
        spec.kind in SINGLE for spec in ctx.facts.features
    ):  # what stands in for a part is no background row, so that more of them cost nothing
        background = max(background, int(shown.get("background", SHOWN)))
    frame, base = draw(ctx, LOOKED_THROUGH * rows, background)
    for by_field in (ways := by_fields(ctx)):
        way, _ = chosen(ctx, base, by_field=by_field, method=str(shown.get("method", AUTO)))
        yield bench(
            way, frame, size=rows, budget=budget_not_table // len(ways), explanations=explanations, least=least, parts_of=parts, masks=masks
        )


def together(told: Iterable[Measurement | Message]) -> Iterator[Measurement | Message]:
    """Measurements as they come, and last their sentences as one."""
    said: Message | None = None
    for one in told:
        if isinstance(one, Message):
            said = one if said is None else message("{first} {rest}", first=said, rest=one)
        else:
            yield one
    if said is not None:
        yield said
