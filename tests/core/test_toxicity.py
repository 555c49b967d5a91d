"""What a language model says, held against a list of words and by a classifier of its own."""

from __future__ import annotations

import math
import re
import warnings
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scene import set_scene
from spoken import Model, context, estimate, file, split

from audit.checks.language.toxicity import toxicity
from audit.errors import AuditError
from audit.registry import NEEDS, checks, unmet
from audit.stats import toxicity as stats
from audit.subject.client import Description, Prediction
from audit.subject.frame import Categories
from audit.subject.inspect import inspect_model


def test_listed_words_are_counted_for_each_group(tmp_path: Path) -> None:
    rows = [{"prompt": f"{g} {i}", "group": g} for g in ("cats", "dogs") for i in range(5)]
    model = Model(say=lambda p: "Vile! vile" if p == "cats 1" else "nice, devilish")
    found, said = split(toxicity(context(model), file=file(tmp_path, rows), words=file(tmp_path, [{"word": "vile"}], "words.csv"), draws=2))
    assert estimate(found, "toxic_prompt_rate", {"(group)": "cats"}).value == 0.2
    assert estimate(found, "toxic_words", {"(group)": "cats"}).value == pytest.approx(0.4)
    assert estimate(found, "toxic_prompt_rate", {"(group)": "dogs"}).value == 0.0
    assert "most often where they are about cats" in said
    assert estimate(found, "toxic_words", {"(group)": "dogs"}) is None
    mild, none = split(
        toxicity(
            context(Model(say=lambda p: "nice")), file=file(tmp_path, rows), words=file(tmp_path, [{"word": "vile"}], "words.csv"), draws=2
        )
    )
    assert "None of 10 prompts leads to a listed word" in none
    assert estimate(mild, "toxic_prompt_rate").value == 0.0


class Talker(Model):
    """Says something else in every draw."""

    def __init__(self, *replies: str) -> None:
        super().__init__(say=lambda _: replies[self.draw % len(replies)])
        self.draw = -1

    def speak(self, frame: dict[str, Categories], *, method: str, columns: int | None, **params: Any) -> np.ndarray:
        self.draw += 1
        return super().speak(frame, method=method, columns=columns, **params)


def scored(folder: Path, model: Model) -> Any:
    """A context whose facts are whole."""
    made = context(model)
    text = np.array(["a", "b", "c", "d"], dtype=object)
    made.facts = set_scene(folder, pred=np.zeros(4), y=np.arange(4) % 2, features={"text": text}).facts
    return made


def judged_by(folder: Path, model: Model, scorer: Any) -> Any:
    """A context with a scorer stored as MLflow stores it, to be asked in a confined worker."""
    path = folder / "scorer"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.sklearn
        from mlflow.models import infer_signature

        signature = infer_signature(pd.DataFrame({"comment": ["a text"]}), ["0"])
        mlflow.sklearn.save_model(scorer, str(path), signature=signature, serialization_format="skops", pip_requirements=["numpy"])
    made = scored(folder, model)
    found = {"uri": "models:/judge/1", "path": str(path), "logged": None, "inspection": inspect_model(path).model_dump(mode="json")}
    made.launching = {"trust_pickle": False, "isolation": "best-effort", "scorer": found}
    return made


def words_scorer(words: dict[str, float]) -> Any:
    """A classifier whose log odds are sums over words, 0 without one of them."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(CountVectorizer(vocabulary=sorted(words)), LogisticRegression())
    made.fit(list(words) * 2, ["0", "1"] * len(words))
    made[-1].coef_, made[-1].intercept_ = np.array([[words[w] for w in sorted(words)]]), np.zeros(1)
    return made


def test_a_scorer_that_always_says_three_tenths_expects_three_tenths_and_never_half(tmp_path: Path) -> None:
    """methods.md FM-08: scorer ≡ .3 → expected maximum .3, probability 0; an interval that says how little five prompts show."""
    assert stats.worst(np.full((25, 5), 0.3)).tolist() == [0.3] * 5
    e = stats.expected_maximum(np.full(5, 0.3), level=0.95, rng=np.random.default_rng(0))
    share = 1 - 0.025 ** (1 / 5)  # what 0 of 5 leaves possible, Clopper and Pearson
    assert (e.value, e.low, e.high) == pytest.approx((0.3, 0.3 * (1 - share), 0.3 + 0.7 * share))
    assert stats.toxic(np.full(5, 0.3)) == 0
    judge = words_scorer({"nothing": 0.0})
    judge[-1].intercept_ = np.log([3 / 7])
    rows = [{"prompt": f"{g} {i}", "group": g} for g in ("cats", "dogs") for i in range(5)]
    found, said = split(
        toxicity(judged_by(tmp_path, Talker("one", "two"), judge), file=file(tmp_path, rows), scorer="models:/judge/1", draws=2)
    )
    assert estimate(found, "expected_maximum_toxicity").value == pytest.approx(0.3)
    assert estimate(found, "toxicity_probability").value == 0.0
    assert estimate(found, "toxicity_probability", {"(group)": "cats"}).high > 0.4
    assert {m.estimate.value for m in found if m.metric == "scorer_flip_rate" and m.estimate} == {0.0}
    assert "0.300 on average over 10 prompts" in said
    assert not [m for m in found if m.metric.startswith("toxic_")]


def test_the_worst_of_the_draws_counts_and_prompts_are_what_is_drawn() -> None:
    """By hand: worst of each column .2, .9, .5; half is toxic already. The interval against a plain bootstrap, widened as for few clusters."""
    scores = np.array([[0.1, 0.9, 0.5], [0.2, 0.0, 0.4]])
    assert stats.worst(scores).tolist() == [0.2, 0.9, 0.5]
    assert stats.toxic(stats.worst(scores)) == 2
    rng = np.random.default_rng(1)
    values = rng.beta(2, 5, 400)
    e = stats.expected_maximum(values, level=0.95, rng=np.random.default_rng(2))
    draws = [values[rng.integers(0, 400, 400)].mean() for _ in range(4000)]
    assert (e.value, e.n, e.method) == (pytest.approx(values.mean()), 400, "cluster_bootstrap")
    assert (e.low, e.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.002)


def test_a_scorer_that_dislikes_a_word_for_a_group_is_seen_beside_its_scores(tmp_path: Path) -> None:
    """One prompt about muslims and one about christians; the scorer takes the word itself for an insult, and so finds no more in what is said."""
    judge = words_scorer({"muslim": 4.0, "vile": 4.0, "nice": -4.0})
    judge[-1].intercept_ = np.array([-2.0])
    rows = [{"prompt": f"A {g} neighbour {i}", "group": g} for g in ("muslim", "christian") for i in range(5)]
    made = judged_by(tmp_path, Talker("nice", "vile"), judge)
    found, said = split(toxicity(made, file=file(tmp_path, rows), scorer="models:/judge/1", draws=2))
    sigmoid = 1 / (1 + math.exp(-2))
    assert estimate(found, "expected_maximum_toxicity", {"(group)": "muslim"}).value == pytest.approx(sigmoid)
    assert estimate(found, "toxicity_probability", {"(group)": "christian"}).value == 1.0
    at = {"(terms)": "(religion)", "(source)": "(prompts)"}
    assert (estimate(found, "scorer_flip_rate", at).value, estimate(found, "scorer_flip_rate", at).n) == (1.0, 10)
    # a text with the word moves by sigmoid(2) − sigmoid(−2) for every swap, another for one of six
    assert estimate(found, "scorer_gap", at).value == pytest.approx((2 * sigmoid - 1) * (1 + 1 / 6) / 2)
    assert estimate(found, "scorer_flip_rate", {"(terms)": "(age)", "(source)": "(neutral sentences)"}).value == 0.0
    assert "itself changes its side of 0.5 in 10 of 10 texts when words of kind religion are swapped" in said
    assert "models:/judge/1" in said
    both, two = split(
        toxicity(made, file=file(tmp_path, rows), words=file(tmp_path, [{"word": "vile"}], "words.csv"), scorer="models:/judge/1", draws=2)
    )
    assert estimate(both, "toxic_prompt_rate").value == 1.0
    assert two.startswith("Of 10 prompts 10 lead to a listed word")
    assert "The scorer models:/judge/1" in two


def test_a_scorer_of_unknown_classes_is_refused_until_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is another test's; here it says nine tenths of the second class of each text."""
    told = Description(["mild", "rude"], None, "module", "probability", False, [], {}, 0.0, 0)
    judge = SimpleNamespace(
        describe=lambda timeout: told, predict=lambda frame: Prediction(np.tile([0.1, 0.9], (len(frame["comment"].codes), 1)), None)
    )
    monkeypatch.setattr("audit.scorer.another", lambda *_, **__: nullcontext(judge))
    rows = [{"prompt": f"cats {i}", "group": "cats"} for i in range(3)]
    made, bank = scored(tmp_path, Talker("vile")), file(tmp_path, rows)
    made.launching = {"scorer": {"uri": "s", "logged": None, "inspection": inspection("comment")}}
    for named, says in (
        (None, "the scorer's classes are mild, rude, and which of them is the event is not known — name the class as scorer_class"),
        ("wild", "'wild' is none of them"),
    ):
        with pytest.raises(AuditError, match=re.escape(says)):
            list(toxicity(made, file=bank, scorer="s", scorer_class=named, draws=1))
    found, _ = split(toxicity(made, file=bank, scorer="s", scorer_class="rude", draws=1))
    assert estimate(found, "expected_maximum_toxicity").value == pytest.approx(0.9)
    made.launching["scorer"]["inspection"] = inspection("comment", "title")
    with pytest.raises(AuditError, match="takes comment, title, and it is asked about one text"):
        list(toxicity(made, file=bank, scorer="s", scorer_class="rude", draws=1))


def inspection(*columns: str) -> dict[str, Any]:
    """As much of what is read about a scorer as is asked of it."""
    return {"sha256": "0" * 64, "flavor": "sklearn", "metadata": {}, "inputs": [{"name": c, "type": "string"} for c in columns]}


def test_toxicity_needs_a_list_of_words_or_a_scorer() -> None:
    ready: Any = {"facts": {}, "settled": {}}
    check = checks()["language.toxicity"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.registry.available", lambda *_: dict.fromkeys(NEEDS, True))
        assert unmet(check, **ready, params={"file": "f"}) == NEEDS["files"]
        for other in ("words", "scorer"):
            assert unmet(check, **ready, params={"file": "f", other: "x"}) is None
            assert unmet(check, **ready, params={other: "x"}) == NEEDS["files"]
