"""Take a registered model into service only if the auditor's own signed word allows it.

    python examples/take_into_service.py credit 3 --key auditor.pub

Tags of a registry can be changed by anyone who may edit it, so they only point: the audit that they name is fetched, verified with the auditor's public
key, which was not taken from the registry, and compared with them and with the model's files. Exit status 0: take it; 1: do not, and why; 2: nothing
could be compared.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from audit.errors import AuditError
from audit.integrity import FAILED, OK
from audit.verify import verify
from reports.write import load


def refusal(tags: Mapping[str, str], folder: Path, key: Path, model: str | None, tracking_uri: str | None = None) -> str | None:
    """Why a model with these tags, whose audit lies in `folder`, is not taken; None where nothing speaks against it."""
    claims = verify(folder, keys=[key], model=model, tracking_uri=tracking_uri)
    states = {what: state for state, what, _ in claims}
    failed = next((f"{what}: {detail}" for state, what, detail in claims if state == FAILED), None)
    if failed or states["signature"] != OK:
        return f"its audit does not verify ({failed or 'not signed'})"
    if model is not None and states["model"] != OK:
        return "nothing proves that these are the files that were audited"
    if "valid today" in states:
        return "its audit has expired"
    document = load(folder)
    for tag, said in (("witnessmark.digest", document.digest), ("witnessmark.verdict", document.verdict)):
        if tags.get(tag) != said:
            return f"the registry says {tag} = {tags.get(tag)!r}, and the auditor signed {said!r}"
    return None if document.verdict == "pass" else f"its audit says {document.verdict!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a registered model into service only if its audit, signed by the auditor, passes.")
    parser.add_argument("name")
    parser.add_argument("version")
    parser.add_argument("--key", type=Path, required=True, help="the auditor's public key, from the auditor")
    parser.add_argument("--tracking-uri", default="sqlite:///mlflow.db")
    options = parser.parse_args()
    from audit.store import EXPERIMENT, SETTINGS, client_of

    os.environ.update(SETTINGS)

    client = client_of(options.tracking_uri)
    tags = client.get_model_version(options.name, options.version).tags
    digest = tags.get("witnessmark.digest", "")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = (
        client.search_runs([experiment.experiment_id], f"tags.`witnessmark.digest` = '{digest}'") if experiment and digest.isalnum() else []
    )
    if not runs:
        print("refused: the registry names no audit that is in the store", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(client.download_artifacts(runs[0].info.run_id, "audit", scratch))
        try:
            why = refusal(tags, folder, options.key, f"models:/{options.name}/{options.version}", options.tracking_uri)
        except AuditError as error:
            print(error, file=sys.stderr)
            return 2
    if why:
        print(f"refused: {why}", file=sys.stderr)
        return 1
    print(f"models:/{options.name}/{options.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
