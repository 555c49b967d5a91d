"""The processors' own energy counters (RAPL), where the kernel shows them to this user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/sys/class/powercap")
#: Why there are no counters, as a key of `efficiency.energy`'s reasons.
ABSENT, UNREADABLE = "absent", "unreadable"


class Counter(NamedTuple):
    """One processor package: the file of its counter, and from which reading on it starts again at 0, both in microjoules."""

    path: Path
    wrap: int


def counters(root: Path = ROOT) -> list[Counter] | str:
    """The counters of all packages; `ABSENT` where the machine shows none, `UNREADABLE` where this user may not read one.

    Parts of a package (intel-rapl:0:0) and copies of it (intel-rapl-mmio:0) are left out: they would be counted twice.
    """
    found = []
    for zone in sorted(root.glob("intel-rapl:*")):
        try:
            if zone.name.count(":") != 1 or not (zone / "name").read_text().startswith("package"):
                continue
            counter = Counter(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()))
            int(counter.path.read_text())
        except (OSError, ValueError):
            return UNREADABLE
        if counter.wrap <= 0:
            return UNREADABLE
        found.append(counter)
    return found or ABSENT


def read(packages: Sequence[Counter]) -> list[int]:
    """What the counters say now, in microjoules."""
    return [int(counter.path.read_text()) for counter in packages]


def joules(packages: Sequence[Counter], before: Sequence[int], after: Sequence[int]) -> float:
    """Energy between two readings less than one turn of a counter apart; a counter that has started again is followed round."""
    return sum((b - a) % counter.wrap for counter, a, b in zip(packages, before, after, strict=True)) / 1e6
