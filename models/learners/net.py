"""The torch net: trained by the loop, logged as pt2 beside what rebuilds it (architecture.json, weights.safetensors)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.config import NetTraining, Preset
from models.data import Dataset, Part
from models.learners import Fitted, installed
from models.loop import OnEpoch, Rows, deterministic, fit, pick_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

ARCHITECTURE = "tabular"


def train(preset: Preset, dataset: Dataset, *, device: Literal["auto", "cpu", "cuda"], on_epoch: OnEpoch) -> Fitted:
    """Fit the net of the preset on the training rows, stopped early on the validation rows."""
    import torch

    from models.nets.tabular import build

    settings = preset.training
    assert isinstance(settings, NetTraining)
    config = configuration(settings, dataset)
    with deterministic(preset.seed, threads=preset.threads):
        net = build(config)
        x = dataset.x("train")
        net.fit(torch.from_numpy(x))
        best = fit(
            net, Rows(x, dataset.y("train")), Rows(dataset.x("validation"), dataset.y("validation")),
            settings=settings, epochs=preset.epochs, seed=preset.seed, device=pick_device(device), on_epoch=on_epoch,
        )  # fmt: skip
    return Fitted(
        probabilities=lambda part: _probabilities(net, dataset, part),
        log=lambda metadata: _log(net, config, x[:4], metadata),
        outputs="logit",
        architecture=ARCHITECTURE,
        best_epoch=best,
    )


def configuration(settings: NetTraining, dataset: Dataset) -> dict[str, Any]:
    """What `models.nets.tabular.build` takes, as JSON has it."""
    return {
        "columns": [column.record() for column in dataset.columns],
        "classes": len(dataset.settings.classes),
        "bins": settings.bins,
        "hidden": list(settings.hidden),
        "dropout": settings.dropout,
    }


def _probabilities(net: nn.Module, dataset: Dataset, part: Part) -> NDArray[np.float64]:
    import torch

    with torch.inference_mode():
        scores: NDArray[np.float64] = net(torch.from_numpy(dataset.x(part))).double().softmax(dim=1).numpy()
    return scores


def _log(net: nn.Module, config: dict[str, Any], example: NDArray[np.float32], metadata: dict[str, Any]) -> Any:
    """`example` has two rows or more: torch.export freezes a batch of one."""
    import mlflow
    import torch
    from mlflow.models import infer_signature
    from safetensors.torch import save_file

    with torch.inference_mode():
        outputs = net(torch.from_numpy(example)).numpy()
    with tempfile.TemporaryDirectory() as folder:
        architecture, weights = Path(folder, "architecture.json"), Path(folder, "weights.safetensors")
        architecture.write_text(json.dumps({"name": ARCHITECTURE, "config": config}, indent=1), encoding="utf-8")
        save_file(net.state_dict(), weights)
        return mlflow.pytorch.log_model(
            net,
            name="model",
            serialization_format="pt2",
            input_example=example,
            signature=infer_signature(example, outputs),
            extra_files=[str(architecture), str(weights)],
            pip_requirements=installed("mlflow", "torch", "numpy", "safetensors"),
            metadata=metadata,
        )
