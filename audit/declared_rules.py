"""Rules that the plan declares of the model's answers, such as "a higher income never lowers approval": `[rules.NAME]`.

A rule says what is changed of a column, all else held, and what must not follow. One column is changed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from audit.errors import AuditError

Change = Literal["increase", "decrease", "any"]
Never = Literal["lowers", "raises", "changes"]


class DeclaredRule(BaseModel):
    """[rules.NAME]: changing `column` by `change` never `lowers`, `raises` or `changes` what the model says.

    `by` are the least and the most of an increase or decrease, in the column's unit; without it the value becomes a larger (smaller) one that some
    row has. `to` are values that the column is set to; without it, with change "any", to that of another row. `of` says what must not move: the
    favourable decision, or the score (of a quantity the value), where a move of up to `tolerance` does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    column: str
    never: Never
    change: Change = "any"
    by: list[float] | None = None
    to: list[str | float] | None = Field(default=None, min_length=1)
    of: Literal["decision", "score"] = "decision"
    tolerance: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> DeclaredRule:
        if self.by is not None and (len(self.by) != 2 or not 0 < self.by[0] <= self.by[1]):
            raise ValueError(f"by is the least and the most of the change, both above 0, got {self.by}")
        if self.by is not None and self.change == "any":
            raise ValueError("by goes with change = 'increase' or 'decrease'")
        if self.to is not None and self.change != "any":
            raise ValueError("to names values, and change = 'increase' or 'decrease' finds its own: leave one of them out")
        if self.change == "any" and self.to is None and self.never != "changes":
            raise ValueError(
                f"any change that never {self.never} can be undone by another: say change = 'increase' or 'decrease', or never = 'changes'"
            )
        if self.tolerance and self.of == "decision":
            raise ValueError("tolerance goes with of = 'score'")
        return self


def parsed(rules: Mapping[str, Mapping[str, Any]]) -> dict[str, DeclaredRule]:
    """The rules as the plan was read."""
    return {name: DeclaredRule.model_validate(rule) for name, rule in rules.items()}


def contradictions(rules: Mapping[str, DeclaredRule]) -> None:
    """AuditError where two rules together say that nothing may change, while each says less."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, rule in rules.items():
        if rule.change == "any" or rule.never == "changes":
            continue
        rising = (rule.change == "increase") == (rule.never == "lowers")  # whether what is said may only rise with the column
        other = seen.get((rule.column, rule.of, "falling" if rising else "rising"))
        if other is not None:
            raise AuditError(
                f"the rules {other!r} and {name!r} contradict each other: together they let {rule.column!r} change nothing",
                "leave one out, or say never = 'changes'",
            )
        seen.setdefault((rule.column, rule.of, "rising" if rising else "falling"), name)


def refuse_rules(rules: Mapping[str, DeclaredRule], facts: Mapping[str, Any]) -> None:
    """AuditError where a rule is about a column that the model does not take, or that cannot be changed so; `facts` are `prepare.Facts` as JSON."""
    kinds = {f["name"]: f["kind"] for f in facts["features"]}
    if not kinds:
        return  # recorded predictions: no model can be asked, and the check says so
    declared = facts["roles"]["columns"]
    for name, rule in rules.items():
        if rule.column not in kinds:
            what = "which is no input of the model" if rule.column in facts["columns"] else "which is no column of the data"
            raise AuditError(f"the rule {name!r} is about {rule.column!r}, {what}", f"its inputs are {', '.join(list(kinds)[:40])}")
        kind, said = kinds[rule.column], declared.get(rule.column, {})
        numbers = [v for v in rule.to or [] if not isinstance(v, str)]
        if kind not in ("number", "category") or (kind == "category" and (rule.change != "any" or numbers)):
            raise AuditError(
                f"the rule {name!r} changes {rule.column!r} as a number, and it is of kind {kind}",
                "say change = 'any', with to = [texts] or without",
            )
        if kind == "number" and rule.to is not None and len(numbers) < len(rule.to):
            raise AuditError(f"the rule {name!r} sets {rule.column!r} to texts, and it holds numbers", "give numbers in to")
        if said.get("one_hot") is not None:
            raise AuditError(
                f"the rule {name!r} changes {rule.column!r} alone, and it is one of the one-hot group {said['one_hot']!r}",
                "name a column that can change by itself",
            )
        if rule.by and (ends := said.get("range")) and rule.by[0] > ends[1] - ends[0]:
            raise AuditError(
                f"the rule {name!r} changes {rule.column!r} by at least {rule.by[0]:g}, and its range is {ends[0]:g} to {ends[1]:g}",
                "make by smaller, or correct the range in [columns]",
            )
