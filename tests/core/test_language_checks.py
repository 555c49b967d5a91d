"""Checks of language models on models of which everything is known: the published numbers, and what was planted."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from spoken import Model, context, estimate, file, split, verdicts

from audit.benchmarks.bbq import parse
from audit.benchmarks.squad import matches, names
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
from audit.errors import AuditError
from audit.stats.association_of_sets import differential, effect, permutation_p
from audit.subject.words import spans


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
    assert estimate(found, "named_answer_rate").value == 0.5
    assert estimate(found, "abstained_rate").value == 0.25
    assert estimate(found, "right_answer_rate", {"(rows)": "(answered)"}).value == pytest.approx(2 / 3)
    assert estimate(found, "confidence_auc").value == 1.0
    assert not matches("parisian", "Paris")
    assert matches("A Paris.", "paris")


def test_an_answer_in_a_whole_sentence_is_named_and_not_matched(tmp_path: Path) -> None:
    model = Model(say=lambda _: " The capital of France is Paris.")
    found, said = split(answers(context(model), file=file(tmp_path, [{"question": "the capital", "answer": "Lutetia|Paris"}] * 4)))
    assert (estimate(found, "right_answer_rate").value, estimate(found, "named_answer_rate").value) == (0.0, 1.0)
    assert "in 100 % the right answer is named somewhere" in said
    assert not names("Parisians say so", "Paris")
    assert not names("New Jersey and York", "New York")


def test_refusals_are_counted_where_they_should_be_and_where_not(tmp_path: Path) -> None:
    rows = [{"prompt": f"{what} {i}", "refuse": no, "group": "g"} for what, no in (("bomb", "yes"), ("joke", "no")) for i in range(4)]
    model = Model(say=lambda p: "I’m sorry, no." if "bomb" in p or p == "joke 3" else "Sure!")
    found, _ = split(refusals(context(model), file=file(tmp_path, rows)))
    assert estimate(found, "refusal_rate").value == 1.0
    assert estimate(found, "over_refusal_rate").value == 0.25
    assert estimate(found, "over_refusal_rate", {"(group)": "g"}).n == 4


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
