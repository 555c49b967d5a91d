"""Floating-point operations of one pass, by torch's own counter, and the names of what that counter does not know."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

#: What moves, draws, reduces or normalises its elements: a few operations each, which by the counter's convention count as none.
SLIGHT = frozenset({
    "_adaptive_avg_pool2d", "_assert_async", "_assert_scalar", "_embedding_bag", "_local_scalar_dense", "_log_softmax",
    "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_pack_padded_sequence", "_softmax", "_to_copy", "_unsafe_view",
    "all", "amax", "amin", "any", "arange", "argmax", "argmin", "avg_pool1d", "avg_pool2d", "bernoulli", "cat", "clone",
    "constant_pad_nd", "copy", "cummax", "cumsum", "device", "embedding", "empty", "empty_like", "flip", "full", "full_like", "gather",
    "index", "index_put", "index_select", "lift_fresh_copy", "linalg_vector_norm", "max", "max_pool2d_with_indices", "mean", "min",
    "native_batch_norm", "native_dropout", "native_group_norm", "native_layer_norm", "new_ones", "new_zeros", "nonzero", "ones",
    "ones_like", "prod", "repeat", "roll", "scalar_tensor", "scatter", "select_scatter", "slice_scatter", "sort", "split_with_sizes_copy",
    "stack", "std", "sum", "topk", "transpose", "tril", "triu", "unsafe_chunk", "unsafe_split", "upsample_nearest2d", "var", "var_mean",
    "zeros", "zeros_like",
})  # fmt: skip


def count(run: Callable[[], Any]) -> tuple[int, list[str]]:
    """(operations, names of operations that do work which is not counted) of `run()`; a multiply-add is two operations.

    Matrix products, convolutions, attention and recurrent layers count; element-wise work does not (torch.utils.flop_counter's convention,
    which lacks the CPU's fused attention and recurrent layers: they are given here). With a name in the list the number is too low.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    aten, unknown = torch.ops.aten, set[str]()

    class Unknown(TorchDispatchMode):  # type: ignore[misc]  # torch is Any to mypy: see pyproject.toml
        """Lies under the counter, so it sees what the counter could not take apart."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            packet = getattr(func, "_overloadpacket", func)
            name = str(packet).rpartition(".")[2]
            cheap = name in SLIGHT or torch.Tag.pointwise in getattr(func, "tags", ()) or getattr(func, "is_view", False)
            if packet not in counter.flop_registry and not cheap and not (name.endswith("_") and name[:-1] in SLIGHT):
                unknown.add(str(packet))
            return func(*args, **(kwargs or {}))

    counter = FlopCounterMode(
        display=False,
        custom_mapping={aten._scaled_dot_product_flash_attention_for_cpu: _attention, aten.mkldnn_rnn_layer: _recurrent},
    )
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fused encoder layer is one operation that nobody can take apart
    try:
        with Unknown(), counter:
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops(), sorted(unknown)


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """(batch, heads, length, width) each: query times key, and the weights times value."""
    *many, rows, width = query
    return int(2 * math.prod(many) * rows * key[-2] * (width + value[-1]))


def _recurrent(steps: Any, from_input: Any, from_state: Any, *_: Any, **__: Any) -> int:
    """Steps (time, batch, width), or packed as (all, width), times the weights of all gates."""
    return int(2 * math.prod(steps[:-1]) * (math.prod(from_input) + math.prod(from_state)))
