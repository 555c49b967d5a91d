"""`explanation.json`: one decision about one person, why it fell and what would change it. Everything that is shown is drawn from here.

A leaf like `audit.result`: a reader needs neither model nor data. Texts are messages, which `audit.text` renders; columns are named by their names, and
`glossary` has their words in each language.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from audit.columns import ColumnRule
from audit.measurement import Frozen, Message, Real

Value = str | Real | bool | None
#: Parts of an input that is more than one value: a word, a region of a picture, a stretch of a recording, an event or a field of a sequence.
Kind = Literal["word", "region", "stretch", "event", "field"]


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
    """One input as the model got it; `low` to `high` is the middle half of the data (numbers), `most` the commonest value (categories).

    The value of a picture is a PNG of it in base64, that of a sequence its events, that of a recording its length in words.
    """

    column: str
    value: Value | list[dict[str, Value]]
    kind: Literal["number", "category", "datetime", "text", "image", "sequence", "audio"]
    low: Real | None = None
    high: Real | None = None
    most: str | None = None


class Decision(Frozen):
    """What was decided: the class, or the value of a regression; `score` is that of the favourable decision where one is declared, else that of `label`."""

    label: str
    favourable: bool | None
    wanted: str | None
    score: Real | None
    cutoff: Real | None
    rule: str
    declared: bool


class Place(Frozen):
    """A factor of a table; or a part of the input `column`, at its `place` there: the words of a text in the order of their places are the text, regions
    count from the top left by row, events and fields as they are written."""

    factor: str
    column: str | None = None
    kind: Kind | None = None
    place: int = 0


class Part(Place):
    """What one factor adds to the answer, with its interval."""

    value: Real
    low: Real
    high: Real


class Gate(Frozen):
    """A test that the explanation had to pass: `value` against `limit`."""

    name: Literal["completeness", "stability", "deletion", "infidelity", "randomisation"]
    value: Real
    limit: Real
    passed: bool


class Explanation(Frozen):
    """How the answer comes about: base + Σ parts = answer, in `unit`, against `background` applicants by `method`; towards `output`.

    Of inputs that are more than one value: `start` is what stands in for a part that is switched off, `grids` are rows and columns of regions by picture,
    and `instead` says why another method stands in.
    """

    method: str
    unit: str
    output: str
    background: int
    base: Real
    answer: Real
    parts: list[Part]
    gates: list[Gate]
    start: Message | None = None
    grids: dict[str, tuple[int, int]] = Field(default_factory=dict)
    instead: Message | None = None

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


class Removal(Frozen):
    """The fewest parts found whose removal changes the decision; the model was asked again about the row without them.

    `state`: found, none, impossible (`why`). None of `parts` can be put back; `proven`: every smaller set was tried. `after` are the inputs that change, as
    they are then, and `decision` what the model makes of them; `of` counts all parts, `asked` the rows that the search asked about.
    """

    state: Literal["found", "none", "impossible"]
    why: Message | None = None
    parts: tuple[Place, ...] = ()
    decision: Decision | None = None
    after: tuple[Input, ...] = ()
    start: Message | None = None
    proven: bool = False
    of: int = 0
    asked: int = 0


class Document(Frozen):
    """One decision. `attested` is False until a named person has looked at it: until then every rendering is a draft.

    Where an input is more than one value: `also` divides the same answer otherwise (a sequence by its fields), and `removal` stands in the place of `recourse`.
    """

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
    also: tuple[Explanation, ...] = ()
    reasons: Reasons | None = None
    recourse: Recourse | None = None
    removal: Removal | None = None
    target: str | None
    glossary: dict[str, ColumnRule]
    context: dict[str, str]
    attested: bool = False
