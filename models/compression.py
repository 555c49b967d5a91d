"""Smaller versions of a net: weights in 8 bits, weights set to zero, or a student that learns the teacher's probabilities."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from models.errors import TrainingError
from models.learners.net import Net, assemble, start
from models.registered import Registered, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from models.settings import Preset


def quantize(base: Registered) -> Variant:
    """Weights of linear layers, convolutions and embeddings as int8 with one scale a row; biases and scaling buffers stay float32."""
    from models.nets.quantized import build, layers_of

    layers = layers_of(base.net.module)
    if not layers:
        raise TrainingError(f"{base.uri} has no linear layer, convolution or embedding to store in 8 bits", "use --prune or --distill")
    config = _around(base.net, {"layers": layers})
    small = build(config).eval()
    kept = {f"inner.{name}": tensor for name, tensor in base.net.module.state_dict().items()}
    own = small.state_dict()
    small.load_state_dict({name: kept.get(name, tensor) for name, tensor in own.items()})
    for name in layers:
        small.inner.get_submodule(name).stored.store(base.net.module.get_submodule(name).weight.detach())
    before, after = _bytes(base.net.module), _bytes(small)
    said = _from(base) | {"method": "int8", "point": f"{len(layers)} layers, one scale a row"}
    limit = (
        f"Compressed version of {base.uri}: the weights of {len(layers)} layers stored in 8 bits and multiplied out before use; "
        "it takes less room and is no faster"
    )
    figures = {"bytes_before": float(before), "bytes_after": float(after)}
    net = Net(small, base.net.encoder, config, "quantized", base.net.prepared)
    return Variant(net, base.metadata.get("outputs", "value"), base.threshold, said, (limit,), figures=figures, only_processed=True)


def prune(base: Registered, share: float) -> Variant:
    """The `share` of weights nearest to zero over all weight matrices set to zero (global L1, unstructured: Han et al. 2015, NeurIPS)."""
    from torch import nn
    from torch.nn.utils import prune as pruning

    module = copy.deepcopy(base.net.module)
    layers = [layer for layer in module.modules() if type(layer) in (nn.Linear, nn.Conv1d, nn.Conv2d)]
    if not layers:
        raise TrainingError(f"{base.uri} has no linear layer or convolution to prune", "use --int8 or --distill")
    pruning.global_unstructured([(layer, "weight") for layer in layers], pruning_method=pruning.L1Unstructured, amount=share)
    for layer in layers:
        pruning.remove(layer, "weight")
    zero = sum(int((layer.weight == 0).sum()) for layer in layers)
    every = sum(layer.weight.numel() for layer in layers)
    said = _from(base) | {"method": "prune", "point": f"{share:g} of {every} weights"}
    limit = f"Compressed version of {base.uri}: {zero} of {every} weights are zero; the zeros stay in place, so it is neither smaller in store nor faster"
    net = Net(module.eval(), base.net.encoder, base.net.config, base.net.architecture, base.net.prepared)
    figures = {"zero_weights": float(zero), "weights": float(every)}
    return Variant(net, base.metadata.get("outputs", "value"), base.threshold, said, (limit,), figures=figures, only_processed=True)


def distill(base: Registered, preset: Preset, *, on_epoch: Callable[[int, dict[str, float]], None]) -> Variant:
    """A net of the preset's kind, trained on the teacher's probabilities for the training rows (Hinton, Vinyals and Dean 2015)."""
    import numpy as np

    from models.loop import Around, Rows, deterministic, fit, outputs_of
    from models.metrics import softmax
    from models.settings import NetTraining
    from models.tracking import cutoff

    settings, dataset = preset.training, base.dataset
    if not isinstance(settings, NetTraining):
        raise TrainingError(f"preset {preset.name} trains no net", "name a preset whose learner is a net")
    if not dataset.classes:
        raise TrainingError(f"{base.uri} predicts a quantity, and a student learns chances of classes", "give a model of classes")
    if settings.loss != "cross_entropy" or settings.monitor != "loss" or settings.class_weights or settings.adversarial:
        raise TrainingError(
            f"preset {preset.name} trains by more than cross-entropy alone",
            "a student takes loss cross_entropy, monitor loss, no class weights",
        )

    def chances(part: Any) -> Any:
        found = outputs_of(base.net.module, base.net.encoder.arrays(dataset.parts[part]))
        return softmax(found) if base.metadata.get("outputs") == "logit" else found

    with deterministic(preset.seed, threads=preset.threads):
        net = assemble(preset, dataset, base.net.prepared)
        rows = {p: Rows(net.encoder.arrays(dataset.parts[p]), chances(p).astype(np.float32)) for p in ("train", "validation")}
        start(net, rows["train"])
        fit(
            net.module, rows["train"], rows["validation"], settings=settings, epochs=preset.epochs, seed=preset.seed, device="cpu",
            around=Around(on_epoch), classes=dataset.classes,
        )  # fmt: skip
    scores = softmax(outputs_of(net.module, net.encoder.arrays(dataset.parts["validation"])))
    teacher, student = (sum(p.numel() for p in n.module.parameters()) for n in (base.net, net))
    said = _from(base) | {"method": "distill", "point": f"{preset.name}, {student} parameters"}
    limit = f"Student of {base.uri}: {student} parameters instead of {teacher}, trained on its chances and not on the outcomes"
    return Variant(net, "logit", cutoff(dataset, scores), said, (limit,), figures={"teacher_parameters": float(teacher)})


def _from(base: Registered) -> dict[str, str]:
    """Which model a smaller one was made from, by address and by the store's own number, by which an audit finds what it said of the same rows."""
    return {"compressed_from": base.uri} | ({"base_model_id": base.model_id} if base.model_id else {})


def _around(net: Net, network: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a variant: the columns and classes as they were, and the net inside."""
    shared = {key: net.config[key] for key in ("columns", "classes")}
    return {**shared, "network": network, "inner": {"name": net.architecture, "config": net.config}}


def _bytes(module: nn.Module) -> int:
    """Of all that is stored."""
    return sum(t.numel() * t.element_size() for t in module.state_dict().values())
