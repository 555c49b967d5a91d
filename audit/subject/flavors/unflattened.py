"""An exported graph as a module whose linear layers are layers again, so that what explains layers finds them."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import torch
from torch import nn

#: The name under which a layer is put where its graph called it.
NAME = "_linear"


def unflattened(program: Any) -> Any:
    """The module of an exported program, with `nn.Linear` in place of each `aten.linear` of its own weights; the weights are the program's."""
    module = torch.export.unflatten(program)
    for part in list(module.modules()):
        if isinstance(getattr(part, "graph", None), torch.fx.Graph):
            _layered(part)
    return module


def _layered(part: Any) -> None:
    """Calls of layers in place of linear operations in one module's graph, which an interpreter runs."""
    found = [node for node in part.graph.nodes if node.op == "call_function" and node.target is torch.ops.aten.linear.default]
    for i, node in enumerate(found):
        taken, *weights = node.args
        held = [None if a is None else _parameter(part, a) for a in weights]
        if node.kwargs or not held or held[0] is None or any(a is not None and b is None for a, b in zip(weights, held, strict=True)):
            continue
        layer = nn.Linear(held[0].shape[1], held[0].shape[0], bias=False, device="meta")
        layer.weight, layer.bias = held[0], held[1] if len(held) > 1 else None
        part.add_module(f"{NAME}{i}", layer)
        with part.graph.inserting_before(node):
            call = part.graph.create_node("call_module", f"{NAME}{i}", (taken,))
        node.replace_all_uses_with(call)
        part.graph.erase_node(node)


def _parameter(part: Any, node: Any) -> Any:
    """The weight that a node of a graph reads; None where it is made or is none of the module's parameters."""
    if not isinstance(node, torch.fx.Node) or node.op != "get_attr":
        return None
    found = attrgetter(str(node.target))(part)
    return found if isinstance(found, nn.Parameter) else None
