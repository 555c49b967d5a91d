"""The residual net by hand, and the passage from a source task to one with few labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.config import load_preset
from models.data import Dataset, load
from models.encoding import Encoder
from models.errors import TrainingError
from models.learners import net
from models.loop import Around, deterministic
from models.nets.resnet import Block, build
from models.pretraining import transfer
from models.settings import NetTraining, Preset
from models.sources.digits import read as digits

SILENT = Around(lambda *_: None)
COLUMNS = [{"name": "image", "kind": "image", "shape": [3, 32, 32]}]


def resnet(**network: Any) -> torch.nn.Module:
    return build({"columns": COLUMNS, "classes": 5, "network": network})


def test_a_block_whose_convolutions_are_nothing_gives_its_input_without_what_is_negative() -> None:
    block = Block(8, 8, 1, groups=4)
    torch.nn.init.zeros_(block.change[-1].weight)
    torch.nn.init.zeros_(block.change[-1].bias)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x.clamp(min=0))


def test_weights_and_sizes_by_hand() -> None:
    """A block of c → d has 9 c d + 9 d d weights, 4 d of the normalisations, and c d of the projection where the shape changes."""
    module = resnet(channels=[8, 16], blocks=2, groups=8, stride=2)
    stem = 9 * 3 * 8 + 16
    blocks = [(9 * c * d + 9 * d * d + 4 * d + (c * d if c != d else 0)) for c, d in ((8, 8), (8, 8), (8, 16), (16, 16))]
    assert sum(p.numel() for p in module.parameters()) == stem + sum(blocks) + 16 * 5 + 5
    assert module.stages(module.stem(torch.zeros(1, 3, 32, 32))).shape == (1, 16, 8, 8)
    assert not [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]


def test_a_rows_answer_depends_on_that_row_alone_in_training_too() -> None:
    module = resnet(channels=[8, 16]).train()
    x = torch.rand(4, 3, 32, 32) * 255
    alone, among = module(x[:1]), module(x)
    assert torch.allclose(alone, among[:1], atol=1e-4)


def test_the_exported_graph_gives_what_the_net_gives() -> None:
    module = resnet(channels=[8, 16]).eval()
    x = torch.rand(5, 3, 32, 32) * 255
    module.fit(x)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=10_000)},)).module()
    with torch.no_grad():
        for n in (1, 3):
            assert torch.allclose(program(x[:n]), module(x[:n]), atol=1e-5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real digits, 0 to 4 and 5 to 9."""
    frame = digits(load_preset("digits-cnn").data).iloc[::2]
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    x = np.stack([np.asarray(image, np.uint8).reshape(28, 28) for image in frame["image"]])
    np.savez(path, x=x, y=frame["digit"].to_numpy(dtype=str))
    return path


def prepared(file: Path, **changes: Any) -> tuple[Preset, Dataset]:
    """Of 1,250 digits from 5 to 9, a share of 0.04 is learned from: 50 labels."""
    small = {"shape": [1, 28, 28], "channels": [8, 16], "rows": 0, "split.train": 0.04, "split.validation": 0.06, "split.evaluation": 0.9}
    small |= {"data.rows": small.pop("rows"), "flip": False, "training.pretraining.rows": 0, "training.pretraining.epochs": 4}
    small |= {"training.pretraining.learning_rate": 0.01, "training.learning_rate": 0.005, "training.batch_size": 10}
    preset = load_preset("images-resnet", small | {"epochs": 20, "frozen_epochs": 4} | changes, {"file": str(file)})
    return preset, load(preset.data)


def test_weights_but_the_heads_come_from_the_source_task_and_frozen_ones_stay(file: Path) -> None:
    preset, dataset = prepared(
        file, **{"frozen_epochs": 0, "epochs": 1, "training.pretraining.epochs": 1, "training.pretraining.rows": 300}
    )
    with deterministic(preset.seed, threads=1):
        before = transfer.prepare(preset, dataset, device="cpu")
    assert before.weights
    assert not [name for name in before.weights if name.startswith("head.")]
    kept: dict[str, torch.Tensor] = {}
    real = net.fitted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net, "fitted", lambda found, *rest: kept.update(found.module.state_dict()) or real(found, *rest))
        net.train(preset, dataset, device="cpu", around=SILENT)
    learned = [name for name in kept if name.startswith(("stem.", "stages."))]
    assert learned
    assert all(torch.equal(kept[name], before.weights[name]) for name in learned), "frozen for good with 0 epochs"


def test_source_task_and_training_from_scratch_are_measured_beside_it(file: Path) -> None:
    """Chance is 0.2 in both tasks. That the passage gains is shown on photographs below: so small a net of so few digits gains nothing."""
    preset, dataset = prepared(file)
    fitted = net.train(preset, dataset, device="cpu", around=SILENT)
    told = fitted.figures
    assert dataset.settings.classes == ("5", "6", "7", "8", "9")
    assert told["rows_with_labels"] == len(dataset.parts["train"]) <= 60
    assert told["rows_source_task"] > 900
    assert told["accuracy_source_task"] > 0.75
    assert told["accuracy_from_scratch"] > 0.3
    assert float((fitted.scores("evaluation").argmax(1) == dataset.y("evaluation")).mean()) > 0.3
    kept = fitted.source_task
    assert kept is not None
    assert kept.rows.settings.classes == ("0", "1", "2", "3", "4")
    before, after = kept.before.state_dict(), kept.after.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("head.")} <= same < set(before), "the body learned, its old head was put back"
    rows = kept.rows.parts["evaluation"]
    x = torch.from_numpy(Encoder(kept.rows.columns).arrays(rows)[0])
    with torch.inference_mode():
        right = float((kept.before(x).argmax(1).numpy() == kept.rows.y("evaluation")).mean())
    assert right == pytest.approx(told["accuracy_source_task"])


@pytest.mark.slow
def test_few_labelled_photographs_go_further_after_the_source_task(data_folder: Path) -> None:
    """The preset on a third of its rows: about 100 labels, 900 photographs to measure on (standard error of a share: 0.017)."""
    changes = {"data.rows": 1000, "training.pretraining.rows": 4000}
    preset = load_preset("images-resnet", changes, {"file": str(data_folder / "cifar10_subset_jpeg.parquet")})
    dataset = load(preset.data)
    fitted = net.train(preset, dataset, device="cpu", around=SILENT)
    reached = float((fitted.scores("evaluation").argmax(1) == dataset.y("evaluation")).mean())
    assert reached > fitted.figures["accuracy_from_scratch"] + 0.03, (reached, fitted.figures)


def test_a_source_task_that_holds_the_tasks_own_classes_is_refused(file: Path) -> None:
    preset, dataset = prepared(file, **{"training.pretraining.last_class": 6})
    with pytest.raises(TrainingError, match="the class '5' is in the source task and in the task itself"):
        transfer.prepare(preset, dataset, device="cpu")


def test_settings_of_the_stage_are_checked(file: Path) -> None:
    preset, dataset = prepared(file, **{"training.pretraining.train": 1.5})
    with pytest.raises(TrainingError, match=r"training\.pretraining\.train is not valid"):
        transfer.prepare(preset, dataset, device="cpu")


def test_channels_that_the_groups_do_not_divide_are_refused() -> None:
    with pytest.raises(TrainingError, match="multiples of groups, 8"):
        load_preset("images-resnet", {"channels": [12, 24]})
    assert isinstance(load_preset("images-resnet").training, NetTraining)
