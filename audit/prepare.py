"""What can be known before a model is loaded: the data's columns, labels and groups, checked against what was declared."""

from __future__ import annotations

import math
import socket
from collections import Counter
from typing import Any

from audit import columns
from audit.bases import Base, find_base
from audit.bins import binned
from audit.cohorts.named import Cohort
from audit.dataset import MISSING, Dataset, data_digest, open_dataset
from audit.dependence import Cluster, Repeats, cluster_of, repeating
from audit.errors import AuditError
from audit.features import FeatureSpec, choose, for_endpoint, unreadable_numbers
from audit.measurement import Frozen, Message
from audit.named_slices import NamedRows, named_rows
from audit.periods import periods
from audit.privacy.claims import Privacy, find_privacy
from audit.privacy.reference_models import References, find_references
from audit.recorded import Recorded
from audit.recorded import choose as choose_recorded
from audit.roles import Decision, Roles, merge, parse_decision
from audit.seeds import Seeds, find_seeds
from audit.source_task import SourceTask, find_source
from audit.text import message
from audit.training import Training, find_training
from audit.weighted.column import Weight, weight_of

#: Numeric columns with more values than this are cut into bins.
MAX_VALUES = 20
#: A sensitive column of more values is a mistake (an identifier, say), not a group.
MAX_GROUPS = 200
MAX_LABELS = 1000
#: Combinations of legitimate factors are numbered with 63 bits.
MAX_COMBINATIONS = 2**62


class Groups(Frozen):
    """A sensitive column or a legitimate factor: its values in order of size, the largest first, or the edges of its bins.

    `sql` is NULL where membership is missing, which `levels` calls `MISSING`.
    """

    name: str
    sql: str
    levels: list[str]
    sizes: list[int]
    reference: str | None
    reference_declared: bool


class Facts(Frozen):
    """The data as the audit reads it. `recorded` names the columns that stand in for a model, where there is none."""

    source: str
    files: list[str]
    sha256: str
    rows: int
    columns: list[str]
    types: dict[str, str]
    roles: Roles
    decision: Decision
    features: list[FeatureSpec]
    target_sql: str | None
    labels: list[str]
    target_is_number: bool
    target_missing: int
    groups: list[Groups]
    factors: list[Groups]
    notes: list[Message]
    cluster: Cluster | None = None
    repeats: tuple[Repeats, ...] = ()
    recorded: Recorded | None = None
    period: Groups | None = None
    training: Training | None = None
    privacy: Privacy | None = None
    base: Base | None = None
    model_id: str | None = None
    references: References | None = None
    weight: Weight | None = None
    source_task: SourceTask | None = None
    seeds: Seeds | None = None
    slices: tuple[NamedRows, ...] = ()

    def divisions(self) -> list[tuple[str, Groups]]:
        """Sensitive columns, legitimate factors and the period, each with the name of its codes in the scored table."""
        named = [(f"g{i}", g) for i, g in enumerate(self.groups)] + [(f"f{i}", g) for i, g in enumerate(self.factors)]
        return named + ([("t", self.period)] if self.period else [])

    def dataset(self) -> Dataset:
        """The data again, in this process."""
        from pathlib import Path

        dataset = Dataset([Path(f) for f in self.files])
        dataset.__dict__["types"] = self.types
        return dataset


def shared(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Nothing that checks measure with (`audit.jobs`): rows are read and counted by DuckDB."""
    return ()


def prepare(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: open the data, settle who is what, and refuse what cannot be audited."""
    dataset = open_dataset(arguments["data"])
    roles = merge(arguments["logged"], arguments["given"])
    decision = parse_decision(roles.decision or "predict")
    notes: list[Message] = []
    if roles.target is not None:
        dataset.require(roles.target, "target")
    for name in roles.sensitive:
        dataset.require(name, "sensitive column")
        if not dataset.is_scalar(name):
            raise AuditError(f"the sensitive column {name!r} holds {dataset.types[name]} values", "name a column with one value a row")
    if decision.column is not None:
        dataset.require(decision.column, "decision column")
    if arguments["given"].get("time") is not None:
        dataset.require(str(roles.time), "time column")
    for name in roles.reference:
        if name not in roles.sensitive:
            raise AuditError(
                f"--reference names {name!r}, which is no sensitive column",
                f"the sensitive columns are {', '.join(roles.sensitive) or 'none'}",
            )
    rows = dataset.rows
    flavor = arguments.get("flavor")
    recorded = choose_recorded(dataset, arguments["given"], roles) if flavor == "predictions" else None
    features, assumed = ([], []) if recorded else _features(dataset, arguments, roles, decision)
    if roles.target in [f.name for f in features]:
        raise AuditError(
            f"the target {roles.target!r} is one of the model's inputs", "name another target, or the input columns with --features"
        )
    notes += assumed + unreadable_numbers(dataset, features)
    columns.refuse(
        roles.columns, roles.sensitive, arguments["given"].get("columns", {}), dataset.columns, {f.name: f.kind for f in features}
    )
    target_sql, labels, is_number, missing = _target(dataset, roles.target)
    factors, not_columns = _factors(dataset, roles, arguments["bins"])
    notes += not_columns
    groups = [_groups(dataset, name, roles, arguments["bins"]) for name in roles.sensitive]
    period, untimed = _period(dataset, roles.time, given=arguments["given"].get("time") is not None)
    sha256 = data_digest(dataset.files)
    values = {g.name: g.levels for g in groups if g.sql == dataset.text(g.name)}
    training, told = find_training(arguments, features, roles.target, values, sha256)
    references, beside = find_references(arguments, training, sha256, rows)
    weight, weighed = weight_of(dataset, roles)
    source_task, left = find_source(arguments, features, roles.target, values)
    seeds, unused = find_seeds(arguments.get("seeds"))
    notes += untimed + told + beside + weighed + left + unused
    facts = Facts(
        source=arguments["source"], files=[str(p) for p in dataset.files], sha256=sha256, rows=rows, columns=dataset.columns,
        types=dataset.types, roles=roles, decision=decision, features=features, target_sql=target_sql, labels=labels, target_is_number=is_number,
        target_missing=missing, groups=groups, factors=factors, cluster=cluster_of(dataset, roles), repeats=tuple(repeating(dataset, roles, decision, [f.name for f in features if f.kind == "text"])), notes=notes, recorded=recorded,
        period=period, training=training, privacy=find_privacy(arguments, features, roles.target), base=find_base(arguments.get("metadata") or {}), model_id=arguments.get("model_id"), references=references, weight=weight, source_task=source_task, seeds=seeds,
        slices=tuple(named_rows(dataset, [Cohort.model_validate(c) for c in arguments.get("slices", [])], roles.target)),
    )  # fmt: skip
    return facts.model_dump(mode="json")


def _features(dataset: Dataset, arguments: dict[str, Any], roles: Roles, decision: Decision) -> tuple[list[FeatureSpec], list[Message]]:
    """The model's inputs; an endpoint tells none, and gets every column that means nothing else."""
    named = arguments["given"].get("features") or roles.features
    others = {*roles.sensitive, *filter(None, [roles.target, roles.cluster, roles.weight])}
    if arguments.get("flavor") == "http":
        return for_endpoint(dataset, named, others | ({decision.column} if decision.column else set()))
    return choose(dataset, arguments["inputs"], arguments["metadata"], named, others)


def _target(dataset: Dataset, target: str | None) -> tuple[str | None, list[str], bool, int]:
    """The outcome as SQL text, its labels (empty where there are more than `MAX_LABELS`), whether it holds numbers, and how often it is missing."""
    if target is None:
        return None, [], False, 0
    text = dataset.text(target)
    labels = dataset.levels(target, limit=MAX_LABELS)
    (missing,) = dataset.ask({"missing": f"count(*) - count({text})"})[0]
    if not labels:
        raise AuditError(f"the target {target!r} is missing in every row", "name a target with values")
    if len(labels) == 1:
        raise AuditError(f"the target {target!r} has one value only, {labels[0]!r}", "give data with at least two outcomes")
    if dataset.is_number(target):
        labels = sorted(labels, key=float)
    return text, labels if len(labels) <= MAX_LABELS else [], dataset.is_number(target), int(missing)


def levels_of(dataset: Dataset, name: str, bins: dict[str, list[float]]) -> tuple[str, dict[str, int]]:
    """A column as SQL text, many-valued numbers cut into bins, and its values with their rows, largest first; of too many more than `MAX_GROUPS`."""
    sql = dataset.text(name)
    if dataset.is_number(name) and (name in bins or len(dataset.levels(name, limit=MAX_VALUES)) > MAX_VALUES):
        sql = binned(dataset, name, bins.get(name))
    counted: Counter[str] = Counter()
    for value, n in dataset.ask({"value": sql, "n": "count(*)"}, tail=f"GROUP BY 1 LIMIT {MAX_GROUPS + 2}"):
        counted[MISSING if value is None else str(value)] += int(n)
    return sql, {level: counted[level] for level in sorted(counted, key=lambda level: (-counted[level], level))}


def _factors(dataset: Dataset, roles: Roles, bins: dict[str, list[float]]) -> tuple[list[Groups], list[Message]]:
    """The declared legitimate factors that are columns, divided into levels as sensitive columns are, and a note on those that are none."""
    declared = roles.context.get("legitimate_factors") or []
    named = [part.strip() for part in declared.split(",")] if isinstance(declared, str) else [str(part) for part in declared]
    factors, others = [], [name for name in dict.fromkeys(named) if name and name not in dataset.types]
    for name in dict.fromkeys(name for name in named if name in dataset.types):
        reason = _no_factor(dataset, name, roles)
        if reason is None:
            sql, levels = levels_of(dataset, name, bins)
            reason = _no_levels(levels)
        if reason is not None:
            raise AuditError(f"the legitimate factor {name!r} {reason}", "take it out of legitimate_factors in the context")
        factors.append(
            Groups(name=name, sql=sql, levels=list(levels), sizes=list(levels.values()), reference=None, reference_declared=False)
        )
    if math.prod(len(factor.levels) for factor in factors) > MAX_COMBINATIONS:
        raise AuditError(f"the {len(factors)} legitimate factors have too many combinations of values", "name fewer in the context")
    if not others:
        return factors, []
    note = message("Declared legitimate factors that are no column of the data, and that nothing is conditioned on: {names}.", names=others)
    return factors, [note]


def _no_factor(dataset: Dataset, name: str, roles: Roles) -> str | None:
    """Why a column cannot be a legitimate factor by what it is; None where it can."""
    if not dataset.is_scalar(name):
        return f"holds {dataset.types[name]} values"
    if name == roles.target:
        return "is the target itself"
    if name in roles.sensitive:
        return "is a sensitive column itself"
    whole = f"count_if({dataset.number(name)} <> trunc({dataset.number(name)})) = 0" if dataset.is_number(name) else "true"
    distinct, rows, codes = dataset.ask({"distinct": f"count(DISTINCT {dataset.text(name)})", "rows": "count(*)", "codes": whole})[0]
    return "has another value in every row, as an identifier has" if distinct == rows > MAX_VALUES and codes else None


def _no_levels(levels: dict[str, int]) -> str | None:
    if len(levels) == 1:
        return f"has one value only, {next(iter(levels))!r}"
    return f"has more than {MAX_GROUPS} values" if len(levels) > MAX_GROUPS else None


def _groups(dataset: Dataset, name: str, roles: Roles, bins: dict[str, list[float]]) -> Groups:
    sql, counted = levels_of(dataset, name, bins)
    if len(counted) > MAX_GROUPS:
        raise AuditError(
            f"the sensitive column {name!r} has more than {MAX_GROUPS} values",
            "name a column of groups, not of identifiers, or set its [bins] in the plan",
        )
    levels = list(counted)
    known = [value for value in levels if value != MISSING]
    declared = roles.reference.get(name)
    if declared is not None and declared not in known:
        raise AuditError(f"the reference {name}={declared} is a value that no row has", f"its values are {', '.join(known[:20])}")
    reference = declared or (known[0] if known else None)
    return Groups(
        name=name,
        sql=sql,
        levels=levels,
        sizes=[counted[level] for level in levels],
        reference=reference,
        reference_declared=declared is not None,
    )


def _period(dataset: Dataset, name: str | None, *, given: bool) -> tuple[Groups | None, list[Message]]:
    """The time column's periods, in order, and what a reader must know of them; a column that was named and is of no use is refused."""
    if name is None:
        return None, []
    if name not in dataset.types and not given:
        return None, [
            message("The time column {column} that training logged is not in these data: nothing is said by period.", column=name)
        ]
    try:
        sql, levels = periods(dataset, name)
    except AuditError as error:
        if given:
            raise
        return None, [message("Nothing is said by period: {why}.", why=error.what)]
    if len(levels) < 2:
        if given:
            what = f"only one period, {levels[0]}" if levels else "no value that can be read"
            raise AuditError(f"the time column {name!r} has {what}", "name a column with at least two periods, or leave out --time")
        return None, [message("The time column {column} has fewer than two periods in these data: nothing is said by period.", column=name)]
    counted = {
        None if value is None else str(value): int(n) for value, n in dataset.ask({"value": sql, "n": "count(*)"}, tail="GROUP BY 1")
    }
    notes = []
    if None in counted:
        notes.append(message("The time in column {column} is unknown for {n:count} rows.", column=name, n=counted[None]))
        levels = [*levels, MISSING]
        counted[MISSING] = counted[None]
    sizes = [counted[level] for level in levels]
    return Groups(name=name, sql=sql, levels=levels, sizes=sizes, reference=None, reference_declared=False), notes
