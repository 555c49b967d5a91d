"""The page for the person concerned, drawn from documents that are written down here."""

from __future__ import annotations

import re
from typing import Any

import pytest

from audit.explain.document import Document
from reports.parted import drawings
from reports.person import Page, page
from reports.showing import plain, shares


def document(**more: Any) -> Document:
    """A refused applicant, two reasons and one way."""
    reason = {"factor": "debt", "shortfall": 0.3, "low": 0.2, "high": 0.4, "margin": 0.1, "tied": False, "mean": 900.0, "same": 0.0}
    second = reason | {"factor": "home", "shortfall": 0.1, "tied": True, "mean": None, "same": 0.25}
    method = {"against": "passing", "applicants": 25, "score_low": 0.5, "score_high": 0.52, "reasons": [reason, second]}
    way = {
        "changes": [{"column": "debt", "before": 4000.0, "after": 812.5}],
        "cost": 0.2,
        "score": 0.5004,
        "distance": 0.99,
        "plausible": False,
    }
    gates = [{"name": "completeness", "value": 0.01, "limit": 0.05, "passed": True}]
    parts = [{"factor": "debt", "value": -0.3, "low": -0.4, "high": -0.2}, {"factor": "home", "value": 0.1, "low": 0.0, "high": 0.2}]
    given: dict[str, Any] = {
        "id": "a", "made": "2026-01-02T03:04:05Z", "valid_until": "2027-01-02", "seed": 0,
        "subject": {"model": "models:/m/1", "name": "m", "version": "1", "model_sha256": "0" * 64, "data": "people.csv", "data_sha256": "1" * 64, "row": 7, "inputs_sha256": "2" * 64},
        "decision": {"label": "0", "favourable": False, "wanted": "1", "score": 0.4996, "cutoff": 0.5, "rule": "score>=0.5", "declared": True},
        "inputs": [
            {"column": "debt", "value": 4000.0, "kind": "number", "low": 100.0, "high": 1234.5},
            {"column": "home", "value": "r", "kind": "category", "most": "o"},
        ],
        "notes": [], "explanation": {"method": "tree_shap", "unit": "log-odds", "output": "1", "background": 50, "base": 0.0, "answer": -0.2, "parts": parts, "gates": gates},
        "reasons": {"state": "given", "methods": [method, method | {"against": "everybody", "reasons": [second]}], "agreement": 0.5},
        "recourse": {"state": "found", "ways": [way], "fixed": ["home"], "asked": 1234},
        "target": "granted", "context": {"owner": "A bank", "contact": "desk@example.org"},
        "glossary": {
            "granted": {"values": {"0": {"en": "refused", "zh": "拒绝"}, "1": {"en": "granted", "zh": "同意"}}},
            "debt": {"label": {"en": "debts", "zh": "负债"}},
            "home": {"label": "home", "values": {"r": {"en": "rented", "zh": "租住"}, "o": "owned"}},
        },
    }  # fmt: skip
    return Document.model_validate(given | more)


def text(made: Document, lang: str = "en") -> str:
    """What a page says, its drawings and styles left out."""
    said = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page(made, lang), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", said).replace("\u00a0", " "))


def test_a_page_says_decision_reasons_ways_and_rights_in_plain_words() -> None:
    said = text(document())
    for words in (
        "The decision: refused", "score for granted is 49.96 %; 50.00 % is needed", "debts", "here: 4,000; on average 900 among those compared with",
        "here: rented; the same for 25 % of those compared with", "The last place is not settled, as another input is too close: home.",
        "25 applicants who just got the other decision (scores 50.0 % to 52.0 %)", "The other method, against all applicants, names: home.", "812.5", "The score would be 50.04 %; 50.00 % is needed.",
        "Few people in the data are like this", "This is no promise", "until 2027-01-02", "Taken as unchangeable: home.", "100 to 1,234", "Write to: desk@example.org.", "DRAFT", "A bank", "2" * 64,
    ):  # fmt: skip
        assert words in said, words


def test_the_same_in_chinese() -> None:
    said = text(document(), "zh")
    for words in ("决定：拒绝", "主要理由", "负债", "租住", "怎样才能改变决定", "这不是承诺", "草稿", "desk@example.org"):
        assert words in said, words
    assert not re.search(r"\{[a-z_]+(:[a-z]+)?\}", said)


def test_a_blocked_notice_names_what_it_may_not_rest_on_and_gives_no_reason() -> None:
    reasons = document().reasons
    assert reasons is not None
    methods = [
        m.model_copy(update={"reasons": [r.model_copy(update={"barred": r.factor == "home"}) for r in m.reasons]}) for m in reasons.methods
    ]
    said = text(document(reasons=reasons.model_copy(update={"state": "blocked", "methods": tuple(methods)}).model_dump()))
    assert "No notice is issued. Among the principal reasons is what may be no reason for a decision: home." in said
    assert "here: 4,000" not in said


def test_a_rejected_explanation_is_crossed_out_with_the_reason() -> None:
    failed = [{"name": "completeness", "value": 0.32, "limit": 0.05, "passed": False}]
    explanation = document().explanation
    assert explanation is not None
    made = document(
        explanation=explanation.model_dump() | {"gates": failed},
        reasons={"state": "rejected", "methods": [m.model_dump() for m in document().reasons.methods]},
    )  # type: ignore[union-attr]
    assert made.explanation is not None
    assert made.explanation.rejected
    html = page(made)
    assert '<ol class="why rejected">' in html
    assert '<figure class="rejected"' in html
    assert "The parts do not add up to the answer: 32 % of it is left, and 5 % is allowed." in text(made)
    assert not made.reasons or not made.reasons.named, "nothing to hand over"


def test_where_nothing_can_be_changed_the_limit_is_named() -> None:
    said = text(document(recourse={"state": "none", "binding": ["home"], "fixed": ["home"]}))
    assert "What stands against it: home." in said
    assert "several together do" in text(document(recourse={"state": "none", "unlimited": True}))
    assert "Not even without the declared limits" in text(document(recourse={"state": "none", "unlimited": False}))


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=1>', "{n:count} {0} {", "\u202eabc", "[x](javascript:1)", "a" * 5000]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_others_stay_words(words: str) -> None:
    glossary = {"debt": {"label": words}, "home": {"label": words + "2", "values": {"r": words}}, "granted": {"values": {"0": words}}}
    note = {"id": "{name} is {value}, which none of {where} has.", "values": {"name": "home", "value": "r", "where": words}}
    html = page(document(glossary=glossary, context={"owner": words, "contact": words}, notes=[note]))
    assert "<script" not in html
    assert "<img" not in html
    assert "\u202e" not in html
    assert html.count("a" * 2500) == 0


def test_without_a_contact_the_sender_is_told_to_add_one() -> None:
    assert "the sender must add it" in text(document(context={}))


def test_numbers_are_written_so_that_they_hold() -> None:
    assert [plain(v) for v in (0.0, 4000.0, 812.5, 17.629999160766602, -3.25, 96.18, 0.7037037037)] == [
        "0", "4,000", "812.5", "17.63", "−3.25", "96.18", "0.7037037"
    ]  # fmt: skip
    assert list(shares(0.71071, 0.7112)) == ["71.07\u00a0%", "71.12\u00a0%"]
    assert list(shares(0.5, 0.5)) == ["50.0\u00a0%", "50.0\u00a0%"]


def parted(**more: Any) -> Document:
    """A picture, a text and events: what each part added, and the part without which the decision is another."""
    parts = [
        {"factor": "(1, 1)", "column": "photo", "kind": "region", "place": 0, "value": 0.5, "low": 0.5, "high": 0.5},
        {"factor": "(1, 2)", "column": "photo", "kind": "region", "place": 1, "value": -0.25, "low": -0.25, "high": -0.25},
        {"factor": "so ", "column": "note", "kind": "word", "place": 0, "value": 0.0, "low": 0.0, "high": 0.0},
        {"factor": "late<b>", "column": "note", "kind": "word", "place": 1, "value": -0.125, "low": -0.125, "high": -0.125},
        {"factor": "age", "value": 0.0625, "low": 0.0625, "high": 0.0625},
    ]  # fmt: skip
    gates = [
        {"name": "stability", "value": 0.1, "limit": 0.5, "passed": True},
        {"name": "infidelity", "value": 0.9, "limit": 0.6, "passed": False},
    ]
    explanation = {
        "method": "exact_shap", "unit": "probability", "output": "1", "background": 1, "base": 0.3, "answer": 0.4875, "parts": parts, "gates": gates,
        "start": {"id": "the mean background picture", "values": {}}, "grids": {"photo": [1, 2]},
    }  # fmt: skip
    events = [{"days": 2.0, "ward": "a"}, {"days": None, "ward": "b"}, {"days": 1.0, "ward": "a"}]
    inputs = [
        {"column": "photo", "value": "iVBORw0KGgo=", "kind": "image"}, {"column": "note", "value": "so late<b>", "kind": "text"},
        {"column": "visits", "value": events, "kind": "sequence"}, {"column": "age", "value": 4.0, "kind": "number", "low": 1.0, "high": 9.0},
    ]  # fmt: skip
    decision = {"label": "1", "favourable": True, "wanted": "1", "score": 0.7, "cutoff": 0.5, "rule": "score>=0.5", "declared": True}
    removal = {
        "state": "found", "parts": parts[1:2], "decision": decision, "after": [inputs[0]], "start": explanation["start"], "proven": False, "of": 4, "asked": 9,
    } | {"parts": [{k: v for k, v in parts[i].items() if k in ("factor", "column", "kind", "place")} for i in (1, 3)]}  # fmt: skip
    return document(**{"explanation": explanation, "inputs": inputs, "reasons": None, "recourse": None, "removal": removal} | more)


def test_inputs_that_are_more_than_one_value_are_shown_as_what_they_are() -> None:
    html = page(parted())
    assert html.count('src="data:image/png;base64,iVBORw0KGgo="') == 2, "as it was, and as it would be"
    said = text(parted())
    for words in (
        "Taken away: the words “late&lt;b&gt;”, the regions (1, 2) (row and column from the top left).", "The decision would then be: granted.", "70.00 %; 50.00 % is needed",
        "a smaller set of the 4 parts may do so too", "The other inputs stayed as they are.", "In its place stands: the mean background picture.",
        "This explanation failed a test and must not be used. The parts do not foretell what happens when some are taken away: 90 % of it is missed, and 60 % is allowed.",
        "Owed to the draw of combinations", "events: 3", "not known",
    ):  # fmt: skip
        assert words in said, words
    assert "so late&lt;b&gt;" in html
    assert "late<b>" not in html
    rows = re.findall(r"<tr><td>(t.*?)</td>.*?</tr>", html)
    assert rows == ["t − 2", "t − 1", "t"], "the latest last"
    for words in ("去掉：词语“late&lt;b&gt;”、区域", "足以改变决定的最小改动", "各部分的影响有多大"):
        assert words in text(parted(), "zh"), words


def test_drawings_have_every_part_with_its_sign() -> None:
    made = parted()
    assert made.explanation is not None
    inputs, picture_, note = drawings(Page(made, "en"), made.explanation)
    assert inputs.title == "What each input added to the answer"
    assert inputs.alt == "photo +0.250; note −0.125; age +0.0625", "parts added up"
    cells = [cell["text"] for cell in picture_.spec["data"]["values"]]
    assert cells == ["+0.50", "−0.25"]
    tiles = [(tile["word"], tile["said"]) for tile in note.spec["data"]["values"]]
    assert tiles == [("so", "0"), ("late<b>", "−0.125")]
    assert "late<b> −0.125" in note.alt


def test_what_is_no_picture_in_base64_is_no_address() -> None:
    bad = parted().model_dump()["inputs"]
    bad[0]["value"] = '" onerror="alert(1)'
    html = page(parted(inputs=bad, removal=None))
    assert "<img" not in html


def test_of_many_classes_and_quantities_what_was_explained_is_what_is_spoken_of() -> None:
    """Of two classes with a cutoff what lowers the one raises the other; where nothing says so, signs stay as they were found."""
    made = document()
    assert made.explanation is not None
    assert Page(made, "en").sign(made.explanation.model_copy(update={"output": "0"})) == -1
    quantity = document(
        decision={"label": "3.5", "favourable": True, "wanted": "high", "score": None, "cutoff": None, "rule": "predict", "declared": True}
    )
    assert Page(quantity, "en").sign(made.explanation.model_copy(update={"output": "price"})) == 1
    assert "raised the score for price" in text(
        quantity.model_copy(update={"explanation": made.explanation.model_copy(update={"output": "price"})})
    )
