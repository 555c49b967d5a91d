"""The manifest of an audit folder: what its files, the model, the data and the plan were when it was written, and who vouches for it.

It is written in its canonical form (RFC 8785), the only one in which it is accepted again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.explain import rows_file
from audit.signing import MANIFEST_TYPE, canonical, sign, statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Json = dict[str, Any]
NAME = "manifest.json"
#: Files of an audit that show single rows: the manifest lists them, and no copy of the audit carries them.
APART = (rows_file.NAME,)


def make(folder: Path, document: Json, files: Iterable[str], key: Ed25519PrivateKey | None = None) -> Json:
    """Size in bytes and SHA-256 of these files of the folder, with the digests that the document states; signed where a key is given."""
    manifest = {"schema_version": 1, "files": {name: measured(folder / name) for name in files}} | stated(document)
    return manifest | {"signature": sign(vouched(manifest), key) if key else None}


def measured(path: Path) -> Json:
    """What is written down of a file; of JSON also the hash of its canonical form, which stands however the file was laid out or sent."""
    content = path.read_bytes()
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    if path.suffix == ".json":
        entry["canonical_sha256"] = hashlib.sha256(canonical(json.loads(content))).hexdigest()
    return entry


def stated(document: Json) -> Json:
    """What the manifest repeats of the document: where model and data came from, and the hashes of model, data, plan and results."""
    return {
        "model": {"uri": document["model"]["uri"], "sha256": document["model"]["sha256"]},
        "data": {"source": document["data"]["source"], "sha256": document["data"]["sha256"]},
        "plan_sha256": document["plan_sha256"],
        "digest": document["digest"],
    }


def vouched(manifest: Json) -> Json:
    """The statement that a signer makes: these files, this model, these data and this plan, and the manifest that says so."""
    subjects = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    about = {"model": manifest["model"]["sha256"], "data": manifest["data"]["sha256"], "plan": manifest["plan_sha256"]}
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    return statement(subjects | {name: sha256 for name, sha256 in about.items() if sha256}, MANIFEST_TYPE, unsigned)
