"""The printed report of one audit in both languages: CPU seconds, pages and bytes; of the same audit of a hundred times the rows, and with 200 slices more.

    python -m tests.benchmarks.documents AUDIT_DIR

The target for the audit of `credit` is 10 s for both languages, from the stored document to the finished reports, imports included; what an appendix costs
is told apart. The size does not depend on the number of rows; an audit with 200 slices stays under 5 MB and 60 pages. Exit 1 where one of these is missed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.result import AuditResult

SLICES, TIMES = 200, 100
MOST_SECONDS, MOST_GROWTH = 10.0, 0.02


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("audit_dir", type=Path)
    given = parser.parse_args()
    begun, clock = time.process_time(), time.perf_counter()
    from reports.appendix import drawn
    from reports.pdf import draw, fitted
    from reports.typeset import page_count
    from reports.write import load

    document = load(given.audit_dir)
    print("| report | pages | bytes | CPU-s |\n|---|---|---|---|")
    made = {}
    for lang in ("en", "zh"):
        before = time.process_time()
        pdf, caps = made[lang] = fitted(document, lang, "internal")
        print(f"| {lang} | {page_count(pdf)} | {len(pdf):,} | {time.process_time() - before:.1f} |", flush=True)
    both = time.process_time() - begun
    print(f"both languages: {both:.1f} CPU-s, {time.perf_counter() - clock:.1f} s")
    missed = [f"{both:.1f} CPU-s"] if both > MOST_SECONDS else []
    for lang, (_, caps) in made.items():
        before = time.process_time()
        rest = drawn(document, lang, "internal", caps, "pdf", "a4")
        told = "none" if rest is None else f"{page_count(rest)} pages, {len(rest):,} bytes"
        print(f"appendix ({lang}): {told}, {time.process_time() - before:.1f} CPU-s", flush=True)
    size, grown = len(made["en"][0]), len(draw(bigger(document), "en", "internal"))
    print(f"with {TIMES} times the rows: {grown:,} bytes")
    missed += [f"{grown:,} bytes where there were {size:,}"] if abs(grown - size) > MOST_GROWTH * size else []
    check = next(c for c in document.checks if c.info.id == "fairness.group")
    first = next(f for f in check.findings if f.slice and f.estimate)
    many = [first.model_copy(update={"key": f"{i:016x}", "slice": {"region": f"region {i}"}, "evidence": []}) for i in range(SLICES)]
    checks = [c.model_copy(update={"findings": [*c.findings, *many]}) if c is check else c for c in document.checks]
    before = time.process_time()
    pdf = draw(document.model_copy(update={"checks": checks}), "en", "internal")
    print(f"with {SLICES} slices more: {page_count(pdf)} pages, {len(pdf):,} bytes, {time.process_time() - before:.1f} CPU-s")
    missed += [f"{page_count(pdf)} pages"] if page_count(pdf) > 60 else []
    missed += [f"{len(pdf):,} bytes"] if len(pdf) > 5_000_000 else []
    if missed:
        raise SystemExit("missed: " + "; ".join(missed))


def bigger(document: AuditResult) -> AuditResult:
    """The same audit, as if of so many times the rows: all numbers of rows are larger, the estimates as they were."""
    checks = []
    for check in document.checks:
        findings = [
            f.model_copy(
                update={
                    "estimate": f.estimate and f.estimate.model_copy(update={"n": f.estimate.n * TIMES}),
                    "parts": [p.model_copy(update={"n": p.n * TIMES}) for p in f.parts],
                }
            )
            for f in check.findings
        ]
        checks.append(check.model_copy(update={"findings": findings}))
    return document.model_copy(update={"checks": checks, "data": document.data.model_copy(update={"rows": document.data.rows * TIMES})})


if __name__ == "__main__":
    main()
