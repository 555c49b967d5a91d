"""What is declared of single columns: what a person can change of them and how, what they are called, and what may be no reason for a decision.

`[columns.NAME]` of a plan, over what training logged with the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from audit.errors import AuditError

Lang = Literal["en", "zh"]
Words = str | dict[Lang, str]


class ColumnRule(BaseModel):
    """[columns.NAME]: nothing declared means that a person can change the value to any that occurs, and that it is called by its name.

    `monotone` is the only direction in which the value can change; `range` its two ends; columns of one `one_hot` group are the values of one
    fact, of which exactly one is 1. `ratio` names the two columns of which this one is the first over the second, in whatever unit: it is never
    changed by itself and moves when they do. `at_least` names the column below which it never falls. `label` is the column in words, `values` its values in words; either is a text or one for each language.
    `prohibited` marks what may be no reason (a prohibited basis or a stand-in for one); "age" follows 12 CFR 1002.6(b)(2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    immutable: bool = False
    monotone: Literal["increasing", "decreasing", "none"] = "none"
    range: list[float] | None = None
    integer: bool = False
    one_hot: str | None = None
    ratio: list[str] | None = None
    at_least: str | None = None
    label: Words | None = None
    values: dict[str, Words] = {}
    prohibited: bool | Literal["age"] | None = None

    @field_validator("range")
    @classmethod
    def _two_ends(cls, ends: list[float] | None) -> list[float] | None:
        if ends is not None and len(ends) != 2:
            raise ValueError(f"a range has two ends, got {len(ends)}")
        if ends is not None and ends[0] > ends[1]:
            raise ValueError(f"the range is upside down: {ends[0]:g} is above {ends[1]:g}")
        return ends

    @field_validator("ratio")
    @classmethod
    def _two_columns(cls, of: list[str] | None) -> list[str] | None:
        if of is not None and (len(of) != 2 or of[0] == of[1]):
            raise ValueError("a ratio is of two different columns, the first over the second")
        return of

    @model_validator(mode="after")
    def _consistent(self) -> ColumnRule:
        if self.immutable and self.monotone != "none":
            raise ValueError(f"immutable and monotone = {self.monotone!r} contradict each other")
        if self.one_hot is not None and (self.monotone != "none" or self.range is not None):
            raise ValueError("a column of a one_hot group is 0 or 1 and has neither monotone nor range")
        if self.ratio is not None and (self.immutable or self.monotone != "none" or self.range is not None or self.one_hot is not None):
            raise ValueError("a ratio moves with its two columns and has no limits of its own")
        return self

    @model_serializer(mode="wrap")
    def _said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what was said: a default that is written out would overrule what training logged."""
        written: dict[str, Any] = dump(self)
        return {key: value for key, value in written.items() if key in self.model_fields_set}

    def called(self, name: str, lang: str) -> str:
        """The column in words; its name where nobody gave it any."""
        return _in(self.label, lang) or name

    def value(self, text: str, lang: str) -> str:
        """One value of it in words."""
        return _in(self.values.get(text), lang) or text


def _in(words: Words | None, lang: str) -> str | None:
    """Words in a language, else in English, else in any."""
    if words is None or isinstance(words, str):
        return words
    return next((text for key, text in ((k, words.get(k)) for k in (lang, "en", "zh")) if text), None)  # type: ignore[call-overload]


def overlaid(logged: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What training logged with what the plan says laid over it, key by key; only what was said, so that nothing overrules by its default."""
    return {name: {**logged.get(name, {}), **given.get(name, {})} for name in dict.fromkeys([*logged, *given])}


def rules(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, ColumnRule]:
    """The declared columns; AuditError where the two sources contradict each other, or training logged what is no rule."""
    found = {}
    for name, said in declared.items():
        try:
            found[name] = ColumnRule.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["columns", name, *map(str, first["loc"])])
            raise AuditError(f"{where} is not valid: {first['msg']}", "correct [columns] in the plan") from None
    return found


def refuse(
    declared: Mapping[str, Mapping[str, Any]],
    sensitive: Collection[str],
    given: Collection[str],
    columns: Sequence[str],
    kinds: Mapping[str, str],
) -> None:
    """AuditError where a column that the plan has `given` is not there, or a declared one is not what the declaration needs it to be.

    `kinds` are those of the model's inputs. What training logged of columns that these data lack is of no use here, and no mistake.
    """
    groups: dict[str, list[str]] = {}
    for name, rule in rules(declared).items():
        if name not in columns:
            if name not in given:
                continue
            raise AuditError(f"[columns.{name}] names no column of the data", f"its columns are {', '.join(columns[:40])}")
        for key in ("monotone", "range", "integer", "one_hot", "ratio", "at_least"):
            if getattr(rule, key) not in (None, False, "none") and kinds.get(name, "number") != "number":
                raise AuditError(
                    f"[columns.{name}] says {key}, and the column holds no numbers but is of kind {kinds[name]}",
                    f"leave {key} out, or say immutable = true",
                )
        if rule.prohibited is False and name in sensitive:
            raise AuditError(
                f"[columns.{name}] says prohibited = false, and {name!r} is a sensitive column",
                "take it out of --sensitive, or leave prohibited out",
            )
        _refuse_relations(name, rule, declared, kinds)
        if rule.one_hot is not None:
            groups.setdefault(rule.one_hot, []).append(name)
    for group, members in groups.items():
        if len(members) < 2:
            raise AuditError(
                f"the one_hot group {group!r} has the column {members[0]!r} only", "name all its columns, or leave one_hot out"
            )
        for name in members:
            if name not in kinds:
                raise AuditError(f"[columns.{name}] is in the one_hot group {group!r} and is no input of the model", "leave it out")


def _refuse_relations(name: str, rule: ColumnRule, declared: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, str]) -> None:
    """AuditError where a column that this one moves with, or is held against, is no input of numbers, or moves with others itself."""
    for other in [*(rule.ratio or ()), *([rule.at_least] if rule.at_least else ())]:
        if kinds.get(other) != "number" or other == name:
            raise AuditError(
                f"[columns.{name}] names {other!r}, which is no other input that holds numbers", "correct [columns] in the plan"
            )
        if rule.ratio and "ratio" in declared.get(other, {}):
            raise AuditError(f"[columns.{name}] is a ratio of {other!r}, which is a ratio itself", "name the columns that both derive from")
