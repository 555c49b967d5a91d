"""`python -m audit.verify AUDIT_DIR`: is this audit as it was written? One line per claim: OK, FAILED or NOT CHECKED.

It reads files and compares digests; it never loads a model and opens no connection (only `--model` asks MLflow where the model lies), but for
`--recompute N`, which starts the model in its worker as an audit does, and measures N of the findings again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from audit.errors import AuditError
from audit.integrity import FAILED, OK, UNCHECKED, Claim, check


def verify(
    folder: Path,
    *,
    keys: list[Path] | None = None,
    model: str | None = None,
    data: str | None = None,
    tracking_uri: str | None = None,
    attested: str | None = None,
) -> list[Claim]:
    """Every claim as (state, what, detail); `keys` are public keys of those whose signatures are expected, `attested` the hash of an attestation."""
    return _examined(folder, keys or [], model, data, tracking_uri, attested)[0]


def _examined(
    folder: Path, keys: list[Path], model: str | None, data: str | None, tracking_uri: str | None, attested: str | None
) -> tuple[list[Claim], dict[str, Any] | None]:
    """The claims, and the document where it can be read."""
    from audit.signing import read_public

    claims, document = check(folder, [read_public(path) for path in keys], attested)
    if document is None:
        return [*claims, (UNCHECKED, "model", "the document cannot be read"), (UNCHECKED, "data", "the document cannot be read")], None
    return [*claims, _model(document, model, tracking_uri), _data(document, data)], document


def _model(document: dict[str, Any], uri: str | None, tracking_uri: str | None) -> Claim:
    if document["model"]["sha256"] is None:  # an address, or predictions alone
        return (UNCHECKED, "model", str(document["model"].get("sha256_reason")))
    if uri is None:
        return (UNCHECKED, "model", "name it with --model")
    import tempfile

    from audit.store import absolute_uri, resolve
    from audit.subject.inspect import inspect_model

    with tempfile.TemporaryDirectory(prefix="witnessmark-verify-") as scratch:
        arguments = {"uri": uri, "destination": str(Path(scratch) / "model"), "tracking_uri": absolute_uri(tracking_uri)}
        found = inspect_model(Path(resolve(arguments, None)["path"])).sha256
    same = found == document["model"]["sha256"]
    return (OK if same else FAILED, "model", "" if same else "it is not the one that was audited, or has changed")


def _data(document: dict[str, Any], path: str | None) -> Claim:
    if path is None:
        return (UNCHECKED, "data", "name them with --data")
    from audit.dataset import data_digest, find_files

    same = data_digest(find_files(path)) == document["data"]["sha256"]
    return (OK if same else FAILED, "data", "" if same else "they are not those that were audited, or have changed")


def _recomputed(options: argparse.Namespace, document: dict[str, Any] | None) -> list[Claim]:
    """What measuring again says; a model that does not answer is a claim that failed, since the folder was verified all the same."""
    import secrets

    from audit.jobs import JobError
    from audit.options import absolute
    from audit.recompute import Again, recompute

    if document is None:
        return [(UNCHECKED, "recomputed findings", "the document cannot be read")]
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    how = Again(
        number=options.recompute, seed=seed, model=options.model, data=absolute(options.data), training=absolute(options.training),
        references=absolute(options.references), tracking_uri=options.tracking_uri, trust_pickle=options.trust_pickle, isolation=options.isolation,
    )  # fmt: skip
    try:
        return [(OK, "draw", f"--seed {seed} draws these findings again"), *recompute(document, how)]
    except JobError as error:
        return [(FAILED, "recomputed findings", f"the model could not be asked: {error.message}")]


def _plain(line: str) -> str:
    """A line that stays one: a file may be named so that a terminal would show a claim that nobody made."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.verify --help")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: nothing failed; 1: something is altered, missing or added; 2: not an audit."""
    parser = _Parser(prog="audit.verify", description="Is this audit as it was written?", allow_abbrev=False)
    parser.add_argument("audit_dir")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="PUBLIC_KEY",
        help="the signer's public key, from the signer; again for others who attested",
    )
    parser.add_argument(
        "--attested",
        metavar="SHA256",
        help="the hash of an attestation, kept elsewhere: shows whether the last ones were taken away",
    )
    parser.add_argument("--model", metavar="URI", help="compare the model's files with those that were audited")
    parser.add_argument("--data", metavar="PATH", help="compare the data with those that were audited")
    parser.add_argument("--tracking-uri", metavar="URI")
    again = parser.add_argument_group("measuring again")
    again.add_argument("--recompute", type=int, metavar="N", help="measure N findings, drawn at random, again (needs --model)")
    again.add_argument(
        "--seed", type=int, metavar="S", help="draw the same findings again (default: another draw each time, whose seed is printed)"
    )
    again.add_argument("--training", metavar="PATH", help="the training data, where they were not logged with the model")
    again.add_argument("--references", metavar="DIR", help="reference models, where they were not logged with the model")
    again.add_argument("--trust-pickle", action="store_true", help="let the worker load a format that runs code")
    again.add_argument("--isolation", choices=("required", "best-effort", "none"), default="best-effort")
    try:
        options = parser.parse_args(argv)
        if options.recompute is not None and not options.model:
            raise AuditError("--recompute needs the model", "name it with --model, and the data with --data")
        keys = [Path(path) for path in options.key]
        claims, document = _examined(Path(options.audit_dir), keys, options.model, options.data, options.tracking_uri, options.attested)
        if options.recompute is not None:
            claims += _recomputed(options, document)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    for state, what, detail in claims:
        print(_plain(f"{state:<12} {what}{': ' + detail if detail else ''}"))
    return 1 if any(state == FAILED for state, _, _ in claims) else 0


if __name__ == "__main__":
    sys.exit(main())
