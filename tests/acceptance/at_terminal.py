"""Commands run as a user runs them, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

#: What no table of people and decisions in these tests declares or is (keys of `registry.NEEDS`): a check that needs one of them is skipped, and no other is.
UNDECLARED = {
    "base", "time", "costs", "columns", "claim", "canaries", "perceived", "pictures", "sigma", "signals", "texts", "rules", "files", "language", "continues",
    "embeds", "lists", "ranked", "source", "slices", "seeds",
}  # fmt: skip


def lacking(document: dict[str, Any]) -> set[str]:
    """These, and what only a net has."""
    return UNDECLARED | (set() if document["model"]["flavor"] == "pytorch" else {"gradients"})


ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """A finished command."""

    status: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        """The audit folder that the last line of stdout names."""
        return Path(self.out.strip().splitlines()[-1])

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.folder / "audit.json").read_bytes())


class User:
    """Somebody at a terminal in a folder of their own, with a state folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = os.environ | {"PYTHONPATH": paths, "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1"}
        for name in (
            "MLFLOW_TRACKING_URI",
            "MLFLOW_REGISTRY_URI",
            "PYTHONWARNINGS",
        ):  # what other tests' own process was given, or gave itself
            self.environment.pop(name, None)

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=self.folder, env=self.environment | more.pop("env", {}), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **more,
        )  # fmt: skip

    def run(self, *arguments: str, **more: Any) -> Done:
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=600)
        return Done(process.returncode, out, err)

    def audit(self, *arguments: str, **more: Any) -> Done:
        return self.run("audit.run", *arguments, **more)
