"""A resolved plan as TOML that a user can copy and give back with --plan. The standard library reads TOML and does not write it."""

from __future__ import annotations

import json
import re
from typing import Any


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _json(name)


def _json(value: Any) -> str:
    """JSON writes strings and numbers as TOML does, but for one control character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(v) for v in value if v is not None) + "]"
    return _json(value)


def dumps(record: dict[str, Any], prefix: tuple[str, ...] = ()) -> str:
    """Tables of scalars, lists and nested tables; None is left out, since TOML has no word for it."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in record.items() if v is not None and not isinstance(v, dict)]
    if prefix and (lines or not record):
        lines.insert(0, f"[{'.'.join(map(_key, prefix))}]")
    text = "\n".join(lines)
    for name, table in record.items():
        if isinstance(table, dict):
            below = dumps(table, (*prefix, name))
            text += ("\n\n" if text else "") + below if below else ""
    return text
