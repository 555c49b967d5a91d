"""Checks of language models on models of which everything is known: the published numbers, and what was planted."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scene import set_scene

from audit import plan as plans
from audit.benchmarks.bbq import parse
from audit.benchmarks.squad import matches
from audit.benchmarks.winobias import riddles
from audit.checks.language.answers import answers
from audit.checks.language.association import association
from audit.checks.language.contamination import contamination
from audit.checks.language.coreference import coreference
from audit.checks.language.memorisation import memorisation
from audit.checks.language.pairs import pairs
from audit.checks.language.questions import questions
from audit.checks.language.refusals import refusals
from audit.checks.language.templates import templates
from audit.checks.language.toxicity import toxicity
from audit.errors import AuditError
from audit.judge import judge_reported
from audit.measurement import Measurement, Message
from audit.registry import NEEDS, checks, unmet
from audit.stats import toxicity as stats
from audit.stats.association_of_sets import differential, effect, permutation_p
from audit.subject.client import Description, Prediction
from audit.subject.frame import Categories
from audit.subject.inspect import inspect_model
from audit.subject.words import spans
from audit.text import render

Log = Callable[[list[str], int], float]


class Model:
    """A language model that is a function: the log-likelihood of each word of a text, what it says to a prompt, where it places a text."""

    def __init__(
        self, log: Log | None = None, say: Callable[[str], str] | None = None, place: dict[str, tuple[float, ...]] | None = None
    ) -> None:
        self.log, self.say, self.place = log or (lambda words, i: -1.0), say, place or {}
        self.asked: list[str] = []

    def speak(self, frame: dict[str, Categories], *, method: str, columns: int | None, **params: Any) -> np.ndarray:
        column = frame["text"]
        texts = [column.vocabulary[c] for c in column.codes]
        self.asked += texts
        if method == "embedding":
            return np.array([self.place[t] for t in texts])
        assert columns is not None
        out = np.zeros((len(texts), columns))
        if method == "continue":
            assert self.say is not None
            out[:] = -1
            for i, text in enumerate(texts):
                said = self.say(text)[:columns]
                out[i, : len(said)] = [ord(c) for c in said]
            return out
        for i, text in enumerate(texts):
            words = [text[a:b] for a, b in spans(text)]
            logs = [self.log(words, k) for k in range(len(words))]
            out[i, : len(words)] = logs
            out[i, columns // 2 : columns // 2 + len(words)] = [x > math.log(0.5) for x in logs]
        return out


def context(
    model: Model, *, masked: bool = False, audited: list[str] | None = None, training: list[str] | None = None, tmp: Path | None = None
) -> Any:
    """As much of a context as these checks see."""
    rows = audited or ["nothing"]
    known = None
    if training is not None and tmp is not None:
        from audit.dataset import open_dataset

        pd.DataFrame({"text": training}).to_parquet(tmp / "training.parquet")
        known = SimpleNamespace(rows=len(training), dataset=lambda: open_dataset(str(tmp / "training.parquet")))
    return SimpleNamespace(
        client=model,
        settled=SimpleNamespace(methods=["log_likelihood"] + ([] if masked else ["continue"])),
        facts=SimpleNamespace(features=[SimpleNamespace(name="text", kind="text")], training=known),
        plan=SimpleNamespace(audit=SimpleNamespace(sample=2000)),
        level=lambda metric, compare="value": 0.9 if (metric, compare) == ("recited_rate", "value") else 0.95,
        rng=lambda name="": np.random.default_rng(len(name)),
        sample=lambda size: SimpleNamespace(frame={"text": Categories(np.arange(len(rows), dtype=np.int32), tuple(rows))}),
    )


def file(folder: Path, rows: list[dict[str, Any]], name: str = "bank.csv") -> str:
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return str(folder / name)


def split(found: Iterable[Measurement | Message]) -> tuple[list[Measurement], str]:
    """Measurements, and the last sentence in both languages, so that a wrong value in a template shows."""
    *rest, last = list(found)
    assert isinstance(last, Message)
    assert render(last, "zh") != render(last)
    return [m for m in rest if isinstance(m, Measurement)], render(last)


def estimate(found: list[Measurement], metric: str, slice_: dict[str, str] | None = None, compare: str = "value") -> Any:
    return next(m.estimate for m in found if (m.metric, m.compare, m.slice) == (metric, compare, slice_ or {}))


def verdicts(check: str, found: list[Measurement], metric: str, compare: str = "value") -> set[str]:
    """What the built-in plan makes of them."""
    judged = judge_reported(check, found, plans.load(None), judgeable=True)
    return {f.verdict for f in judged if (f.metric, f.compare) == (metric, compare)}


def test_of_1508_pairs_the_share_is_known_to_about_two_and_a_half_points(tmp_path: Path) -> None:
    """methods.md FM-02: half of 1,508 pairs have a binomial standard deviation of 1.29 points."""
    rows = [{"sent_more": f"she cooks {i}", "sent_less": f"he cooks {i}"} for i in range(1508)]
    found, _ = split(pairs(context(Model(lambda w, i: -1.0 - (w[0] == ("he" if int(w[-1]) % 2 else "she")))), file=file(tmp_path, rows)))
    share = estimate(found, "stereotype_preference")
    assert (share.value, share.n) == (0.5, 1508)
    assert (share.high - share.low) / 2 == pytest.approx(1.959964 * 0.0129, abs=1e-4)


def test_likelihoods_that_agree_to_three_decimals_are_ties(tmp_path: Path) -> None:
    for apart, preferred in ((0.0004, 0.0), (0.0006, 1.0)):
        rows = [{"sent_more": "she cooks", "sent_less": "he cooks"}] * 10
        found, _ = split(pairs(context(Model(lambda w, i, apart=apart: -1.0 - apart * (w[i] == "he"))), file=file(tmp_path, rows)))  # type: ignore[misc]
        assert (estimate(found, "stereotype_preference").value, estimate(found, "stereotype_preference").n) == (preferred, 10)


def test_pairs_count_the_stereotype_and_ties_stay_in_the_number(tmp_path: Path) -> None:
    rows = [{"sent_more": "she cooks", "sent_less": "he cooks", "bias_type": "gender"}] * 12
    rows += [{"sent_more": "he leads", "sent_less": "she leads", "bias_type": "gender"}] * 6 + [
        {"sent_more": "it is", "sent_less": "it is", "bias_type": "none"}
    ] * 2
    found, said = split(pairs(context(Model(lambda w, i: -1.0 - (w[i] == "he"))), file=file(tmp_path, rows)))
    assert estimate(found, "stereotype_preference").value == 12 / 20
    assert estimate(found, "stereotype_preference", {"(category)": "gender"}).n == 18
    assert "its opposite in 30 %; the rest, 2, are ties" in said


def test_a_masked_model_compares_the_words_that_both_sentences_share(tmp_path: Path) -> None:
    """The names of the groups are as different in likelihood as one likes; what follows them decides."""
    rows = [{"sent_more": "women cook well", "sent_less": "men cook well"}] * 10
    model = Model(lambda w, i: -99.0 if w[i] == "women" else -0.5 if w[0] == "women" else -1.0)
    assert estimate(split(pairs(context(model, masked=True), file=file(tmp_path, rows)))[0], "stereotype_preference").value == 1.0
    assert estimate(split(pairs(context(model), file=file(tmp_path, rows)))[0], "stereotype_preference").value == 0.0


def test_eight_of_ten_against_five_of_ten_settles_nothing(tmp_path: Path) -> None:
    """methods.md FM-03: a gap of .30 whose interval holds 0."""
    rows = [
        {"sentence": f"[The doctor] met the nurse as [{'he' if kind == 'pro' else 'she'}] left {i}.", "stereotype": kind}
        for kind in ("pro", "anti")
        for i in range(10)
    ]
    rows += [{"sentence": "The doctor met [the nurse].", "stereotype": "pro"}] * 3
    right = {("pro", i) for i in range(8)} | {("anti", i) for i in range(5)}

    def log(words: list[str], i: int) -> float:
        kind = "pro" if "he" in words else "anti"
        number = next(int(w) for w in words if w.isdigit())
        wanted = "doctor" if (kind, number) in right else "nurse"
        return -1.0 if i == len(words) - 2 and words[i] == wanted else -2.0

    found, said = split(coreference(context(Model(log)), file=file(tmp_path, rows)))
    gap = estimate(found, "right_person_rate", {"(rows)": "(anti)"}, "difference")
    assert gap.value == pytest.approx(-0.3)
    assert gap.low < 0 < gap.high
    assert "points (95 % interval" in said
    assert verdicts("language.coreference", found, "right_person_rate", "difference") == {"inconclusive"}
    assert "Left out: 3 sentences" in said


def test_both_kinds_of_winobias_ask_the_same_but_for_the_pronoun(data_folder: Path) -> None:
    table = pd.read_parquet(data_folder / "winobias.parquet")
    asked = riddles(list(zip(table["sentence"], table["stereotype"], strict=True)))
    assert len(asked) > 0.9 * len(table)
    pronoun = re.compile(r"\b(he|she|him|her|his|hers)\b")
    words = {kind: {pronoun.sub("", r.right) for r in asked if r.condition == kind} for kind in ("pro", "anti")}
    assert len(words["pro"] & words["anti"]) > 0.9 * len(words["pro"])


def test_bbq_leans_as_its_authors_count(tmp_path: Path) -> None:
    """methods.md FM-04: 60 biased, 20 counter, 20 unknown of 100 ambiguous questions lean by .5, and by .4 with accuracy .2."""
    chosen = ["old"] * 60 + ["young"] * 20 + ["unknown"] * 20
    rows = [
        {
            "context": f"c{i}", "question": "Who?", "ans0": "old", "ans1": "young", "ans2": "unknown", "label": 2, "question_polarity": "neg", "context_condition": "ambig",
            "answer_info": '{"ans0": ["x", "old"], "ans1": ["y", "nonOld"], "ans2": ["z", "unknown"]}', "additional_metadata": '{"stereotyped_groups": ["old"]}',
        }
        for i in range(100)
    ]  # fmt: skip
    model = Model(lambda w, i: -0.1 if w[-1] == chosen[int(w[0][1:])] else -3.0)
    found, _ = split(questions(context(model), file=file(tmp_path, rows)))
    assert estimate(found, "right_answer_rate", {"(rows)": "(ambig)"}).value == 0.2
    assert estimate(found, "stereotype_lean", {"(rows)": "(ambig)"}).value == pytest.approx(0.4)
    other = [row | {"context_condition": "disambig"} for row in rows]
    assert estimate(
        split(questions(context(model), file=file(tmp_path, other)))[0], "stereotype_lean", {"(rows)": "(disambig)"}
    ).value == pytest.approx(0.5)


def test_the_stereotyped_person_of_bbq_follows_from_the_polarity(data_folder: Path) -> None:
    table = pd.read_parquet(data_folder / "bbq_Age.parquet").astype("str")
    asked = [parse(row) for row in table.to_dict("records")]
    assert {q.condition for q in asked} == {"ambig", "disambig"}
    assert sum(q.target is None for q in asked) <= 16
    assert all(q.right == q.unknown for q in asked if q.condition == "ambig")
    first = asked[0]
    assert (first.answers[first.target or 0], first.answers[first.unknown]) == ("The grandfather", "Can't be determined")


def test_the_association_of_four_small_sets() -> None:
    """methods.md FM-05."""
    x, y, a, b = (np.array(v) for v in ([(1, 0), (0.8, 0.6)], [(0, 1), (0.6, 0.8)], [(1.0, 0)], [(0, 1.0)]))
    assert differential(x, a, b).tolist() == pytest.approx([1, 0.2])
    assert differential(y, a, b).tolist() == pytest.approx([-1, -0.2])
    assert effect(x, y, a, b) == pytest.approx(1.441153, abs=1e-6)
    assert permutation_p(x, y, a, b, rng=np.random.default_rng(0)) == pytest.approx(2 / 6)
    assert effect(x[:1], x[:1], a, b) is None


def test_association_reads_its_sets_from_a_file(tmp_path: Path) -> None:
    places = {"p": (1.0, 0.0), "q": (0.8, 0.6), "r": (0.0, 1.0), "s": (0.6, 0.8), "t": (1.0, 0.0), "u": (0.0, 1.0)}
    rows = [
        {"set": s, "text": t} for s, t in (("x", "p"), ("x", "q"), ("y", "r"), ("y", "s"), ("a", "t"), ("a", "t"), ("b", "u"), ("b", "u"))
    ]
    found, _ = split(association(context(Model(place=places)), file=file(tmp_path, rows)))
    assert found[0].estimate is not None
    assert found[0].estimate.value == pytest.approx(1.441153, abs=1e-6)


def test_templates_are_compared_within_themselves_and_without_the_term(tmp_path: Path) -> None:
    rows = [
        {"template": f"[TERM] is kind {i}", "term": t, "group": g} for i in range(6) for t, g in (("old folk", "old"), ("kids", "young"))
    ]
    # The number of the template is likelier of the old by 0, 0.1, … 0.5: the gap of half of -0.75 + 0.25 on average, by Student over six templates.
    model = Model(
        lambda w, i: (
            -50.0 if w[i] in ("old", "folk", "kids") else -1.0 - 0.25 * (w[0] == "old") + (w[0] == "old") * w[i].isdigit() * int(w[-1]) / 10
        )
    )
    found, said = split(templates(context(model), file=file(tmp_path, rows)))
    old = estimate(found, "likelihood_gap", {"(group)": "old"})
    half = 2.570582 * np.std([0.05 * k for k in range(6)], ddof=1) / math.sqrt(6)
    assert (old.value, old.high) == pytest.approx((-0.25, -0.25 + half))
    assert estimate(found, "likelihood_gap", {"(group)": "young"}).value == pytest.approx(0.25)
    assert "Every interval holds 0" not in said
    same = Model(lambda w, i: -1.0 + 0.01 * (w[0] == "old") * w[i].isdigit() * (int(w[-1]) - 2.5))
    assert "Every interval holds 0" in split(templates(context(same), file=file(tmp_path, rows)))[1]
    assert estimate(split(templates(context(Model()), file=file(tmp_path, rows)))[0], "likelihood_gap", {"(group)": "old"}) is None
    assert "Fewer than 5 templates" in split(templates(context(model), file=file(tmp_path, rows[:6])))[1]


def test_a_model_that_recites_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    secret = [f"the code of box {i} is {7 * i} {3 * i} open" for i in range(40)]
    fresh = [f"the code of hut {i} is {5 * i} {2 * i} shut" for i in range(40)]
    known = {tuple(s.split()) for s in secret[:20]}
    model = Model(lambda w, i: -0.1 if tuple(w) in known else -3.0)
    found, said = split(memorisation(context(model, audited=fresh, training=secret, tmp=tmp_path), rows=100))
    assert estimate(found, "recited_rate", {"(rows)": "(trained)"}).value == 0.5
    gap = estimate(found, "recited_rate", {"(rows)": "(trained)"}, "difference")
    assert gap.value == 0.5
    assert gap.low > 0.01
    assert "20 of 40" in said
    assert verdicts("language.memorisation", found, "recited_rate", "difference") == {"fail"}
    silent, _ = split(memorisation(context(Model(lambda w, i: -3.0), audited=fresh, training=secret, tmp=tmp_path), rows=100))
    assert estimate(silent, "recited_rate", {"(rows)": "(trained)"}, "difference").value == 0.0
    assert "Too few texts" in split(memorisation(context(model, audited=["a b"], training=["c d"], tmp=tmp_path), rows=100))[1]


def test_no_hit_in_three_hundred_bounds_the_rate_by_one_percent(tmp_path: Path) -> None:
    """methods.md FM-07, the rule of three."""
    texts = [f"one two three four five six {i}" for i in range(300)]
    found, _ = split(memorisation(context(Model(lambda w, i: -3.0), audited=texts, training=texts, tmp=tmp_path), rows=300))
    assert estimate(found, "recited_rate", {"(rows)": "(trained)"}).high == pytest.approx(0.0099, abs=5e-5)


def test_a_run_of_words_is_found_whatever_its_case_and_punctuation(tmp_path: Path) -> None:
    training = ["Somebody said: 'One two three, FOUR five six.' And left.", "other words altogether here"]
    rows = [{"text": "one two three four five"}, {"text": "three two one four five"}, {"text": "short one"}]
    found, said = split(contamination(context(Model(), training=training, tmp=tmp_path), file=file(tmp_path, rows), run=4))
    assert estimate(found, "contaminated_rate").value == 0.5
    assert "1 are shorter" in said
    assert "Of 2 training texts 0" not in said
    partly = split(contamination(context(Model(), training=training, tmp=tmp_path), file=file(tmp_path, rows), run=5))[1]
    assert "Of 2 training texts 1 have fewer words" in partly
    nothing, _ = split(contamination(context(Model(), training=training, tmp=tmp_path), file=file(tmp_path, rows), run=20))
    assert nothing[0].estimate is None
    long = [{"text": "a text of more than twelve words of which none can be found in there"}]
    shorter, why = split(contamination(context(Model(), training=training, tmp=tmp_path), file=file(tmp_path, long), run=12))
    assert shorter[0].estimate is None
    assert "No training text has 12 words or more" in why


def test_answers_are_matched_as_squad_does_and_abstaining_is_counted(tmp_path: Path) -> None:
    replies = {"capital": " The Paris, of course", "colour": " red", "author": " unknown", "river": " the Rhine"}
    rows = [
        {"question": q, "answer": a}
        for q, a in (("capital", "Paris|Lutetia"), ("colour", "blue"), ("author", "nobody"), ("river", "Rhine"))
    ]
    model = Model(lambda w, i: -2.0 if w[-1] == "red" else -0.5, lambda prompt: next(v for k, v in replies.items() if k in prompt))
    found, _ = split(answers(context(model), file=file(tmp_path, rows)))
    assert estimate(found, "right_answer_rate").value == 0.5
    assert estimate(found, "abstained_rate").value == 0.25
    assert estimate(found, "right_answer_rate", {"(rows)": "(answered)"}).value == pytest.approx(2 / 3)
    assert estimate(found, "confidence_auc").value == 1.0
    assert not matches("parisian", "Paris")
    assert matches("A Paris.", "paris")


def test_refusals_are_counted_where_they_should_be_and_where_not(tmp_path: Path) -> None:
    rows = [{"prompt": f"{what} {i}", "refuse": no, "group": "g"} for what, no in (("bomb", "yes"), ("joke", "no")) for i in range(4)]
    model = Model(say=lambda p: "I’m sorry, no." if "bomb" in p or p == "joke 3" else "Sure!")
    found, _ = split(refusals(context(model), file=file(tmp_path, rows)))
    assert estimate(found, "refusal_rate").value == 1.0
    assert estimate(found, "over_refusal_rate").value == 0.25
    assert estimate(found, "over_refusal_rate", {"(group)": "g"}).n == 4


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


def test_a_budget_is_kept_and_a_bad_file_is_refused_in_one_line(tmp_path: Path) -> None:
    rows = [{"sent_more": f"she is {i}", "sent_less": f"he is {i}"} for i in range(400)]
    model = Model()
    found, _ = split(pairs(context(model, masked=True), file=file(tmp_path, rows), budget=600))
    assert estimate(found, "stereotype_preference").n == 100
    assert sum(len(spans(t)) for t in model.asked) <= 600
    with pytest.raises(AuditError, match="has no column 'sent_more'"):
        list(pairs(context(model), file=file(tmp_path, [{"a": 1}])))
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(AuditError, match="cannot be read"):
        list(pairs(context(model), file=str(tmp_path / "broken.parquet")))
