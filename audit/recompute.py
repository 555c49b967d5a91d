"""Findings of a stored audit, drawn at random and measured again by somebody who has the model and the data.

The stored plan is followed: the same declarations, parameters, levels, sample and seed; the model runs in a worker, as in an audit. On the platform of
the audit (same Python, system and packages) every digit must be the same; elsewhere counts are, and numbers agree to one part in a million.
"""

from __future__ import annotations

import math
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audit.errors import AuditError
from audit.integrity import FAILED, OK, UNCHECKED, Claim

if TYPE_CHECKING:
    from audit.request import Request
    from audit.runner import Audit

Json = dict[str, Any]
#: What is measured of a finding; its verdict follows from this and its criterion, which `audit.verify` checks in the stored document.
MEASURED = ("estimate", "parts", "test", "clusters", "weights", "evidence")
TOLERANCE = 1e-6
MOST_NAMED = 3


@dataclass(frozen=True)
class Again:
    """How a third party measures again; `number` findings, drawn by `seed`. Paths are absolute."""

    number: int
    seed: int
    model: str
    data: str | None = None
    training: str | None = None
    references: str | None = None
    tracking_uri: str | None = None
    trust_pickle: bool = False
    isolation: Literal["required", "best-effort", "none"] = "best-effort"


def recompute(document: Json, how: Again) -> list[Claim]:
    """One claim for each finding that was drawn, and one for those that cannot be measured again."""
    from audit.progress import progress
    from audit.runner import Audit

    drawn, left_out = draw(document, how.number, how.seed)
    claims: list[Claim] = []
    if left_out:
        claims.append((UNCHECKED, "findings that a repetition does not give again", f"{left_out}, such as times: left out of the draw"))
    with Audit(request(document, how), progress()) as audit:
        audit.look()
        same = [*_same_subject(document, audit)]
        if any(state == FAILED for state, _, _ in same):
            return [*claims, *same]
        audit.settle()
        exact = _plan_kept(document, audit)
        found = audit.again(document["history"], {check for check, _ in drawn})
    here = same_platform(document, found)
    claims.append((OK, "platform", "as in the audit: every digit must be the same") if here else (
        UNCHECKED, "platform", "another than in the audit: counts must be the same, and numbers to one part in a million",
    ))  # fmt: skip
    if not exact:
        claims.append((UNCHECKED, "plan", "this version resolves the stored plan otherwise, so differences may be its own"))
    return claims + [_claim(check, finding, found, exact=here) for check, finding in drawn]


def draw(document: Json, number: int, seed: int) -> tuple[list[tuple[str, Json]], int]:
    """So many findings of completed checks, each with its check, in the order of the document; and how many could not be drawn."""
    every = [(c["info"]["id"], f) for c in document["checks"] if c["status"] == "completed" for f in c["findings"]]
    able = [(check, f) for check, f in every if f["repeatable"]]
    if number < 1:
        raise AuditError(f"--recompute wants a number of findings, got {number}", "give 1 or more")
    if not able:
        raise AuditError("this audit has no finding that can be measured again", "leave out --recompute")
    chosen = sorted(random.Random(seed).sample(range(len(able)), min(number, len(able))))
    return [able[i] for i in chosen], len(every) - len(able)


def request(document: Json, how: Again) -> Request:
    """The request that the stored document answers, for this model and these data."""
    from audit import plan as plans
    from audit.registry import checks
    from audit.request import Request
    from audit.store import absolute_uri

    written = dict(document["plan"])
    roles, asked, known = written.pop("roles"), written["checks"], checks()
    gone = sorted(set(asked) - set(known))
    if gone:
        raise AuditError(f"this version has no check {gone[0]}, which the audit's plan names", "use the version that wrote the audit")
    enabled = {id_: bool(asked.get(id_, {}).get("enabled")) for id_ in known}
    written["reference"] = {column: value for column, value in written["reference"].items() if value is not None}
    written["checks"] = {id_: c | {"params": _params(c["params"], "rules" in known[id_].defaults)} for id_, c in asked.items()}
    context = {key: value for key, value in document["context"].items() if value not in (None, "not stated")}
    given = {name: value for name, value in roles.items() if value not in (None, [], False)}
    return Request(
        id=uuid.uuid4().hex, uri=str(Path(how.model).absolute()) if Path(how.model).is_dir() else how.model, tracking_uri=absolute_uri(how.tracking_uri),
        data=how.data, training=how.training, references=how.references,
        given=given | {"features": _features(document), "context": context, "reference": written["reference"]},
        plan=plans.Plan.model_validate(written).model_dump(mode="json"), checks=enabled, sample=written["audit"]["sample"], seed=document["seed"], out="", lang="en",
        edition=written["disclosure"]["edition"], log=False, check_timeout=900.0, trust_pickle=how.trust_pickle, isolation=how.isolation, scored_dir=None, forget=True,
        started=document["started"], command=[],
    )  # fmt: skip


def _params(params: Json, ruled: bool) -> Json:
    """A check's parameters without the declared rules, which stand in a section of their own."""
    return {name: value for name, value in params.items() if not (ruled and name == "rules")}


def _features(document: Json) -> list[str] | None:
    """The model's inputs in order; None where no model was asked."""
    return [f["name"] for f in document["model"]["features"]] or None


def _same_subject(document: Json, audit: Audit) -> list[Claim]:
    """Whether model and data are those of the audit: without that, a difference would say nothing."""
    training = (document["data"].get("training") or {}).get("sha256")
    here = (audit.facts["training"] or {}).get("sha256")
    pairs = {
        "model to recompute with": (audit.inspection.sha256, document["model"]["sha256"], "--model"),
        "data to recompute on": (audit.facts["sha256"], document["data"]["sha256"], "--data"),
        "training data to recompute with": (here, training, "--training"),
    }
    return [(FAILED, what, f"not that of the audit: name it with {option}") for what, (now, then, option) in pairs.items() if now != then]


def _plan_kept(document: Json, audit: Audit) -> bool:
    """Whether this version reads the stored plan as the one that wrote it."""
    from audit.plan import digest

    return bool(digest(audit.resolved_plan()) == document["plan_sha256"])


def same_platform(document: Json, found: Json) -> bool:
    """Whether both were measured by the same Python and packages on the same system."""
    then, now = document["environment"], found["environment"]
    return all(bool(then[name] == now[name]) for name in ("python", "platform", "packages"))


def _claim(check: str, finding: Json, found: Json, *, exact: bool) -> Claim:
    slice_ = ", ".join(f"{k} = {v}" for k, v in finding["slice"].items()) or "everybody"
    what = f"finding {finding['key']}, {check}: {finding['metric']} ({finding['compare']}), {slice_}"
    now = next(c for c in found["checks"] if c["info"]["id"] == check)
    if now["status"] != "completed":
        return (FAILED, what, f"the check did not complete this time: {now['reason']}")
    again = next((f for f in now["findings"] if f["key"] == finding["key"]), None)
    if again is None:
        return (FAILED, what, "not found again")
    told = [d for name in MEASURED for d in differences(finding[name], again[name], name, exact=exact)]
    if told:
        more = f"; {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        return (FAILED, what, "; ".join(told[:MOST_NAMED]) + more)
    value = finding["estimate"]["value"] if finding["estimate"] else "undefined"
    return (OK, what, f"{value} again")


def differences(then: Any, now: Any, where: str, *, exact: bool) -> list[str]:
    """Where two measurements differ, as "place: then, now …"; without `exact` floats agree to one part in a million, or 1e-6 below 1."""
    if isinstance(then, dict) and isinstance(now, dict):
        names = [*then, *(k for k in now if k not in then)]
        return [d for k in names for d in differences(then.get(k), now.get(k), f"{where}.{k}", exact=exact)]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [d for i, (a, b) in enumerate(zip(then, now, strict=True)) for d in differences(a, b, f"{where}[{i}]", exact=exact)]
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (then, now))
    if numbers and not exact and any(isinstance(x, float) for x in (then, now)):
        return [] if math.isclose(then, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE) else [f"{where}: {then}, now {now}"]
    return [] if then == now else [f"{where}: {_short(then)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
