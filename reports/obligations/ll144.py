"""The summary of a bias audit that New York City's Local Law 144 has published (6 RCNY 5-303): its fields, and beside them what proves them.

Every category is printed, however small, because the rule obliges one to. The figures are those of the check `fairness.ll144`; fields that only a
person can fill come from the declared context, and one that is missing is a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audit.measurement import Cell
from audit.measurement import Table as Stored
from audit.result import AuditResult
from reports.blocks import Block, Heading, Items, Note, Runs, Table, plain, runs
from reports.obligations.dossier import Dossier
from reports.obligations.facts import FACTS, fact
from reports.said import Said, figure, quoted
from reports.sentences import capital
from reports.tables import grid

CHECK = "fairness.ll144"
METRICS = ("selection_rate", "scoring_rate")
EXCLUDED = "excluded from the ratios"  # the note that the check writes


@dataclass(frozen=True)
class Found:
    """One of the rule's tables with its place in the document."""

    metric: str
    table: Stored
    path: str

    @property
    def columns(self) -> list[str]:
        return [c.label for c in self.table.columns if c.name.startswith("category")]

    def value(self, name: str, path: bool = False) -> Cell:
        """A number that the caption says: unknown, median, ties; or, with `path`, where it stands."""
        if path:
            return f"{self.path}.caption_msg.values.{name}"
        found = self.table.caption_msg.values.get(name) if self.table.caption_msg else None
        return found if isinstance(found, int | float) else None

    def rows(self) -> Iterator[tuple[int, dict[str, Cell]]]:
        names = [c.name for c in self.table.columns]
        for place, row in enumerate(self.table.rows):
            yield place, dict(zip(names, row, strict=True))


def tables(document: AuditResult) -> list[Found]:
    """The tables that the check stored: selection first, each by sex, by race or ethnicity, by both."""
    found = []
    for i, check in enumerate(document.checks):
        for j, finding in enumerate(check.findings if check.info.id == CHECK and check.status == "completed" else []):
            for k, evidence in enumerate(finding.evidence):
                if evidence.kind == "table" and finding.metric in METRICS:
                    found.append(Found(finding.metric, evidence, f"checks[{i}].findings[{j}].evidence[{k}]"))
    return found


def summary(d: Dossier) -> list[Block]:
    """The published summary."""
    found = tables(d.document)
    return [fields(d, found), *rates(d, found), *left_out(d, found), *posting(d), *proof(d, found)]


def fields(d: Dossier, found: list[Found]) -> Table:
    """What the rule has stated beside the tables."""
    say, gap = d.say, plain(d.say.t("not stated: a gap"))

    def stated(*names: str) -> Runs:
        told = [said for name in names if (said := fact(d.document, name, say))]
        joined: Runs = ()
        for said in told:
            joined += (Said("；" if say.lang == "zh" else "; "), *said) if joined else said
        return joined or gap

    unknown: Runs = ()
    for one in found[:1]:
        n = one.value("unknown")
        unknown = (figure(float(n), "count", str(one.value("unknown", path=True))),) if isinstance(n, int | float) else ()
    rows: list[tuple[Runs, ...]] = [
        (plain(say.t("Tool")), stated("model.name", "model.version")),
        (plain(say.t("Date of the bias audit")), stated("started")),
        (plain(say.t("Independent auditor")), stated("context.auditor", "context.independence")),
        (
            plain(say.t("Source of the data, and explanation")),
            stated("data.source", "context.population", "context.period", "context.sampling"),
        ),
        (plain(capital(say.t(FACTS["context.data_kind"]))), stated("context.data_kind")),
        (plain(capital(say.t(FACTS["context.test_data"]))), stated("context.test_data")),
        (plain(say.t("People of unknown sex or race/ethnicity, left out of the first table")), unknown or gap),
        (plain(say.t("Date on which use of the tool began (distribution date)")), stated("context.distribution_date")),
    ]
    return Table(tuple(rows))


def rates(d: Dossier, found: list[Found]) -> list[Block]:
    """The three tables of each kind; a gap with its reason where there is none."""
    say = d.say
    if not found:
        check = next(((i, c) for i, c in enumerate(d.document.checks) if c.info.id == CHECK), None)
        reason = Said(say.stored(check[1].reason, check[1].reason_msg), f"checks[{check[0]}].reason") if check else Said("")
        told = runs(say, "The tables are missing, a gap: the audit did not compute them. {reason} Name the columns of sex and of race or ethnicity in the plan, under [checks.\"fairness.ll144\".params].", reason=reason)  # fmt: skip
        return [Heading(2, Said(say.t("Rates and impact ratios"))), Note(told, alert=True)]
    blocks: list[Block] = []
    for metric, title in (
        ("selection_rate", say.t("Selection rates and impact ratios")),
        ("scoring_rate", say.t("Scoring rates and impact ratios")),
    ):
        of_kind = [one for one in found if one.metric == metric]
        if of_kind:
            blocks.append(Heading(2, Said(title), metric.replace("_", "-")))
        for one in of_kind:
            drawn = grid(one.table, one.path, say, len(one.table.rows))
            heads = tuple(Said(capital(head.text), head.path, head.numeric) for head in drawn.heads)
            blocks.append(Table(tuple(tuple((cell,) for cell in row) for row in drawn.rows), heads, tuple(drawn.numeric), (drawn.caption,)))
    blocks.append(
        Note(
            runs(
                say,
                "An impact ratio is the rate of a category divided by the highest rate of the same table. The law sets no limit that it must reach.",
            )
        )
    )
    return blocks


def left_out(d: Dossier, found: list[Found]) -> list[Block]:
    """Categories under 2 % that somebody left out of the ratios: the justification, their number and their rate."""
    say, lines = d.say, list[Runs]()
    if not found:
        return []
    for one in found:
        for place, row in one.rows():
            if row.get("note") == EXCLUDED:
                at, columns = f"{one.path}.rows[{place}]", [c.name for c in one.table.columns]
                rate = row["rate"]
                said = {
                    "category": quoted(say.list(str(row[c]) for c in columns if c.startswith("category")), at),
                    "n": figure(float(str(row["n"])), "count", f"{at}[{columns.index('n')}]"),
                    "rate": figure(float(rate) if isinstance(rate, int | float) else None, "percent", f"{at}[{columns.index('rate')}]"),
                    "reason": quoted(row.get("reason") or say.t("not stated: a gap"), f"{at}[{columns.index('reason') if 'reason' in columns else 0}]"),
                }  # fmt: skip
                lines.append(runs(say, "{category}: {n} people, rate {rate}. {reason}", **said))
    heading = Heading(2, Said(say.t("Categories left out of the ratios (under 2 % of the data)")), "left-out")
    return [heading, Items(tuple(lines)) if lines else Note(runs(say, "None was left out."))]


def posting(d: Dossier) -> list[Block]:
    """How long it stays published."""
    say = d.say
    told = runs(say, "This summary stays posted, in the employment section of the website or under a clearly labelled link, until six months after the tool was last used for a decision. A bias audit older than one year no longer allows its use.")  # fmt: skip
    return [Heading(2, Said(say.t("Publication")), "publication"), Note(told)]


def proof(d: Dossier, found: list[Found]) -> list[Block]:
    """What lets anyone tie the summary to its evidence; not asked for by the rule."""
    say = d.say
    rows: list[tuple[Runs, ...]] = [
        (plain(say.t("SHA-256 of the document")), (quoted(d.document.digest, "digest"),)),
        (plain(say.t("SHA-256 of the data")), (quoted(d.document.data.sha256, "data.sha256"),)),
        (plain(say.t("SHA-256 of the model")), (quoted(d.document.model.sha256 or "–", "model.sha256"),)),
    ]
    scoring = next((one for one in found if one.metric == "scoring_rate"), None)
    for name, label, kind in (
        ("median", say.t("Median of the scores"), "number"),
        ("ties", say.t("People exactly at the median"), "count"),
    ):
        value = scoring.value(name) if scoring else None
        if scoring and isinstance(value, int | float):
            rows.append((plain(label), (figure(float(value), kind, str(scoring.value(name, path=True))),)))
    return [Heading(2, Said(say.t("What ties it to its evidence")), "proof"), Table(tuple(rows))]
