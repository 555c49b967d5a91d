"""Look before you load: what a model folder says of itself, and what in it can run code. Nothing of it is run or imported."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from audit.errors import AuditError
from audit.subject import evidence

FlavorName = Literal["sklearn", "xgboost", "lightgbm", "pytorch", "onnx", "transformers", "python_function", "http", "predictions"]
MAX_FILES, MAX_FILE, MAX_TOTAL, MAX_MLMODEL = 10_000, 64 << 30, 128 << 30, 16 << 20
LIBRARIES = {
    "sklearn": ("sklearn", "scikit-learn"),
    "xgboost": ("xgboost", "xgboost"),
    "lightgbm": ("lightgbm", "lightgbm"),
    "pytorch": ("torch", "torch"),
    "onnx": ("onnxruntime", "onnxruntime"),
    "transformers": ("transformers", "transformers"),
    "python_function": ("mlflow", "mlflow"),
}
EXTRAS = {"xgboost": "witnessmark[xgboost]", "onnxruntime": "witnessmark[onnx]", "transformers": "witnessmark[text]"}
MLFLOW_LOADERS = {f"mlflow.{name}" for name in ("sklearn", "xgboost", "lightgbm", "pytorch", "onnx", "transformers")}
XGBOOST_CLASSES = {
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
}
PATH_KEYS = (
    "data",
    "model_path",
    "pickled_model",
    "model_data",
    "python_model",
    "model_code_path",
    "code",
    "saved_input_example_info",
    "env",
)
TOKENIZER = "tokenizer.json"
NOT_OF_THE_MODEL = "registered_model_meta"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Frozen):
    """A file of the model: its path from the model's folder, size in bytes and SHA-256."""

    path: str
    size: int
    sha256: str


class Port(_Frozen):
    """One input or output of the signature; `shape` is set for tensors only, with -1 for any length."""

    name: str | None
    type: str
    shape: list[int] | None = None
    required: bool = True


class Requires(_Frozen):
    """The library that loads the model: its import name and its pip name."""

    module: str
    pip: str


class Inspection(_Frozen):
    """What was read about a model. `loader` names the worker's module that loads it, `model_file` the file or folder that holds it.

    Without files (an address, or predictions alone) `sha256` and `load_risk` are None, and `sha256_reason` says why.
    """

    flavor: FlavorName
    loader: FlavorName
    serialization: str
    model_file: str
    model_class: str | None = None
    code_paths: list[str] = []
    extra_files: list[str] = []
    files: list[File]
    sha256: str | None
    sha256_reason: str | None = None
    inputs: list[Port] = []
    outputs: list[Port] = []
    metadata: dict[str, Any] = Field(default_factory=dict)
    load_risk: Literal["data_only", "code"] | None = None
    load_evidence: list[str] = []
    requires: Requires | None = None


def inspect_model(path: Path) -> Inspection:
    """Everything that can be known of the model at `path` without running it; AuditError where it cannot be audited at all."""
    root = path.resolve()
    names = _walk(root)
    record = _mlmodel(root)
    flavors = record.get("flavors")
    if not isinstance(flavors, dict) or not all(isinstance(v, dict) for v in flavors.values()):
        raise AuditError("the model's MLmodel names no flavor", "save the model with mlflow's save_model or log_model")
    flavor = _flavor(flavors)
    for config in flavors.values():
        _check_paths(root, config)
    options = {**flavors.get("python_function", {}), **flavors[flavor]}
    serialization, model_file = _serialization(root, flavor, options)
    sentences = [*_keys(flavors, flavor, serialization), *evidence.of_files(root, names)]
    files = [File(path=n, size=(root / n).stat().st_size, sha256=_sha256(root / n)) for n in names]
    signature = record.get("signature") or {}
    module, pip = LIBRARIES[flavor]
    metadata = record.get("metadata")
    return Inspection(
        flavor=flavor,
        loader=_loader(flavors, flavor, serialization),
        serialization=serialization,
        model_file=model_file,
        model_class=options.get("model_class"),
        code_paths=_code_paths(flavors),
        extra_files=[str(e["path"]) for e in options.get("extra_files") or [] if isinstance(e, dict) and "path" in e],
        files=files,
        sha256=manifest_sha256(files),
        inputs=_ports(signature.get("inputs")),
        outputs=_ports(signature.get("outputs")),
        metadata=metadata if isinstance(metadata, dict) else {},
        load_risk="code" if sentences else "data_only",
        load_evidence=list(dict.fromkeys(sentences)),
        requires=Requires(module=module, pip=EXTRAS.get(pip, pip)),
    )


def check_loadable(inspection: Inspection, *, trust_pickle: bool) -> None:
    """Refuse what would run code unless that was allowed, and what needs a library that is not installed."""
    if inspection.load_risk == "code" and not trust_pickle:
        found = "; ".join(inspection.load_evidence)
        raise AuditError(f"loading this model runs code that comes with it: {found}", "if you trust its author, add --trust-pickle")
    library = inspection.requires
    if library is not None and importlib.util.find_spec(library.module) is None:
        raise AuditError(f"the library {library.module} is not installed", f"pip install '{library.pip}'")
    if any(PurePosixPath(p).name == TOKENIZER for p in inspection.extra_files) and importlib.util.find_spec("tokenizers") is None:
        raise AuditError(f"the model brings a {TOKENIZER}, and the library tokenizers is not installed", "pip install 'witnessmark[text]'")


def manifest_sha256(files: list[File]) -> str:
    """SHA-256 of the sorted manifest (path, size, sha256), without the file that a registry adds."""
    kept = sorted((f.path, f.size, f.sha256) for f in files if f.path != NOT_OF_THE_MODEL)
    return hashlib.sha256(json.dumps(kept, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _walk(root: Path) -> list[str]:
    """Relative paths of all files, sorted; links, devices and absurd sizes are refused."""
    if not root.is_dir():
        raise AuditError(f"there is no model folder at {root.name!r}", "give the URI of a model that MLflow has saved")
    names: list[str] = []
    total = 0
    for folder, folders, files in os.walk(root, followlinks=False):
        for name in (*folders, *files):
            place = Path(folder, name)
            state = place.lstat()
            shown = place.relative_to(root).as_posix()
            if stat.S_ISDIR(state.st_mode):
                continue
            if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
                kind = "symbolic link" if stat.S_ISLNK(state.st_mode) else "hard link" if stat.S_ISREG(state.st_mode) else "special file"
                raise AuditError(f"the model holds a {kind}: {shown!r}", "copy the model without links")
            names.append(shown)
            total += state.st_size
            if len(names) > MAX_FILES or state.st_size > MAX_FILE or total > MAX_TOTAL:
                raise AuditError(f"the model holds more than {MAX_FILES} files or {MAX_TOTAL >> 30} GiB", "audit a smaller model")
    return sorted(names)


def _mlmodel(root: Path) -> dict[str, Any]:
    file = root / "MLmodel"
    if not file.is_file():
        raise AuditError("the folder holds no MLmodel file", "give the URI of a model that MLflow has saved")
    if file.stat().st_size > MAX_MLMODEL:
        raise AuditError(f"the model's MLmodel is larger than {MAX_MLMODEL >> 20} MiB", "save the model again with MLflow")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        record = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 — both are safe loaders
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise AuditError(f"the model's MLmodel cannot be read ({type(error).__name__})", "save the model again with MLflow") from None
    if not isinstance(record, dict):
        raise AuditError("the model's MLmodel is not a list of keys", "save the model again with MLflow")
    return record


def _flavor(flavors: dict[str, Any]) -> FlavorName:
    for name in ("sklearn", "xgboost", "lightgbm", "pytorch", "onnx", "transformers"):
        if name in flavors:
            return name
    if "python_function" in flavors:
        return "python_function"
    raise AuditError(f"models of flavor {sorted(map(str, flavors))} are not supported", f"log it as one of {', '.join(LIBRARIES)}")


def _loader(flavors: dict[str, Any], flavor: FlavorName, serialization: str) -> FlavorName:
    """Native where our own loader does all that MLflow's would; else pyfunc, which runs what the model brings."""
    loader = flavors.get("python_function", {}).get("loader_module")
    native = flavor != "python_function" and (loader is None or loader in MLFLOW_LOADERS) and serialization != "unknown"
    return flavor if native else "python_function"


def _check_paths(root: Path, config: Any, key: str = "") -> None:
    """Refuse a path of MLmodel that leaves the model's folder."""
    if isinstance(config, dict):
        for name, value in config.items():
            _check_paths(root, value, str(name))
    elif isinstance(config, list):
        for value in config:
            _check_paths(root, value, key)
    elif isinstance(config, str) and (key in PATH_KEYS or key == "path" or key.endswith(("_path", "_file"))):
        pure = PurePosixPath(config.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or not (root / config).resolve().is_relative_to(root):
            raise AuditError(
                f"the model's MLmodel names a path outside the model: {key}: {config[:80]!r}", "save the model again with MLflow"
            )


def _serialization(root: Path, flavor: FlavorName, options: dict[str, Any]) -> tuple[str, str]:
    """How the model is stored, and in which file; "unknown" where its own library would not recognise it."""
    keys = {"sklearn": "pickled_model", "pytorch": "model_data", "python_function": "python_model"}
    file = str(options.get(keys.get(flavor, "data")) or options.get("data") or "")
    if flavor == "sklearn":
        return str(options.get("serialization_format") or "pickle"), file
    if flavor == "pytorch":
        archive = f"{file}/model.pt2"
        if (root / archive).is_file() and not (root / file / "model.pth").exists():
            return "pt2", archive
        return "pickle", f"{file}/model.pth"
    suffix = file.rsplit(".", 1)[-1].lower()
    known = {
        "xgboost": {"ubj": "ubj", "json": "json", "xgb": "ubj"},
        "lightgbm": {"lgb": "text", "txt": "text", "skops": "skops", "pkl": "pickle"},
    }
    if flavor in known:
        return known[flavor].get(suffix, "unknown"), file
    if flavor == "transformers":
        folder = str(options.get("model_binary") or "")
        return ("safetensors" if list((root / folder).glob("*.safetensors")) else "unknown"), folder
    if flavor == "onnx":
        return ("onnx", file) if suffix == "onnx" else ("unknown", file)
    return "code", file


def _keys(flavors: dict[str, Any], flavor: FlavorName, serialization: str) -> list[str]:
    """Sentences for the keys of MLmodel that make a loader import or run something."""
    found = []
    pyfunc = flavors.get("python_function", {})
    loader = pyfunc.get("loader_module")
    if loader is not None and loader not in MLFLOW_LOADERS:
        found.append(f"MLmodel: loader_module is {str(loader)[:80]!r}, which is imported to load the model")
    for name, config in flavors.items():
        if name not in LIBRARIES:
            found.append(f"MLmodel: the flavor {str(name)[:40]!r} has a loader of its own")
        for key in ("model_code_path", "python_model", "pickle_module"):
            if config.get(key):
                found.append(f"MLmodel: {name}.{key} is {str(config[key])[:80]!r}, which is run to load the model")
        if config.get("code"):
            found.append(f"MLmodel: {name}.code puts {str(config['code'])[:80]!r} on the import path")
    model_class = flavors.get("xgboost", {}).get("model_class")
    if model_class is not None and model_class not in XGBOOST_CLASSES:
        found.append(f"MLmodel: xgboost.model_class is {str(model_class)[:80]!r}, which is not of the xgboost library")
    if flavor == "python_function" and not found:
        found.append("MLmodel: a python_function without a library of its own runs the code that it brings")
    if serialization in ("pickle", "cloudpickle", "unknown") or (flavor == "sklearn" and serialization != "skops"):
        found.append(f"MLmodel: the {flavor} model is stored as {serialization[:40]}, which runs code when loaded")
    return found


def _code_paths(flavors: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(str(c["code"]) for c in flavors.values() if isinstance(c.get("code"), str)))


def _ports(text: Any) -> list[Port]:
    """The inputs or outputs of a signature, which MLflow stores as JSON text; [] where there are none or they cannot be read."""
    try:
        entries = json.loads(text) if isinstance(text, str) else []
        return [_port(e) for e in entries if isinstance(e, dict)]
    except (ValueError, KeyError, TypeError):
        return []


def _port(entry: dict[str, Any]) -> Port:
    name = entry.get("name")
    if entry.get("type") == "tensor":
        spec = entry["tensor-spec"]
        return Port(name=name, type=str(spec["dtype"]), shape=[int(s) for s in spec["shape"]])
    return Port(name=name, type=str(entry["type"]), required=bool(entry.get("required", not entry.get("optional", False))))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
