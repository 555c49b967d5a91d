"""Learn to see on a source task with many labels, then start on the task with few: weights of all but the head are carried over.

What this is worth is measured beside it: the same net with drawn weights, trained on the same few rows for as many epochs with nothing frozen.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from models.errors import TrainingError
from models.pretraining import settings_of
from models.settings import Count, DataSettings, Fraction, NetTraining, Positive, Preset, Settings

if TYPE_CHECKING:
    from models.data import Dataset
    from models.learners.net import Net, Prepared


class Transfer(Settings):
    """`[training.pretraining]`: the source task is of the classes from `first_class` to `last_class` of the same file, `rows` of them (0 is all),
    of which a share `train` is learned from and the rest divided between stopping and measuring."""

    stage: str
    first_class: int = 0
    last_class: int
    rows: int = 0
    train: Fraction = 0.8
    epochs: Count
    learning_rate: Positive
    batch_size: Count = 64


def prepare(preset: Preset, dataset: Dataset, *, device: str) -> Prepared:
    """Weights from the source task, and the accuracy on evaluation rows of the source task and of training from scratch."""
    from models.learners.net import HEAD, Prepared

    training = preset.training
    assert isinstance(training, NetTraining)
    settings = settings_of(Transfer, preset)
    told = source_task(preset.data, settings)
    if shared := sorted(set(told.settings.classes) & set(dataset.settings.classes)):
        raise TrainingError(
            f"the class {shared[0]!r} is in the source task and in the task itself", "let last_class lie before data.options.first_class"
        )
    plain = training.model_copy(update={"frozen": (), "frozen_epochs": 0})
    schooled = plain.model_copy(update={"learning_rate": settings.learning_rate, "batch_size": settings.batch_size})
    source, source_accuracy = _trained(preset, told, schooled, settings.epochs, device, "source task")
    _, scratch_accuracy = _trained(preset, dataset, plain, preset.epochs, device, "from scratch")
    weights = {name: tensor for name, tensor in source.module.state_dict().items() if not name.startswith(HEAD)}
    figures = {
        "accuracy_source_task": source_accuracy, "accuracy_from_scratch": scratch_accuracy,
        "rows_source_task": float(len(told.parts["train"])), "rows_with_labels": float(len(dataset.parts["train"])),
    }  # fmt: skip
    return Prepared(weights=weights, figures=figures, source=(source, told))


def source_task(data: DataSettings, settings: Transfer) -> Dataset:
    """The rows of the source task, split anew."""
    from models.data import load

    rest = (1 - settings.train) / 2
    split = data.split.model_copy(update={"train": settings.train, "validation": rest, "evaluation": rest})
    places = {"first_class": settings.first_class, "last_class": settings.last_class}
    changed = {"options": data.options | places, "rows": settings.rows, "split": split, "classes": (), "positive": "", "favourable": ()}
    return load(data.model_copy(update=changed))


def _trained(preset: Preset, dataset: Dataset, training: NetTraining, epochs: int, device: str, called: str) -> tuple[Net, float]:
    """The preset's net with drawn weights, trained on these rows, and its accuracy on their evaluation rows."""
    from models.learners.net import Prepared, assemble, start
    from models.loop import Around, Rows, fit, outputs_of
    from models.metrics import figures

    def told(epoch: int, measured: dict[str, Any]) -> None:
        print(f"{preset.name}: {called}: epoch {epoch}/{epochs} validation_loss {measured['validation_loss']:.4f}", file=sys.stderr)

    net = assemble(preset.model_copy(update={"training": training}), dataset, Prepared())
    rows = {part: Rows(net.encoder.arrays(dataset.parts[part]), dataset.y(part)) for part in ("train", "validation", "evaluation")}
    start(net, rows["train"])
    fit(
        net.module, rows["train"], rows["validation"], settings=training, epochs=epochs, seed=preset.seed, device=device,
        around=Around(told), classes=dataset.classes,
    )  # fmt: skip
    measured = figures(rows["evaluation"].y, outputs_of(net.module, rows["evaluation"].x), classes=dataset.classes)
    return net, measured["accuracy"]
