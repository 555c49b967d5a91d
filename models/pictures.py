"""Pictures as numbers: an encoded picture (png, jpeg, …) to pixels, exactly as an audit reads it."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What PIL raises for a file that is no picture, or only a part of one.
BROKEN = (OSError, ValueError, SyntaxError)


def opened(encoded: bytes, channels: int) -> Any:
    """The picture as PIL's image, whole, grey (one channel) or in colour (three); one of `BROKEN` where it cannot be read.

    A picture of so many pixels that it may be an attack on the reader is refused likewise.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(encoded)) as picture:
                return picture.convert("L" if channels == 1 else "RGB")
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(str(error)) from error


def pixels(encoded: bytes, channels: int) -> NDArray[np.uint8]:
    """(channels, height, width), 0 to 255."""
    import numpy as np

    picture = np.asarray(opened(encoded, channels), dtype=np.uint8)
    return picture.reshape(*picture.shape[:2], channels).transpose(2, 0, 1)
