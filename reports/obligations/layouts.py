"""Documents that a rule gives an order of their own: parts, each with what fills it and the controls that it answers.

A part holds tables of what was declared, what was measured and what a person has yet to say; what nobody stated is a gap and is shown as one. The
controls of a part follow it, each with its state and what answers it (`draw.item`), so that none is left out and none stands twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reports.blocks import Block, Items, Note, Runs, Table, plain, runs
from reports.history import accepted
from reports.obligations.dossier import Dossier
from reports.obligations.facts import FACTS, fact
from reports.records import judged
from reports.said import Said
from reports.sentences import capital, sentence
from reports.states import state_of_finding
from reports.tables import row_of
from reports.words import LOOKS, SEVERITIES

MOST_ROWS = 20


@dataclass(frozen=True)
class Part:
    """A part of a document: its heading, what stands in it, and the controls that it answers by their ids."""

    title: str
    blocks: tuple[Block, ...]
    controls: tuple[str, ...]


def gap(d: Dossier) -> Runs:
    return plain(d.say.t("not stated: a gap"))


def stated(d: Dossier, *names: str) -> Runs:
    """What was declared under these names, one after the other; a gap where nothing was."""
    joined: Runs = ()
    for said in (fact(d.document, name, d.say) for name in names):
        if said:
            joined += (Said("；" if d.say.lang == "zh" else "; "), *said) if joined else said
    return joined or gap(d)


def facts(d: Dossier, *names: str) -> Table:
    """A row for each of these facts, by its own label."""
    return Table(tuple((plain(capital(d.say.t(FACTS[name]))), stated(d, name)) for name in names))


def results(d: Dossier, checks: Iterable[str]) -> list[Block]:
    """What these checks measured of everybody: value, interval, rows, verdict; a note that names the gap where there is nothing."""
    say, rows, wanted = d.say, list[tuple[Runs, ...]](), set(checks)
    for i, check in enumerate(d.document.checks):
        for j, f in enumerate(check.findings if check.info.id in wanted and not check.rejected else []):
            if f.slice or f.estimate is None or f.compare != "value":
                continue
            at = f"checks[{i}].findings[{j}]"
            n = Said(f"{f.estimate.n:,}" if f.estimate.n else "", f"{at}.estimate.n", numeric=bool(f.estimate.n))
            row = row_of(f, at, say, n=n, alone=True, by_metric=True)
            look = Said(say.t(row.look.word), f"{at}.verdict")
            rows.append(((row.who,), (row.estimate,), (row.low,), (row.high,), (row.n,), (Said(f"{row.look.sign} "), look)))
    if not rows:
        return [Note(runs(say, "Nothing was measured of it in this audit: a gap."), alert=True)]
    heads = [say.t("What was measured"), say.t("Estimate"), say.t("At least"), say.t("At most"), say.t("Rows"), say.t("Verdict")]
    shown = Table(tuple(rows[:MOST_ROWS]), tuple(map(Said, heads)), (False, True, True, True, True, False))
    return [shown, *(Note(line) for line in more(d, len(rows) - MOST_ROWS, "checks"))]


def register(d: Dossier) -> Block:
    """The findings that fail, or are open where they decide: each with its severity and who accepts it until when."""
    say, lines = d.say, list[Runs]()
    found = [one for one in judged(d.document) if one.finding.verdict in ("fail", "inconclusive") and not one.check.rejected]
    order = list(SEVERITIES)
    found.sort(
        key=lambda one: (LOOKS[one.finding.verdict].rank, order.index(one.finding.criterion.severity) if one.finding.criterion else 9)
    )
    for one in found[:MOST_ROWS]:
        f, look = one.finding, LOOKS[state_of_finding(one.finding)]
        said = {
            "verdict": Said(f"{look.sign} {say.t(look.word)}", f"{one.path}.verdict"), "finding": Said(sentence(f, say), f"{one.path}.sentence"),
            "severity": say.t(SEVERITIES[f.criterion.severity]) if f.criterion else "–",
        }  # fmt: skip
        lines.append(runs(say, "{verdict} ({severity}): {finding}", **said))
        owner = accepted(d.document, f.key, say)
        lines[-1] += (
            plain(owner and f"{'' if say.lang == 'zh' else ' '}{owner}") if owner else runs(say, " Nobody answers for it yet: a gap.")
        )
    if not lines:
        return Note(runs(say, "No finding of this audit fails, and none that decides is open."))
    return Items((*lines, *more(d, len(found) - MOST_ROWS, "checks")))


def more(d: Dossier, n: int, path: str) -> list[Runs]:
    """What was left out, counted."""
    if n <= 0:
        return []
    return [runs(d.say, "{n} more findings are in audit.json.", n=Said(str(n), path, numeric=True))]
