"""Labelled pictures as a source: three forms of file that give the same numbers, in training and in the audit; bad ones in one line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from audit.decoding import decode
from audit.features import FeatureSpec
from models.config import load_preset
from models.data import load
from models.encoding import Column, Encoder, signals
from models.errors import TrainingError
from models.learners import net
from models.loop import Around
from models.nets.cnn import build
from models.sources import read

SILENT = Around(lambda *_: None)
QUICK = {"batch_size": 16, "learning_rate": 0.01, "dropout": 0.0}
CLASSES = ("blue", "green", "red")


def drawn(n: int, size: int = 32, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """(n, size, size, 3) noise in which one channel is brighter: that of the label."""
    stream = np.random.default_rng(seed)
    labels = [CLASSES[i % 3] for i in range(n)]
    x = stream.integers(0, 120, (n, size, size, 3))
    for i, label in enumerate(labels):
        x[i, ..., "rgb".index(label[0])] += 120
    return x.astype(np.uint8), labels


def encoded(picture: np.ndarray, kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format=kind)
    return out.getvalue()


def as_folder(path: Path, x: np.ndarray, labels: list[str]) -> Path:
    for i, (picture, label) in enumerate(zip(x, labels, strict=True)):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{i:04}.png").write_bytes(encoded(picture))
    (path / "README.txt").write_text("no picture")
    return path


def rows(path: Path, preset: str = "images-cnn", **options: Any) -> pd.DataFrame:
    settings = load_preset(preset, {}, {"file": str(path)}).data
    return read(settings.model_copy(update={"rows": 0, "options": settings.options | options}))


def numbers(frame: pd.DataFrame) -> dict[bytes, str]:
    x = signals(frame["image"].tolist(), Column("image", "image", shape=(3, 32, 32)))
    return {picture.tobytes(): label for picture, label in zip(x, frame["label"], strict=True)}


def test_folder_parquet_and_arrays_hold_the_same_pictures(tmp_path: Path) -> None:
    x, labels = drawn(12)
    pngs = [encoded(p) for p in x]
    pd.DataFrame({"split": "a", "label": labels, "jpeg": pngs}).to_parquet(tmp_path / "plain.parquet")
    pd.DataFrame({"img": [{"bytes": p, "path": None} for p in pngs], "label": labels}).to_parquet(tmp_path / "records.parquet")
    np.savez(tmp_path / "arrays.npz", x=x, y=np.array(labels))
    expected = {x[i].transpose(2, 0, 1).astype(np.float32).tobytes(): labels[i] for i in range(12)}
    folder = as_folder(tmp_path / "folder", x, labels)
    for path in (folder, *(tmp_path / name for name in ("plain.parquet", "records.parquet", "arrays.npz"))):
        assert numbers(rows(path)) == expected, path


def test_the_real_files_are_read(data_folder: Path) -> None:
    cifar = rows(data_folder / "cifar10_subset_jpeg.parquet", first_class=0, last_class=4)
    assert sorted(set(cifar["label"])) == ["airplane", "automobile", "bird", "cat", "deer"]
    assert len(cifar) == 5 * 1300
    digits = read(load_preset("digits-cnn", {}, {"file": str(data_folder / "mnist_t10k.npz")}).data)
    x = signals(digits["image"].tolist()[:50], Column("image", "image", shape=(1, 28, 28)))
    with np.load(data_folder / "mnist_t10k.npz") as raw:
        assert np.array_equal(x[:, 0], raw["images"][:50].astype(np.float32))
        assert digits["digit"].tolist() == [str(label) for label in raw["labels"]]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_training_and_audit_see_the_same_numbers(mode: str, channels: int) -> None:
    picture = Image.fromarray(drawn(1)[0][0]).convert(mode)
    out = io.BytesIO()
    picture.save(out, format="tiff" if mode == "CMYK" else "png")
    shape = (channels, 32, 32)
    ours = signals([out.getvalue(), None], Column("image", "image", shape=shape))
    spec = FeatureSpec(name="image", kind="image", read="decoded", shape=shape)
    audits = decode(pa.array([out.getvalue(), None], type=pa.binary()), spec)
    assert np.array_equal(ours.reshape(2, -1), audits, equal_nan=True)
    assert not np.isnan(ours[0]).any()


def test_other_sizes_are_brought_to_the_presets_where_that_is_asked_for(tmp_path: Path) -> None:
    x, labels = drawn(6, size=20)
    frame = rows(as_folder(tmp_path / "small", x, labels), resize=True)
    first = Image.open(io.BytesIO(frame["image"][0]))
    assert (first.size, first.format) == ((32, 32), "PNG")
    original = Image.open(tmp_path / "small" / "blue" / "0000.png").resize((32, 32))
    assert np.array_equal(np.asarray(first), np.asarray(original))


def broken(tmp_path: Path, case: str) -> Path:
    x, labels = drawn(9)
    folder = as_folder(tmp_path / "f", x, labels)
    if case == "mixed":
        (folder / "green" / "big.png").write_bytes(encoded(np.zeros((40, 48, 3), np.uint8)))
    if case == "truncated":
        for name in ("0000.png", "0003.png"):
            file = folder / "blue" / name
            file.write_bytes(file.read_bytes()[:200])
    if case == "empty":
        (folder / "red" / "0002.png").write_bytes(b"")
    if case == "no folders":
        return tmp_path / "f" / "red"
    if case == "one class":
        return as_folder(tmp_path / "one", x[:3], ["red"] * 3)
    if case == "pickle":
        (tmp_path / "data_batch_1").write_bytes(b"\x80\x04N.")
        return tmp_path / "data_batch_1"
    if case == "objects":
        np.savez(tmp_path / "o.npz", x=np.array([{}, None], dtype=object), y=np.arange(2))
        return tmp_path / "o.npz"
    if case == "names":
        np.savez(tmp_path / "n.npz", a=x)
        return tmp_path / "n.npz"
    if case == "shapes":
        np.savez(tmp_path / "s.npz", x=x.reshape(9, -1), y=np.arange(9))
        return tmp_path / "s.npz"
    if case == "fractions":
        np.savez(tmp_path / "q.npz", x=x / 255, y=np.arange(9))
        return tmp_path / "q.npz"
    if case == "no bytes":
        pd.DataFrame({"label": labels}).to_parquet(tmp_path / "t.parquet")
        return tmp_path / "t.parquet"
    if case == "no labels":
        pd.DataFrame({"jpeg": [encoded(p) for p in x], "what": labels}).to_parquet(tmp_path / "u.parquet")
        return tmp_path / "u.parquet"
    if case == "unlabelled":
        pd.DataFrame({"jpeg": [encoded(p) for p in x], "label": [None, *labels[1:]]}).to_parquet(tmp_path / "v.parquet")
        return tmp_path / "v.parquet"
    return folder


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("mixed", r"1 of 10 pictures in .* are not 32 × 32 pixels, the first is green/big.png with 40 × 48"),
        ("truncated", r"2 of 9 pictures in .* cannot be read \(truncated, or no picture\), the first is blue/0000.png"),
        ("empty", r"1 of 9 pictures in .* cannot be read .* red/0002.png"),
        ("no folders", r"has no CLASS/\*.png"),
        ("one class", "one class|of the 1 classes"),
        ("pickle", "batches of pickle are not read"),
        ("objects", "cannot read .*without pickled objects"),
        ("names", "holds a — name the pictures x"),
        ("shapes", r"x of shape \(9, 3072\)"),
        ("fractions", "no whole numbers from 0 to 255"),
        ("no bytes", r"no column of encoded pictures \(bytes\); it has label"),
        ("no labels", r"no column of labels .*; it has jpeg, what"),
        ("unlabelled", "1 of 9 pictures have no label, the first is row 0"),
    ],
)
def test_what_is_no_set_of_pictures_is_refused_in_one_line(tmp_path: Path, case: str, says: str) -> None:
    with pytest.raises(TrainingError, match=says) as refused:
        rows(broken(tmp_path, case))
    assert "\n" not in str(refused.value)


def test_options_and_places_that_are_not_there_are_refused(tmp_path: Path) -> None:
    folder = as_folder(tmp_path / "f", *drawn(9))
    with pytest.raises(TrainingError, match="no option 'resise'"):
        rows(folder, resise=True)
    with pytest.raises(TrainingError, match="of the 3 classes of these pictures 1 lie from place 2 to the end"):
        rows(folder, first_class=2)


def test_more_classes_than_the_presets_are_refused(tmp_path: Path) -> None:
    x = np.zeros((33, 28, 28), np.uint8)
    np.savez(tmp_path / "eleven.npz", x=x, y=np.arange(33) % 11)
    with pytest.raises(TrainingError, match="the class '10', which is not among the 10 of the preset"):
        load(load_preset("digits-cnn", {}, {"file": str(tmp_path / "eleven.npz")}).data)


@pytest.mark.parametrize("network", [{}, {"channels": [32, 64, 64], "dense": 64}])
@pytest.mark.parametrize("classes", [10, 1000])
def test_both_nets_for_ten_and_a_thousand_classes(network: dict[str, Any], classes: int) -> None:
    """Weights by hand: 9 c_in c_out + c_out for each convolution, halved thrice 32 → 4, then 16 c · dense and dense · classes."""
    preset = load_preset("images-cnn", network)
    told = preset.training.model_dump()["network"]
    module = build({"columns": [{"name": "image", "kind": "image", "shape": [3, 32, 32]}], "classes": classes, "network": told})
    a, b, c = told["channels"]
    convolutions = 9 * (3 * a + a * b + b * c) + a + b + c
    dense = 16 * c * told["dense"] + told["dense"] + told["dense"] * classes + classes
    assert sum(p.numel() for p in module.parameters()) == convolutions + dense
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, classes)


def test_a_thousand_classes_are_learned_from_a_file(tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    x = np.repeat(stream.integers(0, 256, (1000, 8, 8, 3)), 4, axis=0).astype(np.uint8)
    np.savez(tmp_path / "many.npz", x=x, y=np.arange(4000) // 4)
    changes = {"shape": [3, 8, 8], "rows": 0, "split.train": 0.5, "split.validation": 0.25, "split.evaluation": 0.25, "epochs": 3}
    preset = load_preset(
        "images-cnn", changes | {"channels": [16], "dropout": 0.0, "crop": 0, "flip": False}, {"file": str(tmp_path / "many.npz")}
    )
    dataset = load(preset.data)
    assert dataset.classes == 1000
    fitted = net.train(preset, dataset, device="cpu", around=SILENT)
    scores = fitted.scores("evaluation")
    assert scores.shape == (1000, 1000)
    assert float((scores.argmax(1) == dataset.y("evaluation")).mean()) > 0.005, "chance is 0.001: six hits or more have a chance of 0.0006"


def small(tmp_path: Path, **changes: Any) -> tuple[Any, Any]:
    path = tmp_path / "planted.npz"
    x, labels = drawn(150)
    np.savez(path, x=x, y=np.array(labels))
    preset = load_preset(
        "images-cnn", QUICK | {"epochs": 8, "patience": 8, "channels": [8, 8, 8], "dense": 16} | changes, {"file": str(path)}
    )
    return preset, load(preset.data)


def test_planted_pictures_are_learned_and_the_seed_decides(tmp_path: Path) -> None:
    preset, dataset = small(tmp_path)
    fitted = net.train(preset, dataset, device="cpu", around=SILENT)
    again = net.train(preset, dataset, device="cpu", around=SILENT)
    other = net.train(small(tmp_path, seed=1)[0], dataset, device="cpu", around=SILENT)
    scores = fitted.scores("evaluation")
    assert np.array_equal(scores, again.scores("evaluation"))
    assert not np.array_equal(scores, other.scores("evaluation"))
    assert float((scores.argmax(1) == dataset.y("evaluation")).mean()) > 0.9


def test_the_exported_graph_gives_what_the_net_gives(tmp_path: Path) -> None:
    preset, dataset = small(tmp_path)
    module = net.assemble(preset, dataset, net.Prepared()).module.eval()
    x = torch.from_numpy(Encoder(dataset.columns).arrays(dataset.parts["evaluation"])[0])
    module.fit(x)
    program = torch.export.export(module, (x[:4],), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=10_000)},)).module()
    with torch.no_grad():
        for n in (1, 3, len(x)):
            assert torch.allclose(program(x[:n]), module(x[:n]), atol=1e-5)
