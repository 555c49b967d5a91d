"""What the self-test measured, kept beside it: with the digest of what each figure depends on, so that a stale one is known."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING

from audit.jobs import write_whole
from audit.result import Frozen
from audit.selftest.trial import Cell

if TYPE_CHECKING:
    from audit.selftest.defects import Defect

PLACE = Path(__file__).parent.parent / "selftest.json"


class Measured(Frozen):
    """The cells of one defect; `digest` of the sources that they were measured with, `date` as YYYY-MM-DD."""

    digest: str
    date: str
    cells: list[Cell]


def digest(defect: Defect) -> str:
    """SHA-256, shortened, of the check's own module and of the defect's: what both import is not looked at."""
    from audit.registry import checks
    from audit.selftest import trial

    sources = [
        inspect.getsource(inspect.getmodule(checks()[defect.check].run) or trial),
        inspect.getsource(defect.build),
        inspect.getsource(trial),
    ]
    return hashlib.sha256("\x00".join(sources).encode()).hexdigest()[:16]


def load(place: Path = PLACE) -> dict[str, Measured]:
    """By the name of the defect; nothing where nothing was measured."""
    if not place.is_file():
        return {}
    return {name: Measured.model_validate(found) for name, found in json.loads(place.read_bytes()).items()}


def save(measured: dict[str, Measured], place: Path = PLACE) -> None:
    """Whole or not at all."""
    written = {name: found.model_dump(mode="json") for name, found in sorted(measured.items())}
    write_whole(place, (json.dumps(written, indent=1) + "\n").encode())
