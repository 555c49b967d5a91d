"""The tables of a page: findings in blocks that share metric, comparison and criterion, and the tables that checks stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.measurement import Table
from audit.result import CheckResult, Criterion, Finding
from audit.text import LEVELS, PARTS
from reports.cells import CELLS, LINES
from reports.metrics import METRICS, OVER_GROUPS, kind_of, metric_name
from reports.said import Said, figure, quoted
from reports.sentences import capital, method_name, reason_text
from reports.speaker import Speaker, clean, interval, number
from reports.states import state_of_finding
from reports.words import BASES, COMPARE, LOOKS, ROLES, RULES, SEVERITIES, Look

#: Rows below which a group is small: its dot is hollow.
SMALL = 30


@dataclass(frozen=True)
class Row:
    """One finding; `small` where it rests on fewer rows than `SMALL`, or was found to rest on too few."""

    who: Said
    n: Said
    estimate: Said
    low: Said
    high: Said
    note: Said
    p: Said
    look: Look
    reason: Said
    small: bool = False


@dataclass(frozen=True)
class Block:
    """Findings about one metric that were compared, tested and judged alike; `notes` say how."""

    title: str
    notes: list[Said]
    rows: list[Row]
    has_interval: bool
    has_test: bool
    cut: int
    compared: bool  # whether any row has a reference beside it


@dataclass(frozen=True)
class Grid:
    """A plain table: texts left, numbers right."""

    caption: Said
    heads: list[Said]
    numeric: list[bool]
    rows: list[list[Said]]
    cut: int


#: Where the rows of a comparison stand that has no value of its own for each group.
SAME_ROWS = {"standardised_mean_difference": "mean_score", "kolmogorov_smirnov_distance": "mean_score"}


#: What rests on the rows of two groups although it is said of one.
OF_BOTH = {"xauc", "xauc_reversed", "detectable_difference"}
#: Ways of counting that leave no interval: what an accountant gives is not drawn from anything, and a lower bound is itself the end of one.
COUNTED, BOUNDS = {"pld", "renyi", "gaussian_composition", "central_limit"}, {"one_run", "one_run_gaussian"}
#: Ways to compare rows with themselves, one answer with another.
PAIRED = {"tango", "newcombe_paired", "student_paired", "identical"}
#: What rests on no rows.
OF_NONE = {"parameters", "bytes_on_disk", "flops_per_row"}


def rows_of(check: CheckResult) -> dict[str, tuple[int, str]]:
    """By key, the rows that each finding has of its own slice, those of the group that it is compared with not counted; only where they are known.

    Beside the number stands its place below the check.
    """
    values = {(f.metric, repr(f.slice)): (f.estimate.n, i) for i, f in enumerate(check.findings) if f.against is None and f.estimate}

    def own(f: Finding, i: int) -> tuple[int | None, str]:
        if f.metric in OF_BOTH | OF_NONE:
            return None, ""
        for k, part in enumerate(f.parts):
            if part.slice == f.slice:
                return part.n, f"findings[{i}].parts[{k}].n"
        same = f.against is None or (f.slice and all(column in PARTS for column in f.slice)) or _paired(f)  # the same rows, asked otherwise
        n, at = values.get((f.metric if same else SAME_ROWS.get(f.metric, f.metric), repr(f.slice)), (None, i))
        if n is None and same and f.estimate:
            n = f.estimate.n
        return n, f"findings[{at}].estimate.n"

    found = {f.key: own(f, i) for i, f in enumerate(check.findings)}
    return {key: (n, at) for key, (n, at) in found.items() if n is not None}


def _paired(f: Finding) -> bool:
    """Whether a group's own rows are compared, each with itself."""
    return _same_people(f) and f.estimate is not None and f.estimate.method in PAIRED


def limit_text(c: Criterion, kind: str, say: Speaker) -> str:
    """The fail limits of a criterion."""
    if c.min is not None and c.max is not None:
        return say.t("from {low} to {high}", low=number(c.min, kind), high=number(c.max, kind))
    if c.min is not None:
        return say.t("at least {low}", low=number(c.min, kind))
    return say.t("at most {high}", high=number(c.max, kind)) if c.max is not None else say.t("no limit")


def criterion_note(c: Criterion, kind: str, path: str, say: Speaker) -> Said:
    """A criterion in a sentence: limit, source, rule, role."""
    text = say.t(
        "Limit: {limit} ({source}; {basis}, {severity}, {role}). {rule}.",
        limit=limit_text(c, kind, say),
        source=say.stored(c.source, None) or say.t("no source"),
        basis=say.t(BASES[c.basis]),
        severity=say.t(SEVERITIES[c.severity]),
        role=say.t(ROLES[c.role]),
        rule=capital(say.t(RULES[c.rule])),
    )
    return Said(text, path)


def row_of(f: Finding, path: str, say: Speaker, *, n: Said, alone: bool, by_metric: bool, small: bool = False) -> Row:
    """A finding as a row, named by who it is about or, where all are about everybody, by its metric."""
    kind, e, t = kind_of(f.metric, f.compare), f.estimate, f.test
    exact = e is not None and (e.method == "exact" or e.method in COUNTED | BOUNDS)
    if e is None or e.method == "exact" or (alone and not exact):
        note = ""
    elif e.method in COUNTED:
        note = method_name(e.method, say)
    else:
        note = say.t("{level:percent}, {method}", level=e.level, method=method_name(e.method, say))
    p, p_path = (
        (None, "") if t is None else (t.p_value, "p_value") if t.adjusted_p_value is None else (t.adjusted_p_value, "adjusted_p_value")
    )
    told = interval(e.value, e.low, e.high, kind) if e and not exact else None
    return Row(
        who=Said(measured_name(f, say), f"{path}.metric") if by_metric else quoted(say.slice(f.slice), f"{path}.slice"),
        n=n,
        estimate=Said(told["value"], f"{path}.estimate.value", numeric=True)
        if told
        else figure(e.value if e else None, kind, f"{path}.estimate.value"),
        low=Said(told["low"] if told else "", f"{path}.estimate.low", numeric=told is not None),
        high=Said(told["high"] if told else "", f"{path}.estimate.high", numeric=told is not None),
        note=Said(note, f"{path}.estimate" if note else ""),
        p=figure(p, "p", f"{path}.test.{p_path}"),
        look=LOOKS[state_of_finding(f)],
        reason=Said(reason_text(f, say), path if f.reason else ""),
        small=small or f.reason == "too_few_rows",
    )


def measured_name(f: Finding, say: Speaker) -> str:
    """The metric, with the unit of one that is a difference by itself."""
    metric = capital(metric_name(f.metric, say))
    return say.t("{metric}, in percentage points", metric=metric) if kind_of(f.metric, f.compare) == "points" else metric


def reference_of(f: Finding) -> dict[str, str]:
    """What a finding is compared with, without the class or the like that both sides are about, and without the group where it is the same."""
    against = f.against or {}
    shared = {c for c, v in against.items() if f.slice.get(c) == v and (c in PARTS or _same_people(f))}
    return {c: v for c, v in against.items() if c not in shared} or against


def _same_people(f: Finding) -> bool:
    """Whether a group is compared with itself under other conditions, such as undisturbed."""
    mine, theirs = ({c: v for c, v in side.items() if c not in PARTS} for side in (f.slice, f.against or {}))
    return bool(mine) and mine == theirs


def block_title(f: Finding, say: Speaker) -> str:
    if f.compare == "value":
        return measured_name(f, say)
    kind, metric = kind_of(f.metric, f.compare), capital(metric_name(f.metric, say))
    compare = say.t("difference in percentage points") if kind == "points" else say.t(COMPARE[f.compare])
    return say.t("{metric}: {compare} against {against}", metric=metric, compare=compare, against=say.slice(reference_of(f)))


def is_plain(f: Finding) -> bool:
    """About everybody, compared with nothing, held against nothing: such findings share one block, a row per metric."""
    return not f.slice and f.compare == "value" and f.criterion is None


def block_of(
    members: list[tuple[int, Finding]], path: str, say: Speaker, most: int, own: Mapping[str, tuple[int, str]], skip: int = 0
) -> Block:
    first_index, first = members[0]
    kind, here = kind_of(first.metric, first.compare), f"{path}.findings[{first_index}]"
    notes = [criterion_note(first.criterion, kind, f"{here}.criterion", say)] if first.criterion else []
    measured = [(i, f.estimate) for i, f in members if f.estimate and f.estimate.method != "exact"]
    ways = {(e.level, e.method) for _, e in measured}
    if len(ways) == 1:
        i, e = measured[0]
        text = say.t("{level:percent} intervals by {method}.", level=e.level, method=method_name(e.method, say))
        notes.append(Said(text, f"{path}.findings[{i}].estimate.level"))
    tests: dict[tuple[str, int | None], set[str]] = {}
    tested: dict[tuple[str, int | None], int] = {}
    for i, f in members:
        if f.test:
            tests.setdefault((f.test.null, f.test.tests_in_family), set()).add(f.test.method)
            tested.setdefault((f.test.null, f.test.tests_in_family), i)
    for (null, family), methods in sorted(tests.items(), key=repr):
        said = [method_name(m, say) for m in sorted(methods)]
        method = said[0] if len(said) == 1 else say.t("{methods}, as the counts allow", methods=say.list(said))
        words = {"null": clean(say.stored(null, None), 200), "method": method}
        text = (
            say.t("p: test of “{null}” ({method}), adjusted over {n:count} tests.", **words, n=family)
            if family is not None and family > 1
            else say.t("p: test of “{null}” ({method}).", **words)
            if family
            else say.t("p: test of “{null}” ({method}), not adjusted for the number of tests.", **words)
        )
        notes.append(Said(text, f"{path}.findings[{tested[null, family]}].test"))
    by_metric = is_plain(first)

    def rows(f: Finding, i: int) -> Said:
        n, at = own.get(f.key, (None, f"findings[{i}]"))
        return figure(n, "count", f"{path}.{at}")

    alone = len(ways) < 2
    shown = [
        row_of(
            f, f"{path}.findings[{i}]", say, n=rows(f, i), alone=alone, by_metric=by_metric, small=f.key in own and own[f.key][0] < SMALL
        )
        for i, f in members[skip : skip + most]
    ]
    title = capital(say.t("everybody")) if by_metric else block_title(first, say)
    return Block(title, notes, shown, bool(measured), bool(tests), max(0, len(members) - skip - most), first.against is not None)


def blocks(check: CheckResult, path: str, say: Speaker, most: int, skip: int = 0) -> list[Block]:
    """The findings of a check after the first `skip`, those that were compared and judged alike together, in the order of the document."""
    groups: dict[tuple[str, ...], list[tuple[int, Finding]]] = {}
    for i, f in enumerate(check.findings):
        key = (
            ("",)
            if is_plain(f)
            else (f.metric, f.compare, repr(f.against and reference_of(f)), f.criterion.model_dump_json() if f.criterion else "")
        )
        groups.setdefault(key, []).append((i, f))
    left, made, own = most, [], rows_of(check)
    for members in groups.values():
        if left > 0 and len(members) > skip:
            made.append(block_of(members, path, say, left, own, skip))
            left -= len(members) - skip
        skip = max(0, skip - len(members))
    return made


def about_metric(check: CheckResult, metric: str) -> CheckResult:
    """The check with the findings on one metric alone, and those that tell how many rows stand behind it."""
    rows = SAME_ROWS.get(metric)
    return check.model_copy(
        update={"findings": [f for f in check.findings if f.metric == metric or (f.metric == rows and f.against is None)]}
    )


FORMAT_OF = {
    "integer": "count",
    "number": "number",
    "percent": "percent",
    "points": "points",
    "ratio": "ratio",
    "ratio3": "ratio3",
    "p_value": "p",
}


def grid(table: Table, path: str, say: Speaker, most: int, skip: int = 0) -> Grid:
    """A stored table, from its row `skip` on."""

    def cell(value: object, k: int, where: str) -> Said:
        kind = kinds[k] if k < len(kinds) else "text"
        if value is None:
            return Said("–", where)
        if k < len(kinds) and table.columns[k].name == "metric" and (str(value) in METRICS or str(value).endswith(tuple(OVER_GROUPS))):
            return Said(capital(metric_name(str(value), say)), where)
        if isinstance(value, (int, float)) and kind in FORMAT_OF:
            whole = kind == "number" and value == int(value)
            return figure(value, "count" if whole else FORMAT_OF[kind], where)
        own = CELLS.get((table.columns[k].name, str(value))) if k < len(kinds) else None
        if own:
            return Said(say.t(own), where)
        return Said(say.level(str(value)), where) if str(value) in LEVELS else quoted(value, where)

    kinds = [c.kind for c in table.columns]
    shown = list(enumerate(table.rows))[skip : skip + most]
    rows = [[cell(v, k, f"{path}.rows[{r}][{k}]") for k, v in enumerate(row)] for r, row in shown]
    heads = [quoted(say.stored(c.label, None), f"{path}.columns[{k}].label") for k, c in enumerate(table.columns)]
    caption = Said(say.stored(table.caption, table.caption_msg), f"{path}.caption")
    return Grid(caption, heads, [k != "text" for k in kinds], rows, max(0, len(table.rows) - skip - most))


def line_name(curve: str, name: str, say: Speaker) -> str:
    """A line of a stored curve: a group's name, or one of ours in the reader's language."""
    return say.t(name) if name in LINES.get(curve, ()) else say.level(name)
