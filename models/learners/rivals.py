"""Other ways to train the same net on the same rows, so that what pre-training or adapters gain is a number and not a promise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.data import PARTS, Dataset
from models.distributed import World
from models.learners.net import Net, Prepared, assemble, learn
from models.loop import Around, Rows, deterministic, fit, outputs_of
from models.metrics import figures
from models.settings import NetTraining, Preset, Rival

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Outputs = NDArray[np.float64]


def compared(
    preset: Preset, dataset: Dataset, prepared: Prepared, net: Net, learning: int, *, device: str, world: World
) -> dict[str, float]:
    """Accuracy on the evaluation rows (R² of a quantity) and parameters that learn, of the trained net and of each rival of the preset.

    Accuracy is by the largest output, not at the tuned cutoff. Evaluation rows choose nothing: each rival is stopped on the validation rows.
    """
    found = _figures("trained", _outputs(net, dataset), dataset, learning)
    assert isinstance(preset.training, NetTraining)
    for name, rival in preset.training.rivals.items():
        with deterministic(preset.seed, threads=preset.threads):
            train = {"features": _on_features}.get(rival.kind, _anew)
            outputs, learning = train(preset, dataset, prepared, rival, device, world)
        found |= _figures(name, outputs, dataset, learning)
    return found


def _figures(name: str, outputs: Outputs, dataset: Dataset, learning: int) -> dict[str, float]:
    measured = figures(dataset.y("evaluation"), outputs, classes=dataset.classes)
    score = "accuracy" if dataset.classes else "r2"
    return {f"{name}_{score}": measured[score], f"{name}_trainable_parameters": float(learning)}


def _outputs(net: Net, dataset: Dataset) -> Outputs:
    return outputs_of(net.module, net.encoder.arrays(dataset.parts["evaluation"]))


def _settings(preset: Preset, rival: Rival) -> NetTraining:
    assert isinstance(preset.training, NetTraining)
    return preset.training.model_copy(
        update={"adapters": None, "rivals": {}, "frozen": (), "learning_rate": rival.learning_rate or preset.training.learning_rate}
    )


def _anew(preset: Preset, dataset: Dataset, prepared: Prepared, rival: Rival, device: str, world: World) -> tuple[Outputs, int]:
    """All parameters learn, from what pre-training gave or, with `scratch`, from drawn weights."""
    preset = preset.model_copy(update={"training": _settings(preset, rival), "epochs": rival.epochs or preset.epochs})
    start = replace(prepared, weights={}) if rival.kind == "scratch" else prepared
    net, _, learning = learn(preset, dataset, assemble(preset, dataset, start), device, Around(lambda *_: None, world))
    return _outputs(net, dataset), learning


def _on_features(preset: Preset, dataset: Dataset, prepared: Prepared, rival: Rival, device: str, world: World) -> tuple[Outputs, int]:
    """Only the head learns, on features that are worked out once."""
    from torch import nn

    net = assemble(preset, dataset, prepared)

    class Body(nn.Module):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
        """What the head sees of a row."""

        def forward(self, *inputs: object) -> object:
            return net.module.features(*inputs)

    net.module.eval()
    seen = {part: outputs_of(Body(), net.encoder.arrays(dataset.parts[part])).astype("float32") for part in PARTS}
    rows = {part: Rows((seen[part],), dataset.y(part)) for part in PARTS}
    head = net.module.head
    fit(
        head, rows["train"], rows["validation"],
        settings=_settings(preset, rival), epochs=rival.epochs or preset.epochs, seed=preset.seed, device=device,
        around=Around(lambda *_: None, world), classes=dataset.classes,
    )  # fmt: skip
    return outputs_of(head, rows["evaluation"].x), sum(p.numel() for p in head.parameters())
