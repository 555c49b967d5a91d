"""`python -m audit.keygen NAME`: a new key to sign audits with: NAME.key, which only its owner may read, and NAME.pub for everybody who verifies."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from audit.errors import AuditError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.keygen --help")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: both files were written, and their paths stand on stdout; 2: none was."""
    parser = _Parser(prog="audit.keygen", description="A new Ed25519 key to sign audits and attestations with.", allow_abbrev=False)
    parser.add_argument("name", nargs="?", default="witnessmark", metavar="NAME", help="of the files (default: witnessmark)")
    parser.add_argument("--out", metavar="DIR", default=".", help="the folder that they are written to (default: here)")
    try:
        options = parser.parse_args(argv)
        private, public, key = write(Path(options.out), options.name)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"key id {key}", file=sys.stderr)
    print("keep the private key to yourself; publish the other where those who verify will trust it", file=sys.stderr)
    print(private)
    print(public)
    return 0


def write(folder: Path, name: str) -> tuple[Path, Path, str]:
    """Both files and the key's id; nothing is overwritten, since a lost private key cannot be made again."""
    from audit.signing import new_key

    if Path(name).name != name or name in ("", ".", ".."):
        raise AuditError(f"{name!r} is no plain file name", "name the folder with --out DIR")
    private, public = (folder.absolute() / f"{name}.{suffix}" for suffix in ("key", "pub"))
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise AuditError(f"{path} is there already", "choose another NAME; a key is never overwritten")
    secret, shown, key = new_key()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content, mode in ((private, secret, 0o600), (public, shown, 0o644)):
            # Made with its mode: at no moment could others read the private one.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except OSError as error:
        raise AuditError(f"cannot write to {folder}: {error.strerror}", "choose another folder with --out DIR") from None
    return private, public, key


if __name__ == "__main__":
    sys.exit(main())
