"""PyTorch: an eager net rebuilt from its architecture and weights, else the exported graph; one thread, never through pyfunc."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import os
from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError, Explained, Subject, numeric
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array

ARCHITECTURES = "audit.architectures"
#: Values of a category beyond which no path leads from one code to another.
MOST_CODES = 64


class Net(Subject):
    """`forward` takes the tensors of the signature and gives one tensor (n, k); `module` makes what gradients run through, when asked."""

    packages = ("torch",)

    def __init__(self, forward: Any, module: Any, kind: str, tensors: Any, spec: dict[str, Any]) -> None:
        inputs = spec["inputs"]
        self._forward = forward
        self._module = functools.cache(module)  # an exported graph is laid out once
        self.kind = kind
        self._count = sum(int(t.numel()) for t in tensors)
        self._inputs = inputs
        columns = spec["metadata"].get("columns")
        self._events = isinstance(columns, list) and any(isinstance(c, dict) and c.get("kind") == "sequence" for c in columns)
        vocabularies = [c.get("vocabulary") for c in columns if isinstance(c, dict)] if isinstance(columns, list) else []
        self._codes = max((len(v) for v in vocabularies if isinstance(v, list)), default=0)
        self._tokens = bool(inputs) and inputs[0]["shape"] is not None and str(inputs[0]["type"]).startswith(("int", "uint", "bool"))
        self._several = len(inputs) > 1 and all(i["name"] and i["shape"] is not None for i in inputs)
        self._stem: Any = None

    def parameters(self) -> int | None:
        """Elements of all parameters."""
        return self._count

    def flops(self) -> tuple[float | None, list[str]]:
        """As torch counts them, for two rows of zeros; None for shapes that are not known, and where a part is not counted.

        Of several inputs each gets its zeros, so a text is one that is all padding, of its full length.
        """
        import torch

        from audit.subject.flavors.operations import count

        shapes = [i["shape"] for i in self._inputs]
        if not shapes or not all(shape and all(s > 0 for s in shape[1:]) for shape in shapes):
            return None, []
        rows = [torch.zeros((2, *i["shape"][1:]), dtype=getattr(torch, i["type"])) for i in self._inputs]
        try:
            with torch.inference_mode():
                operations, unknown = count(lambda: self._forward(*rows))
        except Exception:
            return None, []
        return None if unknown else operations / 2 or None, unknown

    def methods(self) -> list[str]:
        """What the net's inputs and layers allow.

        Gradients need numbers, or a layer that looks vectors up for codes and tokens: between two codes of a column of very many values (a user, an
        item) the path passes all others in between, and no number of steps follows it; between two tokens there is none. Events in order are
        packed before they are looked up, which hides whose they are. The rules for layers need the layers, which an exported graph lacks.
        """
        if self._events:
            return []
        if self.kind == "module" and getattr(self._module(), "class_of", None):
            return ["integrated_gradients", "gradient_shap", "log_likelihood", "continue"]
        looks_up = self.kind == "module" and any(type(layer).__name__.startswith("Embedding") for layer in self._module().modules())
        if self._several or self._tokens or self._codes > MOST_CODES:
            return ["integrated_gradients", "gradient_shap"] if looks_up else []
        found = ["integrated_gradients", "gradient_shap", "gradient_x_input"]
        if self.kind == "module":
            from audit.subject.flavors import layers
            from audit.subject.flavors.rescale import uncovered

            found += [] if looks_up or uncovered(self._module()) else ["deep_shap"]
            found += [name for name in ("lrp", "grad_cam") if layers.applies(name, self._module())]
        return found

    def predict(self, rows: Rows) -> Answer:
        """Raw outputs (n, k); what they are (logits or probabilities) a net does not tell."""
        import torch

        from audit.subject.flavors.gradients import only

        with torch.inference_mode():
            found = self._forward(*self._tensors(rows))
        return Answer(numeric(only(found).double().numpy(), rows.n))

    def meaningless(self, rows: Rows, seed: int) -> Answer:
        """As `Subject` says; the weights are put back afterwards."""
        import torch

        from audit.subject.flavors.gradients import only
        from audit.subject.flavors.redrawn import redrawn

        with redrawn(self._module(), seed), torch.inference_mode():
            found = self._module()(*self._tensors(rows))
        return Answer(numeric(only(found).double().numpy(), rows.n))

    def mixed(self, rows: Rows, background: Rows, masks: Array) -> Array:
        """As `Subject` says, of a net that has a stem."""
        import torch

        from audit.subject.flavors import mixed
        from audit.subject.flavors.gradients import Net as Differentiable
        from audit.subject.flavors.stem import PROBED, THOROUGH, stem

        if self._several or self._events or self._tokens:
            return super().mixed(rows, background, masks)
        (x,), (other,) = self._tensors(rows), self._tensors(background)
        if x.dim() != 2:
            return super().mixed(rows, background, masks)
        with torch.no_grad():
            for probed in (PROBED, THOROUGH):
                if self._stem is None:
                    self._stem = stem(Differentiable(self._module(), []), x, other, probed)
                if self._stem is None:
                    break
                if not mixed.strays(self._stem, x, other):
                    widths = [width for _, width in rows.placed()[0]]
                    return mixed.answers(self._stem, x, other, torch.from_numpy(np.repeat(masks, widths, axis=1)))
                self._stem = None  # it was found on rows of one value in some column
        return super().mixed(rows, background, masks)

    def _tensors(self, rows: Rows) -> list[Any]:
        import torch

        if not self._several:
            return [torch.from_numpy(rows.tensor())]
        return [torch.from_numpy(array) for array in rows.tensors()]

    def attribute(
        self, rows: Rows, background: Rows | None, *, method: str, output: int, words: dict[str, int] | None = None, **params: Any
    ) -> Explained:
        """Attributions over the raw columns, from the background rows (zeros without any), averaged; output -1 is each row's greatest.

        A text starts from itself with padding for words, and `words` says how many words of each text column are asked for. `randomise` is a seed
        with which all weights are drawn anew for this call: does the explanation depend on them?
        """
        from audit.subject.flavors import gradients, layers, rescale
        from audit.subject.flavors.redrawn import redrawn

        if (seed := params.pop("randomise", None)) is not None:
            with redrawn(self._module(), int(seed)):
                return self.attribute(rows, background, method=method, output=output, words=words, **params)
        net = gradients.Net(self._module(), _codes(rows))
        x = self._tensors(rows)
        if not any(a.is_floating_point() for a in x) and not any(rows.is_text(name) for port in rows.placed() for name, _ in port):
            raise ContractError("gradients need inputs of a floating type")
        starts = self._starts(rows, x, background)
        target = net.targets(x, output)
        if method == "integrated_gradients":
            found = gradients.integrated_gradients(net, x, starts, target, **params)
        elif method == "gradient_shap":
            found = gradients.gradient_shap(net, x, starts, target, **params)
        elif method == "deep_shap":
            found = rescale.deep_shap(net, x[0], self._only_start(background, x), target)
        elif method == "gradient_x_input":
            found = gradients.gradient_x_input(net, x, target)
        else:
            found = layers.attribute(method, net, x[0], target)
        values = _by_column(rows, found.values, words or {})
        return Explained(values, found.base, found.explained, self._unit(found.explained), gradients=found.gradients)

    def attack(self, rows: Rows, *, method: str, **params: Any) -> Array:
        """As `attacks.attack`, `nearest.nearest` and `inversion.invert` say, for a net of one tensor; codes of categories come back as the net's own."""
        from audit.subject.flavors import attacks, gradients, inversion, nearest

        if self._several or "gradient_x_input" not in self.methods():
            raise ContractError("no gradient leads from this model's answer to its inputs")
        (x,) = self._tensors(rows)
        net = gradients.Net(self._module(), [])
        if method == "nearest":
            moved = nearest.nearest(nearest.Wanted(net, **params.pop("wanted")), x, **params)
        elif method == "inversion":
            moved = inversion.invert(net, x, **params)
        else:
            goal = attacks.Goal(net, **{k: params.pop(k) for k in ("probability", "event", "cutoff") if k in params})
            moved = attacks.attack(goal, x, method=method, **params)
        found: Array = moved.double().reshape(len(x), -1).numpy()
        return found

    def speak(self, rows: Rows, *, method: str, **params: Any) -> Array:
        """Of a net that foretells every token of a text: see `flavors.language`."""
        from audit.subject.flavors.language import Speaker, only_texts

        net = self._module()
        speaker = Speaker(lambda ids, real: net.foretold(ids), rows.tokenizer(), net.length, separator="")
        return speaker.speak(only_texts(rows), method=method, **params)

    def _only_start(self, background: Rows | None, x: list[Any]) -> Any:
        """The background of a model of one input, (b, …)."""
        import torch

        return torch.zeros_like(x[0][:1]) if background is None else self._tensors(background)[0]

    def _starts(self, rows: Rows, x: list[Any], background: Rows | None) -> list[list[Any]]:
        """References as inputs of n rows each: a background row for numbers and codes, the row without its words for texts."""
        import torch

        others = [torch.zeros_like(a[:1]) for a in x] if background is None else self._tensors(background)
        textual = [any(rows.is_text(name) for name, _ in port) for port in rows.placed()]
        count = 1 if all(textual) else len(others[0])
        starts = []
        for i in range(count):
            starts.append(
                [
                    torch.from_numpy(_without_words(rows, port, own.numpy())) if text else other[i : i + 1].expand_as(own)
                    for own, other, port, text in zip(x, others, rows.placed(), textual, strict=True)
                ]
            )
        return starts

    def _unit(self, explained: Array) -> str:
        return "probability" if explained.size and explained.min() >= 0 and explained.max() <= 1 else "logit"


def _codes(rows: Rows) -> list[list[int]]:
    """For each tensor the places of columns that hold codes of categories."""
    out = []
    for port in rows.placed():
        places = np.cumsum([0, *(width for _, width in port)])
        out.append([int(at) for (name, _), at in zip(port, places[:-1], strict=True) if rows.is_code(name)])
    return out


def _without_words(rows: Rows, port: list[tuple[str, int]], own: Array) -> Array:
    """A tensor of tokens (n, length) with padding where a word stood."""
    out, place = own.copy(), 0
    for name, width in port:
        if rows.is_text(name):
            part = out[:, place : place + width]
            part[rows.words(name) >= 0] = rows.padding(name)
        place += width
    return out


def _by_column(rows: Rows, values: Array, words: dict[str, int]) -> Array:
    """Attributions (n, columns) in the order of the rows' columns, those of a text added up by word."""
    found, place = {}, 0
    for port in rows.placed():
        for name, width in port:
            found[name] = values[:, place : place + width]
            place += width
    for name in [name for name in found if rows.is_text(name) and name not in words]:
        found[name] = found[name].sum(axis=1, keepdims=True)
    for name, count in words.items():
        belongs, own = rows.words(name), found[name]
        by_word = np.zeros((rows.n, count))
        at, token = np.nonzero((belongs >= 0) & (belongs < count))
        np.add.at(by_word, (at, belongs[at, token]), own[at, token])
        found[name] = by_word
    return np.concatenate([found[name] for name, _, _ in rows.columns], axis=1)


def load(spec: dict[str, Any]) -> Subject:
    """The eager net where its architecture is known here; else the exported graph; a pickled module only for a trusted author."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = os.path.join(spec["root"], spec["model_file"])
    eager = _eager(spec)
    if eager is not None:
        return _module(eager, spec)
    if spec["serialization"] != "pt2":
        return _module(_pickled(path, spec), spec)
    if spec["load_risk"] != "data_only" and not spec["trust_pickle"]:
        raise ContractError("the torch.export archive is not free of pickled code")
    return graph(path, spec)


def graph(path: str, spec: dict[str, Any]) -> Subject:
    """The exported graph at `path`, asked with the tensors that `spec` states."""
    import torch

    from audit.subject.flavors.unflattened import unflattened

    torch.set_num_threads(1)
    program = torch.export.load(path)
    tensors = [program.state_dict[name] for name in program.graph_signature.parameters]
    return Net(program.module(), lambda: unflattened(program), "graph", tensors, spec)


def _module(net: Any, spec: dict[str, Any]) -> Subject:
    net.eval()
    return Net(net, lambda: net, "module", net.parameters(), spec)


def _eager(spec: dict[str, Any]) -> Any:
    """The net that architecture.json names, with its safetensors weights; None where the name is not known here."""
    places = {os.path.basename(p): os.path.join(spec["root"], p) for p in spec["extra_files"]}
    if not {"architecture.json", "weights.safetensors"} <= set(places):
        return None
    with open(places["architecture.json"], encoding="utf-8") as file:
        described = json.load(file)
    found = importlib.metadata.entry_points(group=ARCHITECTURES, name=str(described.get("name")))
    if not found:
        return None
    from safetensors.torch import load_file

    try:
        build = next(iter(found)).load()
    except ImportError:  # its package is not readable here: the graph remains
        return None
    net = build(described.get("config", {}))
    net.load_state_dict(load_file(places["weights.safetensors"]))
    return net


def _pickled(path: str, spec: dict[str, Any]) -> Any:
    import torch

    if not spec["trust_pickle"]:
        raise ContractError("a pickled module is loaded only with --trust-pickle")
    info = os.path.join(os.path.dirname(path), "pickle_module_info.txt")
    name = ""
    if os.path.exists(info):
        with open(info, encoding="utf-8") as file:
            name = file.read().strip()
    own = name in ("", "pickle", "cloudpickle", "mlflow.pytorch.pickle_module")
    found = torch.load(path, map_location="cpu", weights_only=False, **({} if own else {"pickle_module": importlib.import_module(name)}))
    if not isinstance(found, torch.nn.Module):
        raise ContractError(f"the file holds {type(found).__name__} where a module was expected")
    return found
