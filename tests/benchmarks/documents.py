"""The printed report of one audit in both languages: CPU seconds, pages and bytes; and of the same audit with 200 slices more.

    python -m tests.benchmarks.documents AUDIT_DIR

The target for the audit of `credit` is 10 s for both languages, from the stored document to the finished files, imports included; an audit with 200 slices
stays under 5 MB and 60 pages.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

SLICES = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("audit_dir", type=Path)
    given = parser.parse_args()
    begun, clock = time.process_time(), time.perf_counter()
    from reports.pdf import draw
    from reports.typeset import page_count
    from reports.write import load

    document = load(given.audit_dir)
    print("| report | pages | bytes | CPU-s |\n|---|---|---|---|")
    for lang in ("en", "zh"):
        before = time.process_time()
        pdf = draw(document, lang, "internal")
        print(f"| {lang} | {page_count(pdf)} | {len(pdf):,} | {time.process_time() - before:.1f} |", flush=True)
    print(f"both languages: {time.process_time() - begun:.1f} CPU-s, {time.perf_counter() - clock:.1f} s")
    check = next(c for c in document.checks if c.info.id == "fairness.group")
    first = next(f for f in check.findings if f.slice and f.estimate)
    many = [first.model_copy(update={"key": f"{i:016x}", "slice": {"region": f"region {i}"}, "evidence": []}) for i in range(SLICES)]
    checks = [c.model_copy(update={"findings": [*c.findings, *many]}) if c is check else c for c in document.checks]
    before = time.process_time()
    pdf = draw(document.model_copy(update={"checks": checks}), "en", "internal")
    print(f"with {SLICES} slices more: {page_count(pdf)} pages, {len(pdf):,} bytes, {time.process_time() - before:.1f} CPU-s")
    if page_count(pdf) > 60 or len(pdf) > 5_000_000:
        raise SystemExit("too long")


if __name__ == "__main__":
    main()
