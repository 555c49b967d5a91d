"""A csv or parquet file of texts and their labels: the columns that the preset names, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings
from models.sources.table import frame_of, path_of

if TYPE_CHECKING:
    import pandas as pd


def read(settings: DataSettings) -> pd.DataFrame:
    """The text columns, the outcome, the sensitive columns and the group of the file; a file without any text is refused."""
    import pandas as pd

    path = path_of(settings)
    frame = frame_of(path)
    group = [settings.split.group] if settings.split.group else []
    wanted = list(dict.fromkeys([*settings.signals, settings.target, *settings.sensitive, *group]))
    if absent := [name for name in wanted if name not in frame.columns]:
        have = ", ".join(map(str, frame.columns[:30]))
        raise TrainingError(
            f"{path} has no column {absent[0]!r}; it has {have}", f"rename its columns: this preset takes {', '.join(wanted)}"
        )
    for name in settings.signals:
        known = frame[name].dropna()
        if not pd.api.types.is_string_dtype(known.dtype):
            raise TrainingError(f"the column {name!r} of {path} holds {known.dtype}, expected text", "give a column of text")
        if not known.str.strip().any():
            raise TrainingError(f"the column {name!r} of {path} holds no text", "give rows with text; single empty ones may be among them")
    return frame[wanted]
