"""Any csv or parquet file that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


def read(settings: DataSettings) -> pd.DataFrame:
    """The rows of the file, as pandas reads them."""
    return frame_of(path_of(settings))


def path_of(settings: DataSettings) -> Path:
    """The path given by `--data`; the error names where such a file is public."""
    if settings.file is None:
        where = f": {settings.public}" if settings.public else ""
        raise TrainingError("this preset comes without data", f"name a file with --data{where}")
    path = Path(settings.file)
    if not path.exists():
        raise TrainingError(f"there is no file {settings.file}", "name one that is there with --data")
    return path


def frame_of(path: Path) -> pd.DataFrame:
    """A csv or parquet file as a frame; one that cannot be read is refused."""
    import pandas as pd

    if path.suffix.lower() not in (".csv", ".tsv", ".parquet"):
        raise TrainingError(f"{path} is no csv, tsv or parquet file", "convert the data to one of them")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", low_memory=False)  # one type a column
    except (OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(f"cannot read {path}: {first[:200]}", "check that the file is whole") from error
