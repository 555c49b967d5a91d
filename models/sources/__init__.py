"""Where rows come from: what a package ships, or a file that the user names. One source a module, each with `read(settings)`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


def source_names() -> list[str]:
    """The sources there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def read(settings: DataSettings) -> pd.DataFrame:
    """The rows of the source, raw; with `rows` set, so many of them, drawn by the seed of the split, in their order."""
    import numpy as np

    if settings.source not in source_names():
        raise TrainingError(f"there is no source {settings.source!r}", f"the sources are {', '.join(source_names())}")
    frame: pd.DataFrame = importlib.import_module(f"models.sources.{settings.source}").read(settings)
    if settings.rows and settings.rows < len(frame):
        kept = np.random.default_rng(settings.split.seed).permutation(len(frame))[: settings.rows]
        frame = frame.iloc[np.sort(kept)].reset_index(drop=True)
    return frame
