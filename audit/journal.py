"""What an audit has finished so far: one file per check, bound to model, data and plan by a key that is kept outside the folder."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from audit.jobs import write_whole

FOLDER = ".journal"


class BusyError(Exception):
    """Another audit is writing to this folder (exit status 75)."""


def _key() -> bytes:
    """The user's journal key, made once, mode 0600: an entry that somebody edited is recomputed, not believed."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "witnessmark"
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = base / "journal.key"
    if not path.exists():
        write_whole(path, secrets.token_bytes(32), mode=0o600)
    return path.read_bytes()


class Journal:
    """The journal of the audit in `folder`; holds the folder's lock until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BusyError(str(folder)) from None
        for stale in self.folder.glob(".tmp-*"):
            stale.unlink()
        self._secret = _key()
        self.binding = ""

    def _mac(self, name: str, body: bytes) -> str:
        return hmac.new(self._secret, f"{name}\0{self.binding}\0".encode() + body, hashlib.sha256).hexdigest()

    def write(self, name: str, content: Any) -> None:
        """Keep an entry at once: written, synced and renamed; for the user alone, because it may hold single rows."""
        body = json.dumps(content, allow_nan=False)
        entry = json.dumps({"body": body, "mac": self._mac(name, body.encode())}).encode()
        write_whole(self.folder / f"{name}.json", entry, mode=0o600)

    def read(self, name: str) -> Any | None:
        """An entry, or None where it is missing, torn, edited, or of another model, data or plan."""
        try:
            kept = json.loads((self.folder / f"{name}.json").read_bytes())
            if not hmac.compare_digest(kept["mac"], self._mac(name, kept["body"].encode())):
                return None
            return json.loads(kept["body"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def close(self) -> None:
        """Release the lock and keep the entries for --resume."""
        os.close(self._lock)

    def remove(self) -> None:
        """The audit is complete: nothing is left to resume."""
        shutil.rmtree(self.folder)
        os.close(self._lock)
