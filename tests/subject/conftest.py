"""Models that MLflow saves, made once, and workers that are always stopped. Shared by the tests of this folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from audit.subject.client import Client
from audit.subject.frame import Categories, Frame
from audit.subject.inspect import inspect_model
from audit.subject.launch import Worker, launch

N = 400
WORDS = ("a", "b", "ü")


@pytest.fixture(scope="session")
def rows() -> Frame:
    """Five columns of numbers, one of them whole and one with gaps, and one of words with gaps."""
    rng = np.random.default_rng(7)
    frame: Frame = {f"x{i}": rng.normal(size=N) for i in range(4)}
    frame["whole"] = rng.integers(0, 9, N)
    frame["word"] = Categories(rng.integers(-1, 3, N).astype(np.int32), WORDS)
    return frame


@pytest.fixture(scope="session")
def numbers(rows: Frame) -> Frame:
    """The columns of numbers alone."""
    return {name: column for name, column in rows.items() if name != "word"}


@pytest.fixture(scope="session")
def table(rows: Frame) -> Any:
    """The same rows as pandas has them, words as `str` with missing values."""
    import pandas as pd

    data: dict[str, Any] = {}
    for name, column in rows.items():
        words = [None if c < 0 else WORDS[c] for c in column.codes] if isinstance(column, Categories) else None
        data[name] = column if words is None else pd.Series(words, dtype="str")
    return pd.DataFrame(data).astype({"whole": "float64"})


@pytest.fixture(scope="session")
def target(rows: Frame) -> Any:
    """0 or 1 for each row, from two of the columns."""
    word = rows["word"]
    assert isinstance(word, Categories)
    first = rows["x0"]
    assert isinstance(first, np.ndarray)
    return (first + (word.codes == 0) > 0.3).astype(int)


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """save("sklearn", model, …) stores a model with mlflow and returns its folder."""

    def do(flavor: str, model: Any, **options: Any) -> Path:
        path: Path = tmp_path_factory.mktemp("model") / "m"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow
            import mlflow.lightgbm
            import mlflow.onnx
            import mlflow.pyfunc
            import mlflow.pytorch
            import mlflow.sklearn
            import mlflow.xgboost

            argument = {"pyfunc": "python_model"}.get(flavor)
            if argument:
                options[argument] = model
            positional = [] if argument else [model]
            getattr(mlflow, flavor).save_model(*positional, path=str(path), pip_requirements=["numpy"], **options)
        return path

    return do


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Client, Worker]]]:
    """start(path, …) inspects and launches; the worker is stopped when the test ends."""
    running: list[tuple[Client, Worker]] = []

    def do(path: Path, **options: Any) -> tuple[Client, Worker]:
        worker = launch(path, inspect_model(path), **{"trust_pickle": False, **options})
        running.append((Client(worker.socket), worker))
        return running[-1]

    yield do
    for client, worker in running:
        client.close()
        worker.stop()


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, save: Callable[..., Path], numbers: Frame, target: Any) -> Path:
    """A small logistic regression stored as skops."""
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    x = pd.DataFrame({name: np.asarray(column, dtype=float) for name, column in numbers.items()})
    model = LogisticRegression().fit(x, target)
    return save("sklearn", model, signature=infer_signature(x, target.astype(float)))
