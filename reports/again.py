"""The paper that a file says it is, drawn again from what it was drawn from, with what stands at the places that it names."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.result import AuditResult
from reports.blocks import Paper
from reports.disclose import public
from reports.obligations.catalogue import Framework, built_in, find, parts
from reports.speaker import Speaker
from reports.trace import Places

KINDS = ("appendix", "framework", "notice")


@dataclass(frozen=True)
class Source:
    """`draw` gives the paper in a language; `places` is what its paths lead to."""

    draw: Callable[[str], Paper]
    places: Places


def of_appendix(about: Sequence[str], shown: AuditResult) -> Source:
    """The appendix of a report: kind, language, edition, digest, kind of the report, place of its caps."""
    from reports.appendix import of_report

    _, _, edition, _, suffix, place = about

    def draw(lang: str) -> Paper:
        made = of_report(shown, lang, edition, suffix, int(place))
        return made if made is not None else Paper("", lang, shown.finished, ("", ""))

    return Source(draw, Places(shown))


def laws(framework: Framework, as_of: datetime.date, counted: dict[str, int]) -> dict[str, Any]:
    """The texts of a framework by the places that a page gives them, with how many controls stand in each state."""
    whole = framework.model_dump(mode="json")
    common = {k: v for k, v in whole.items() if k not in ("controls", "parts")} | {"as_of": as_of.isoformat()}
    found: dict[str, Any] = {f"law:{framework.id}": common | {"controls": len(framework.controls)}}
    found |= {f"law:{control['id']}": [control, common] for control in whole["controls"]}
    return found | {f"law:{framework.id}#{state}": n for state, n in counted.items()}


def of_framework(about: Sequence[str], shown: AuditResult, folder: Path, named: str | None) -> Source:
    """The document of a framework: kind, language, edition, digest, framework, day; `named` is the path of a framework of one's own."""
    from reports.obligations.attestations import attestations
    from reports.obligations.dossier import Dossier
    from reports.obligations.draw import paper

    _, _, edition, _, id_, day = about
    if named is None and id_ not in built_in() | parts():
        raise AuditError(f"the framework {id_} is none of ours", "name its file with --framework PATH")
    framework, as_of, said = find(named or id_), datetime.date.fromisoformat(day), attestations(folder)
    dossiers = {lang: Dossier(shown, framework, as_of, said, Speaker(lang), edition) for lang in ("en", "zh")}
    words = [
        {"name": a.name, "role": a.role, "made": a.made, "statement": a.statement, "audit_sha256": a.audit_sha256, "envelope": a.signer}
        | ({"file": a.file.model_dump()} if a.file else {})
        for a in said
    ]
    counted = Counter(str(s.state) for s in dossiers["en"].statements)
    places = Places(shown, {"attestations": words}, laws(framework, as_of, counted))
    return Source(lambda lang: paper(dossiers[lang]), places)


def of_notice(folder: Path) -> Source:
    """The notice of an adverse decision."""
    from reports.obligations import adverse

    explained = adverse.load(folder)
    places = Places(
        None,
        explained.model_dump(mode="json", by_alias=True),
        {f"law:{adverse.FRAMEWORK}.9a1": adverse.DAYS, f"law:{adverse.FRAMEWORK}.9a2": ""},
    )
    due = datetime.date.fromisoformat(explained.made[:10]) + datetime.timedelta(days=adverse.DAYS)
    places.derived["made"] = [due.isoformat()]
    return Source(lambda lang: adverse.notice(explained, lang), places)


def source(about: Sequence[str], document: AuditResult | None, folder: Path, named: str | None = None) -> Source:
    """What a file of this kind was drawn from: `about` is what it says of itself, the first word its kind."""
    if about[0] == "notice":
        return of_notice(folder)
    if document is None or len(about) != 6:
        raise AuditError("this file does not say what it was drawn from", "name a file that reports.generate wrote")
    shown = public(document) if about[2] == "public" else document
    return of_appendix(about, shown) if about[0] == "appendix" else of_framework(about, shown, folder, named)
