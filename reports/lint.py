"""`python -m reports.lint FILE`: read every number in a report back from its file and trace it to the audit's document.

In a page of html each number is held against the place in `audit.json` that it names. A PDF has no such places: what it prints is held against the page of
html of the same document, row by row and sentence by sentence, after that page was traced. What is neither is an orphan, and named. The document of a
framework holds texts of the law too: these are held against the framework's own file, and what persons attested against `attestations.jsonl`.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from audit.errors import AuditError
from audit.result import AuditResult
from reports.again import KINDS, Source, source
from reports.content import Caps
from reports.disclose import public
from reports.obligations.adverse import NAME as EXPLANATION
from reports.pdf import APPENDIX, CAPS
from reports.readback import Page, Piece, Printed, blocks, close, printed
from reports.speaker import clean
from reports.summary import FITS
from reports.trace import CLASSES, Places, left_out, tokens
from reports.typeset import inked

OTHER = {"en": "zh", "zh": "en"}


@dataclass
class Report:
    """What was found: how many numbers of each class, and each that nothing accounts for, with the text that it stands in."""

    counted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str, text: str, where: str) -> None:
        shown = " ".join(text.split())
        self.faults.append(f"{what} in “{shown if len(shown) <= 160 else shown[:159] + '…'}” ({where})")


def trace(pieces: Sequence[Piece], places: Places, report: Report) -> Counter[tuple[tuple[str, ...], str]]:
    """Hold each number against its place; returns those that are numbers of the document, by place."""
    found: Counter[tuple[tuple[str, ...], str]] = Counter()
    for piece in pieces:
        for token in tokens(piece.text):
            try:
                why = places.why(token, piece.text, list(piece.paths))
            except LookupError as error:
                report.fault(f"{token} names a place that is not in the document", piece.text, str(error))
                continue
            why = why or ("tick" if piece.tick else None)
            if why is None:
                report.fault(f"{token} is accounted for by nothing", piece.text, " and ".join(piece.paths[:3]) or "no place")
            else:
                report.counted[why] += 1
            if why == "number" and not piece.tick:
                found[piece.paths, token] += 1
    return found


def same_numbers(one: Counter[tuple[tuple[str, ...], str]], other: Counter[tuple[tuple[str, ...], str]], report: Report) -> None:
    """The two languages carry the same numbers at the same places."""
    for (paths, token), n in sorted(((one - other) + (other - one)).items(), key=repr):
        report.fault(f"{token} stands {n} times in one language and not in the other", token, " and ".join(paths[:3]) or "no place")


def follow(page: Page, pdf: Printed, report: Report) -> None:
    """Each paragraph and row of the page that holds a digit stands in the PDF in the same order, and no other digit does."""
    at = 0
    wanted = [b for b in blocks(page.pieces) if any(c.isdigit() for c in b)]
    for block in wanted:
        found = pdf.text.find(block, at)
        between = pdf.text[at:found] if found >= 0 else ""
        strange = any(c.isdigit() for c in between)
        if found < 0 or (strange and len(block) < 12 and len(between) > 400):
            report.fault("not printed as the document has it", block, "PDF")
            continue
        if strange:
            report.fault("what is printed is not in the document", between, "PDF")
        at = found + len(block)
    if any(c.isdigit() for c in pdf.text[at:]):
        report.fault("what is printed is not in the document", pdf.text[at:], "PDF")
    said = [close(p.text) for p in page.pieces if p.alt and not p.folded]
    for alt in map(close, pdf.alts):
        if alt not in said:
            report.fault("an alternative text is not that of the chart", alt, "PDF")


def covered(page: Page, pdf: Printed, report: Report) -> None:
    """Each digit of a summary stands in a text of the page: what is printed is in it, whole or cut, though not all of it is printed.

    A bare number of a table excuses nothing: a summary has sentences, dates and digests.
    """
    whole = [p.text for p in page.pieces if any(c.isdigit() for c in p.text) and (len(p.text) >= 10 or any(c.isalpha() for c in p.text))]
    pieces = {close(inked(clean(text, fit.longest))) for text in whole for fit in FITS}
    left = pdf.text
    for piece in sorted(pieces, key=lambda piece: (-len(piece), piece)):
        left = left.replace(piece, "\n")
    for way in left_out():
        left = way.sub("\n", left)
    for line in left.split("\n"):
        if any(c.isdigit() for c in line):
            report.fault("what is printed is not in the document", line, "PDF")


def page_of(document: AuditResult, lang: str, edition: str, caps: Caps | None = None) -> Page:
    """The page of html of a document; within the caps of print, where it is one that stands for what is printed."""
    from reports import html

    shown = public(document) if edition == "public" else document
    return Page((html.draw(shown, lang, edition) if caps is None else html.page(shown, lang, edition, caps, APPENDIX).encode()).decode())


def as_drawn(page: Page, again: Page, report: Report) -> None:
    """Each number stands on the page where it stands when the page is drawn again, and no other does."""
    here, there = (Counter((p.paths, token) for p in one.pieces for token in tokens(p.text)) for one in (page, again))
    for (paths, token), n in sorted((here - there).items(), key=repr):
        report.fault(f"{token} stands {n} times more than where the document is drawn", token, " and ".join(paths[:3]) or "no place")
    for (paths, token), n in sorted((there - here).items(), key=repr):
        report.fault(f"{token} is missing {n} times", token, " and ".join(paths[:3]) or "no place")


def lint_paper(read: Page | Printed, about: Sequence[str], source: Source) -> Report:
    """Read a paper of blocks back, as a page or in print: the document of a framework, an appendix, a notice."""
    from reports.paper import html

    report, lang = Report(), about[1]
    again = Page(html(source.draw(lang)))
    if isinstance(read, Printed):
        trace(again.pieces, source.places, report)
        follow(again, read, report)
        return report
    here = trace(read.pieces, source.places, report)
    as_drawn(read, again, report)
    same_numbers(here, trace(Page(html(source.draw(OTHER[lang]))).pieces, source.places, Report()), report)
    return report


def lint(data: bytes, document: AuditResult | None, folder: Path = Path(), framework: str | None = None) -> Report:
    """Read a report back, html or PDF, against the document that it was drawn from.

    `folder` holds what stands beside the document: attestations, an explanation. `framework` is the path of a framework of one's own.
    """
    report = Report()
    if data.startswith(b"%PDF"):
        pdf = printed(io.BytesIO(data))
        if len(pdf.keywords) < 4 or pdf.keywords[0] != "witnessmark":
            raise AuditError("this PDF does not say which report it is", "name a PDF that reports.generate wrote")
        if pdf.keywords[1] in KINDS:
            return lint_paper(pdf, pdf.keywords[1:], source(pdf.keywords[1:], document, folder, framework))
        _, kind, lang, edition = pdf.keywords[:4]
        document = known(document)
        page = page_of(document, lang, edition, replace(CAPS[0], charts=0) if kind == "summary" else CAPS[int(pdf.keywords[5])])
        places = Places(public(document) if edition == "public" else document)
        trace([p for p in page.pieces if not p.folded], places, report)
        (covered if kind == "summary" else follow)(page, pdf, report)
        return report
    page = Page(data.decode("utf-8", "replace"))
    if page.about:
        return lint_paper(page, page.about, source(page.about, document, folder, framework))
    document = known(document)
    edition = "public" if page.edition == "public" else "internal"
    places = Places(public(document) if edition == "public" else document)
    here = trace(page.pieces, places, report)
    there = trace(page_of(document, OTHER[page.lang], edition).pieces, places, Report())
    same_numbers(here, there, report)
    return report


def known(document: AuditResult | None) -> AuditResult:
    """The document of an audit, without which a report cannot be read back."""
    if document is None:
        raise AuditError("there is no audit.json to hold the report against", "name the folder that audit.run wrote with --audit DIR")
    return document


class Parser(argparse.ArgumentParser):
    """Refuses in one line, as every command here does."""

    def error(self, message: str) -> NoReturn:
        raise AuditError(message, f"see {self.prog} --help")


def run(arguments: list[str]) -> int:
    from reports.write import load

    parser = Parser(prog="python -m reports.lint", description=(__doc__ or "").split(": ", 1)[1].split("\n", 1)[0])
    parser.add_argument("file", metavar="FILE", type=Path, help="a page of html or a PDF that reports.generate wrote, in any language")
    parser.add_argument("--audit", type=Path, metavar="DIR", help="the audit that it was drawn from (default: the file's folder)")
    parser.add_argument("--framework", metavar="PATH", help="the YAML file of a framework of your own that the document is about")
    asked = parser.parse_args(arguments)
    try:
        data = asked.file.read_bytes()
    except OSError as error:
        raise AuditError(f"cannot read {asked.file}: {error.strerror}", "name a report that reports.generate wrote") from None
    folder = asked.audit or asked.file.parent
    alone = not (folder / "audit.json").exists() and (folder / EXPLANATION).exists()
    found = lint(data, None if alone else load(folder), folder, asked.framework)
    for name, n in found.counted.items():
        print(f"{n:,} {CLASSES[name]}")
    for fault in found.faults:
        print(f"FAILED {fault}")
    print(f"{asked.file.name}: " + (f"{len(found.faults)} not accounted for" if found.faults else "every number is accounted for"))
    return 1 if found.faults else 0


def main(arguments: list[str] | None = None) -> int:
    try:
        return run(sys.argv[1:] if arguments is None else arguments)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
