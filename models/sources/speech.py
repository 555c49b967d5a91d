"""Recordings in a parquet file: wav bytes, or lists of samples with their rate, as sound of one rate."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import TrainingError
from models.settings import DataSettings
from models.sources.table import frame_of, path_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: Where the sound stands in the file, and the rate of sound that is no wav.
WAV, SAMPLES, RATE = "wav", "samples", "rate"


def read(settings: DataSettings) -> pd.DataFrame:
    """The file's columns, with the preset's one sound column in place of `wav` (or of `samples` and `rate`): lists of float32 from -1 to 1.

    The option `take` names columns whose equal values belong together; their values, joined, become the column `take`.
    """
    import pandas as pd

    path = path_of(settings)
    if path.suffix.lower() != ".parquet":
        raise TrainingError(f"{path} is no parquet file", "convert the recordings to parquet: a column wav of bytes, one row each")
    rows = frame_of(path)
    name, signal = next((n, s) for n, s in settings.signals.items() if s.kind == "audio")
    recorded, drop = _recordings(rows, path)
    sound: list[NDArray[np.float32] | None] = []
    broken: list[str] = []
    for i, one in enumerate(recorded):
        try:
            sound.append(None if one is None else decoded(one, signal.rate))
        except (ValueError, EOFError, wave.Error) as error:
            broken.append(f"row {i}: {str(error) or 'the file ends in its header'}")
    if broken:
        raise TrainingError(
            f"{len(broken)} of {len(rows)} recordings in {path} cannot be used, first {broken[0]}", "repair these rows, or take them out"
        )
    together = list(settings.options.get("take", []))
    if absent := [column for column in together if column not in rows]:
        raise TrainingError(f"{path} has no columns {', '.join(absent)}", "name a file that has them")
    if together:
        rows = rows.assign(take=rows[together].astype(str).agg("-".join, axis=1))
    return rows.drop(columns=drop).assign(**{name: pd.Series(sound, dtype=object, index=rows.index)})


def _recordings(rows: pd.DataFrame, path: Path) -> tuple[list[Any], list[str]]:
    """What `decoded` takes, one for each row, and the columns it came from."""
    if WAV in rows:
        return [one if isinstance(one, bytes) else None for one in rows[WAV]], [WAV]
    if SAMPLES not in rows:
        raise TrainingError(f"{path} has neither a column {WAV} nor {SAMPLES}", "give the recordings as wav bytes in a column wav")
    if RATE not in rows:
        raise TrainingError(f"{path} has {SAMPLES} without their sample rate", f"add a column {RATE} in hertz, or give wav bytes")
    pairs = zip(rows[SAMPLES], rows[RATE], strict=True)
    return [None if one is None or isinstance(one, float) else (one, rate) for one, rate in pairs], [SAMPLES, RATE]


def decoded(recording: bytes | tuple[Any, Any], rate: int) -> NDArray[np.float32]:
    """(samples,) from -1 to 1 of the bytes of a wav file, channels averaged, or of samples with their rate; ValueError says what is wrong with it.

    The rate must be the one that the net was made for: sound of another rate would be heard at another pitch.
    """
    import numpy as np

    if not isinstance(recording, bytes):
        samples, found = np.asarray(recording[0], dtype=np.float32), float(recording[1] or 0)
    else:
        samples, found = _wav(recording)
    if not found > 0:
        raise ValueError("it states no sample rate")
    if found != rate:
        raise ValueError(f"its sample rate is {found:g} Hz, expected {rate} Hz: resample it")
    return samples


def _wav(recording: bytes) -> tuple[NDArray[np.float32], float]:
    import numpy as np

    with wave.open(io.BytesIO(recording)) as file:
        channels, width, rate, stated = file.getparams()[:4]
        data = file.readframes(stated)
    if (got := len(data) // (channels * width)) != stated:
        raise ValueError(f"it is cut off: {stated} samples are stated, {got} are there")
    if width not in (1, 2, 4):
        raise ValueError(f"its samples have {8 * width} bits, expected 8, 16 or 32")
    whole = np.frombuffer(data, dtype={1: "u1", 2: "<i2", 4: "<i4"}[width]).astype(np.float64) - (128 if width == 1 else 0)
    return (whole.reshape(-1, channels).mean(axis=1) / 2 ** (8 * width - 1)).astype(np.float32), float(rate)
