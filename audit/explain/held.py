"""What every question about single rows is held against: the sampled applicants, who decides, who just got the decision. Found once for all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from audit import columns
from audit.context import Context
from audit.explain.attribute import draw
from audit.explain.decisions import Decider, Everybody, decider
from audit.explain.descent import descent
from audit.explain.given import brightness
from audit.explain.kept import MAKER, as_maker
from audit.explain.of_pieces import Way, by_fields, chosen
from audit.explain.offered import Offered, offered
from audit.explain.proxies import flagged
from audit.explain.reasons import Band, band
from audit.explain.recourse import Search
from audit.explain.space import space_of
from audit.measurement import Message
from audit.plan import parameters
from audit.registry import SINGLE, checks
from audit.rows import training_rows
from audit.subject.frame import Categories, Frame, label_text
from audit.text import message

#: Rows of the training data that a row's values are held against.
SEEN = 20_000
NOT_DECLARED = "Nobody declared which decision is favourable: name it with --favourable."


class Usual(NamedTuple):
    """Between which values half of the applicants lie, or the most frequent value; None where it is not that kind of input."""

    low: float | None = None
    high: float | None = None
    most: str | None = None


class Held:
    """One model and its applicants, ready for questions about any row."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.singles = [f for f in ctx.facts.features if f.kind in SINGLE]
        found = decider(ctx) if ctx.settled.favourable else message(NOT_DECLARED)
        self.judge: Decider | None = found if isinstance(found, Decider) else None
        self.why: Message | None = found if isinstance(found, Message) else None
        self.rules = columns.rules(ctx.facts.roles.columns)
        self.params = parameters(ctx.plan, checks()["explanation.reasons"])

    def prepare(self) -> None:
        """Find now what questions will need, so that the first one is answered as fast as any other."""
        _ = self.usual, self.known
        if not self.table:
            _ = self.ways, self.brightest
        elif self.judge is not None:
            _ = self.passing, self.stand_ins

    @property
    def table(self) -> bool:
        """Whether every input is one value a row."""
        return len(self.singles) == len(self.ctx.facts.features)

    @cached_property
    def frame(self) -> Frame:
        """The sampled applicants."""
        return self.ctx.sample(self.ctx.plan.audit.sample).frame

    @cached_property
    def known(self) -> Frame:
        """Rows that a row is held against: those of training, where they are known."""
        return self.frame if self.ctx.facts.training is None else training_rows(self.ctx, SEEN).frame

    @cached_property
    def usual(self) -> dict[str, Usual]:
        """What is usual of each input."""
        return {f.name: self._usual(f.name, self.frame[f.name]) for f in self.singles}

    @property
    def offered(self) -> dict[str, Offered]:
        """What somebody who types in values is offered for each input."""
        least = self.ctx.plan.disclosure.min_group_size
        return {f.name: offered(f, self.frame[f.name], least) for f in self.ctx.facts.features}

    def _usual(self, name: str, column: Any) -> Usual:
        if isinstance(column, Categories):
            counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.vocabulary) or 1)
            return Usual(most=column.vocabulary[int(counts.argmax())] if column.vocabulary else None)
        known = np.asarray(column, dtype=np.float64) if column.dtype.kind in "iufb" else np.zeros(0)
        known = known[np.isfinite(known)]
        if not len(known):
            return Usual()
        if name in self.rules and self.rules[name].values:  # numbers that stand for words
            values, counts = np.unique(known, return_counts=True)
            return Usual(most=label_text(values[counts.argmax()]))
        low, high = np.quantile(known, (0.25, 0.75), method="inverted_cdf")
        return Usual(float(low), float(high))

    # --- of inputs that are more than one value ---------------------------------------------------------------------------------------

    @cached_property
    def brightest(self) -> dict[str, float | None]:
        """What white is in the pictures of each input."""
        return {f.name: brightness(np.asarray(self.frame[f.name])) for f in self.ctx.facts.features if f.kind == "image"}

    @cached_property
    def ways(self) -> list[tuple[Way, Message | None]]:
        """The method that `explanation.global` shows, beside the same background rows, and why another stands in; of sequences also by field."""
        params = parameters(self.ctx.plan, checks()[MAKER])
        ctx = as_maker(self.ctx)
        background = draw(ctx, params["rows"], params["background"])[1]
        return [chosen(ctx, background, by_field=by_field, method=params["method"]) for by_field in by_fields(ctx)]

    # --- with a decision that a person wants --------------------------------------------------------------------------------------------

    @property
    def everybody(self) -> Everybody:
        """The sampled applicants with a usable answer, and how they are decided."""
        assert self.judge is not None, "asked only where a decision is wanted"
        return self.judge.everybody

    @cached_property
    def passing(self) -> Band | None:
        """Those who just got the decision; None where nobody did."""
        assert self.judge is not None, "asked only where a decision is wanted"
        return band(self.everybody.frame, self.everybody.decided, self.judge.cutoff)

    @cached_property
    def stand_ins(self) -> list[str]:
        """Inputs that go so strongly with a sensitive column that they may stand for it."""
        return [p.name for p in flagged(self.ctx, self.everybody.frame, self.everybody.groups, self.params["proxy"])]

    def search(self, own: Frame, rules: Mapping[str, columns.ColumnRule] | None = None) -> Search:
        """A search for ways of this row to the decision, by the declared limits or by others."""
        assert self.judge is not None, "asked only where a decision is wanted"
        judge, (frame, _, decided) = self.judge, self.everybody
        space = space_of(frame, self.rules if rules is None else rules, self.ctx.facts.roles.sensitive, own)
        return Search(
            space,
            lambda matrix: judge(space.coding.frame(matrix)).asked,
            space.reference[decided.favourable],
            descent=descent(judge, space),
        )
