"""`witnessmark train|mitigate|compress|run|explain|keygen|verify|commit|compare|findings|pool|selftest|report`: the same commands, for folders where `python -m audit.run` would find another `audit`."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "train": "models.train",
    "mitigate": "models.mitigate",
    "compress": "models.compress",
    "run": "audit.run",
    "explain": "audit.explain.__main__",
    "keygen": "audit.keygen",
    "verify": "audit.verify",
    "commit": "audit.commit",
    "compare": "audit.compare",
    "findings": "audit.findings",
    "pool": "audit.pool",
    "selftest": "audit.selftest.__main__",
    "report": "reports.generate",
    "attest": "reports.attest",
}


def main() -> int:
    """Hand the arguments to the command's own module; the commands meet here by name only."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        stream = sys.stdout if name in ("-h", "--help") else sys.stderr
        print(f"usage: witnessmark {{{'|'.join(COMMANDS)}}} …", file=stream)
        return 0 if stream is sys.stdout else 2
    module = importlib.import_module(COMMANDS[name])
    status: int = module.main(sys.argv[2:])
    return status


if __name__ == "__main__":
    sys.exit(main())
