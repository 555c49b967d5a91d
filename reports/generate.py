"""`python -m reports.generate AUDIT_DIR`: render reports from a stored audit, without the model and without the data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from audit.errors import AuditError


class Parser(argparse.ArgumentParser):
    """Refuses in one line, as every command here does."""

    def error(self, message: str) -> NoReturn:
        raise AuditError(message, f"see {self.prog} --help")


def parser() -> Parser:
    p = Parser(prog="python -m reports.generate", description=(__doc__ or "").split(": ", 1)[1])
    p.add_argument("audit_dir", metavar="AUDIT_DIR", type=Path, help="the folder that audit.run wrote")
    p.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the report (default: en)")
    p.add_argument(
        "--format",
        action="append",
        metavar="FORMAT",
        dest="formats",
        help="html (default), pdf (each with the appendix that it needs), appendix, appendix-html, summary, markdown, model-card, datasheet, oscal, sarif, cyclonedx, junit, evidence; may be given again",
    )
    p.add_argument(
        "--framework",
        action="append",
        metavar="ID",
        default=[],
        help="the document of a law, standard or practice, or of a YAML file of yours",
    )
    p.add_argument("--as-of", metavar="DATE", help="the law of this day (default: the day of the audit)")
    p.add_argument(
        "--edition", choices=("internal", "public"), default="internal", help="public withholds small groups (default: internal)"
    )
    p.add_argument("--paper", choices=("a4", "letter"), default="a4", help="paper of what is printed: pdf, summary (default: a4)")
    p.add_argument("--sign-key", type=Path, metavar="FILE", help="Ed25519 private key that signs the entries in views.json")
    p.add_argument(
        "--key", type=Path, action="append", default=[], metavar="PUBLIC_KEY", help="goes into evidence, for who verifies it; repeatable"
    )
    p.add_argument("--out", type=Path, metavar="DIR", help="write there and leave the audit folder as it is")
    return p


def generate(arguments: list[str]) -> list[Path]:
    """Render what the command line asks for; nothing is written where any part of the request cannot be carried out."""
    from audit.signing import read_private
    from reports.formats import FORMATS, refuse_unknown
    from reports.obligations.adverse import FRAMEWORK, NAME
    from reports.obligations.render import plan_documents, write_document, write_notice
    from reports.write import load, write_views

    asked = parser().parse_args(arguments)
    formats = list(dict.fromkeys(asked.formats or ["html"]))
    refuse_unknown(formats)
    if FRAMEWORK in asked.framework and not (asked.audit_dir / "audit.json").exists() and (asked.audit_dir / NAME).exists():
        return write_notice(asked.audit_dir, formats, asked.lang, asked.out, asked.paper)
    document = load(asked.audit_dir)
    sign = read_private(asked.sign_key) if asked.sign_key else None
    whole, drawn = ([name for name in formats if FORMATS[name].whole is kind] for kind in (True, False))
    about = drawn or ["html"] if asked.framework else formats if asked.formats is None else []
    wanted = plan_documents(document, asked.framework, about, asked.as_of)
    place = (asked.lang, asked.edition, asked.out)
    made: list[Path] = []
    for name in [] if asked.framework else drawn:
        made += write_views(asked.audit_dir, name, *place, paper=asked.paper, sign=sign)
    made += [write_document(asked.audit_dir, one, *place, paper=asked.paper, sign=sign) for one in wanted]
    for name in whole:  # what holds everything comes last
        made += write_views(asked.audit_dir, name, *place, keys=asked.key)
    return list(dict.fromkeys(made))


def main(arguments: list[str] | None = None) -> int:
    try:
        paths = generate(sys.argv[1:] if arguments is None else arguments)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    for path in paths:
        print(path.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
