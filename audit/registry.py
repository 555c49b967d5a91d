"""The one extension point: a check is a decorated function, found by scanning `audit.checks` and the entry-point group of that name.

A check module imports only this module and typing at its top level, so that `--list` answers at once; numpy and the like are imported
inside the function. Its keyword-only arguments are its parameters: their names, types, ranges and defaults are what a plan may set, such as
`bins: Annotated[int, Field(ge=1, le=1000)] = 15`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, create_model

from audit.errors import AuditError
from audit.measurement import Measurement, Message
from audit.result import About, CheckInfo

__all__ = ["FAMILIES", "NEEDS", "Check", "Field", "available", "check", "checks", "refuse_columns", "unmet"]

#: What a check may need, and why it is skipped where that is missing.
NEEDS: dict[str, str] = {
    "labels": "No outcome column is known: name it with --target.",
    "scores": "The model returns labels only, and this check needs its scores.",
    "forecasts": "The model's score was made for its decision, and is no probability of the outcome that could be held against what happened.",
    "classes": "This check is for models that choose between classes.",
    "sensitive": "No sensitive column was declared: name them with --sensitive.",
    "model": "No model can be asked: only its predictions are known.",
    "features": "The model's input columns are not known.",
    "table": "An input of the model is no single number or category, and this check is for tables.",
    "costs": "Nobody declared what errors cost in numbers: give false_positive and false_negative under cost_of_errors in the context.",
    "favourable": "Nobody declared which decision is favourable: name it with --favourable.",
    "factors": "No legitimate factor was declared that is a column of the data: name them under legitimate_factors in the context.",
    "divided": "No column divides the rows: no input of the model holds single values, and no sensitive column or factor was declared.",
    "perceived": "No input of the model is a text or a picture, and this check is for those.",
    "pictures": "No input of the model is a picture, and this check is for those.",
    "signals": "No input of the model is a picture, a recording or a sequence, and this check is for those.",
    "gradients": "No gradient leads from the model's answer to numbers of a table or to one picture.",
    "sigma": "Not declared: the plan does not name the noise (sigma) that the model was trained with.",
    "texts": "No input of the model is a text, and this check is for those.",
    "columns": "Not declared: the plan does not name the columns that this check is about.",
    "lists": "Not declared: neither training logged nor the plan names the columns that say whose list a row is in (by).",
    "ranked": "Nothing is ranked: the decision is no quota (top=K, top=P%), and no columns say whose list a row is in (by).",
    "rules": "Not declared: the plan has no rules that the model's answers must keep: write them as [rules.NAME].",
    "slices": "Not declared: the plan names no slices: write them as [slices.NAME].",
    "files": "Not declared: the plan names no file for this check to read.",
    "language": "The model is no language model that says how likely it holds a text.",
    "continues": "The model does not go on with a text: it is no causal language model.",
    "embeds": "The model gives no vector for a text.",
    "training": "The rows that the model was trained on are not known, so nothing can be said that compares with them: name them with --training.",
    "time": "No time column is known: name it with --time.",
    "base": "The model's record names no model that it was made smaller from, as models.compress writes it.",
    "seeds": "No models of other seeds were logged with this one: models.compress --seeds K trains them.",
    "source": "Not known: neither the plan names a model before fine-tuning (base) nor training logged the source task.",
    "canaries": "No canaries were logged with the model: training plants them where it is told to, as models.train --canaries M does.",
    "claim": "Neither a claim of differential privacy nor canaries were logged with the model.",
}


#: Kinds of inputs that hold one value a row, as a table does.
SINGLE = ("number", "category", "datetime")


def available(facts: Mapping[str, Any], settled: Mapping[str, Any]) -> dict[str, bool]:
    """Which of `NEEDS` model and data meet; `facts` and `settled` are `prepare.Facts` and `outputs.Settled` as JSON."""
    costs = isinstance(facts["roles"]["context"].get("cost_of_errors"), Mapping)  # prose is no number
    lists = facts["roles"].get("ranking", {}).get("user") in facts["columns"]
    return {
        "lists": lists, "ranked": lists or facts["decision"]["kind"] in ("top_count", "top_share"),
        "costs": costs, "labels": facts["target_sql"] is not None, "scores": settled["outputs"] in ("probability", "logit"), "classes": settled["task"] != "regression",
        "sensitive": bool(facts["groups"]), "model": facts.get("recorded") is None, "features": bool(facts["features"]), "table": all(f["kind"] in SINGLE for f in facts["features"]), "favourable": bool(settled["favourable"]),
        "factors": bool(facts["factors"]), "forecasts": settled["score_of"] == "outcome",
        "perceived": any(f["kind"] in ("text", "image") for f in facts["features"]),
        "pictures": any(f["kind"] == "image" for f in facts["features"]), "signals": any(f["kind"] in ("image", "audio", "sequence") for f in facts["features"]),
        "gradients": "gradient_x_input" in settled["methods"] and not settled["stepped"] and _numbers(facts["features"]),
        "texts": any(f["kind"] == "text" for f in facts["features"]),
        "divided": bool(facts["groups"] or facts["factors"] or facts.get("recorded") or any(f["kind"] in SINGLE for f in facts["features"])),
        "training": facts.get("training") is not None, "time": facts.get("period") is not None, "claim": facts.get("privacy") is not None, "base": facts.get("base") is not None, "source": facts.get("source_task") is not None,
        "seeds": facts.get("seeds") is not None,
        "language": "log_likelihood" in settled["methods"], "continues": "continue" in settled["methods"], "embeds": "embedding" in settled["methods"],
        "slices": bool(facts.get("slices")),
        "canaries": facts.get("privacy") is not None and (facts["privacy"].get("canaries") or facts["privacy"].get("without")) is not None,
    }  # fmt: skip


def _numbers(features: list[dict[str, Any]]) -> bool:
    """Whether the inputs are those of a table, with a number among them, or one picture."""
    kinds = [f["kind"] for f in features]
    return kinds == ["image"] or ("number" in kinds and all(kind in SINGLE for kind in kinds))


def unmet(check: Check, facts: Mapping[str, Any], settled: Mapping[str, Any], params: Mapping[str, Any]) -> str | None:
    """Why a check cannot be asked of this model and these data; None where it can. `params` are its parameters as the plan sets them."""
    given = {
        "columns": all(params.get(p) for p in check.columns or check.lists),
        "files": all(params.get(p) or params.get(check.instead.get(p, p)) for p in check.files),
    }
    have = available(facts, settled) | given | {name: bool(params.get(name)) for name in ("rules", "sigma")}
    have |= dict.fromkeys(("lists", "ranked"), True) if params.get("by") else {}
    missing = [need for need in check.info.needs if not have[need]]
    return NEEDS["model" if "model" in missing else missing[0]] if missing else None


def refuse_columns(check: Check, facts: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """AuditError where the plan names a column or a file for this check that is not there, or no sensitive column or input where one is meant."""
    for file in (params[name] for name in check.files if params.get(name)):
        if not Path(file).is_file():
            raise AuditError(
                f"the plan names the file {file!r} for {check.info.id}, which is not there",
                "correct the path; it counts from the current folder",
            )
    if facts["features"]:
        for name in check.groupings:
            _refuse_groups(check, [f["name"] for f in facts["features"]], params[name] or {})
    for column in (column for name in check.lists for column in params[name] or ()):
        if column not in facts["columns"] or column == facts["roles"]["target"]:
            what = "which is the target" if column in facts["columns"] else "which is no column of the data"
            raise AuditError(
                f"the plan names {column!r} for {check.info.id}, {what}", f"its columns are {', '.join(facts['columns'][:40])}"
            )
    known = [group["name"] for group in facts["groups"]]
    named = [params[name] for name in check.columns if params.get(name)]
    for column in named:
        if column not in known:
            raise AuditError(
                f"the plan names {column!r} for {check.info.id}, which is no sensitive column",
                f"add it to --sensitive; declared are {', '.join(known) or 'none'}",
            )
    if len(set(named)) < len(named):
        raise AuditError(f"the plan names {named[0]!r} twice for {check.info.id}", "name a column for each parameter")


def _refuse_groups(check: Check, inputs: list[str], groups: Mapping[str, list[str]]) -> None:
    """AuditError where groups of inputs hold what is no input, or leave open what an input belongs to."""
    listed = [column for columns in groups.values() for column in columns]
    wrong = next((column for column in listed if column not in inputs), None)
    if wrong is not None:
        raise AuditError(
            f"the plan groups {wrong!r} for {check.info.id}, which is no input of the model", f"its inputs are {', '.join(inputs[:40])}"
        )
    if len(set(listed)) < len(listed) or not all(groups.values()):
        raise AuditError(
            f"the plan puts a column into two groups for {check.info.id}, or leaves a group empty", "name every column once under groups"
        )
    taken = next((name for name, columns in groups.items() if name in inputs and name not in columns), None)
    if taken is not None:
        raise AuditError(f"the plan calls a group for {check.info.id} {taken!r}, as an input that is not in it", "give it another name")


#: What a check does with survey weights: its estimates take them; it measures the rows as they are, and says so; or there is nothing to weigh.
Weighs = typing.Literal["weighted", "unweighted", "nothing"]

CheckFunction = Callable[..., Iterable["Measurement | Message"]]


@dataclass(frozen=True)
class Check:
    """A registered check: what it is, the function, and the defaults of its parameters."""

    info: CheckInfo
    run: CheckFunction
    defaults: Mapping[str, Any]
    reported_only: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    groupings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    weighs: Weighs = "unweighted"

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as the plan gives them over the defaults; an unknown name, a wrong type or a value out of range is refused."""
        # Text annotations are read in the check's own module; `ctx` is no parameter, and its type is known to type checkers only.
        hints = {k: v for k, v in self.run.__annotations__.items() if k in self.defaults}
        module = importlib.import_module(self.run.__module__)
        fields: dict[str, Any] = {
            name: (eval(hint, vars(module)) if isinstance(hint, str) else hint, self.defaults[name])  # noqa: S307 - our own annotations
            for name, hint in hints.items()
        }
        model = create_model("Params", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), **fields)
        try:
            return model(**given).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise AuditError(
                f"check {self.info.id} has no valid parameter {name!r}: {first['msg']}, got {str(first['input'])[:40]!r}",
                f"its parameters are {', '.join(sorted(self.defaults)) or 'none'}",
            ) from None


_registered: dict[str, Check] = {}


def check(
    id: str,
    *,
    title: str,
    meaning: str,
    limits: str,
    unit: str,
    direction: typing.Literal["higher", "lower", "target", "none"],
    needs: Iterable[str] = (),
    references: Iterable[str] = (),
    about: About = "model",
    probing: bool = False,
    reported_only: Iterable[str] = (),
    columns: Iterable[str] = (),
    lists: Iterable[str] = (),
    groupings: Iterable[str] = (),
    files: Iterable[str] = (),
    instead: Mapping[str, str] | None = None,
    weighs: Weighs = "unweighted",
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check. `needs` are keys of `NEEDS`; `probing` checks ask the model again, on the sample, and need it;
    `reported_only` are metrics that no plan may hold against a criterion; `columns` are parameters that name a sensitive column each:
    the check runs only where the plan sets them all; `lists` are parameters that name any columns of the data (a check that needs
    columns and has no such parameter runs only where these are set), `groupings` groups of inputs; `files` name a
    file each that the check reads, and it too runs only where the plan sets them all, or for one of them the parameter that `instead` names;
    `weighs` is `Weighs`.

    The function takes the context and keyword-only parameters, and yields measurements and, last, the sentence that sums them up.
    """

    def register(function: CheckFunction) -> CheckFunction:
        wanted = {*needs, *(["model"] if probing else []), *(["columns"] if columns else []), *(["files"] if files else [])}
        unknown = wanted - set(NEEDS)
        if unknown:
            raise ValueError(f"check {id}: unknown needs {sorted(unknown)}; known are {sorted(NEEDS)}")
        if id in _registered and _registered[id].run.__module__ != function.__module__:
            raise ValueError(f"check {id} is registered twice: {_registered[id].run.__module__} and {function.__module__}")
        parameters = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        info = CheckInfo(
            id=id, title=title, meaning=meaning, limits=limits, unit=unit, direction=direction, references=list(references),
            provider=function.__module__.split(".")[0], needs=sorted(wanted), about=about, probing=probing,
        )  # fmt: skip
        _registered[id] = Check(
            info,
            function,
            defaults,
            frozenset(reported_only),
            tuple(columns),
            tuple(lists),
            tuple(groupings),
            tuple(files),
            instead or {},
            weighs,
        )
        return function

    return register


@cache
def checks() -> Mapping[str, Check]:
    """All checks by id, in the order of their ids within the order of the families; looked for once in a process."""
    import audit.checks

    for module in pkgutil.walk_packages(audit.checks.__path__, "audit.checks."):
        importlib.import_module(module.name)
    for entry in entry_points(group="audit.checks"):
        entry.load()
    return dict(sorted(_registered.items(), key=lambda item: (FAMILIES.index(item[0].split(".")[0]), item[0])))


FAMILIES = (
    "data", "performance", "calibration", "fairness", "explanation", "privacy",
    "robustness", "uncertainty", "efficiency", "language", "security",
)  # fmt: skip
