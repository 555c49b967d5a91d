"""Labelled pictures that the user names: a folder with one folder for each class, a parquet of encoded pictures, or an npz of arrays.

Python's pickled batches of CIFAR are not read: a pickle runs whatever code it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.encoding import text_of
from models.errors import TrainingError
from models.pictures import BROKEN, opened
from models.settings import DataSettings, Signal
from models.sources.table import frame_of, path_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
#: Names of arrays in an npz and of columns in a parquet, the first that is there.
PIXELS, LABELS = ("x", "images", "image", "img", "data"), ("y", "labels", "label", "fine_label", "class")
KNOWN = {"resize", "first_class", "last_class"}

#: What it is called in an error, the encoded picture or its pixels (height, width[, channels]), its label.
Found = tuple[str, Any, str]


def read(settings: DataSettings) -> pd.DataFrame:
    """The one image column of the preset, as encoded bytes, and the target: the label as text.

    Options: `resize` brings pictures of other sizes to the preset's (else they are refused); `first_class` and `last_class` keep the classes
    from one place to another, both included, counted from 0 in the order of their labels (the alphabet, numbers by size); a `last_class` below 0
    is the end.
    """
    import pandas as pd

    if strange := sorted(set(settings.options) - KNOWN):
        raise TrainingError(f"the source of pictures has no option {strange[0]!r}", f"its options are {', '.join(sorted(KNOWN))}")
    ((name, signal),) = settings.signals.items()
    path = path_of(settings)
    found = _of_classes(list(_found(path)), settings)
    encoded = _checked(found, signal, resize=bool(settings.options.get("resize", False)), where=path)
    return pd.DataFrame({name: pd.Series(encoded, dtype=object), settings.target: [label for _, _, label in found]})


def _found(path: Path) -> Iterator[Found]:
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".npz":
        return _arrays(path)
    if path.suffix.lower() == ".parquet":
        return _table(path)
    raise TrainingError(
        f"{path} is no folder of pictures, parquet or npz file",
        "give a folder CLASS/*.png, a parquet with a label and encoded pictures, or an npz of x and y; batches of pickle are not read",
    )


def _folder(path: Path) -> Iterator[Found]:
    """Pictures of each folder, in the order of their names."""
    files = [f for folder in sorted(path.iterdir()) if folder.is_dir() for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES]
    if not files:
        raise TrainingError(f"the folder {path} has no CLASS/*.png or *.jpg", "put the pictures of each class into a folder of its name")
    return ((f"{f.parent.name}/{f.name}", f.read_bytes(), f.parent.name) for f in files)


def _table(path: Path) -> Iterator[Found]:
    """A column of bytes, or of records with `bytes` (as Hugging Face writes them), and a column of labels."""
    frame = frame_of(path)
    pictures = next((c for c in frame.columns if _bytes(frame[c].iloc[0] if len(frame) else None) is not None), None)
    labels = next((c for c in LABELS if c in frame.columns and c != pictures), None)
    if pictures is None or labels is None:
        lacks = "column of encoded pictures (bytes)" if pictures is None else f"column of labels ({', '.join(LABELS)})"
        raise TrainingError(f"{path} has no {lacks}; it has {', '.join(map(str, frame.columns[:30]))}", "add or rename that column")
    rows = zip(frame[pictures], frame[labels], strict=True)
    return ((f"row {i}", _bytes(picture), text_of(label) or "") for i, (picture, label) in enumerate(rows))


def _bytes(value: Any) -> bytes | None:
    value = value.get("bytes") if isinstance(value, dict) else value
    return value if isinstance(value, bytes) else None


def _arrays(path: Path) -> Iterator[Found]:
    """x (n, height, width) or (n, height, width, channels), whole numbers from 0 to 255, and y (n,)."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y = (next((arrays[k] for k in names if k in arrays.files), None) for names in (PIXELS, LABELS))
            names = ", ".join(arrays.files)
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"cannot read {path}: {str(error)[:200]}", "give an npz of plain arrays, without pickled objects") from error
    if x is None or y is None:
        raise TrainingError(f"{path} holds {names or 'nothing'}", "name the pictures x and their labels y")
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)) or y.shape != x.shape[:1]:
        raise TrainingError(
            f"{path} has x of shape {x.shape} and y of shape {y.shape}, expected (n, height, width[, 1 or 3]) and (n,)",
            "reshape the arrays",
        )
    whole = _whole(x, path)
    return ((f"picture {i}", picture, text_of(label) or "") for i, (picture, label) in enumerate(zip(whole, y.tolist(), strict=True)))


def _whole(x: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    import numpy as np

    if not np.issubdtype(x.dtype, np.number) or not ((x >= 0) & (x <= 255)).all() or (x != np.floor(x)).any():
        raise TrainingError(f"{path} has pixels of {x.dtype} that are no whole numbers from 0 to 255", "multiply and round them first")
    return x.astype(np.uint8)


def _of_classes(found: list[Found], settings: DataSettings) -> list[Found]:
    """The pictures of the classes that the options ask for."""
    if unlabelled := [name for name, _, label in found if not label]:
        raise TrainingError(
            f"{len(unlabelled)} of {len(found)} pictures have no label, the first is {unlabelled[0]}", "label them, or take them out"
        )
    labels = sorted({label for _, _, label in found}, key=lambda label: (label.isdigit() and len(label), label))
    first, last = int(settings.options.get("first_class", 0)), int(settings.options.get("last_class", -1))
    kept = set(labels[first:] if last < 0 else labels[first : last + 1])
    if len(kept) < 2:
        raise TrainingError(
            f"of the {len(labels)} classes of these pictures {len(kept)} lie from place {first} to {last if last >= 0 else 'the end'}",
            "give pictures of more classes, or other places by --set data.options.first_class=… and last_class=…",
        )
    return [picture for picture in found if picture[2] in kept]


def _checked(found: list[Found], signal: Signal, *, resize: bool, where: Path) -> list[bytes]:
    """Every picture read once: what cannot be read, or has another size, is counted and the first one named."""
    channels, height, width = signal.shape
    encoded: list[bytes] = []
    broken, sizes = [], []
    for name, value, _ in found:
        try:
            picture = _picture(value, channels)
        except BROKEN:
            broken.append(name)
            continue
        if picture.size != (width, height):
            sizes.append(f"{name} with {picture.height} × {picture.width}")
        encoded.append(_as_bytes(value, picture, (width, height)))
    if broken:
        raise TrainingError(
            f"{len(broken)} of {len(found)} pictures in {where} cannot be read (truncated, or no picture), the first is {broken[0]}",
            "take them out, or put whole ones in their place",
        )
    if sizes and not resize:
        raise TrainingError(
            f"{len(sizes)} of {len(found)} pictures in {where} are not {height} × {width} pixels, the first is {sizes[0]}",
            "make all pictures of one size, or let them be resized with --set resize=true",
        )
    return encoded


def _picture(value: Any, channels: int) -> Any:
    from PIL import Image

    if value is None:
        raise ValueError("missing")
    if isinstance(value, bytes):
        return opened(value, channels)
    return Image.fromarray(value[:, :, 0] if value.ndim == 3 and value.shape[2] == 1 else value).convert("L" if channels == 1 else "RGB")


def _as_bytes(value: Any, picture: Any, size: tuple[int, int]) -> bytes:
    """The file as it was found; where it was no file, or has another size, as png, which loses nothing."""
    import io

    if isinstance(value, bytes) and picture.size == size:
        return value
    out = io.BytesIO()
    (picture if picture.size == size else picture.resize(size)).save(out, format="png")
    return out.getvalue()
