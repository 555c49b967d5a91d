"""Claims of differential privacy, true and false: the record that training would have logged, with canaries of which fair coins decided whether they trained.

In truth the mechanism leaks exactly as much as the claim allows: whoever sees canaries sees them move by μ standard deviations.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audit.selftest.crowds import Crowd
from audit.selftest.play import InProcess, Play, Rows
from audit.subject.frame import Frame

DELTA = 1e-5
#: Numbers that noise was added to and that were looked at; a batch in hundredths of the rows; epochs; noise in clipping norms.
NUMBERS, SHARES, EPOCHS, NOISES = 100_000, (1, 2, 4), (1, 4), (1.2, 2.0)
#: One canary for so many rows.
EACH = 4

Record = dict[str, Any]


def _drawn(rng: Generator, n: int, rate: float, steps: int, *, shuffled: bool) -> Record:
    """How batches came out: each row drawn by itself in each step, or epochs of shuffled rows that are cut into equal batches."""
    if shuffled:
        sizes, times = np.full(steps, n * rate), np.full(n, steps * rate)
    else:
        inside = rng.random((steps, n), dtype=np.float32) < rate
        sizes, times = inside.sum(axis=1), inside.sum(axis=0)
    return {
        "drawn_batches": steps, "drawn_mean": float(sizes.mean()), "drawn_variance": float(sizes.var(ddof=1)),
        "times_mean": float(times.mean()), "times_variance": float(times.var(ddof=1)),
    }  # fmt: skip


def _record(rng: Generator, n: int, *, shuffled: bool = False, silent: bool = False, by_limit: bool = False) -> Record:
    """A claim as training logs it. Batches are a whole number of rows, and of them as many steps as make whole epochs."""
    from audit.stats.privacy import gaussian, rdp

    rate = int(rng.choice(SHARES)) / 100
    steps, noise = round(int(rng.integers(*EPOCHS)) / rate), float(rng.uniform(*NOISES))
    limit = gaussian.epsilon_of(gaussian.approximate_mu(noise, rate, steps), DELTA)
    epsilon = limit if by_limit else rdp.epsilon(noise, rate, steps, delta=DELTA).epsilon
    added = 0.0 if silent else noise * float(np.sqrt(rng.chisquare(NUMBERS) / NUMBERS))
    return {
        "mechanism": "DP-SGD", "epsilon": epsilon, "delta": DELTA, "accountant": "prv" if by_limit else "rdp", "noise_multiplier": noise, "sample_rate": rate,
        "steps": steps, "steps_taken": steps, "rows": n, "expected_batch_size": n * rate, "sampling": "poisson", "clip_norm": 1.0,
        "adjacency": "one training row more or less", "secure_mode": True, "noise_source": "operating system, not kept",
        "noise_numbers": NUMBERS, "noise_added": added, "not_covered": [],
    } | _drawn(rng, n, rate, steps, shuffled=shuffled)  # fmt: skip


def _canaries(folder: Path, rng: Generator, m: int, shift: float) -> str:
    """A file of m canaries; the input of those that trained lies `shift` standard deviations higher, and the model says what it sees there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    included: NDArray[np.bool_] = rng.random(m) < 0.5
    x = rng.normal(size=m) + shift * included
    path = folder / "canaries.parquet"
    pq.write_table(pa.table({"x": x, "outcome": ["1"] * m, "included": included, "row": pa.nulls(m, pa.int64())}), path)
    return str(path)


def _play(folder: Path, rng: Generator, n: int, crowd: Crowd, record: Record, *, shift: float | None = None) -> Play:
    """Rows and a model with this claim; canaries move as far as a mechanism of this ε allows, or by `shift`."""
    from scipy.special import expit, logit

    from audit.privacy.claims import Privacy, read_claim
    from audit.stats.privacy import gaussian

    rows = Rows(rng, n, crowd)

    def model(frame: Frame) -> Any:
        return expit(np.asarray(frame["x"]))

    scene = rows.scene(folder, features={"x": logit(np.clip(rows.p, 1e-9, 1 - 1e-9))}, groups={})
    allowed = gaussian.mu_of(record["epsilon"], DELTA)
    privacy = Privacy(claim=read_claim(record), canaries=_canaries(folder, rng, n // EACH, allowed if shift is None else shift))
    return Play(replace(scene, facts=scene.facts.model_copy(update={"privacy": privacy})), InProcess(model))


def noise_off(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """With `size` 1 the claim counts on noise, and none was added."""
    return _play(folder, rng, n, crowd, _record(rng, n, silent=bool(size)))


def shuffled_batches(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """With `size` 1 batches were cut from shuffled rows, and the record calls them Poisson samples."""
    return _play(folder, rng, n, crowd, _record(rng, n, shuffled=bool(size)))


def by_the_limit(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """With `size` 1 the epsilon is that of the central limit (the GDP accountant), which is no bound, and the record names another accountant."""
    return _play(folder, rng, n, crowd, _record(rng, n, by_limit=bool(size)))


def leaking(folder: Path, rng: Generator, n: int, crowd: Crowd, size: float) -> Play:
    """Nothing in the record is wrong, and canaries that trained lie `size` standard deviations higher."""
    return _play(folder, rng, n, crowd, _record(rng, n), shift=size or None)
