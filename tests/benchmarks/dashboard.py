"""The dashboard over a store of many audits, through a real browser: its first page, every kind of click, and the memory of its server.

    python -m tests.benchmarks.dashboard AUDIT_DIR [--audits 500] [--rounds 5]

The store holds copies of the audit in AUDIT_DIR under other names. A click ends with the last change on the page after it, once the server's script has
ended. Targets on two cores: first page 2 s, clicks 0.5 s at the 95th percentile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.dashboard.serving import BROWSER, serving

QUIET = 400  # ms without a change after which a page has settled
#: Notes when the page last changed; not what stands inside a canvas: a table writes its cells there for screen readers, on purpose 0.2 s after it was drawn.
WATCH = """
window.changed = performance.now();
new MutationObserver((changes) => {
    if (changes.some((c) => !(c.target.closest ? c.target : c.target.parentElement)?.closest('canvas') || (c.target.tagName === 'CANVAS' && c.type === 'attributes')))
        window.changed = performance.now();
})
    .observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
SETTLED = f"""() => {{
    const app = document.querySelector('[data-testid="stApp"]');
    return app && app.dataset.testScriptState === 'notRunning' && performance.now() - window.changed > {QUIET};
}}"""


def store(home: Path, audit: Path, many: int) -> None:
    """Audits of other models, on other days, under `home`."""
    document = json.loads((audit / "audit.json").read_text("utf-8"))
    for i in range(many):
        folder = home / "audits" / f"a{i:04d}"
        folder.mkdir(parents=True)
        model = document["model"] | {"name": f"model {i // 5}", "version": str(i % 5 + 1)}
        other = document | {
            "id": f"a{i:04d}",
            "digest": f"{i:064x}",
            "started": f"2026-{1 + i % 9:02d}-{1 + i % 28:02d}T00:00:00Z",
            "model": model,
        }
        (folder / "audit.json").write_text(json.dumps(other), "utf-8")


def memory(server: subprocess.Popen[bytes]) -> float:
    """Peak resident memory in MB."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def first_page(address: str, browser: Any, many: int) -> float:
    """Seconds from asking for the page until it lists every audit."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000}, locale="en-US")
    begun = time.perf_counter()
    page.goto(address)
    page.get_by_text(f"{many:,} of {many:,} audits").wait_for(timeout=120_000)
    spent = time.perf_counter() - begun
    page.close()
    return spent


def clicks(page: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """What people do, by name, on one page after the other."""

    def go(name: str) -> Callable[[], None]:
        return lambda: page.get_by_role("link", name=name, exact=True).click()

    yield "to Models", go("Models")
    yield "filter by verdict", lambda: page.get_by_role("button", name="Fails").first.click()
    yield "filter taken away", lambda: page.get_by_role("button", name="Fails").first.click()
    yield "to One audit", go("One audit")
    for family in ("Data", "Calibration", "Efficiency", "Fairness"):
        yield f"family {family}", lambda family=family: page.get_by_role("radio", name=family).click()
    yield "to Fairness", go("Fairness")
    slider = page.get_by_role("slider").first
    yield "another cutoff", lambda: slider.press("ArrowRight")
    yield "to Compliance", go("Compliance")
    yield "state of controls", lambda: page.get_by_role("radiogroup", name="State").get_by_role("radio").last.click()
    yield "to About the checks", go("About the checks")
    yield "language", lambda: page.get_by_role("radiogroup", name="Language").get_by_text("中文").click()
    yield "language back", lambda: page.get_by_role("radiogroup", name="Language").get_by_text("English").click()


def timed(page: Any, act: Callable[[], None]) -> float:
    """Seconds from a click to the last change that it brings."""
    page.wait_for_function(SETTLED, timeout=60_000)
    begun = float(page.evaluate("performance.now()"))
    act()
    page.wait_for_function(SETTLED, timeout=60_000)
    return (float(page.evaluate("window.changed")) - begun) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("audit_dir", type=Path)
    parser.add_argument("--audits", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        store(home, given.audit_dir, given.audits)
        environment = os.environ | {"XDG_STATE_HOME": str(home / "state"), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/none.db"}
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER)
            with serving(home, environment) as (address, _):
                print(f"every audit listed, none known before: {first_page(address, browser, given.audits):.2f} s", flush=True)
            with serving(home, environment) as (address, server):
                seen = [first_page(address, browser, given.audits) for _ in range(5)]
                print(
                    f"the same after the server was started again: {seen[0]:.2f} s; later visits {', '.join(f'{s:.2f}' for s in seen[1:])} s"
                )
                page = browser.new_page(viewport={"width": 1300, "height": 1000}, locale="en-US")
                page.add_init_script(WATCH)
                page.goto(address)
                spent: dict[str, list[float]] = {}
                for turn in range(given.rounds + 1):
                    for name, act in clicks(page):
                        taken = timed(page, act)
                        if turn:  # the first round imports and reads what every later one has
                            spent.setdefault(name, []).append(taken)
                print(f"peak memory of the server: {memory(server):.0f} MB")
            browser.close()
    every = sorted(t for times in spent.values() for t in times)
    print("| click | median s | worst s |\n|---|---|---|")
    for name, times in spent.items():
        print(f"| {name} | {sorted(times)[len(times) // 2]:.2f} | {max(times):.2f} |")
    print(f"95th percentile of {len(every)} clicks: {every[int(0.95 * (len(every) - 1))]:.2f} s")


if __name__ == "__main__":
    main()
