"""Models of other seeds beside one that was made smaller: each trained as its base was, and its smaller version, as training logs them.

They lie in the folder `seeds`: `base/` and `small/`, each with as many graphs of torch.export (000.pt2 and so on), pair by pair.
"""

from __future__ import annotations

from pathlib import Path

from audit.measurement import Frozen, Message
from audit.privacy.reference_models import digest
from audit.text import message

#: The most frequent answer of fewer models is mostly chance.
FEWEST = 5


class Seeds(Frozen):
    """The folder, and the names of the models that lie under both `base` and `small` in it; `sha256` is of all their files."""

    folder: str
    files: list[str]
    sha256: str


def find_seeds(folder: str | None) -> tuple[Seeds | None, list[Message]]:
    """What training logged, and what a reader must know of it; what cannot be used is left aside."""
    if folder is None:
        return None, []
    base, small = (sorted(path.name for path in Path(folder, name).glob("*.pt2")) for name in ("base", "small"))
    if base != small:
        note = message(
            "The models of other seeds logged with the model were left aside: not each of the {base:count} has its smaller version ({small:count}).",
            base=len(base), small=len(small),
        )  # fmt: skip
        return None, [note]
    if len(base) < FEWEST:
        note = message(
            "The models of other seeds logged with the model were left aside: of {n:count} models the most frequent answer says little; {least:count} are needed.",
            n=len(base), least=FEWEST,
        )  # fmt: skip
        return None, [note]
    every = [Path(folder, side, name) for side in ("base", "small") for name in base]
    return Seeds(folder=folder, files=base, sha256=digest(Path(folder), every)), []
