"""Reference models: trained as the audited one was, each on some of the rows; what a row's score is without it is what they tell.

They lie in a folder as training logs it: `keep.npy` (K, n) bool, which of the K trained on which of n rows; `members.parquet`, the n rows by the
file that they stand in (`split`: train, evaluation, or another) and their place in it (`row`, from 0); `references/`, the models in the order of
`keep`: graphs of torch.export (000.pt2 and so on) or model folders of MLflow. They are asked in a confined worker of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.dataset import data_digest, open_dataset
from audit.errors import AuditError
from audit.measurement import Frozen, Message
from audit.subject.inspect import inspect_model
from audit.text import message
from audit.training import LOGGED, Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.subject.client import Client
    from audit.subject.frame import Frame

#: So many numbers may come back from the references in one call.
AT_ONCE = 4_000_000
LAYOUT = "name a folder with keep.npy, members.parquet and references/, as models.train --references K logs it"


class References(Frozen):
    """The folder and the models in it by their names, `named` by --references or logged; `sha256` is of the record and all their files."""

    folder: str
    files: list[str]
    named: bool
    sha256: str

    @property
    def count(self) -> int:
        """K."""
        return len(self.files)


def find_references(
    arguments: dict[str, Any], training: Training | None, sha256: str, rows: int
) -> tuple[References | None, list[Message]]:
    """The reference models of a request, and what a reader must know of them.

    Those that somebody named are refused where they cannot be used; those that training logged, and that do not fit what is audited, are left
    aside, and that is noted. `sha256` and `rows` are those of the audited data.
    """
    named, logged = arguments.get("references"), (arguments.get("privacy") or {}).get("folder")
    folder = named or logged
    if folder is None:
        return None, []
    try:
        found = _read(Path(folder), training, rows, named=named is not None)
        _of_one_kind(found, arguments.get("flavor"))
        if named is None:
            _same_rows(arguments.get("evaluation"), training, sha256)
        return found, []
    except AuditError as error:
        if named is not None:
            raise
        return None, [message("The reference models logged with the model were left aside: {why}.", why=error.what)]


def _of_one_kind(found: References, flavor: str | None) -> None:
    """AuditError where a reference is another kind of model than the audited one; graphs are compared by their weights once they are loaded."""
    for name in found.files:
        path = Path(found.folder, "references", name)
        if path.is_dir() and flavor is not None and (own := inspect_model(path).flavor) != flavor:
            raise AuditError(
                f"the reference model {name} is of flavor {own}, and the audited one of {flavor}",
                "train references as the audited model was trained",
            )


def _same_rows(evaluation: str | None, training: Training | None, sha256: str) -> None:
    """AuditError unless the rows at hand are those of which the record of the references speaks."""
    if training is not None and training.source != LOGGED:
        raise AuditError("the training rows are not those that they were drawn from", LAYOUT)
    if evaluation is None or data_digest(open_dataset(evaluation).files) != sha256:
        raise AuditError(
            "the audited rows are not those that they were drawn from, and which of them trained on which row is not known", LAYOUT
        )


def _read(folder: Path, training: Training | None, rows: int, *, named: bool) -> References:
    """What lies in the folder, checked against the rows at hand."""
    import numpy as np

    if training is None:
        raise AuditError("the rows that the model was trained on are not known", "name them with --training")
    if not folder.is_dir():
        raise AuditError(f"there is no folder of reference models at {folder}", LAYOUT)
    for name in ("keep.npy", "members.parquet", "references"):
        if not (folder / name).exists():
            raise AuditError(f"the folder of reference models holds no {name}", LAYOUT)
    files = sorted(p.name for p in (folder / "references").iterdir() if p.suffix == ".pt2" or (p / "MLmodel").is_file())
    try:
        keep = np.load(folder / "keep.npy", allow_pickle=False)
    except (ValueError, OSError):
        raise AuditError("keep.npy of the reference models is no array that can be read", LAYOUT) from None
    if keep.ndim != 2 or keep.dtype != np.bool_ or len(keep) != len(files) or not files:
        raise AuditError(f"keep.npy has the shape {keep.shape} and type {keep.dtype}, and there are {len(files)} reference models", LAYOUT)
    split, row = _members(folder)
    if len(split) != keep.shape[1]:
        raise AuditError(f"keep.npy speaks of {keep.shape[1]} rows, and members.parquet of {len(split)}", LAYOUT)
    for part, n in (("train", training.rows), ("evaluation", rows)):
        places = row[split == part]
        if len(places) != n or (n and not np.array_equal(np.sort(places), np.arange(n))):
            raise AuditError(f"the reference models speak of {len(places)} {part} rows, and there are {n}", LAYOUT)
    beside = [folder / "keep.npy", folder / "members.parquet", *sorted(p for p in (folder / "references").rglob("*") if p.is_file())]
    return References(folder=str(folder), files=files, named=named, sha256=digest(folder, beside))


def digest(folder: Path, files: list[Path]) -> str:
    """SHA-256 over the names and contents of files in a folder."""
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            found.update(f"{path.relative_to(folder)} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return found.hexdigest()


def _members(folder: Path) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """`split` and `row` of each of the n rows."""
    import numpy as np

    dataset = open_dataset(str(folder / "members.parquet"))
    if absent := [name for name in ("split", "row") if name not in dataset.types]:
        raise AuditError(f"members.parquet of the reference models lacks {', '.join(absent)}", LAYOUT)
    batches = list(dataset.stream({"split": dataset.text("split"), "row": f"coalesce({dataset.number('row')}, -1)"}))
    parts = [np.array(b.column(0).to_pylist(), dtype=object) for b in batches]
    rows = [b.column(1).to_numpy(zero_copy_only=False) for b in batches]
    return np.concatenate(parts), np.concatenate(rows).astype(np.int64)


class Keep(NamedTuple):
    """Which of K models trained on the training rows (K, rows) and on the audited ones (K, rows), by their places."""

    training: NDArray[np.bool_]
    audited: NDArray[np.bool_]


def kept(found: References) -> Keep:
    """The record of who trained on what."""
    import numpy as np

    folder = Path(found.folder)
    keep = np.load(folder / "keep.npy", allow_pickle=False)
    split, row = _members(folder)
    parts = []
    for name in ("train", "evaluation"):
        at = np.flatnonzero(split == name)
        part = np.zeros((len(keep), len(at)), dtype=np.bool_)
        part[:, row[at]] = keep[:, at]
        parts.append(part)
    return Keep(*parts)


class Beside(NamedTuple):
    """What the references say: probabilities (K, n, classes) for each frame; and how many weights each has, None where they differ or are not counted."""

    probabilities: list[NDArray[np.float64]]
    parameters: int | None


@contextmanager
def another(how: dict[str, Any], classes: list[str] | None, *, several: list[dict[str, Any]] | None = None) -> Iterator[Client]:
    """A client of one confined worker more, started as `how` says and ended with the block; with `several` it asks these models side by side.

    AuditError where it cannot be confined as was asked.
    """
    from audit.subject.client import Client
    from audit.subject.inspect import Inspection
    from audit.subject.launch import launch

    with launch(
        Path(how["path"]), Inspection.model_validate(how["inspection"]), trust_pickle=how["trust_pickle"], isolation=how["isolation"], classes=classes,
        several=several,
    ) as worker:  # fmt: skip
        client = Client(worker.socket)
        yield client
        client.close()


@contextmanager
def beside(ctx: Context, members: list[dict[str, Any]], classes: list[str]) -> Iterator[Client]:
    """A client of one confined worker that asks these models side by side, in place of the audited one; see `another`."""
    assert ctx.launching is not None, "a probing check knows how the audited model was launched"
    with another(ctx.launching, classes, several=members) as client:
        yield client


def in_parts(client: Client, frame: Frame, count: int, classes: int) -> Iterator[list[NDArray[np.float64]]]:
    """The raw outputs (k, outputs) of each of `count` models about a frame, so many rows at a time as come back at once."""
    import numpy as np

    from audit.subject.frame import rows, take

    step = max(1, AT_ONCE // (count * max(1, classes)))
    for start in range(0, rows(frame), step):
        yield np.split(client.predict(take(frame, slice(start, start + step))).values, count, axis=1)


def ask(ctx: Context, found: References, frames: list[Frame]) -> Beside:
    """Every reference about every row."""
    return asked(ctx, Path(found.folder, "references"), found.files, frames)


def asked(ctx: Context, folder: Path, files: list[str], frames: list[Frame]) -> Beside:
    """Every one of these models about every row."""
    import numpy as np

    from audit.outputs import interpret
    from audit.subject.client import Prediction

    assert ctx.launching is not None, "a probing check knows how the audited model was launched"
    members = described(folder, files, trust_pickle=ctx.launching["trust_pickle"])
    classes, out = ctx.settled.classes, []
    with beside(ctx, members, classes) as client:
        parameters = client.describe(timeout=None).parameters
        for frame in frames:
            parts = []
            for each in in_parts(client, frame, len(files), len(classes)):
                scores = [interpret(Prediction(part, None), ctx.settled)[1] for part in each]
                parts.append(np.stack([s for s in scores if s is not None]))
            out.append(np.concatenate(parts, axis=1) if parts else np.zeros((len(files), 0, len(classes))))
    return Beside(out, parameters)


def described(folder: Path, files: list[str], *, trust_pickle: bool) -> list[dict[str, Any]]:
    """How the worker loads each reference; one that would run code is refused as the audited model would be."""
    from audit.subject import evidence
    from audit.subject.inspect import check_loadable

    said: list[dict[str, Any]] = []
    for name in files:
        path = folder / name
        if path.is_file():
            if (found := list(evidence.of_files(folder, [name]))) and not trust_pickle:
                raise AuditError(
                    f"loading a reference model runs code that comes with it: {'; '.join(found)}",
                    "if you trust its author, add --trust-pickle",
                )
            said.append({"graph": str(path)})
            continue
        inspected = inspect_model(path)
        check_loadable(inspected, trust_pickle=trust_pickle)
        said.append({"root": str(path), **inspected.model_dump(mode="json")})
    return said
