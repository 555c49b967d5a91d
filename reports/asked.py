"""What the laws, standards and practices that apply ask for, as the machine-readable formats hold it: control by control.

The law is that of the audit's own day. What named persons attested of this very document answers their controls, as in the framework's own document.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.result import AuditResult
from reports.obligations.attestations import Attestation
from reports.obligations.catalogue import Framework, built_in
from reports.obligations.dossier import Dossier, attested_text, backing_text
from reports.obligations.statements import LOOKS, Statement, applies
from reports.obligations.timing import timing_text
from reports.records import moment
from reports.speaker import Speaker, mark

PLACE = re.compile(r"checks\[(\d+)\](?:\.findings\[(\d+)\])?")
ALONE = mark(
    "What is said of laws and standards here is what this audit's evidence supports or does not support, by the law of the audit's day; never that anything complies. "
    "It is a draft until a named person has attested it; a person's word stands here under the name, and is that person's."
)


@dataclass(frozen=True)
class Asked:
    """A control of a framework with what the audit has for it: `checks` by their ids and findings by their `keys`."""

    statement: Statement
    title: str
    requirement: str
    told: str
    checks: tuple[str, ...]
    keys: tuple[str, ...]


def asked(document: AuditResult, say: Speaker, edition: str, attested: Sequence[Attestation] = ()) -> list[tuple[Framework, list[Asked]]]:
    """The frameworks that the declared context calls for, each with its controls; none where nothing was declared."""
    on = datetime.date.fromisoformat((moment(document.started) or moment(document.finished) or "1970-01-01")[:10])
    found = []
    for framework in built_in().values():
        if applies(framework, document):
            dossier = Dossier(document, framework, on, tuple(attested), say, edition)
            found.append((framework, [_asked(dossier, s) for s in dossier.statements]))
    return found


def _asked(dossier: Dossier, s: Statement) -> Asked:
    say, document = dossier.say, dossier.document
    places = [match for path in s.paths if (match := PLACE.match(path))]
    checks = [document.checks[int(p[1])] for p in places]
    keys = [c.findings[int(p[2])].key for c, p in zip(checks, places, strict=True) if p[2] is not None]
    backed = ["".join(map(str, backing_text(dossier, b))) for b in s.backings]
    verdict = say.t(LOOKS[s.state].word) + ("。" if say.lang == "zh" else ".")
    backed += ["".join(map(str, attested_text(say, a))) for a in s.attested]
    if s.control.kind == "attested" and s.state == "gap":
        backed.append(say.t("Only a named person can say it."))
    return Asked(
        statement=s,
        title=s.control.called(say.lang),
        requirement=s.control.required(say.lang),
        told=say.sentences([verdict, *backed, timing_text(s.timing, dossier.as_of, say)]),
        checks=tuple(dict.fromkeys(c.info.id for c in checks)),
        keys=tuple(dict.fromkeys(keys)),
    )
