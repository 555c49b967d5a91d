"""`python -m audit.pool DIR DIR…`: audits of one model by one plan on disjoint data, taken together; each audit is a stratum.

Rates and their comparisons are pooled from the counts in the documents (Mantel–Haenszel), everything else by inverse variance from the intervals.
A test of heterogeneity stands beside each. A pool reports and judges nothing: the deciding questions are answered on one data set, so what
`--out` writes is `pool.json` and no audit. Equal files are refused, and files that share rows where they can still be read; else that no row is in two of them is taken on the
auditors' word.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from audit.dataset import MISSING
from audit.disjoint import require_disjoint
from audit.errors import AuditError
from audit.measurement import Estimate
from audit.result import AuditResult, Finding

#: Slices that are made up from the groups at hand, and so need not mean the same people in two audits.
MADE_UP = {"*", "(all other groups)", MISSING}


class Pooled(NamedTuple):
    """One finding over its strata; `strata` are positions of the audits that have it. Tests are (p, method)."""

    check: str
    finding: Finding
    strata: list[int]
    values: list[float]
    estimate: Estimate
    equality: tuple[float, str] | None
    heterogeneity: tuple[float, str] | None


def require_same(documents: Sequence[AuditResult]) -> None:
    """Refuse audits that are not of one model by one plan on different data."""
    if len(documents) < 2:
        raise AuditError("one audit is no pool", "name two audit folders or more")
    if any(d.model.sha256 is None for d in documents):
        raise AuditError("a model without files has no digest, so nobody can tell that it was the same", "pool audits of a stored model")
    if len({d.model.sha256 for d in documents}) > 1:
        raise AuditError("the audits are of different models", "pool audits of one model; audit.compare is for two")
    if len({d.data.decision for d in documents}) > 1:
        rules = " and ".join(sorted({d.data.decision for d in documents}))
        raise AuditError(f"the audits decide by different rules: {rules}", "pool audits that were given the same --decision")
    if len({d.plan_sha256 for d in documents}) > 1:
        named = ", ".join(_differences(documents))
        raise AuditError(f"the audits were made by different plans ({named})", "pool audits with one plan, seed and declarations")
    if len({d.data.sha256 for d in documents}) < len(documents):
        raise AuditError("two of the audits are of the same data", "pool audits of data that share no row")


def _differences(documents: Sequence[AuditResult]) -> list[str]:
    """The sections of the plan that are not the same in all; the reference is often the largest group of each data set."""
    sections = sorted({name for d in documents for name in d.plan})
    return [s for s in sections if len({json.dumps(d.plan.get(s), sort_keys=True) for d in documents}) > 1][:5] or ["unknown sections"]


def pool(documents: Sequence[AuditResult]) -> list[Pooled]:
    """Every finding that two audits or more have, and that can be pooled, in the order of the first audit that has it."""
    found: dict[str, list[tuple[int, str, Finding]]] = {}
    for i, document in enumerate(documents):
        for check in document.checks:
            for f in check.findings:
                if f.estimate is not None and f.repeatable and not MADE_UP & {*f.slice.values(), *(f.against or {}).values()}:
                    found.setdefault(f.key, []).append((i, check.info.id, f))
    pooled = []
    for members in found.values():
        result = _one([f for _, _, f in members]) if len(members) > 1 else None
        if result is not None:
            values = [f.estimate.value for _, _, f in members if f.estimate]
            pooled.append(Pooled(members[0][1], members[0][2], [i for i, _, _ in members], values, *result))
    return pooled


def _one(members: list[Finding]) -> tuple[Estimate, tuple[float, str] | None, tuple[float, str] | None] | None:
    """(estimate, test of equality, test of heterogeneity) at the strictest level of the members; None where they cannot be pooled."""
    from audit.stats import pooling, stratified
    from audit.stats.rates import wilson

    estimates = [f.estimate for f in members if f.estimate]
    level, compare = max(e.level for e in estimates), members[0].compare
    counts = [_counts(f) for f in members]
    if all(counts) and compare == "value":
        k, n = [c[0] for c in counts if c], [c[1] for c in counts if c]
        rate = wilson(sum(k), sum(n), level=level)
        return (rate, None, pooling.same_rates(k, n)) if rate else None
    if all(counts):
        columns = [[c[i] for c in counts if c] for i in range(4)]
        tables = stratified.stratify(*columns)
        if tables is None:
            return None
        methods = {
            "difference": stratified.mantel_haenszel_difference, "ratio": stratified.mantel_haenszel_ratio, "odds_ratio": stratified.mantel_haenszel_odds_ratio,
        }  # fmt: skip
        common = methods[compare](tables, level=level)
        k1, n1, k0, n0 = columns
        differ = stratified.tarone(tables) if compare == "odds_ratio" else pooling.same_differences(k1, n1, k0, n0, log=compare == "ratio")
        return (common, stratified.cochran_mantel_haenszel(tables), differ) if common else None
    pooled, heterogeneity = pooling.pool_estimates(estimates, level=level, log=compare in ("ratio", "odds_ratio"))
    return (pooled, None, heterogeneity) if pooled else None


def _counts(f: Finding) -> tuple[int, ...] | None:
    """(k, n) of a rate, (k1, n1, k0, n0) of a comparison, where these counts make the estimate; the complements where those do.

    None where rows belong together or carry weights: counts then say too much, and the intervals are pooled instead.
    """
    assert f.estimate is not None
    if f.worth is not None:
        return None
    parts = [(p.k, p.n) for p in f.parts]
    for found in (parts, [(n - k, n) for k, n in parts]):
        if math.isclose(_value(f.compare, found), f.estimate.value, rel_tol=1e-9, abs_tol=1e-12):
            return tuple(number for pair in found for number in pair)
    return None


def _value(compare: str, parts: list[tuple[int, int]]) -> float:
    """What these counts come to; NaN where they do not make such a quantity."""
    if len(parts) != (1 if compare == "value" else 2) or any(n == 0 for _, n in parts):
        return math.nan
    if compare == "value":
        return parts[0][0] / parts[0][1]
    (k1, n1), (k0, n0) = parts
    if compare == "difference":
        return k1 / n1 - k0 / n0
    up, down = (k1 * n0, k0 * n1) if compare == "ratio" else (k1 * (n0 - k0), k0 * (n1 - k1))
    return up / down if down else math.nan


def adjusted(pooled: Sequence[Pooled]) -> list[float | None]:
    """The p-values of heterogeneity, adjusted over all of them by Benjamini and Hochberg, 1995."""
    from audit.stats.multiplicity import benjamini_hochberg

    raw = [p.heterogeneity[0] for p in pooled if p.heterogeneity]
    made = iter(benjamini_hochberg(raw).tolist() if raw else [])
    return [next(made) if p.heterogeneity else None for p in pooled]


def written(documents: Sequence[AuditResult], pooled: Sequence[Pooled], *, checked: bool = False) -> dict[str, Any]:
    """What `pool.json` holds."""
    strata = [
        {"audit": d.id, "digest": d.digest, "data_sha256": d.data.sha256, "source": d.data.source, "rows": d.data.rows, "period": d.context.get("period")}
        for d in documents
    ]  # fmt: skip
    tested = sum(p.heterogeneity is not None for p in pooled)
    findings = [
        {
            "key": p.finding.key, "check": p.check, "metric": p.finding.metric, "compare": p.finding.compare, "slice": p.finding.slice,
            "against": p.finding.against, "estimate": p.estimate.model_dump(mode="json"), "equality": _test(p.equality, None, None),
            "heterogeneity": _test(p.heterogeneity, adjusted_p, tested), "strata": p.strata, "values": p.values,
        }
        for p, adjusted_p in zip(pooled, adjusted(pooled), strict=True)
    ]  # fmt: skip
    return {
        "schema_version": 1, "kind": "pool", "judged": False, "disjoint": "checked" if checked else "stated", "model_sha256": documents[0].model.sha256, "plan_sha256": documents[0].plan_sha256,
        "strata": strata, "findings": findings,
    }  # fmt: skip


def _test(test: tuple[float, str] | None, adjusted_p: float | None, family: int | None) -> dict[str, Any] | None:
    return None if test is None else {"p_value": test[0], "method": test[1], "adjusted_p_value": adjusted_p, "tests_in_family": family}


def _print(documents: Sequence[AuditResult], pooled: Sequence[Pooled], *, checked: bool) -> None:
    """The findings that are held against something, with their strata."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from audit.text import number, p_value, percent
    from reports.speaker import clean

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for i, d in enumerate(documents):
        period = d.context.get("period") or "period not stated"
        console.print(Text(f"{i + 1}: {clean(d.data.source, 80)}, {d.data.rows:,} rows, {clean(period, 80)}, audit {d.id[:12]}"))
    keys = {f.key for d in documents for c in d.checks for f in c.findings if f.criterion is not None}
    table = Table(box=None, pad_edge=False)
    for heading in ("finding", "strata", "pooled", "p equal", "p strata differ (adjusted)"):
        table.add_column(heading, overflow="fold")
    shown = [(p, q) for p, q in zip(pooled, adjusted(pooled), strict=True) if p.finding.key in keys]
    for p, q in shown:
        e, f = p.estimate, p.finding
        slices = "; ".join(f"{k}={v}" for k, v in f.slice.items()) or "everybody"
        what = f"{p.check} {f.metric}{'' if f.compare == 'value' else ' ' + f.compare}, {slices}"
        strata = " · ".join(f"{number(v)} ({i + 1})" for i, v in zip(p.strata, p.values, strict=True))
        whole = f"{number(e.value)} ({percent(e.level)} interval {number(e.low)} to {number(e.high)})"
        cells = [clean(what, 200), strata, whole, p_value(p.equality[0]) if p.equality else "–", p_value(q) if q is not None else "–"]
        table.add_row(*(Text(c) for c in cells))
    console.print(table)
    tests = sum(p.heterogeneity is not None for p in pooled)
    console.print(
        f"{len(pooled)} findings pooled, {len(shown)} of them held against a criterion and shown; {tests} tests of heterogeneity, adjusted together."
    )
    said = (
        "No row was found in two of the data sets." if checked else "That no row is in two of the data sets is taken on the auditors' word."
    )
    console.print(f"A pool reports and judges nothing. {said}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.pool --help")


def _write(folder: Path, document: dict[str, Any]) -> Path:
    from audit.jobs import write_whole

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AuditError(f"the output folder {folder} is not empty", "name another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "pool.json", json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode())
    except OSError as error:
        raise AuditError(f"cannot write to {folder}: {error.strerror}", "name another --out") from None
    return folder / "pool.json"


def main(argv: list[str] | None = None) -> int:
    """Exit status 0; 2 where the audits cannot be pooled."""
    from reports.write import load

    parser = _Parser(prog="audit.pool", description="Audits of one model by one plan on disjoint data, taken together.", allow_abbrev=False)
    parser.add_argument("audit_dirs", metavar="DIR", nargs="+", help="folders that audit.run wrote")
    parser.add_argument("--out", metavar="DIR", help="write pool.json there; its path is then the last line of stdout")
    try:
        options = parser.parse_args(argv)
        documents = [load(Path(d)) for d in options.audit_dirs]
        require_same(documents)
        checked = require_disjoint(documents)
        pooled = pool(documents)
        if not pooled:
            raise AuditError("the audits have no finding in common that can be pooled", "run the same checks in each")
        path = _write(Path(options.out), written(documents, pooled, checked=checked)) if options.out else None
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    _print(documents, pooled, checked=checked)
    if path:
        print(path.absolute())
    return 0


if __name__ == "__main__":
    sys.exit(main())
