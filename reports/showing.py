"""The values of a row as they are shown: numbers exactly, pictures and events as what they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audit.explain.document import Input, Value
from reports.speaker import Speaker, clean

#: What a picture may be written as.
PNG = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def plain(value: float) -> str:
    """A value of a row, exact to ten digits: what stands here must be what was asked."""
    text = f"{value:,.10g}" if abs(value) < 1e9 else f"{value:.10g}"
    short = f"{value:,.7g}" if abs(value) < 1e6 else text  # 17.629999 of a single-precision column is 17.63
    return (short if abs(float(short.replace(",", "")) - value) <= 1e-6 * abs(value) else text).replace("-", "−")


def shares(*values: float, least: int = 1) -> Sequence[str]:
    """Shares in percent with as many decimals as tell them apart, `least` or more: 71.07 % and 71.12 %."""
    for digits in range(least, 7):
        texts = [f"{100 * v:.{digits}f}\u00a0%".replace("-", "−") for v in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return texts


def picture(own: Input) -> str:
    """The address that shows a picture, which holds it; empty for anything else."""
    return f"data:image/png;base64,{own.value}" if own.kind == "image" and isinstance(own.value, str) and PNG.fullmatch(own.value) else ""


def events(value: list[dict[str, Value]], say: Speaker) -> list[list[str]]:
    """Events with their fields as the lines of a table, its heads first; they are counted from the last."""
    names = [f"t − {k}" if k else "t" for k in range(len(value) - 1, -1, -1)]
    lines = [
        [say.t("event"), *(clean(field, 60) for field in value[0])],
        *([name, *(_field(v, say) for v in event.values())] for name, event in zip(names, value, strict=True)),
    ]
    return [list(column) for column in zip(*lines, strict=True)] if len(value[0]) > len(value) else lines


def _field(value: Value, say: Speaker) -> str:
    return say.t("not known") if value is None else plain(value) if isinstance(value, float) else clean(str(value), 80)
