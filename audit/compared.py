"""The comparison of two audits as a record: what `audit.compare --json` prints, and what pages are drawn from.

Like `audit.result`, this module needs neither the models, nor the data, nor their libraries. A change is always new minus old.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audit.measurement import Compare, Estimate, Frozen, Message, Real, Slice, Test
from audit.result import AuditVerdict

Outcome = Literal["better", "worse", "changed", "undecided"]
State = Literal["new", "persisting", "resolved", "not_retested"]
Held = Literal["non_inferior", "worse", "open", "not_assessed"]


class Side(Frozen):
    """One of the two audits, as far as a reader must know which it is."""

    audit: str
    model: str
    version: str | None
    model_sha256: str | None
    data_sha256: str
    rows: int
    started: str
    verdict: AuditVerdict
    digest: str


class Change(Frozen):
    """A metric in both audits. `change` is new − old with its two-sided interval; None where it could not be bounded, and `reason` says why.

    `outcome` is "better" or "worse" where a change is established (the test's adjusted p at most the comparison's `q`), "changed" where it is
    established and the metric has no better side, and "undecided" where these rows establish none, which is no proof of equality.
    """

    metric: str
    compare: Compare = "value"
    slice: Slice = Field(default_factory=dict)
    against: Slice | None = None
    old: Real | None
    new: Real | None
    change: Estimate | None = None
    test: Test | None = None
    outcome: Outcome = "undecided"
    reason: str | None = None
    reason_msg: Message | None = None


class FindingChange(Frozen):
    """A deciding or warning finding that fails in one of the audits, by its stable key; estimate and sentence are the new audit's where it has it."""

    key: str
    check: str
    metric: str
    compare: Compare
    slice: Slice
    against: Slice | None
    role: str
    severity: str
    state: State
    old: str | None
    new: str | None
    estimate: Estimate | None = None
    sentence: str | None = None
    sentence_msg: Message | None = None


class QuestionChange(Frozen):
    """A deciding question and its answers; None where an audit did not ask it."""

    id: str
    title: str
    title_msg: Message | None = None
    old: str | None
    new: str | None


class Requirement(Frozen):
    """One thing that must not be worse by more than `margin`.

    `kind` "level": the metric itself, `change` is new − old, worse below −margin. `kind` "gap": the distance between a group's rate and the
    reference's, `change` is how much it grew, worse above +margin. Both sides of `change` hold one-sided at 95 %.
    """

    metric: str
    kind: Literal["level", "gap"]
    slice: Slice = Field(default_factory=dict)
    against: Slice | None = None
    margin: Real
    n: int
    change: Estimate | None = None
    result: Held
    reason: str | None = None
    reason_msg: Message | None = None


class Gate(Frozen):
    """Is the new model nowhere worse than the margins? "pass", "worse" (shown somewhere), or "open" (these rows cannot tell)."""

    result: Literal["pass", "worse", "open"]
    margin: Real
    group_margin: Real
    min_rows: int
    requirements: list[Requirement]


class Comparison(Frozen):
    """Two audits compared: `opening` is the first line, which says whether the same rows were paired."""

    schema_version: Literal[1] = 1
    paired: bool
    opening: str
    opening_msg: Message
    notes: list[str]
    notes_msg: list[Message]
    old: Side
    new: Side
    questions: list[QuestionChange]
    findings: list[FindingChange]
    changes: list[Change]
    q: Real
    tests_in_family: int
    gate: Gate
