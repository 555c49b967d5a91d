"""What is read about a model before anything of it runs, and what is refused there and then."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import hostile
import pytest

from audit.errors import AuditError
from audit.subject import evidence
from audit.subject.inspect import MAX_MLMODEL, check_loadable, inspect_model

ONNX = {"onnx": {"data": "m.onnx"}, "python_function": {"loader_module": "mlflow.onnx", "data": "m.onnx"}}


def test_a_skops_model_is_data_with_its_signature(plain: Path) -> None:
    found = inspect_model(plain)
    assert (found.flavor, found.serialization, found.load_risk, found.load_evidence) == ("sklearn", "skops", "data_only", [])
    assert [(p.name, p.type, p.shape, p.required) for p in found.inputs][:1] == [("x0", "double", None, True)]
    assert (found.requires.module, found.requires.pip) == ("sklearn", "scikit-learn")
    check_loadable(found, trust_pickle=False)


def test_the_digest_covers_every_file_but_the_registry_note(plain: Path, tmp_path: Path) -> None:
    first = inspect_model(plain).sha256
    copy = tmp_path / "copy"
    shutil.copytree(plain, copy)
    (copy / "registered_model_meta").write_text("model_name: x")
    assert inspect_model(copy).sha256 == first
    (copy / "conda.yaml").write_text((copy / "conda.yaml").read_text() + " ")
    assert inspect_model(copy).sha256 != first


def test_nothing_heavy_is_imported_to_inspect(plain: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from audit.subject.inspect import inspect_model, check_loadable\n"
        "check_loadable(inspect_model(Path(sys.argv[1])), trust_pickle=False)\n"
        "print(sorted({'numpy', 'pandas', 'mlflow', 'sklearn', 'torch', 'skops'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(plain)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("place", ["../outside", "/etc", "a/../../b", "..\\outside"])
@pytest.mark.parametrize("key", ["code", "data", "model_path", "python_model"])
def test_paths_that_leave_the_model_are_refused(tmp_path: Path, key: str, place: str) -> None:
    path = hostile.folder(tmp_path / "m", hostile.pyfunc(**{key: place}), {})
    with pytest.raises(AuditError, match="outside the model"):
        inspect_model(path)


def test_links_are_refused(tmp_path: Path) -> None:
    path = hostile.folder(tmp_path / "m", ONNX, {"m.onnx": b""})
    (path / "link").symlink_to("/etc/passwd")
    with pytest.raises(AuditError, match="symbolic link: 'link'"):
        inspect_model(path)
    (path / "link").unlink()
    (path / "folder").symlink_to("/etc")
    with pytest.raises(AuditError, match="symbolic link"):
        inspect_model(path)
    (path / "folder").unlink()
    (tmp_path / "other").write_text("x")
    os.link(tmp_path / "other", path / "hard")
    with pytest.raises(AuditError, match="hard link"):
        inspect_model(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no MLmodel"),
        ("{", "cannot be read"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
        ("- a", "not a list of keys"),
        ("flavors: {}", "flavor"),
        ("flavors: {spacy: {}}", "spacy"),
        (" " * (MAX_MLMODEL + 1), "larger than"),
    ],
)
def test_unreadable_descriptions(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(AuditError, match=words):
        inspect_model(tmp_path)


def test_program_files_and_hidden_pickles_are_evidence(tmp_path: Path) -> None:
    files = {"m.onnx": b"\x08\x09", "extra.py": "", "native.so": b"x", "notes.txt": pickle.dumps(hostile.Bomb("1")), "w.bin": b"\0" * 9}
    found = inspect_model(hostile.folder(tmp_path / "m", ONNX, files))
    assert found.load_risk == "code"
    assert [line.split(" ")[0] for line in found.load_evidence] == ["extra.py", "native.so", "notes.txt"]
    assert "builtins.exec" in found.load_evidence[2]


def test_onnx_weights_outside_the_model_are_named(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("W", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret.bin")
    graph = helper.make_graph([helper.make_node("Identity", ["W"], ["y"])], "g", [], [], [tensor])
    path = hostile.folder(tmp_path / "m", ONNX, {"m.onnx": helper.make_model(graph).SerializeToString()})
    assert inspect_model(path).load_evidence == ["m.onnx reads weights from '../../secret.bin', outside the model"]
    tensor.external_data[0].value = "weights.bin"
    graph = helper.make_graph([helper.make_node("Identity", ["W"], ["y"])], "g", [], [], [tensor])
    path = hostile.folder(tmp_path / "n", ONNX, {"m.onnx": helper.make_model(graph).SerializeToString()})
    assert inspect_model(path).load_risk == "data_only"


def pt2_archive(path: Path, records: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(f"m/{name}", content)


def test_pt2_archives_with_pickled_code_or_libraries_are_code(tmp_path: Path) -> None:
    keys = {"pytorch": {"model_data": "data"}, "python_function": {"loader_module": "mlflow.pytorch", "data": "data"}}
    checkpoint = tmp_path / "weights.pt"
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps(hostile.Bomb("1")))
    bad = {
        "data/weights/w.pt": checkpoint.read_bytes(),
        "data/aotinductor/m/m.so": b"\x7fELF",
        "data/weights/raw": b"\x00\x01",
        "archive_format": b"pt2",
        "models/m.json": b"{}",
    }
    root = hostile.folder(tmp_path / "m", keys, {})
    pt2_archive(root / "data" / "model.pt2", bad)
    lines = inspect_model(root).load_evidence
    assert len(lines) == 3
    assert "builtins.exec" in lines[0]
    assert "compiled code" in lines[1]
    assert "neither JSON nor a tensor" in lines[2]


def test_pickle_globals_through_the_memo() -> None:
    stream = pickle.dumps([os.path.join, os.path.dirname, json.loads], protocol=4)
    assert evidence.pickle_globals(stream) == {"posixpath.join", "posixpath.dirname", "json.loads"}
    assert evidence.pickle_globals(pickle.dumps(json.loads, protocol=0)) == {"json.loads"}


def test_foreign_types_in_skops_are_named(tmp_path: Path) -> None:
    schema: dict[str, Any] = {"__class__": "list", "__module__": "builtins", "content": [{"__class__": "system", "__module__": "os"}]}
    with zipfile.ZipFile(tmp_path / "m.skops", "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    assert list(evidence.skops(tmp_path / "m.skops", "m.skops")) == [
        "m.skops names types outside scikit-learn, LightGBM, XGBoost, NumPy and SciPy: os.system"
    ]


def test_a_model_of_text_needs_the_tokenizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspect_model(hostile.folder(tmp_path / "m", ONNX, {"m.onnx": b"\x08\x09"}))
    brought = found.model_copy(update={"extra_files": ["extra_files/tokenizer.json"]})
    check_loadable(brought, trust_pickle=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tokenizers" else name)
    check_loadable(found, trust_pickle=False)
    with pytest.raises(AuditError, match=r"tokenizers is not installed — pip install 'witnessmark\[text\]'"):
        check_loadable(brought, trust_pickle=False)


def test_a_missing_library_comes_with_its_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspect_model(hostile.folder(tmp_path / "m", ONNX, {"m.onnx": b"\x08\x09"}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AuditError, match=r"pip install 'witnessmark\[onnx\]'"):
        check_loadable(found, trust_pickle=False)
