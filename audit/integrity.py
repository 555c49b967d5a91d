"""What can be told of an audit folder from its files alone: each claim as OK, FAILED or NOT CHECKED.

Files are read and digests compared; nothing is loaded, nothing connected to, and no key is taken from the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from audit import entries, manifest
from audit.errors import AuditError
from audit.result import SCHEMA_VERSION, AuditResult, document_digest, finding_key
from audit.signing import ATTESTATION_TYPE, SignatureError, canonical, key_id, opened, read, signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from audit.result import CheckResult, Finding

OK, FAILED, UNCHECKED = "OK", "FAILED", "NOT CHECKED"
Claim = tuple[str, str, str]
Json = dict[str, Any]
FOLLOWS = "verdict follows from the findings"
#: What holds the whole folder, and so cannot be listed in it (reports/evidence.py).
PACKED = ("evidence.zip", "evidence.zh.zip")
UNREADABLE = "altered: it cannot be read"
ENDS_EARLIER = "no later attestation taken away"


def _once(pairs: list[tuple[str, Any]]) -> Json:
    """Refuse a key that stands twice: two readers could take different values from it."""
    keys = [k for k, _ in pairs]
    twice = next((k for k in keys if keys.count(k) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} stands twice")
    return dict(pairs)


def _parsed(content: bytes) -> Any:
    return json.loads(content, object_pairs_hook=_once)


def regular(folder: Path, name: str) -> bool:
    """Whether this is a file of the folder itself: no path, no link."""
    path = folder / name
    return "/" not in name and name not in ("", ".", "..") and path.is_file() and not path.is_symlink()


def _object(folder: Path, name: str) -> tuple[Json | None, str]:
    """A JSON object of the folder, or why there is none."""
    if not regular(folder, name):
        return None, "missing"
    try:
        found = _parsed((folder / name).read_bytes())
    except (ValueError, RecursionError) as error:
        twice = "stands twice" in str(error)
        return None, f"altered: {error}" if twice else UNREADABLE
    return (found, "") if isinstance(found, dict) else (None, UNREADABLE)


def check(folder: Path, keys: list[Ed25519PublicKey], attested: str | None = None) -> tuple[list[Claim], Json | None]:
    """Every claim about the folder, and its document where it can be read; an `AuditError` where it is no audit, or a newer version's.

    `attested` is the hash of an attestation that somebody kept elsewhere: it must still stand there.
    """
    sealed, why = _object(folder, manifest.NAME)
    document, broken = _object(folder, "audit.json")
    if why == broken == "missing" or (sealed is None and document is None):
        raise AuditError(
            f"{folder} is not an audit: it has no audit.json and manifest.json that can be read", "name the folder that audit.run wrote"
        )
    claims = list(_of_manifest(folder, sealed, why, keys))
    if document is None:
        return [*_once_each(claims, (FAILED, "audit.json", broken)), *_beside(folder, sealed, {}, keys, attested)], None
    newer = isinstance(document.get("schema_version"), int) and document["schema_version"] > SCHEMA_VERSION
    if newer and not any(state == FAILED for state, _, _ in claims):
        told = f"schema {document['schema_version']}; this version reads {SCHEMA_VERSION}"
        raise AuditError(f"{folder} was written by a newer version ({told})", "update witnessmark and verify again")
    of_document = list(_of_document(document, sealed))
    readable = of_document[0][0] == OK
    return [*claims, *of_document, *_beside(folder, sealed, document, keys, attested)], document if readable else None


def _once_each(claims: list[Claim], claim: Claim) -> list[Claim]:
    """The claims with this one in the place of an earlier one about the same thing, which says less."""
    return [*(c for c in claims if c[1] != claim[1]), claim]


# --- manifest.json ------------------------------------------------------------------------------------------------------------------------


def _of_manifest(folder: Path, sealed: Json | None, why: str, keys: list[Ed25519PublicKey]) -> Iterator[Claim]:
    if sealed is None:
        yield (FAILED, manifest.NAME, why)
        return
    expected = {"schema_version", "files", "model", "data", "plan_sha256", "digest", "signature"}
    files = sealed.get("files")
    if set(sealed) != expected or not isinstance(files, dict) or not all(isinstance(e, dict) for e in files.values()):
        yield (FAILED, manifest.NAME, "altered: it has not the form of a manifest")
        return
    yield _signature(sealed, keys)
    try:
        same = (folder / manifest.NAME).read_bytes() == canonical(sealed) and sealed["schema_version"] == 1
    except (ValueError, RecursionError):
        same = False
    yield (OK if same else FAILED, manifest.NAME, "" if same else "altered: it is not in the one form in which it is written")
    for name, entry in sorted(files.items()):
        yield _listed(folder, name, entry)


def _signature(sealed: Json, keys: list[Ed25519PublicKey]) -> Claim:
    envelope = sealed["signature"]
    if envelope is None:
        return (FAILED, "signature", "this audit is not signed") if keys else (
            UNCHECKED, "signature", "integrity only: no key was given, and the audit is not signed",
        )  # fmt: skip
    try:
        if read(envelope) != manifest.vouched(sealed):
            return (FAILED, "signature", "it was made for another manifest")
        if not keys:
            return (UNCHECKED, "signature", f"integrity only: no key was given; it says that it is by key {signer(envelope)}")
        key = next((k for k in keys if key_id(k) == signer(envelope)), keys[0])
        opened(envelope, key)
    except SignatureError as error:
        return (FAILED, "signature", str(error))
    except (KeyError, TypeError, AttributeError):
        return (FAILED, "signature", "it was made for another manifest")
    return (OK, "signature", f"by key {key_id(key)}; it says who wrote this, not that it is true")


def _listed(folder: Path, name: str, entry: Json) -> Claim:
    if name in manifest.APART and not os.path.lexists(folder / name):
        return (UNCHECKED, name, "not here: it shows single rows, which copies leave out")
    if not regular(folder, name):
        return (FAILED, name, "missing")
    try:
        return (OK, name, "") if manifest.measured(folder / name) == entry else (FAILED, name, "altered")
    except (ValueError, RecursionError):
        return (FAILED, name, UNREADABLE)


# --- audit.json ---------------------------------------------------------------------------------------------------------------------------


def _of_document(document: Json, sealed: Json | None) -> Iterator[Claim]:
    try:
        result = AuditResult.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        yield (FAILED, "schema of the document", f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200])
        yield (UNCHECKED, FOLLOWS, "the document cannot be read")
        return
    yield (OK, "schema of the document", "")
    from audit.plan import digest

    yield _hashed("digest of the document", document["digest"], lambda: document_digest(document))
    yield _hashed("digest of the plan", document["plan_sha256"], lambda: digest(document["plan"]))
    yield _verdict(result)
    if sealed is not None:
        for what, value in manifest.stated(document).items():
            agree = sealed.get(what) == value
            yield (OK if agree else FAILED, f"{what} named alike in manifest and document", "")
    yield _validity(result)


def _hashed(what: str, written: object, computed: Callable[[], str]) -> Claim:
    try:
        same = written == computed()
    except (ValueError, RecursionError):  # what has no canonical form, such as a number too large for it, was not written by us
        same = False
    return (OK if same else FAILED, what, "" if same else "it does not follow from what the document says")


def _verdict(result: AuditResult) -> Claim:
    """The verdict must follow from the questions, the questions from their findings, each check's from its findings, each finding's from its estimate."""
    from audit.judge import audit_verdict, worst

    by_key = {f.key: f.verdict for c in result.checks for f in c.findings}
    for check_ in result.checks:
        if check_.status == "completed" and check_.verdict != worst(f.verdict for f in check_.findings):
            return (FAILED, FOLLOWS, f"that of {check_.info.id} does not")
        wrong = next((f for f in check_.findings if not _follows(check_, f)), None)
        if wrong is not None:
            return (FAILED, FOLLOWS, f"finding {wrong.key} of {check_.info.id} contradicts itself")
    for question in result.questions:
        told = worst(by_key.get(k, "fail") for k in question.findings)
        stricter = question.verdict in ("inconclusive", "error") and told in ("pass", "not_judged", "inconclusive")
        if question.verdict != told and not stricter:
            return (FAILED, FOLLOWS, f"the answer to {question.id} does not")
    verdict, answered = audit_verdict(result.questions)
    follows = (verdict, answered) == (result.verdict, result.answered)
    return (OK if follows else FAILED, FOLLOWS, "" if follows else f"it should be {verdict}")


def _follows(check_: CheckResult, f: Finding) -> bool:
    """Whether a finding has the key of what it is about, and is judged only by a criterion, and on the side of its limits where its value lies."""
    if f.key != finding_key(check_.info.id, f.metric, f.compare, f.slice, f.against):
        return False
    if f.verdict not in ("pass", "fail"):
        return True
    if f.criterion is None or f.estimate is None:
        return False
    value, low, high = f.estimate.value, f.criterion.min, f.criterion.max
    within = (low is None or value >= low) and (high is None or value <= high)
    strictly = (low is None or value > low) and (high is None or value < high)
    return within if f.verdict == "pass" else not strictly


def _validity(result: AuditResult) -> Claim:
    """An audit that has expired was not altered: it no longer speaks for the model of today."""
    until, today = result.valid_until[:10], datetime.now(UTC).strftime("%Y-%m-%d")
    if until < today:
        return (UNCHECKED, "valid today", f"expired on {until}: audit the model again")
    return (OK, f"valid until {until}", "")


# --- what came later, and what nothing lists -----------------------------------------------------------------------------------------------


def _beside(folder: Path, sealed: Json | None, document: Json, keys: list[Ed25519PublicKey], kept: str | None) -> list[Claim]:
    by_id = {key_id(k): k for k in keys}
    listed = {"audit.json", manifest.NAME, entries.VIEWS, entries.ATTESTATIONS, *((sealed or {}).get("files") or {})}
    claims, views = _entries(folder, entries.VIEWS, entries.read_views, entries.write_views)
    for entry in views:
        claims.append(_view(folder, entry, document, by_id))
        listed.add(str(entry.get("file")))
    found, attested = _entries(folder, entries.ATTESTATIONS, entries.read_attestations, entries.write_attestations)
    claims += found
    before = None
    for number, entry in enumerate(attested, 1):
        claims.append(_attestation(number, entry, before, document, by_id))
        before = entry.get("entry_sha256")
    claims += _ending(folder, attested, views, kept)
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return claims + [_unlisted(path) for path in paths if path not in listed]


def _ending(folder: Path, attested: list[Json], views: list[Json], kept: str | None) -> list[Claim]:
    """Whether the list of attestations ends where it ended: a chain of hashes shows what is gone from its middle, and not from its end.

    `views.json` has the hash of the whole list, signed where the last who attested had a key, so the list alone cannot be shortened. Who puts back
    an older copy of both, or takes both away, is found out only by whoever kept the hash of a later attestation elsewhere.
    """
    found, last = [str(e.get("entry_sha256")) for e in attested], ENDS_EARLIER
    if (folder / entries.ATTESTATIONS).exists() and all(v.get("file") != entries.ATTESTATIONS for v in views):
        return [(FAILED, entries.ATTESTATIONS, f"{entries.VIEWS} has not its hash: an attestation may have been taken away or added")]
    if kept is not None:
        here = kept in found
        told = (
            f"{found.index(kept) + 1} of {len(found)}"
            if here
            else "the one that you name is not here: it was taken away, or is another audit's"
        )
        return [(OK if here else FAILED, last, told)]
    if not found:
        return []
    return [
        (
            UNCHECKED,
            last,
            f"there are {len(found)}; compare with a hash that was kept elsewhere: --attested; the last here is {found[-1][:64]}",
        )
    ]


def _unlisted(path: str) -> Claim:
    if path in PACKED:
        return (UNCHECKED, path, "listed nowhere: unpack it elsewhere and verify what it holds")
    return (FAILED, path, "added: nothing lists it")


def _entries(
    folder: Path, name: str, reader: Callable[[Path], list[Json]], writer: Callable[[list[Json]], bytes]
) -> tuple[list[Claim], list[Json]]:
    """The entries of a list of later files, and what is wrong with the list itself."""
    path = folder / name
    if not path.exists() and not path.is_symlink():
        return [], []
    if not regular(folder, name):
        return [(FAILED, name, "altered: it is no file")], []
    try:
        found = reader(folder)
        same = writer(found) == path.read_bytes()
    except (ValueError, RecursionError):
        return [(FAILED, name, UNREADABLE)], []
    return ([] if same else [(FAILED, name, "altered: it is not in the one form in which it is written")]), found


def _view(folder: Path, entry: Json, document: Json, keys: Mapping[str, Ed25519PublicKey]) -> Claim:
    name = str(entry.get("file"))
    wrong = entries.fault(entry, entries.VIEW_TYPE)
    if wrong:
        return (FAILED, name, f"its entry in {entries.VIEWS} is {wrong}")
    if not regular(folder, name):
        return (FAILED, name, "missing")
    if hashlib.sha256((folder / name).read_bytes()).hexdigest() != entry.get("sha256"):
        return (FAILED, name, "altered")
    if entry.get("document_digest") != document.get("digest"):
        return (FAILED, name, "drawn from another document")
    return _signed(name, entry, keys)


def _attestation(number: int, entry: Json, before: object, document: Json, keys: Mapping[str, Ed25519PublicKey]) -> Claim:
    what = f"attestation {number}"
    wrong = entries.fault(entry, ATTESTATION_TYPE)
    if wrong:
        return (FAILED, what, wrong)
    if entry.get("previous") != before:
        return (FAILED, what, "the one before it was altered or taken away")
    if entry.get("document_digest") != document.get("digest"):
        return (FAILED, what, "it speaks of another document")
    return _signed(what, entry, keys)


def _signed(what: str, entry: Json, keys: Mapping[str, Ed25519PublicKey]) -> Claim:
    """An entry without fault: by whom, where that can be told."""
    true, said = entries.signed_by(entry, keys)
    if not keys and "signature" not in entry:
        return (OK, what, "")
    return (FAILED if true is False else UNCHECKED if "signature" in entry and true is None else OK, what, said)
