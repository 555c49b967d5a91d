"""Gradient-boosted trees: LightGBM's own Booster, logged in its native text format (no pickle)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.data import Dataset, Part
from models.errors import TrainingError
from models.learners import Fitted, installed
from models.loop import OnEpoch
from models.settings import Preset, TreeTraining

if TYPE_CHECKING:
    import lightgbm
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def train(preset: Preset, dataset: Dataset, *, on_epoch: OnEpoch) -> Fitted:
    """Fit a Booster on the training rows, stopped early on the validation rows; categories enter as their numeric codes."""
    import lightgbm

    if len(dataset.settings.classes) != 2:
        raise TrainingError(
            f"the learner trees expects two classes, got {len(dataset.settings.classes)}", "use a preset with the learner net"
        )
    settings = preset.training
    assert isinstance(settings, TreeTraining)
    rows = {part: lightgbm.Dataset(numbers(dataset, part), dataset.y(part)) for part in ("train", "validation")}
    rows["validation"].reference = rows["train"]
    booster = lightgbm.train(
        parameters(settings, seed=preset.seed, threads=preset.threads),
        rows["train"],
        num_boost_round=preset.epochs,
        valid_sets=[rows["train"], rows["validation"]],
        valid_names=["train", "validation"],
        callbacks=[_report(on_epoch), lightgbm.early_stopping(settings.patience, first_metric_only=True, verbose=False)],
    )
    return Fitted(
        scores=lambda part: _probabilities(booster, dataset, part),
        log=lambda metadata: _log(booster, numbers(dataset, "train").head(4), metadata),
        outputs="probability",
        architecture=None,
        columns=[{"name": column.name, "kind": "number"} for column in dataset.columns],
        best_epoch=booster.best_iteration,
    )


def parameters(settings: TreeTraining, *, seed: int, threads: int) -> dict[str, Any]:
    """LightGBM's names for our settings; `deterministic` and row-wise histograms make equal seeds give equal trees."""
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.min_rows_in_leaf,
        "feature_fraction": settings.column_fraction,
        "bagging_fraction": settings.row_fraction,
        "bagging_freq": 1,
        "lambda_l2": settings.l2,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def numbers(dataset: Dataset, part: Part) -> pd.DataFrame:
    """(rows, raw columns) as doubles, named: what the Booster is trained on and its signature asks for."""
    return dataset.inputs(part).astype("float64")


def _report(on_epoch: OnEpoch) -> Any:
    def report(env: lightgbm.callback.CallbackEnv) -> None:
        on_epoch(env.iteration + 1, {f"{name}_loss": value for name, _, value, _ in env.evaluation_result_list})

    return report


def _probabilities(booster: lightgbm.Booster, dataset: Dataset, part: Part) -> NDArray[np.float64]:
    import numpy as np

    positive = booster.predict(numbers(dataset, part))
    return np.column_stack([1 - positive, positive])


def _log(booster: lightgbm.Booster, example: pd.DataFrame, metadata: dict[str, Any]) -> Any:
    import mlflow
    from mlflow.models import infer_signature

    return mlflow.lightgbm.log_model(
        booster,
        name="model",
        input_example=example,
        signature=infer_signature(example, booster.predict(example)),
        pip_requirements=installed("mlflow", "lightgbm", "numpy", "pandas"),
        metadata=metadata,
    )
