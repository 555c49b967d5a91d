"""`python -m audit.compare OLD_DIR NEW_DIR`: what got better, worse, or cannot be told apart from noise."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from audit.errors import AuditError

if TYPE_CHECKING:
    from rich.console import Console

    from audit.compared import Comparison
    from reports.speaker import Speaker
    from reports.words import Look

EXIT_WORSE, EXIT_REFUSED, EXIT_OPEN = 1, 2, 3
STATUS = {"pass": 0, "worse": EXIT_WORSE, "open": EXIT_OPEN}
WIDTH = 100
STYLES = {"fail": "red", "inconclusive": "yellow", "pass": "green"}
MOST_UNDECIDED = 40

EPILOG = """\
pairing
  Where both audits are of the same data (equal digest) and their scored tables are in the private cache, the rows are paired and the tests
  use it: McNemar and Tango's interval for rates, DeLong for the area under the ROC curve, the bootstrap over joint cells for ratios of
  counts, Student for losses. Otherwise the documents alone are compared, as two independent samples. The first line says which.

--gate
  Exit status 0 where the new model is nowhere worse than the margins of its plan's [compare], 1 where it is shown to be worse somewhere,
  3 where the rows cannot tell. Required, each one-sided at 95 % and without correction, because all must hold:
    everybody   accuracy and ROC AUC fall by at most `margin` (0.01); for a quantity, the share of the variation explained; and the share of
                rows with a usable prediction, where a model refuses any
    each group  of at least `min_rows` (200) rows: accuracy falls by at most `group_margin` (0.05); for a quantity, squared error grows by at
                most that share of the outcome's variance. Smaller groups are pooled.
    disparity   where a favourable decision is declared: the distance between each group's selection rate and the reference's grows by at most
                `group_margin`, and where the label is an observed outcome so does that of equal opportunity
  Where rows belong together (--cluster, or keys that repeat) the bounds are too narrow: they can stop a release and not let it through.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.compare --help")


def parser() -> argparse.ArgumentParser:
    p = _Parser(
        prog="audit.compare", description="What got better, worse, or cannot be told apart from noise.", epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("old_dir", type=Path, metavar="OLD_DIR", help="the audit folder of the version in use")
    p.add_argument("new_dir", type=Path, metavar="NEW_DIR", help="the audit folder of the version that would replace it")
    p.add_argument("--json", action="store_true", help="print the comparison as JSON and nothing else")
    p.add_argument(
        "--gate", action="store_true", help="exit status 0 where it may replace it, 1 where it is worse, 3 where the rows cannot tell"
    )
    p.add_argument("--junit", type=Path, metavar="FILE", help="write the gate and the findings as JUnit XML")
    p.add_argument("--sarif", type=Path, metavar="FILE", help="the same as SARIF 2.1.0, the older audit as the baseline")
    p.add_argument("--scored-dir", type=Path, metavar="DIR", help="where scored tables are kept (default: the private cache)")
    p.add_argument("--lang", choices=("en", "zh"), default="en")
    return p


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0, or with --gate as the gate says; 2 where the audits cannot be compared."""
    try:
        options = parser().parse_args(argv)
        from audit.versions.comparison import compare

        found = compare(options.old_dir, options.new_dir, options.scored_dir)
        if options.junit:
            from reports.junit import comparison_xml
            from reports.write import write_atomically

            write_atomically(options.junit, comparison_xml(found, options.lang))
        if options.sarif:
            from reports.sarif import comparison_log
            from reports.write import write_atomically

            write_atomically(options.sarif, comparison_log(found, options.lang))
    except AuditError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    if options.json:
        print(found.model_dump_json(indent=1))
    else:
        show(found, options.lang, gate=options.gate)
    return STATUS[found.gate.result] if options.gate else 0


def show(found: Comparison, lang: str, *, gate: bool) -> None:
    """The comparison on stdout: what it rests on, the gate, findings, and every metric, what got worse first."""
    from rich.console import Console

    from reports.comparison import answers, gate_note, screen_note, side_text
    from reports.speaker import Speaker

    say = Speaker(lang)
    console = Console(highlight=False, width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH, markup=False, emoji=False)
    console.print(say.stored(found.opening, found.opening_msg))
    for text, told in zip(found.notes, found.notes_msg, strict=True):
        console.print(f"· {say.stored(text, told)}")
    console.print()
    console.print(say.pair(say.t("Old"), side_text(found.old, say)))
    console.print(say.pair(say.t("New"), side_text(found.new, say)))
    for title, both in answers(found, say):
        console.print(f"  {title} {both}")
    _findings(console, found, say)
    _changes(console, found, say)
    console.print(screen_note(found, say), style="dim")
    console.print()
    _gate(console, found, say, whole=gate)
    console.print(gate_note(found, say), style="dim")


def _flag(look: Look, say: Speaker) -> str:
    return f"{look.sign} {say.t(look.word)}"


def _findings(console: Console, found: Comparison, say: Speaker) -> None:
    from rich.text import Text

    from reports.comparison import STATES, finding_text

    console.print()
    if not found.findings:
        console.print(say.t("No deciding or warning finding fails in either audit."))
    for finding in found.findings:
        look = STATES[finding.state]
        console.print(Text(f"{_flag(look, say)}  ", style=STYLES.get(look.css, "")) + Text(finding_text(finding, say), style="default"))


def _changes(console: Console, found: Comparison, say: Speaker) -> None:
    from rich.table import Table
    from rich.text import Text

    from reports.comparison import OUTCOMES, rows
    from reports.speaker import mark

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    for head, options in (
        ("", {"width": 1}), (mark("Metric"), {"ratio": 4}), (mark("For whom"), {"ratio": 3}), (mark("Before"), {"justify": "right", "no_wrap": True}),
        (mark("Now"), {"justify": "right", "no_wrap": True}), (mark("Change"), {"justify": "right", "no_wrap": True}),
        (mark("p (adjusted)"), {"justify": "right", "no_wrap": True}),
    ):  # fmt: skip
        table.add_column(say.t(head) if head else "", **options)
    shown = rows(found, say)
    quiet = [r for r in shown if r.look is OUTCOMES["undecided"]]
    for r in [r for r in shown if r not in quiet] + quiet[:MOST_UNDECIDED]:
        table.add_row(Text(r.look.sign, style=STYLES.get(r.look.css, "")), r.metric, r.who, r.old, r.new, r.change, r.p)
    console.print()
    console.print(table)
    if len(quiet) > MOST_UNDECIDED:
        console.print(say.t("{n:count} more without an established difference: see --json.", n=len(quiet) - MOST_UNDECIDED))
    console.print("   ".join(_flag(look, say) for look in OUTCOMES.values()), style="dim")


def _gate(console: Console, found: Comparison, say: Speaker, *, whole: bool) -> None:
    from rich.text import Text

    from reports.comparison import GATES, HELD, requirements

    look = GATES[found.gate.result]
    console.print(Text(_flag(look, say), style=f"bold {STYLES[look.css]}"))
    for item in requirements(found, say):
        if whole or item.look is not HELD["non_inferior"]:
            told = say.join([item.what, item.bound, item.note])
            console.print(Text(f"  {item.look.sign} ", style=STYLES.get(item.look.css, "")) + Text(told, style="default"))


if __name__ == "__main__":
    sys.exit(main())
