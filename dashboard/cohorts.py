"""Where cohorts are kept: plain JSON beside the audits (`audits/cohorts.json`; where people log in, one file each), which holds no row."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from pydantic import Field, ValidationError

from audit.cohorts.named import Cohort
from audit.measurement import Frozen
from reports.write import write_atomically

MOST_COHORTS = 100
#: Pages of one server may save at once.
_SAVING = threading.Lock()


class UnreadableError(Exception):
    """The file of cohorts is not what this program writes: it is neither used nor overwritten."""


class _File(Frozen):
    version: int = 1
    cohorts: list[Cohort] = Field(default=[], max_length=MOST_COHORTS)


class Shelf:
    """The cohorts of a person in a working folder; without a login all who look share them."""

    def __init__(self, root: Path, person: str = "") -> None:
        mark = f"-{hashlib.sha256(person.encode()).hexdigest()[:16]}" if person else ""
        self.file = root / "audits" / f"cohorts{mark}.json"

    def cohorts(self) -> list[Cohort]:
        """In the order of their names; `UnreadableError` where the file is damaged."""
        try:
            kept = _File.model_validate_json(self.file.read_bytes()).cohorts
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise UnreadableError(f"{self.file}: {' '.join(str(error).split())[:200]}") from None
        return sorted(kept, key=lambda c: c.name.casefold())

    def save(self, cohort: Cohort) -> None:
        """Under its name, in the place of one that had it; ValueError where there are too many."""
        with _SAVING:
            self._write([*(c for c in self.cohorts() if c.name != cohort.name), cohort])

    def remove(self, name: str) -> None:
        with _SAVING:
            self._write([c for c in self.cohorts() if c.name != name])

    def _write(self, cohorts: list[Cohort]) -> None:
        content = _File(cohorts=cohorts).model_dump_json(indent=1, exclude_none=True)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, content.encode())
