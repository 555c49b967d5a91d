"""The model card and the datasheet: metadata that Hugging Face's library reads back, every section there, what nobody knows called so."""

from __future__ import annotations

import pytest
from hostile_names import NAMES, hostile, kinds
from huggingface_hub import ModelCard
from sample import sample

from audit.result import AuditResult, TrainingInfo
from reports.datasheet import SECTIONS
from reports.formats import FORMATS
from reports.model_card import pipeline

PARTS = [
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses", "Ethical considerations",
    "Caveats and recommendations",
]  # fmt: skip


def drawn(format_: str, document: AuditResult, lang: str = "en") -> str:
    return FORMATS[format_].render(document, lang, "internal").decode()


def test_the_metadata_are_read_back_with_value_interval_and_n() -> None:
    card = ModelCard(drawn("model-card", sample()))
    assert card.data.library_name == "pytorch"
    assert card.data.pipeline_tag == "tabular-classification"
    assert card.data.get("license") is None  # nobody told: not guessed
    assert card.data.get("language") is None
    results = {r.metric_type: r for r in card.data.eval_results}
    assert set(results) == {"accuracy", "balanced_accuracy", "true_positive_rate", "false_positive_rate", "roc_auc", "log_loss"}
    assert results["roc_auc"].metric_value == 0.8412
    assert results["roc_auc"].metric_args == {"low": 0.814, "high": 0.868, "level": 0.95, "method": "delong", "n": 1989}
    assert results["roc_auc"].dataset_revision == "9c" * 32
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


@pytest.mark.parametrize("name", NAMES[::4])
def test_metadata_hold_hostile_names_as_text(name: str) -> None:
    card = ModelCard(drawn("model-card", hostile(name)))
    assert set(card.data.to_dict()) == {"library_name", "pipeline_tag", "tags", "metrics", "model-index"}
    assert card.data.eval_results[0].metric_value == pytest.approx(1786 / 1989)


@pytest.mark.parametrize(
    ("kind", "task"),
    [("binary", "tabular-classification"), ("multiclass", "tabular-classification"), ("regression", "tabular-regression"), ("image", "image-classification"), ("text", "text-classification")],
)  # fmt: skip
def test_what_a_model_does_is_named_as_hugging_face_names_it(kind: str, task: str) -> None:
    assert pipeline(kinds()[kind]) == task
    mixed = kinds()[kind].model.model_copy(update={"task": "unknown"})
    assert pipeline(kinds()[kind].model_copy(update={"model": mixed})) is None


def test_a_model_of_texts_and_pictures_has_no_such_name() -> None:
    document = kinds()["image"]
    for other in ("text", "binary"):
        features = [*document.model.features, *kinds()[other].model.features]
        assert pipeline(document.model_copy(update={"model": document.model.model_copy(update={"features": features})})) is None


def test_the_card_has_every_section_and_says_what_is_not_known() -> None:
    body = drawn("model-card", sample())
    assert [line[3:] for line in body.splitlines() if line.startswith("## ")][: len(PARTS)] == PARTS
    assert "Not known from this audit: who developed it" in body
    assert "| Owner | not stated |" in body
    assert "The training data are not known to the audit." in body
    assert "✕ Fails: Black applicants are refused 3.5 times as often" in body
    assert "| black (race) | 197 | 67.5" in body  # who gets the favourable decision, with n
    assert "Questions that stay open" in body
    assert "Whether" in body
    training = TrainingInfo(source="t.parquet", sha256="7a" * 32, rows=900, same_as_evaluation=True)
    known = drawn("model-card", sample(data=sample().data.model_copy(update={"training": training})))
    assert "T.parquet: 900 rows" in known
    assert "no evidence about other rows" in known


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_datasheet_asks_every_question_once_and_leaves_open_what_people_must_answer(lang: str) -> None:
    from audit.text import translate

    body = drawn("datasheet", sample(), lang)
    for title, questions in SECTIONS.items():
        assert f"## {translate(title, lang)}\n" in body
        for question, ask in questions:
            told = translate(question, lang)
            assert (f"\n### {told}\n" in body) + (f"\n- {told}\n" in body) == 1, question
            if ask is None:
                assert f"\n- {told}\n" in body
    assert "1,989" in body


def test_what_was_declared_or_measured_answers() -> None:
    body = drawn("datasheet", sample())
    assert "### What does a row represent?\n\n- People affected: mortgage applicants in Boston" in body
    assert "- For what purpose were the data created?" in body
    assert "1,989 applications with 10 columns; two columns have missing values." in body
    assert "| applicant\\_income |" in body or "| applicant_income |" in body
    assert "what it holds: a human decision" in body
    skipped = [
        c.model_copy(update={"status": "skipped", "reason": "not asked for", "findings": []}) if c.info.id == "data.profile" else c
        for c in sample().checks
    ]
    assert "not measured. not asked for" in drawn("datasheet", sample(checks=skipped))
