"""A torch net: perhaps pre-trained, trained by the loop, logged as pt2 beside what rebuilds it (architecture.json, weights.safetensors)."""

from __future__ import annotations

import copy
import importlib
import json
import sys
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.adapters import adapted, held, merged
from models.config import network
from models.data import Dataset, Part
from models.encoding import Encoder
from models.errors import TrainingError
from models.learners import Fitted, SourceTask, installed
from models.loop import Around, Rows, deterministic, fit, outputs_of
from models.metrics import softmax
from models.settings import NetTraining, Preset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

#: Names of the parameters by which a net answers its own task begin so; those below may have come from another.
HEAD = "head."


@dataclass(frozen=True)
class Prepared:
    """What comes before training on labels: a tokenizer (as its JSON text), weights to start from (name → tensor; the others are drawn), more
    configuration of the net, figures to log and libraries that the model needs; `source` is the net that learned a source task, and its rows."""

    tokenizer: str | None = None
    weights: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    source: tuple[Net, Dataset] | None = None


@dataclass(frozen=True)
class Net:
    """A trained net with what it takes to ask it and to build it again."""

    module: nn.Module
    encoder: Encoder
    config: dict[str, Any]
    architecture: str
    prepared: Prepared


def train(preset: Preset, dataset: Dataset, *, device: str, around: Around, references: int = 0) -> Fitted:
    """Fit the net of the preset on the training rows, stopped early on the validation rows. `device` is torch's name of one.

    So many `references` are trained after it, on halves of the rows (models/references.py).
    """
    settings = preset.training
    assert isinstance(settings, NetTraining)
    if settings.augment.noise and any(column.kind == "category" for column in dataset.columns):
        raise TrainingError("training.augment.noise would make other categories of codes", "set it to 0 for tables with categories")
    with deterministic(preset.seed, threads=preset.threads):
        prepared = prepare(preset, dataset, device)
        net = assemble(preset, dataset, prepared)
        privacy = private(preset, len(dataset.parts["train"]), around, device)
        net, best, learning = learn(preset, dataset, net, device, around, privacy)
    if settings.rivals and privacy is None:
        from models.learners.rivals import compared

        found = compared(preset, dataset, prepared, net, learning, device=device, world=around.world)
        net = replace(net, prepared=replace(prepared, figures=prepared.figures | found))
    others = None
    if references:
        from models.references import trained

        others = trained(preset, dataset, replace(prepared, source=None), count=references, device=device)
    promised = None if privacy is None else privacy.record(uncovered(preset, dataset, net, references))
    return replace(fitted(net, dataset, best), privacy=promised, references=others)


def private(preset: Preset, rows: int, around: Around, device: str) -> Any:
    """What draws, clips and adds noise where the preset wants a private training; None elsewhere."""
    settings = preset.training
    assert isinstance(settings, NetTraining)
    if settings.private is None:
        return None
    from models.privacy import Privacy

    if settings.private.delta >= 1 / rows and around.world.first:
        print(f"warning: delta {settings.private.delta:g} is not below 1 / {rows} training rows: it promises little", file=sys.stderr)
    return Privacy(settings.private, rows=rows, batch_size=settings.batch_size, epochs=preset.epochs, world=around.world, device=device)


def uncovered(preset: Preset, dataset: Dataset, net: Net, references: int = 0) -> list[str]:
    """What this net has of the training rows without noise, in sentences for an auditor."""
    settings = preset.training
    assert isinstance(settings, NetTraining)
    every = [c for column in dataset.columns for c in (column, *column.fields)]
    found = {
        "scales, quantiles and indicators of missing values in the net's buffers, taken from the training rows as they are": hasattr(
            net.module, "fit"
        ),
        "the vocabularies of categories, which name every value that the training rows hold": any(c.vocabulary for c in every),
        "the class weights, which tell how many training rows each class has": settings.class_weights,
        "what the pre-training read, for it ran without noise": bool(settings.pretraining),
        f"{references} reference models for the membership audit, which learned from these rows too: they are not for release": references
        > 0,
        f"a group as a whole: rows of equal {preset.data.split.group} are protected one by one": preset.data.split.group is not None,
    }
    return [sentence for sentence, applies in found.items() if applies]


def learn(preset: Preset, dataset: Dataset, net: Net, device: str, around: Around, privacy: Any = None) -> tuple[Net, int, int]:
    """The net after training, the epoch that is kept, and how many parameters learn in the end; adapters are added into its weights."""
    settings = preset.training
    assert isinstance(settings, NetTraining)
    rows = {part: Rows(net.encoder.arrays(dataset.parts[part]), dataset.y(part)) for part in ("train", "validation")}
    start(net, rows["train"])
    wrapped = None
    if settings.adapters is not None:
        wrapped = adapted(net.module, settings.adapters)
        settings = settings.model_copy(update={"frozen": held(net.module), "frozen_epochs": 0})
    best = fit(
        net.module, rows["train"], rows["validation"],
        settings=settings, epochs=preset.epochs, seed=preset.seed, device=device, around=around, classes=dataset.classes, privacy=privacy,
    )  # fmt: skip
    learning = sum(parameter.numel() for parameter in net.module.parameters() if parameter.requires_grad)
    return net if wrapped is None else replace(net, module=merged(wrapped)), best, learning


def prepare(preset: Preset, dataset: Dataset, device: str) -> Prepared:
    """What the preset's stage of models/pretraining makes; nothing where it names none."""
    assert isinstance(preset.training, NetTraining)
    stage = preset.training.pretraining.get("stage")
    if stage is None:
        return Prepared()
    found: Prepared = importlib.import_module(f"models.pretraining.{stage}").prepare(preset, dataset, device=device)
    return found


def assemble(preset: Preset, dataset: Dataset, prepared: Prepared) -> Net:
    """The net that the preset and the data's columns describe, with weights drawn or from before."""
    assert isinstance(preset.training, NetTraining)
    tokenizer = None
    if prepared.tokenizer is not None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(prepared.tokenizer)
    encoder, described = Encoder(dataset.columns, tokenizer), network(preset)
    assert described is not None
    config = {"columns": encoder.record(), "classes": dataset.classes, "network": described.model_dump(mode="json"), **prepared.config}
    build = importlib.import_module(f"models.nets.{preset.training.architecture}").build
    try:
        module = build(config)
    except ValueError as error:
        raise TrainingError(
            f"the architecture {preset.training.architecture} does not fit the data: {error}", "choose another, or other columns"
        ) from error
    if prepared.weights:
        module.load_state_dict({**module.state_dict(), **prepared.weights})
    return Net(module, encoder, config, preset.training.architecture, prepared)


def start(net: Net, rows: Rows) -> None:
    """Set what the net takes from training rows before the first step: scales, bins."""
    import torch

    if hasattr(net.module, "fit"):
        net.module.fit(*(torch.from_numpy(x) for x in rows.x))


def fitted(net: Net, dataset: Dataset, best: int) -> Fitted:
    """What the rest of the core needs of a trained net."""

    def scores(part: Part) -> NDArray[np.float64]:
        outputs = outputs_of(net.module, net.encoder.arrays(dataset.parts[part]))
        return softmax(outputs) if dataset.classes else outputs

    return Fitted(
        scores=scores,
        log=lambda metadata: log(net, net.encoder.arrays(dataset.parts["train"].head(4)), metadata),
        outputs="logit" if dataset.classes else "value",
        architecture=net.architecture,
        example=lambda: net.encoder.arrays(dataset.parts["train"].head(4)),
        columns=net.encoder.record(),
        source_task=None if net.prepared.source is None else source_task(net, *net.prepared.source),
        best_epoch=best,
        figures={"parameters": float(sum(p.numel() for p in net.module.parameters()))} | net.prepared.figures,
    )


def source_task(net: Net, source: Net, rows: Dataset) -> SourceTask:
    """What fine-tuning left of the source task: the net that learned it, and the fine-tuned one with that net's head."""
    after = copy.deepcopy(source.module)
    after.load_state_dict(after.state_dict() | {k: v for k, v in net.module.state_dict().items() if not k.startswith(HEAD)})
    return SourceTask(source.module.eval(), after.eval(), rows, source.encoder.arrays(rows.parts["train"].head(4)))


def log(net: Net, example: tuple[NDArray[Any], ...], metadata: dict[str, Any]) -> Any:
    """`example` has two rows or more: torch.export freezes a batch of one.

    Several inputs go to MLflow as a list, with their names in the signature; it then stores the graph without a `python_function`.
    """
    import mlflow
    import torch
    from mlflow.models import infer_signature
    from safetensors.torch import save_file

    with torch.inference_mode():
        outputs = net.module(*(torch.from_numpy(x) for x in example)).numpy()
    names = list(net.encoder.inputs())
    inputs: Any = example[0] if len(example) == 1 else dict(zip(names, example, strict=True))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*inferred schema contains integer.*", category=UserWarning)
        warnings.filterwarnings(
            "ignore", message=r".*_flat_weights.* assigned during export", category=UserWarning
        )  # a recurrent layer's own list
        files = {"architecture.json": json.dumps({"name": net.architecture, "config": net.config}, indent=1)}
        if net.prepared.tokenizer is not None:
            files["tokenizer.json"] = net.prepared.tokenizer
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        # Weights that the net uses twice are stored twice: safetensors refuses shared memory.
        save_file(
            {name: tensor.clone().contiguous() for name, tensor in net.module.state_dict().items()}, Path(folder, "weights.safetensors")
        )
        return mlflow.pytorch.log_model(
            net.module,
            name="model",
            serialization_format="pt2",
            input_example=inputs if len(example) == 1 else list(example),
            signature=infer_signature(inputs, outputs),
            extra_files=[str(Path(folder, name)) for name in [*files, "weights.safetensors"]],
            pip_requirements=installed("mlflow", "torch", "numpy", "safetensors", *net.prepared.libraries),
            metadata=metadata,
        )
