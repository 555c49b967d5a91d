"""What every gate works on: some rows, their explanation, and the game that the explanation is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from audit.explain.parts import Columns, Parts, game
from audit.subject.frame import rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.explain.attribute import Explainer
    from audit.explain.explained import Explained, Method
    from audit.explain.exposed import Exposed
    from audit.explain.parts import Game
    from audit.subject.frame import Frame

    Floats = NDArray[np.float64]


class Explains(Protocol):
    """What a gate needs of an explainer; `audit.explain.attribute.Explainer` is one."""

    def explain(self, frame: Frame, *, stream: str = "") -> list[Explained]:
        """Attributions, one entry for each output."""
        ...

    def answer(self, frame: Frame) -> Floats:
        """The model's answers (n, k), asked for apart from any explanation."""
        ...


class PerRow(Protocol):
    """The attributions of each row, (d, k): an array (n, d, k), or a list where rows have not equally many parts."""

    def __getitem__(self, row: int, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...


class OnTrial(Protocol):
    """An explanation on trial, whatever its rows are made of."""

    @property
    def values(self) -> PerRow:
        """The attributions of each row, (d, k): of its parts, for each output; rows need not have equally many parts."""
        ...

    @property
    def method(self) -> Method:
        """The method as it was used."""
        ...

    @property
    def n(self) -> int:
        """Rows."""
        ...

    def play(self, row: int) -> Game:
        """The game whose players are the parts of one row."""
        ...


#: Methods that approximate what they should add up to; the others add up by their construction.
APPROXIMATE = frozenset({"integrated_gradients", "gradient_shap"})
#: Starts of their paths that are enough to see whether they do.
STARTS = 3
#: Methods that draw random numbers.
SAMPLED = frozenset({"kernel_shap", "leverage_shap", "gradient_shap"})

#: Rows and background rows that a gate has at least where it can.
FEWEST, FEWEST_COPIES = 20, 5


@dataclass(frozen=True)
class Trial:
    """An explanation on trial: of rows `frame`, as `found`, one entry for each output; `background` stands in for what is absent.

    `exposed` asks the same without making the mixed rows, where that can be.
    """

    explainer: Explains
    frame: Frame
    background: Frame
    found: list[Explained]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exposed: Exposed | None = None

    @cached_property
    def values(self) -> Floats:
        """Its attributions, (n, d, k)."""
        return stacked(self.found)

    @property
    def method(self) -> Method:
        """The method as it was used, which may be exact for inputs that hardly differ."""
        return self.found[0].method

    @property
    def n(self) -> int:
        """Rows."""
        return rows(self.frame)

    @cached_property
    def _parts(self) -> Parts:
        return Columns(self.frame, self.background, self.groups)

    def play(self, row: int) -> Game:
        """The game whose players are the parts of one row."""
        return game(self.explainer.answer, self._parts, row, self.exposed)


def begin(explainer: Explains, frame: Frame, background: Frame, groups: Mapping[str, Sequence[str]] | None = None) -> Trial:
    """Explains the rows and takes those that could be explained."""
    found = explainer.explain(frame)
    whole = np.all([np.isfinite(e.values).all(axis=1) for e in found], axis=0)
    kept = [e._replace(values=e.values[whole], base=e.base[whole], answer=e.answer[whole]) for e in found]
    return Trial(explainer, take(frame, whole), background, kept, groups or {})


def stacked(found: list[Explained]) -> Floats:
    """Attributions of all outputs, (n, d, k)."""
    return np.stack([e.values for e in found], axis=2)


def trial(ctx: Context, *, rows: int, background: int, budget: int, explanations: int = 1, masks: int = 0) -> tuple[Trial, Explainer]:
    """A trial of the method that `explanation.global` uses, on as many rows as the budget of model evaluations allows, fixed beforehand.

    A row costs `explanations` explanations and `masks` copies of the background, which is halved rather than to have very few rows.
    """
    from audit.explain.attribute import affordable, draw, explainer, settled_method
    from audit.explain.groups import grouped
    from audit.plan import parameters
    from audit.registry import checks

    shown = parameters(ctx.plan, checks()["explanation.global"])
    together = grouped(ctx, shown["groups"], shown["correlated"])
    chosen = settled_method(ctx, shown["rows"], shown["background"], shown["budget"], parts=len(together), method=shown["method"])
    share = max(1, budget // (2 if masks else 1))

    def fits(copies: int) -> int:
        each = affordable(ctx, rows, copies, share // max(1, explanations), parts=len(together), method=chosen)
        return min(each, max(10, share // (masks * copies))) if masks else each

    while background >= 2 * FEWEST_COPIES and fits(background) < min(rows, FEWEST):
        background //= 2
    frame, base = draw(ctx, fits(background), background)
    method = explainer(ctx, base, groups=together, method=chosen)
    return replace(begin(method, frame, method.background, together), exposed=method.exposed), method
