"""The plan: which checks run, with what parameters, and what their findings are held against.

A plan file is TOML laid over the built-in plan (`plans/default.toml`); an unknown key, check, parameter or value is refused before anything
is loaded. The resolved plan, with every default written out, stands in the document.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.columns import ColumnRule
from audit.declared_rules import DeclaredRule, contradictions
from audit.errors import AuditError
from audit.measurement import Compare
from audit.named_slices import MOST, Rows, cohorts
from audit.registry import FAMILIES, Check, checks
from audit.result import Basis, Role, Rule, Severity
from audit.roles import check_context

Share = Annotated[float, Field(gt=0, lt=1)]


def _ordered(low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"min {low} is above max {high}")


class Section(BaseModel):
    """Base of the plan's sections: frozen; unknown keys, NaN, infinity and texts for numbers refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Run(Section):
    """[audit]"""

    seed: Annotated[int, Field(ge=0, le=2**53)]
    level: Share
    sample: Annotated[int, Field(ge=1)]
    rows: bool


class Judge(Section):
    """[judge]: error rates (verdicts.md §4 and §5)."""

    alpha_fail: Share
    level_pass: Share
    adequacy: Share
    common_rate: Share
    unknown: Share


class Disclosure(Section):
    """[disclosure]: what may be printed."""

    edition: Literal["internal", "public"]
    min_group_size: Annotated[int, Field(ge=1)]


class Materiality(Section):
    """[materiality]: how large a difference matters, and who says so."""

    tier: Literal["low", "medium", "high"]
    chosen_by: str

    @property
    def rate(self) -> float:
        """Largest tolerated difference of rates."""
        return {"low": 0.15, "medium": 0.10, "high": 0.05}[self.tier]

    @property
    def ratio(self) -> float:
        """Smallest tolerated ratio of rates; its inverse is the largest."""
        return {"low": 0.75, "medium": 0.80, "high": 0.90}[self.tier]


class Decides(Section):
    """[decides.NAME]: a deciding question; `min`, `max` and `margin` replace the limits that the tier gives."""

    severity: Severity
    basis: Basis
    source: str
    min: float | None = None
    max: float | None = None
    margin: Annotated[float, Field(gt=0)] | None = None
    min_rows: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _limits(self) -> Decides:
        _ordered(self.min, self.max)
        return self


class Margins(Section):
    """[compare]: by how much a new version may be worse and still pass the gate of `audit.compare`."""

    margin: Share
    group_margin: Share
    min_rows: Annotated[int, Field(ge=1)]


class CriterionRule(Section):
    """[[checks."family.name".criteria]]: what the findings of this metric and comparison are held against."""

    metric: str
    compare: Compare = "value"
    min: float | None = None
    max: float | None = None
    soft: float | None = None
    rule: Rule | None = None
    role: Role = "warns"
    severity: Severity = "minor"
    basis: Basis = "policy"
    source: str = "this plan"

    @model_validator(mode="after")
    def _limits(self) -> CriterionRule:
        if self.role == "decides":
            raise ValueError("only the questions under [decides] decide; use role = 'warns'")
        if self.min is None and self.max is None:
            raise ValueError("a criterion needs min or max")
        _ordered(self.min, self.max)
        return self


class CheckPlan(Section):
    """[checks."family.name"]"""

    enabled: bool = True
    params: dict[str, Any] = {}
    criteria: list[CriterionRule] = []
    requires: list[str] = []


class Frameworks(Section):
    """[frameworks]: whose documents are made; none named: those that the declared context calls for."""

    ids: list[str] = []


class Plan(Section):
    """A whole plan file over the built-in one."""

    audit: Run
    judge: Judge
    disclosure: Disclosure
    materiality: Materiality
    decides: dict[str, Decides]
    compare: Margins
    reference: dict[str, str] = {}
    bins: dict[str, list[float]] = {}
    columns: dict[str, ColumnRule] = {}
    rules: dict[str, DeclaredRule] = {}
    slices: Annotated[dict[str, Annotated[Rows, Field(min_length=1)]], Field(max_length=MOST)] = {}
    frameworks: Frameworks = Frameworks()
    checks: dict[str, CheckPlan] = {}


DEFAULT = Path(__file__).parent / "plans" / "default.toml"


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file, or an `AuditError` that names it and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AuditError(f"cannot read the {what} {path}: {error}", "give a readable TOML file") from None


def read_context(path: Path) -> dict[str, Any]:
    """A context file, or an `AuditError` that names it."""
    context = read_toml(path, "context")
    check_context(context)
    return context


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _overlay(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
    return merged


def load(path: Path | None) -> Plan:
    """The built-in plan, with the file at `path` laid over it."""
    given = read_toml(path, "plan") if path else {}
    unknown = set(given.get("decides", {})) - set(tomllib.loads(DEFAULT.read_text())["decides"])
    if unknown:
        raise AuditError(
            f"the plan has unknown questions {sorted(unknown)} under [decides]", "see audit/plans/default.toml for the six there are"
        )
    try:
        plan = Plan.model_validate(_overlay(tomllib.loads(DEFAULT.read_text()), given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AuditError(
            f"the plan's key {where!r} is not valid: {first['msg']}", "see audit/plans/default.toml for the keys there are"
        ) from None
    for column, edges in plan.bins.items():
        if sorted(set(edges)) != edges:
            raise AuditError(f"the edges of [bins] {column} must rise, got {edges}", "give each edge once, smallest first")
    contradictions(plan.rules)
    cohorts(plan.slices)
    known = checks()
    for id_, check_plan in plan.checks.items():
        if id_ not in known:
            raise AuditError(f"the plan names an unknown check {id_!r}", "see python -m audit.run --list")
        parameters(plan, known[id_])
        if absent := sorted(set(check_plan.requires) - set(known)):
            raise AuditError(f"the plan's check {id_!r} requires the unknown check {absent[0]!r}", "see python -m audit.run --list")
        judged = [c.metric for c in check_plan.criteria if c.metric in known[id_].reported_only]
        if judged:
            raise AuditError(
                f"the plan has a criterion for {judged[0]}, which {id_} reports and which is never judged",
                "hold another metric against the limit (of extremes over groups, the group's own against the reference); the check's limits say why",
            )
    return plan


def select(names: str | None, *, option: str) -> set[str] | None:
    """Check ids from a comma-separated list of ids and families; None where nothing was given."""
    if names is None:
        return None
    known = checks()
    chosen: set[str] = set()
    for name in (part.strip() for part in names.split(",")):
        matching = {id_ for id_ in known if id_ == name or id_.split(".")[0] == name}
        if not matching and name not in FAMILIES:
            raise AuditError(f"{option} names {name!r}, which is no check and no family", "see python -m audit.run --list")
        chosen |= matching
    return chosen


def asked(plan: Plan, only: set[str] | None, skip: set[str] | None) -> dict[str, bool]:
    """Every registered check and whether this audit asks for it."""
    return {
        id_: (only is None or id_ in only) and id_ not in (skip or set()) and plan.checks.get(id_, CheckPlan()).enabled for id_ in checks()
    }


def parameters(plan: Plan, check: Check) -> dict[str, Any]:
    """The parameters of a check as this plan sets them, defaults written out; the declared rules are a parameter of the check that is about them."""
    params = plan.checks.get(check.info.id, CheckPlan()).params
    if "rules" not in check.defaults:
        return check.parameters(params)
    if "rules" in params:
        raise AuditError(f"the plan sets the rules of {check.info.id} among its parameters", "write them as [rules.NAME]")
    return check.parameters(params | {"rules": {name: rule.model_dump(mode="json") for name, rule in plan.rules.items()} or None})


def fixed(plan: Plan, asked_for: dict[str, bool], *, sample: int, seed: int) -> dict[str, Any]:
    """What a plan decides without model, data or declarations, every default written out; `asked_for` as `asked` gives it."""
    unsaid = {name for name, said in (("slices", plan.slices), ("frameworks", plan.frameworks.ids)) if not said}
    written = plan.model_dump(mode="json", exclude={"checks"} | unsaid)
    written["audit"] |= {"sample": sample, "seed": seed}
    written["checks"] = {
        id_: {
            "enabled": asked_for[id_],
            "params": parameters(plan, check),
            "criteria": [c.model_dump(mode="json") for c in plan.checks[id_].criteria] if id_ in plan.checks else [],
            "requires": list(plan.checks[id_].requires) if id_ in plan.checks else [],
        }
        for id_, check in checks().items()
    }
    return written


def fixed_digest(plan: Plan, asked_for: dict[str, bool], *, sample: int, seed: int) -> str:
    """The digest that `audit.commit` records before an audit and that the audit finds again; the edition changes what is printed and no result."""
    written = fixed(plan, asked_for, sample=sample, seed=seed)
    del written["disclosure"]["edition"]
    return digest(written)


def divided(plan: Plan, models: int | None) -> Plan:
    """The plan with its fail and pass level divided by the number of models that the same data have judged (verdicts.md §8); None: not known."""
    if models is None or models < 2:
        return plan
    judge = plan.judge
    levels = {"alpha_fail": judge.alpha_fail / models, "level_pass": round(1 - (1 - judge.level_pass) / models, 12)}
    return plan.model_copy(update={"judge": judge.model_copy(update=levels)})


def digest(resolved: dict[str, Any]) -> str:
    """SHA-256 of the RFC 8785 form of a resolved plan (which holds no path, URI or output option)."""
    import rfc8785

    return hashlib.sha256(rfc8785.dumps(resolved)).hexdigest()
