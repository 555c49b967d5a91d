"""Where a training stands, on disk: written whole or not at all, so that a killed training goes on and ends with the same weights."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import TrainingError
from models.settings import Preset


def fingerprint(preset: Preset, **more: Any) -> str:
    """SHA-256 of everything that decides a training: the preset, and what else is given."""
    text = json.dumps([preset.model_dump(mode="json", exclude={"context", "description"}), more], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def default_folder() -> Path:
    """`$XDG_STATE_HOME/witnessmark/training`: where checkpoints lie that nobody gave a place."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "witnessmark" / "training"


@dataclass
class Checkpoint:
    """The file of one training, of which `key` says everything that decides it; written at most every `every` seconds and on request.

    A disk that is full is said once, and training goes on: the last whole checkpoint stays.
    """

    path: Path
    key: str
    every: float = 10.0
    _last: float = field(default=0.0, init=False)
    _warned: bool = field(default=False, init=False)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved, None where there is none; a checkpoint of another training is refused."""
        import torch

        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise TrainingError(
                f"the checkpoint {self.path} cannot be read ({type(error).__name__})", "take the file away to start anew"
            ) from error
        if state.pop("key", None) != self.key:
            raise TrainingError(
                f"the checkpoint {self.path} is of another training (preset, settings or seed differ)",
                "give the options of that training, or another --checkpoint",
            )
        return state

    def save(self, state: dict[str, Any], *, now: bool = False) -> None:
        """Write the state under another name, then put it in place."""
        import torch

        if not now and time.monotonic() - self._last < self.every:
            return
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                torch.save({**state, "key": self.key}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except (OSError, RuntimeError) as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            if not self._warned:
                print(f"warning: no checkpoint could be written to {self.path} ({error}); training goes on without", file=sys.stderr)
            self._warned = True
        self._last = time.monotonic()

    def remove(self) -> None:
        """Forget it: the training is logged."""
        self.path.unlink(missing_ok=True)
