"""`explanation.json`: one decision about one person, why it fell and what would change it. Everything that is shown is drawn from here.

A leaf like `audit.result`: a reader needs neither model nor data. Texts are messages, which `audit.text` renders; columns are named by their names, and
`glossary` has their words in each language.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from audit.columns import ColumnRule
from audit.result import Frozen, Message, Real

Value = str | Real | bool | None


class Subject(Frozen):
    """Whose decision, by which model, from which row; `inputs_sha256` is that of the inputs as they were asked about."""

    model: str
    name: str | None
    version: str | None
    model_sha256: str | None
    data: str
    data_sha256: str
    row: Annotated[int, Field(ge=0)] | None
    changed: tuple[str, ...] = ()
    inputs_sha256: str


class Input(Frozen):
    """One input as the model got it; `typical` is the middle half of the data (numbers) or the commonest value (categories)."""

    column: str
    value: Value
    kind: Literal["number", "category", "datetime"]
    low: Real | None = None
    high: Real | None = None
    most: str | None = None


class Decision(Frozen):
    """What was decided: the class, or the value of a regression; `score` is that of the favourable decision where one is declared."""

    label: str
    favourable: bool | None
    wanted: str | None
    score: Real | None
    cutoff: Real | None
    rule: str
    declared: bool


class Part(Frozen):
    """What one factor adds to the answer, with its interval."""

    factor: str
    value: Real
    low: Real
    high: Real


class Gate(Frozen):
    """A test that the explanation had to pass: `value` against `limit`."""

    name: Literal["completeness", "stability", "deletion"]
    value: Real
    limit: Real
    passed: bool


class Explanation(Frozen):
    """How the answer comes about: base + Σ parts = answer, in `unit`, against `background` applicants by `method`; towards `output`."""

    method: str
    unit: str
    output: str
    background: int
    base: Real
    answer: Real
    parts: list[Part]
    gates: list[Gate]

    @property
    def rejected(self) -> bool:
        """Whether it failed a test, and so carries nothing."""
        return not all(gate.passed for gate in self.gates)


class Reason(Frozen):
    """A principal reason: the shortfall with its interval, and whether it is told from the next factor, named or not.

    Of the applicants compared with: `mean` is the average of a number, `same` the share that has the very same value.
    """

    factor: str
    shortfall: Real
    low: Real
    high: Real
    margin: Real | None
    tied: bool
    barred: bool = False
    mean: Real | None = None
    same: Real | None = None


class Method(Frozen):
    """The reasons by one method of comment 9(b)(2)-5; of the applicants compared with: how many, and the scores between which they lie."""

    against: Literal["passing", "everybody"]
    applicants: int
    score_low: Real | None
    score_high: Real | None
    reasons: list[Reason]


class Reasons(Frozen):
    """`state`: given; blocked (a prohibited basis among them: no notice may be issued); rejected (the explanation failed its tests);
    not_needed (the decision is favourable); none (no factor falls short); impossible (`why`)."""

    state: Literal["given", "blocked", "rejected", "not_needed", "none", "impossible"]
    why: Message | None = None
    methods: tuple[Method, ...] = ()
    agreement: Real | None = None
    open: bool = False

    @property
    def named(self) -> list[Reason]:
        """The reasons to hand over: those of the first method."""
        return self.methods[0].reasons if self.state == "given" and self.methods else []


class Change(Frozen):
    """One input from one value to another; `along`: not changed by itself, but because it derives from what is."""

    column: str
    before: Value
    after: Value
    along: bool = False


class Way(Frozen):
    """Changes that together give the favourable decision; `cost` in percentile ranges; `distance` as a percentile of people with the decision."""

    changes: list[Change]
    cost: Real
    score: Real | None
    distance: Real
    plausible: bool


class Recourse(Frozen):
    """`state`: found, none, not_needed, impossible (`why`). `binding` are declared limits each of which alone, lifted, would open a way."""

    state: Literal["found", "none", "not_needed", "impossible"]
    why: Message | None = None
    ways: tuple[Way, ...] = ()
    fixed: tuple[str, ...] = ()
    binding: tuple[str, ...] = ()
    unlimited: bool | None = None
    asked: int = 0


class Document(Frozen):
    """One decision. `attested` is False until a named person has looked at it: until then every rendering is a draft."""

    schema_version: Literal[1] = 1
    kind: Literal["explanation"] = "explanation"
    id: str
    made: str
    valid_until: str
    seed: int
    subject: Subject
    decision: Decision
    inputs: list[Input]
    notes: list[Message]
    explanation: Explanation | None
    explanation_why: Message | None = None
    reasons: Reasons | None = None
    recourse: Recourse | None = None
    target: str | None
    glossary: dict[str, ColumnRule]
    context: dict[str, str]
    attested: bool = False
