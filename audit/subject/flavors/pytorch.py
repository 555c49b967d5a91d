"""PyTorch: an eager net rebuilt from its architecture and weights, else the exported graph; one thread, never through pyfunc."""

from __future__ import annotations

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
MAX_STEPS, GAP, BLOCK = 1600, 0.01, 8192


class Net(Subject):
    """`forward` takes the tensors of the signature and gives one tensor (n, k); `module` makes what gradients run through, when asked."""

    packages = ("torch",)

    def __init__(self, forward: Any, module: Any, kind: str, tensors: Any, spec: dict[str, Any]) -> None:
        inputs = spec["inputs"]
        self._forward = forward
        self._module = module
        self.kind = kind
        self._count = sum(int(t.numel()) for t in tensors)
        self._inputs = inputs
        columns = spec["metadata"].get("columns")
        vocabularies = [c.get("vocabulary") for c in columns if isinstance(c, dict)] if isinstance(columns, list) else []
        self._codes = max((len(v) for v in vocabularies if isinstance(v, list)), default=0)
        self._tokens = bool(inputs) and inputs[0]["shape"] is not None and str(inputs[0]["type"]).startswith(("int", "uint", "bool"))
        self._several = len(inputs) > 1 and all(i["name"] and i["shape"] is not None for i in inputs)

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
        """Integrated Gradients for models of one tensor of real numbers, without a category of very many values.

        Between two codes of such a column (a user, an item) the path passes all others in between, and no number of steps follows it;
        between two tokens there is none.
        """
        return [] if self._several or self._tokens or self._codes > MOST_CODES else ["integrated_gradients"]

    def predict(self, rows: Rows) -> Answer:
        """Raw outputs (n, k); what they are (logits or probabilities) a net does not tell."""
        import torch

        with torch.inference_mode():
            found = self._forward(*self._tensors(rows))
        return Answer(numeric(_only(found, torch).double().numpy(), rows.n))

    def _tensors(self, rows: Rows) -> list[Any]:
        import torch

        if not self._several:
            return [torch.from_numpy(rows.tensor())]
        return [torch.from_numpy(array) for array in rows.tensors()]

    def attribute(
        self, rows: Rows, background: Rows | None, *, method: str, output: int, steps: int = 50, max_steps: int = MAX_STEPS, **params: Any
    ) -> Explained:
        """Integrated Gradients from each background row (zeros without any), averaged; rows that miss completeness get more steps."""
        import torch

        x = torch.from_numpy(rows.tensor())
        if not x.is_floating_point():
            raise ContractError("gradients need inputs of a floating type")
        references = torch.zeros_like(x[:1]) if background is None else torch.from_numpy(background.tensor())
        module = self._module()

        def score(batch: Any) -> Any:
            found = _only(module(batch), torch)
            return (found.reshape(len(batch), -1)[:, output]).double()

        values, base, explained = integrated_gradients(score, x, references, steps, max_steps)
        return Explained(values, base, explained, self._unit(explained))

    def _unit(self, explained: Array) -> str:
        return "probability" if explained.size and explained.min() >= 0 and explained.max() <= 1 else "logit"


def integrated_gradients(score: Any, x: Any, references: Any, steps: int, max_steps: int) -> tuple[Array, Array, Array]:
    """Attributions (n, d), base (n,) and score (n,), averaged over the paths from each reference row.

    Steps double from `steps` to at most `max_steps` for the rows whose sum misses by more than 1 %, until at most one row in twenty does.
    Where the score hardly moves (under a twentieth of the median), the miss is taken relative to that twentieth.
    """
    import torch

    n = len(x)
    with torch.no_grad():
        explained = score(x).numpy()
    values, base = np.zeros((n, x[0].numel())), np.zeros(n)
    pending = np.arange(n)
    while len(pending) and steps <= max_steps:
        parts = [_along(score, x[pending], reference, steps) for reference in references]
        values[pending] = sum(part for part, _ in parts) / len(parts)
        base[pending] = sum(start for _, start in parts) / len(parts)
        moved = np.abs(explained - base)
        gap = np.abs(values.sum(axis=1) + base - explained) / np.maximum(moved, 0.05 * np.median(moved) + 1e-9)
        pending, steps = np.flatnonzero(gap > GAP), steps * 2
        if len(pending) <= n // 20:
            break
    return values, base, explained


def _along(score: Any, x: Any, reference: Any, steps: int) -> tuple[Array, Array]:
    """Attributions (n, d) and base (n,) from one reference row. A value missing in either is held at the row's own and gets 0."""
    import torch
    from captum.attr import IntegratedGradients

    start = torch.where(torch.isnan(x) | torch.isnan(reference), x, reference.expand_as(x))
    missing = torch.isnan(x)
    zero = torch.zeros_like(x)  # captum multiplies by x - start, which must not be NaN

    def on_path(batch: Any, holes: Any) -> Any:
        return score(torch.where(holes, torch.full_like(batch, float("nan")), batch) if bool(holes.any()) else batch)

    with torch.no_grad():
        base = score(start).numpy()
    found = IntegratedGradients(on_path).attribute(
        torch.where(missing, zero, x),
        torch.where(missing, zero, start),
        additional_forward_args=(missing,),
        n_steps=steps,
        method="riemann_middle",  # Gauss-Legendre needs the eigenvalues of a matrix of `steps` rows, and gains nothing on nets with kinks
        internal_batch_size=max(BLOCK, len(x)),
    )
    return found.detach().double().reshape(len(x), -1).numpy(), base


def _only(found: Any, torch: Any) -> Any:
    """The one tensor of an output that may be wrapped in a tuple, list or dict."""
    while not isinstance(found, torch.Tensor):
        if isinstance(found, dict):
            found = next(iter(found.values()), None)
        elif isinstance(found, tuple | list) and found:
            found = found[0]
        else:
            raise ContractError(f"the model returned {type(found).__name__} where a tensor was expected")
    return found


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
    program = torch.export.load(path)
    tensors = [program.state_dict[name] for name in program.graph_signature.parameters]
    return Net(program.module(), lambda: torch.export.unflatten(program), "graph", tensors, spec)


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
