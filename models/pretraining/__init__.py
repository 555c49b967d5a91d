"""What may come before training on labels: one stage a module, each with `prepare(preset, dataset, *, device)`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from models.errors import TrainingError
from models.settings import NetTraining, Preset, Settings

if TYPE_CHECKING:
    from models.data import Dataset
    from models.encoding import Column

Stage = TypeVar("Stage", bound=Settings)


def settings_of(kind: type[Stage], preset: Preset) -> Stage:
    """`training.pretraining` as the stage takes it; what it does not know is refused."""
    assert isinstance(preset.training, NetTraining)
    try:
        return kind.model_validate_json(json.dumps(preset.training.pretraining))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TrainingError(
            f"preset {preset.name}: training.pretraining.{key} is not valid: {first['msg']}", "correct that value"
        ) from None


def text_column(preset: Preset, dataset: Dataset) -> Column:
    """The one input, which must be text."""
    if [column.kind for column in dataset.columns] != ["text"]:
        raise TrainingError(f"preset {preset.name} takes one column of text", "give only that under data.signals")
    return dataset.columns[0]
