"""What in a model's files can run code when it is loaded: read and listed, never run, never imported (standard library only)."""

from __future__ import annotations

import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

PICKLES = (".pkl", ".pickle", ".joblib", ".pth", ".pt", ".ckpt", ".dill")
CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh", ".whl", ".egg")
MAX_PICKLE = 64 << 20
SHOWN = 6

STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})

SKOPS_TYPES = re.compile(
    r"(sklearn|lightgbm|xgboost)(\.\w+)+|numpy\.(ndarray|matrix|dtype|generic|random\.\w+|bool_?|u?int\d+|float\d+|str_|object_|ma(\.core)?\.MaskedArray)"
    r"|numpy\.[a-z_0-9]+|numpy\.(dtypes|_core\._internal|core\.\w+)\.\w+|numpy\.random\.(_\w+|mtrand|bit_generator)\.\w+"
    r"|scipy\.(sparse|special|interpolate|stats)(\.\w+)*|builtins\.(int|float|str|bool|list|set|map|tuple|dict|NoneType|slice|type|bytes|bytearray|complex|range)"
    r"|collections\.(OrderedDict|defaultdict|deque)|datetime\.\w+|functools\.partial"
)
SKOPS_BARRED = re.compile(
    r"(^|\.)(test\w*|_?testing|conftest|externals|datasets|f2py|distutils|ctypeslib|dask|callback)(\.|$)|numpy\.(load|save|fromfile|fromregex)\w*$"
)


def of_files(root: Path, files: list[str]) -> Iterator[str]:
    """A plain sentence for each file that can run code, in the order of the files."""
    for name in files:
        path, low = root / name, name.lower()
        if low.endswith(CODE):
            yield f"{name} is a program file"
        elif name.endswith("pickle_module_info.txt"):
            module = _short(path.read_bytes()[:80].decode("utf-8", "replace"))
            yield f"{name} names the module {module}, which is imported to load the model"
        elif low.endswith(".skops"):
            yield from skops(path, name)
        elif low.endswith(".pt2"):
            yield from pt2(path, name)
        elif low.endswith(PICKLES) or _looks_like_pickle(path):
            yield pickle_sentence(path, name)
        elif low.endswith(".onnx"):
            from audit.subject import protobuf

            yield from protobuf.outside(path, name)


def pickle_sentence(path: Path, name: str) -> str:
    """A pickle runs what it names; the globals are listed, not judged."""
    try:
        found = sorted(_globals_of_file(path))
    except Exception as error:
        return f"{name} is a pickle that cannot be read to its end ({type(error).__name__})"
    listed = ", ".join(_short(g) for g in found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return f"{name} is a pickle, which runs code when loaded; it names {listed or 'no global'}"


def _globals_of_file(path: Path) -> set[str]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = [i for i in archive.infolist() if i.filename.endswith(".pkl") and i.file_size <= MAX_PICKLE]
            return {g for info in inside for g in pickle_globals(archive.read(info))}
    with path.open("rb") as file:
        return pickle_globals(file.read(MAX_PICKLE))


def pickle_globals(data: bytes) -> set[str]:
    """`module.name` of each global that a pickle stream names; "?" stands for a part that it builds while it runs."""
    named: set[str] = set()
    recent: list[str] = []  # the last texts pushed, through the memo too
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("GLOBAL", "INST"):
            named.add(".".join(str(argument).split(" ", 1)))
            recent = []
        elif opcode.name == "STACK_GLOBAL":
            named.add(".".join(recent[-2:]) if len(recent) >= 2 else "?")
            recent = []
        elif opcode.name in STRINGS:
            recent.append(str(argument))
        elif opcode.name in GETS:
            recent.append(memo.get(int(str(argument)), "?"))
        elif opcode.name in MEMO:
            memo[len(memo) if opcode.name == "MEMOIZE" else int(str(argument))] = recent[-1] if recent else "?"
        else:
            recent = []
    return named


def _looks_like_pickle(path: Path) -> bool:
    """Protocol 2 or later, or an archive that holds one, whatever the file is called."""
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def skops(path: Path, name: str) -> Iterator[str]:
    """Types outside the libraries that we name. The worker holds its own, narrower list and refuses what is not on it."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > 64 * max(path.stat().st_size, 1 << 22):
                yield f"{name} unpacks to far more than its size"
                return
            schema = json.loads(_read_capped(archive.open("schema.json")))
    except Exception as error:
        yield f"{name} cannot be read as a skops file ({type(error).__name__})"
        return
    foreign = sorted({t for t in skops_types(schema) if not SKOPS_TYPES.fullmatch(t) or SKOPS_BARRED.search(t)})
    if foreign:
        yield f"{name} names types outside scikit-learn, LightGBM, XGBoost, NumPy and SciPy: {', '.join(map(_short, foreign[:SHOWN]))}"


def skops_types(schema: Any) -> Iterator[str]:
    """`module.class` of each node, and what function nodes point to."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("__class__"), str) and isinstance(node.get("__module__"), str):
                yield f"{node['__module__']}.{node['__class__']}"
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _read_capped(file: IO[bytes], limit: int = MAX_PICKLE) -> bytes:
    with file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError("too large")
    return data


TEXT_RECORDS = ("archive_format", "archive_version", "byteorder", "serialization_id", "version", ".data/serialization_id")
CONFIG = re.compile(r"(?:^|/)data/(?:weights|constants)/[^/]+_config\.json$")
PLAIN_TENSORS = frozenset(
    {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.device", "torch.Size", "collections.OrderedDict"}
)
STORAGES = re.compile(
    r"torch\.(\w+Storage|storage\.(Untyped|Typed)Storage|float\d+|bfloat16|int\d+|uint\d+|bool|dtype)|torch\.serialization\._get_layout"
)


def pt2(path: Path, name: str) -> Iterator[str]:
    """A torch.export archive is data where its records are JSON, raw tensors, or pickles that name nothing but tensors.

    The same question as MLflow asks before it loads one with pickle switched off, without torch.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
            raw = _raw_tensors(archive, infos)
            for info in infos:
                reason = "" if info.filename in raw else _record(archive, info)
                if reason:
                    yield f"{name} holds the record {_short(info.filename)}, which {reason}"
    except Exception as error:
        yield f"{name} cannot be read as a torch.export archive ({type(error).__name__})"


def _raw_tensors(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> set[str]:
    """Records that the loader reads as bytes of a tensor, because their configuration says that they are not pickled."""
    raw: set[str] = set()
    pickled: set[str] = set()
    for info in infos:
        if not CONFIG.search(info.filename):
            continue
        entries = json.loads(_read_capped(archive.open(info))).get("config", {})
        for entry in entries.values():
            place = str(entry.get("path_name"))
            plain = entry.get("use_pickle") is False and place.startswith(("weight_", "tensor_")) and "/" not in place
            (raw if plain else pickled).add(f"{info.filename.rsplit('/', 1)[0]}/{place}")
    return raw - pickled


def _record(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    """Why this record may run code, "" where it cannot."""
    last = info.filename.rsplit("/", 1)[-1]
    if last.endswith((".so", ".cpp", ".cubin", ".o")) or "/aotinductor/" in info.filename:
        return "is compiled code"
    content = _read_capped(archive.open(info), 1 << 30)
    if last in TEXT_RECORDS and re.fullmatch(rb"[A-Za-z0-9._-]{1,64}\n?", content):
        return ""
    try:
        json.loads(content)
        return ""
    except ValueError:
        pass
    try:
        named = _checkpoint_globals(content)
    except Exception:
        return "is neither JSON nor a tensor"
    foreign = sorted(g for g in named if g not in PLAIN_TENSORS and not STORAGES.fullmatch(g))
    return f"names {', '.join(map(_short, foreign[:SHOWN]))}" if foreign else ""


def _checkpoint_globals(content: bytes) -> set[str]:
    import io

    with zipfile.ZipFile(io.BytesIO(content)) as checkpoint:
        streams = [i for i in checkpoint.infolist() if i.filename.endswith(".pkl")]
        if not streams:
            raise ValueError("no checkpoint")
        return {g for i in streams for g in pickle_globals(_read_capped(checkpoint.open(i)))}
