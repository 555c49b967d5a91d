"""Recommenders: the layers against sums by hand, histories cut by time, three files as one table, and a planted taste that both nets find."""

from __future__ import annotations

import doctest
import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

from models.config import load_preset
from models.data import load, split_histories
from models.errors import TrainingError
from models.learners import net
from models.loop import Around
from models.nets.deepfm import DeepFM, Pairs
from models.nets.deepfm import build as build_deepfm
from models.nets.fields import Fields, Vectors
from models.nets.widedeep import Crosses
from models.nets.widedeep import build as build_widedeep
from models.settings import DataSettings, Preset, Split

if TYPE_CHECKING:
    from conftest import Audited

SILENT = Around(lambda *_: None)
COLUMNS = [
    {"name": "user", "kind": "category", "vocabulary": ["1", "2", "3"]},
    {"name": "item", "kind": "category", "vocabulary": ["a", "b"]},
    {"name": "year", "kind": "number"},
]
SHARES = {"train": 0.6, "validation": 0.1, "evaluation": 0.3, "seed": 0}


def ids(n: int = 200, seed: int = 0) -> torch.Tensor:
    stream = np.random.default_rng(seed)
    x = np.column_stack([stream.integers(-1, 3, n), stream.integers(-1, 2, n), stream.uniform(1990, 2000, n)])
    x[::9, 2] = np.nan
    return torch.from_numpy(x.astype(np.float32))


def test_pairs_are_the_naive_double_sum() -> None:
    vectors = torch.randn(5, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    naive = [sum(float(row[i] @ row[j]) for i, j in itertools.combinations(range(7), 2)) for row in vectors]
    assert Pairs()(vectors).squeeze(1).tolist() == pytest.approx(naive, rel=1e-12)


def test_fields_are_places_and_amounts() -> None:
    """Code 1 of three is place 2; unknown is place 0; 1995 is half-way from 1990 to 2000; a missing year is the mean, here 1994."""
    fields = Fields(COLUMNS, unknown=0.5).eval()  # nothing is hidden outside training
    fields.fit(torch.tensor([[0.0, 0, 1990], [1, 1, 2000], [2, 0, 1992]]))
    places, amounts = fields(torch.tensor([[1.0, 0, 1995], [-1, torch.nan, torch.nan], [1.25, 1, 1990], [7, 1, 2000]]))
    assert places[:, :, 0].tolist() == [[2, 1, 0], [0, 0, 0], [2, 2, 0], [3, 2, 0]]
    assert amounts[:, :, 0].flatten().tolist() == pytest.approx([1, 1, 0.5, 1, 1, 0.4, 0.75, 1, 0, 1, 1, 1])
    assert places[2, 0].tolist() == [2, 3]
    assert amounts[2, 0].tolist() == [0.75, 0.25]  # a quarter of the way from the second to the third user


def test_hidden_codes_train_the_vector_of_the_unknown() -> None:
    torch.manual_seed(0)
    fields = Fields(COLUMNS, unknown=0.25).train()
    places, _ = fields(torch.ones(4000, 3))
    assert float((places[:, :2, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_each_place_has_a_vector_of_its_own() -> None:
    fields, vectors = Fields(COLUMNS, 0.0), Vectors([4, 3, 1], 2, 1.0)
    with torch.no_grad():
        vectors.table.weight.copy_(torch.arange(16.0).view(8, 2))
    found = vectors(*fields(torch.tensor([[-1.0, -1.0, 3.0], [2.0, 1.0, 0.0]])))
    assert found.tolist() == [[[0, 1], [8, 9], [42, 45]], [[6, 7], [12, 13], [0, 0]]]  # of the number: 3 · (14, 15)


def test_crosses_by_hand() -> None:
    """User × item has 4 · 3 weights, then user × year 4 · 1. Of (user 2, item a, year 3): place 2·3 + 1 = 7, and 12 + 2 = 14 times 3."""
    fields, crosses = Fields(COLUMNS, 0.0), Crosses([4, 3, 1], [(0, 1), (0, 2)])
    with torch.no_grad():
        crosses.weights.table.weight.copy_(torch.arange(16.0).view(16, 1))
    found = crosses(*fields(torch.tensor([[1.0, 0.0, 3.0], [-1.0, -1.0, 2.0]])))
    assert found.tolist() == [[7 + 3 * 14], [0 + 2 * 12]]


def test_deepfm_is_weights_pairs_and_perceptron() -> None:
    torch.manual_seed(0)
    module = build_deepfm({"columns": COLUMNS, "classes": 2, "network": {"embedding": 3, "hidden": [4], "unknown": 0.0}}).eval()
    assert isinstance(module, DeepFM)
    x = ids(20)
    module.fit(x)
    with torch.no_grad():
        module.weights.table.weight.normal_()
        places, amounts = module.fields(x)
        v, w = module.vectors(places, amounts), module.weights(places, amounts)
        pairs = sum((v[:, i] * v[:, j]).sum(dim=1) for i, j in itertools.combinations(range(3), 2))
        expected = w.sum(dim=(1, 2)) + pairs + module.deep(v.flatten(1)).squeeze(1)
        logits = module(x)
    assert torch.equal(logits[:, 0], torch.zeros(20))
    assert torch.allclose(logits[:, 1], expected, atol=1e-6)


@pytest.mark.parametrize(("build", "more"), [(build_deepfm, {}), (build_widedeep, {"crosses": [["user", "item"], ["user", "ye*"]]})])
def test_the_exported_graph_is_the_net_for_any_batch(build: object, more: dict[str, object]) -> None:
    torch.manual_seed(0)
    module = build({"columns": COLUMNS, "classes": 2, "network": {"embedding": 3, "hidden": [4], **more}}).eval()  # type: ignore[operator]
    module.fit(ids())
    graph = torch.export.export(module, (ids(8),), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    for n in (2, 50):
        assert torch.equal(graph(ids(n, 1)), module(ids(n, 1)))


@pytest.mark.parametrize("build", [build_deepfm, build_widedeep])
def test_more_than_two_classes_are_refused(build: object) -> None:
    with pytest.raises(ValueError, match="two classes apart"):
        build({"columns": COLUMNS, "classes": 3, "network": {}})  # type: ignore[operator]


def test_each_history_is_cut_by_its_own_time() -> None:
    """Ten rows of one user and twenty of another, shuffled: 6, 1, 3 and 12, 2, 6 of them, in order of time."""
    stream = np.random.default_rng(0)
    users = np.repeat(["x", "y"], [10, 20])
    time = np.concatenate([np.arange(10), 1000 + np.arange(20)])
    order = stream.permutation(30)
    parts = split_histories(users[order], time[order], Split(**SHARES, history="user", time="t"))
    found = {part: [sorted(time[order][at][users[order][at] == user]) for user in "xy"] for part, at in parts.items()}
    assert found["train"] == [list(range(6)), list(range(1000, 1012))]
    assert found["validation"] == [[6], [1012, 1013]]
    assert found["evaluation"] == [[7, 8, 9], list(range(1014, 1020))]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(30))


def test_history_and_time_go_together() -> None:
    with pytest.raises(ValueError, match="named together"):
        Split(**SHARES, history="user")
    with pytest.raises(ValueError, match="without group"):
        Split(**SHARES, history="user", time="t", group="user")


def published(folder: Path) -> Path:
    """Two films, two users and three ratings as GroupLens writes them."""
    flags = ["|".join("1" if i in on else "0" for i in range(19)) for on in ({1, 5}, {15})]
    (folder / "u.data").write_text("7\t1\t5\t881250949\n7\t2\t3\t881250950\n8\t2\t4\t881250951\n")
    (folder / "u.item").write_text(
        f"1|Le d\xe9sert (1995)|01-Jan-1995||http://x|{flags[0]}\n2|B|||http://y|{flags[1]}\n", encoding="latin-1"
    )
    (folder / "u.user").write_text("7|24|F|technician|85711\n8|53|M|other|94043\n")
    return folder


def settings(file: str) -> DataSettings:
    return load_preset("recommender-deepfm", data={"file": file}).data


def test_three_files_become_one_table(tmp_path: Path) -> None:
    from models.sources.ratings import read

    rows = read(settings(str(published(tmp_path))))
    assert rows[["user", "item", "liked", "gender", "age"]].to_numpy().tolist() == [
        [7, 1, "yes", "F", 24], [7, 2, "no", "F", 24], [8, 2, "yes", "M", 53],
    ]  # fmt: skip
    assert rows["year"].tolist() == pytest.approx([1995, np.nan, np.nan], nan_ok=True)
    assert rows[["genre_Action", "genre_Comedy", "genre_Sci-Fi"]].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    headed = tmp_path / "headed"
    headed.mkdir()
    pd.DataFrame(
        {"user_id:token": [7, 7, 8], "item_id:token": [1, 2, 2], "rating:float": [5, 3, 4], "timestamp:float": [1, 2, 3]}
    ).to_parquet(headed / "r.inter.parquet")
    (headed / "x.item").write_text("item_id:token\trelease_year:token\tclass:token_seq\n1\t1995\tAction Comedy\n2\t\tSci-Fi\n")
    (headed / "x.user").write_text("user_id:token\tage:token\tgender:token\toccupation:token\n7\t24\tF\ttechnician\n8\t53\tM\tother\n")
    named = ",".join(str(headed / name) for name in ("x.user", "r.inter.parquet", "x.item"))
    again = read(settings(named)).drop(columns="timestamp")
    pd.testing.assert_frame_equal(again[sorted(again)], rows.drop(columns="timestamp")[sorted(again)], check_dtype=False)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda f: (f / "u.user").unlink(), "one file of users"),
        (lambda f: (f / "other.user").write_text("x"), r"found 2: other\.user, u\.user"),
        (lambda f: (f / "u.user").write_text("7|24|F|technician|85711\n7|25|F|technician|85711\n"), "described twice"),
    ],
)
def test_files_that_are_not_whole_are_one_line(broken: object, says: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    broken(published(folder))  # type: ignore[operator]
    with pytest.raises(TrainingError, match=says) as refused:
        load(settings(str(folder)))
    assert "\n" not in str(refused.value)


def test_without_data_the_public_source_is_named() -> None:
    with pytest.raises(TrainingError, match="grouplens"):
        load(load_preset("recommender-widedeep").data)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """60 users × 40 films, 30 ratings each: a user likes even films or odd ones, and nothing but the ids tells which."""
    folder, stream = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    pairs = [(u, i, t) for u in range(60) for t, i in enumerate(stream.choice(40, 30, replace=False))]
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id", "timestamp"])
    rows["rating"] = np.where((rows["user_id"] + rows["item_id"]) % 2 == 0, 5, 2)
    rows.to_csv(folder / "ratings.csv", index=False)
    pd.DataFrame({"item_id": range(40), "release_year": 1990, "class": "Drama"}).to_csv(folder / "items.csv", index=False)
    users = pd.DataFrame({"user_id": range(60), "age": range(20, 80), "gender": ["F", "M", "M"] * 20, "occupation": "other"})
    users.to_csv(folder / "users.csv", index=False)
    return str(folder)


def trained(name: str, file: str, **changes: object) -> tuple[Preset, object, object]:
    more = {"epochs": 25, "batch_size": 64, "learning_rate": 0.01, "weight_decay": 0.0, "dropout": 0.0, "patience": 25, **changes}
    preset = load_preset(name, dict(more), {"file": file})
    dataset = load(preset.data)
    return preset, dataset, net.train(preset, dataset, device="cpu", around=SILENT)


@pytest.mark.parametrize("name", ["recommender-deepfm", "recommender-widedeep"])
def test_a_planted_taste_is_found_and_figures_tell(name: str, planted: str) -> None:
    from models.tracking import ranked

    _, dataset, fitted = trained(name, planted)
    found = ranked(dataset, fitted.scores("evaluation"))  # type: ignore[arg-type, attr-defined]
    assert found["ndcg_at_10"] > 0.95
    assert 0.4 < found["ndcg_at_10_by_chance"] < 0.85
    assert found["ndcg_at_10_low"] <= found["ndcg_at_10"] <= found["ndcg_at_10_high"]
    assert (found["ranked_users_of_gender_F"], found["ranked_users_of_gender_M"]) == (20, 40)
    assert {"user", "gender", "age", "occupation"} <= set(dataset.parts["evaluation"])  # type: ignore[attr-defined]
    assert not {"rating", "timestamp"} & set(dataset.features)  # type: ignore[attr-defined]


def test_equal_seeds_give_equal_scores(planted: str) -> None:
    first, again, other = (trained("recommender-deepfm", planted, epochs=2, seed=s)[2].scores("evaluation") for s in (3, 3, 4))  # type: ignore[attr-defined]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_cross_that_no_columns_have_is_one_line(planted: str) -> None:
    with pytest.raises(TrainingError, match=r"does not fit the data: no two columns are named like the cross user × colour"):
        trained("recommender-widedeep", planted, crosses=[["user", "colour"]])


def test_a_new_film_gets_the_vector_of_the_unknown(planted: str) -> None:
    _, dataset, _ = trained("recommender-deepfm", planted, epochs=1)
    rows = dataset.parts["evaluation"].head(3).assign(item=[999, 999, 0])  # type: ignore[attr-defined]
    preset = load_preset("recommender-deepfm", data={"file": planted})
    assembled = net.assemble(preset, dataset, net.Prepared())  # type: ignore[arg-type]
    codes = assembled.encoder.arrays(rows)[0][:, [c.name for c in dataset.columns].index("item")]  # type: ignore[attr-defined]
    assert codes.tolist()[:2] == [-1, -1]
    assert codes[2] >= 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recommender-deepfm", "recommender-widedeep"])
def test_the_audit_scores_what_training_scored(name: str, planted: str, audited: Callable[..., Audited], tmp_path: Path) -> None:
    changes = {"epochs": 5, "batch_size": 64, "learning_rate": 0.01, "weight_decay": 0.0, "dropout": 0.0, "patience": 25}
    arguments = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    found = audited(name, "--data", planted, *arguments, cwd=tmp_path)
    assert (found.roles["cluster"], found.roles["sensitive"]) == ("user", ["gender", "age", "occupation"])
    assert (found.roles["ranking"]["user"], found.roles["ranking"]["at"]) == ("user", 10)
    expected = trained(name, planted, epochs=5)[2].scores("evaluation")[:, 1]  # type: ignore[attr-defined]
    assert np.ptp(expected) > 0.5
    assert found.scores == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("module", ["models.nets.widedeep", "models.ranking"])
def test_doctests(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
