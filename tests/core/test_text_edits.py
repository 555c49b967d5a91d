"""Texts changed in their spelling: what each edit does, what it leaves alone, and models of which it is known what they bear."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Pick, Scene, set_scene

from audit.judge import judge_reported
from audit.probe import collect
from audit.stress.edits import BESIDE, IDENTITY, KINDS, edited, pairs, shipped
from audit.subject.client import Prediction
from audit.subject.frame import Categories
from audit.text import render

CHECK = "robustness.text"
SYNONYMS = pairs(shipped())
RNG = np.random.default_rng
TEXT = "The Quick brown fox, an awful movie for a muslim!"


def made(kind: Any, text: str = TEXT, count: int = 50) -> list[str]:
    return edited(text, kind, count, SYNONYMS, IDENTITY, RNG(0))


def test_typos_touch_one_word_but_not_its_first_letter_and_no_identity() -> None:
    for kind in ("swap", "delete", "keyboard"):
        found = made(kind)
        assert len(found) > 5
        for text in found:
            pairs_ = [(a, b) for a, b in zip(TEXT.split(), text.split(), strict=True) if a != b]
            ((old, new),) = pairs_
            assert old[0] == new[0]
            assert len(old.strip(",!")) >= 4
            assert "muslim" not in old
            counts = Counter(old.lower()), Counter(new.lower())
            if kind == "swap":
                assert counts[0] == counts[1]
            elif kind == "delete":
                assert len(new) == len(old) - 1
            else:
                (lost,), (got,) = counts[0] - counts[1], counts[1] - counts[0]
                assert got in BESIDE[lost]


def test_the_keyboard_is_the_same_from_both_sides() -> None:
    assert sorted(BESIDE["s"]) == sorted("weadzx")
    assert all(a in BESIDE[b] for a, near in BESIDE.items() for b in near)


def test_case_punctuation_and_synonyms() -> None:
    assert made("case", "Ab c") == ["ab c", "AB C", "Ab C"]
    assert made("punctuation", "So good!") == ["So good", "So good.", "So  good!"]
    assert made("punctuation", "很好") == ["很好。"]
    assert made("synonym", "Awful movie") == ["Terrible movie", "Awful film"]
    assert made("synonym", "这部电影很长") == ["这部影片很长"]
    for kind in KINDS:
        assert made(kind, "") == []
        assert TEXT not in made(kind)
    assert made("swap", "你好 123 été") == []  # no word of plain letters
    assert edited("an awful end", "synonym", 3, SYNONYMS, {"awful"}, RNG(0)) == []


def test_the_shipped_pairs_are_pairs_and_name_nobody() -> None:
    words = [w for pair in shipped() for w in pair]
    assert len(shipped()) > 60
    assert not IDENTITY & set(words)
    assert all(a != b for a, b in shipped())
    assert len({frozenset(p) for p in shipped()}) == len(shipped())


class Client:
    """A model of texts in the place of the worker's; it counts the rows that it was asked for."""

    def __init__(self, score: Any) -> None:
        self.score, self.asked = score, 0

    def predict(self, frame: Any, *, timeout: float | None = None) -> Prediction:
        column: Categories = frame["text"]
        self.asked += len(column.codes)
        by_text = np.array([*(self.score(t) for t in column.vocabulary), 0.0])
        return Prediction(by_text[column.codes][:, None], None)


WORDS = np.array(["awful", "movie", "Sometimes", "people", "walk", "there", "Green", "water"])
TEXTS = np.array([" ".join(RNG(i).choice(WORDS, 5)) + "." * (i % 2) for i in range(120)])


def run(folder: Path, score: Any, texts: Any = TEXTS, **params: Any) -> tuple[Any, Any, Scene, Client]:
    said = np.array([score(t) for t in texts])
    groups = {"side": np.where(np.arange(len(texts)) % 2, "dot", "bare")}
    scene = set_scene(
        folder, pred=(said > 0.5).astype(int), score=said, y=(said > 0.5).astype(int), features={"text": texts}, groups=groups
    )
    context, client = scene.context(CHECK), Client(score)
    context.__dict__["client"] = client
    found, summary = collect(context, params)
    return found, summary, scene, client


def sorted_letters(text: str) -> float:
    """ROB-05's model: small letters, sorted, and a sum over them."""
    return float(sum(map(ord, sorted(text.lower()))) % 7 > 3)


def test_a_model_that_sorts_small_letters_fails_no_swap_and_no_case(tmp_path: Path) -> None:
    found, _, _, _ = run(tmp_path, sorted_letters)
    pick = Pick(found)
    for edit in ("(typos: swapped letters)", "(case)"):
        m = pick("invariance_failure_rate", **{"(edit)": edit})
        assert m.estimate.value == 0
        assert (m.parts[0].n, m.estimate.method) == (120, "clopper_pearson")
    assert pick.value("invariance_failure_rate", **{"(edit)": "(typos: missing letters)"}) > 0.5


def test_failures_are_counted_by_hand_and_by_group_and_judged(tmp_path: Path) -> None:
    """A model that looks at nothing but the full stop at the end: every text fails the edits of punctuation, and no other one."""
    found, summary, scene, client = run(tmp_path, lambda t: float(t.rstrip().endswith(".")))
    pick = Pick(found)
    rates = {m.slice["(edit)"]: m.estimate.value for m in found if len(m.slice) == 1}
    assert rates == {name: float(name == "(punctuation)") for name in rates}
    assert pick.value("invariance_failure_rate", side="dot", **{"(edit)": "(punctuation)"}) == 1
    assert "most decisions change with other punctuation: 100 % of 120 texts" in render(summary)
    verdicts = {f.slice["(edit)"]: f.verdict for f in judge_reported(CHECK, found, scene.plan, judgeable=True) if len(f.slice) == 1}
    assert verdicts["(punctuation)"] == "fail"
    assert verdicts["(case)"] == "pass"
    assert client.asked <= 120 * (len(KINDS) * 4)


def test_the_plan_gives_pairs_and_words_to_leave_alone(tmp_path: Path) -> None:
    def watery(text: str) -> float:
        return float("water" in text)

    found, _, _, _ = run(tmp_path, watery, synonyms=[["water", "rain"]], edits=9)
    held = np.mean([t.split(".")[0].split().count("water") == 1 for t in TEXTS])
    assert held > 0.2
    rate = Pick(found)("invariance_failure_rate", **{"(edit)": "(synonyms)"})
    assert rate.parts[0].k == round(held * 120)
    found, _, _, _ = run(tmp_path, watery, synonyms=[["water", "rain"]], protected=["Water"])
    assert Pick(found)("invariance_failure_rate", **{"(edit)": "(synonyms)"}).parts[0].k == 0
    found, summary, _, _ = run(tmp_path, watery, synonyms=[["water"]])
    assert not found
    assert "no pairs" in render(summary)


@pytest.mark.parametrize("texts", [np.array(["", "?"] * 20), np.array(["好", "12"] * 20)])
def test_texts_without_anything_to_change_are_said(tmp_path: Path, texts: Any) -> None:
    found, summary, _, _ = run(tmp_path, lambda t: 0.9, texts)
    assert any("could change" in (m.reason or "") for m in found)
    assert render(summary)
