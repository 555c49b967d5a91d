"""Language models in the worker: likelihoods, continuations and vectors are those of the library itself, word by word and over windows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from audit.jobs import describe_error
from audit.subject.client import Client, WorkerError
from audit.subject.flavors.language import LEAST, Speaker
from audit.subject.frame import Categories, Frame
from audit.subject.inspect import inspect_model
from audit.subject.launch import Worker

WORDS = ["the", "a", "doctor", "nurse", "he", "she", "said", "is", "was", "good", "bad", "cat", "dog", "sat", "on", "mat", "."]
SPECIAL = ("<unk>", "<pad>", "<bos>", "<mask>", "<end>")
VOCABULARY = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
TEXTS = ["the doctor said he is good .", "nurse", "", "the cat sat on the mat . the dog sat on the doctor . he said she was bad ."]
LIMIT = 12


def tokenizer() -> Tokenizer:
    found = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    return found


def save(net: Any, task: str, folder: Path) -> Path:
    import mlflow
    from transformers import pipeline

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), unk_token="<unk>", pad_token="<pad>", bos_token="<bos>", eos_token="<end>", mask_token="<mask>"
    )
    mlflow.transformers.save_model(pipeline(task, model=net, tokenizer=fast), str(folder), pip_requirements=[], model_card=None)
    return folder


@pytest.fixture(scope="module")
def gpt() -> Any:
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=len(VOCABULARY), n_positions=LIMIT, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=4)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def bert() -> Any:
    torch.manual_seed(4)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForMaskedLM(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, pad_token_id=1, **size)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("language")


def frame(texts: list[str]) -> Frame:
    return {"text": Categories(np.arange(len(texts), dtype=np.int32), tuple(texts))}


def ids(text: str) -> list[int]:
    return [VOCABULARY[w] for w in text.split()]


@pytest.mark.filterwarnings("ignore")
def test_a_causal_model_speaks_as_the_library_does(gpt: Any, folder: Path, start: Callable[..., tuple[Client, Worker]]) -> None:
    path = save(gpt, "text-generation", folder / "gpt")
    assert inspect_model(path).load_risk == "data_only"
    client, _ = start(path)
    assert client.describe(timeout=120).methods == ["log_likelihood", "continue", "embedding"]
    found = client.speak(frame(TEXTS[:3]), method="log_likelihood", columns=14, words=7)
    with torch.no_grad():
        tokens = torch.tensor([[2, *ids(TEXTS[0])]])
        logs = gpt(tokens).logits.log_softmax(-1)[0]
    own = [float(logs[i, token]) for i, token in enumerate(ids(TEXTS[0]))]
    assert found[0, :7] == pytest.approx(own, abs=1e-5)
    assert found[0, 7:].tolist() == [float(logs[i].argmax() == token) for i, token in enumerate(ids(TEXTS[0]))]
    assert found[2].tolist() == [0.0] * 14
    mean = client.predict(frame(TEXTS[:3])).values[:, 0]
    assert mean == pytest.approx([np.mean(own), found[1, 0], 0.0], abs=1e-5)
    greedy = gpt.generate(tokens, max_new_tokens=4, do_sample=False, pad_token_id=1)[0, tokens.shape[1] :]
    points = client.speak(frame(TEXTS[:1]), method="continue", columns=200, tokens=4, characters=200)
    said = "".join(chr(int(p)) for p in points[0] if p >= 0)
    assert said == tokenizer().decode([t for t in greedy.tolist() if t != 4])
    with torch.no_grad():
        layer = gpt(tokens, output_hidden_states=True).hidden_states[-1][0, 1:]
    assert client.speak(frame(TEXTS[:1]), method="embedding", columns=None)[0] == pytest.approx(layer.mean(0).numpy(), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_tokenizer_without_a_mask_token_cannot_ask_a_masked_model(
    bert: Any, tmp_path: Path, start: Callable[..., tuple[Client, Worker]]
) -> None:
    path = save(bert, "fill-mask", tmp_path / "maskless")
    config = path / "components" / "tokenizer" / "tokenizer_config.json"
    special = json.loads(config.read_text())
    del special["mask_token"]
    config.write_text(json.dumps(special))
    with pytest.raises(WorkerError) as error:
        start(path)[0].describe(timeout=120)
    said = describe_error(error.value)
    assert said["cause"] == "contract"
    assert said["message"] == (
        "the tokenizer has no mask token, behind which a masked language model's words are hidden: save the model again with one whose "
        "tokenizer_config.json names mask_token"
    )


@pytest.mark.filterwarnings("ignore")
def test_a_masked_model_hides_one_token_at_a_time(bert: Any, folder: Path, start: Callable[..., tuple[Client, Worker]]) -> None:
    client, _ = start(save(bert, "fill-mask", folder / "bert"))
    assert client.describe(timeout=120).methods == ["log_likelihood", "embedding"]
    found = client.speak(frame(TEXTS[:1]), method="log_likelihood", columns=14, words=7)[0, :7]
    own = []
    for i, token in enumerate(ids(TEXTS[0])):
        hidden = torch.tensor([ids(TEXTS[0])])
        hidden[0, i] = VOCABULARY["<mask>"]
        with torch.no_grad():
            own.append(float(bert(hidden).logits.log_softmax(-1)[0, i, token]))
    assert found == pytest.approx(own, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_text_classifier_gives_its_logits(bert: Any, folder: Path, start: Callable[..., tuple[Client, Worker]]) -> None:
    torch.manual_seed(5)
    config = BertConfig(**bert.config.to_dict() | {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}})
    net = BertForSequenceClassification(config).eval()
    client, _ = start(save(net, "text-classification", folder / "classifier"))
    described = client.describe(timeout=120)
    assert (described.classes, described.outputs) == (["bad", "good"], "logit")
    with torch.no_grad():
        own = net(torch.tensor([ids(TEXTS[0])])).logits[0].numpy()
    assert client.predict(frame([TEXTS[0], TEXTS[3]])).values[0] == pytest.approx(own, abs=1e-5)


def planted(follows: dict[str, str], limit: int = LIMIT) -> Speaker:
    """A causal model that holds one word for ten times as likely after another as any other word."""
    table = torch.zeros(len(VOCABULARY), len(VOCABULARY))
    for word, after in follows.items():
        table[VOCABULARY[word], VOCABULARY[after]] = math.log(10)
    logs = table.log_softmax(-1)
    return Speaker(lambda tokens, _: logs[tokens], tokenizer(), limit, begin=VOCABULARY["<bos>"], end=VOCABULARY["<end>"])


def test_windows_change_nothing_where_only_the_last_word_counts() -> None:
    follows = {"the": "cat", "cat": "sat", "sat": "on", "on": "the"}
    whole, cut = planted(follows, 100), planted(follows, 4)
    words = 18
    assert cut.log_likelihood(TEXTS, words=words) == pytest.approx(whole.log_likelihood(TEXTS, words=words))
    count = len(VOCABULARY)
    likely, other = math.log(10 / (count + 9)), math.log(1 / (count + 9))
    first = whole.log_likelihood(["the cat said the mat"], words=5)[0]
    assert first[:5] == pytest.approx([-math.log(count), likely, other, -math.log(count), other])
    assert first[5:].tolist() == [0, 1, 0, 0, 0]


def test_it_goes_on_until_its_end_and_draws_alike_from_the_same_seed() -> None:
    speaker = planted({"the": "cat", "cat": "sat", "sat": "<end>"})
    points = speaker.going_on(["the"], tokens=9, characters=40)
    assert "".join(chr(int(p)) for p in points[0] if p >= 0) == "cat sat"
    draws = [speaker.going_on(["the", "he"], tokens=6, characters=60, temperature=1.0, seed=s) for s in (1, 1, 2)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def test_what_is_impossible_counts_no_more_than_the_least() -> None:
    logs = torch.full((len(VOCABULARY), len(VOCABULARY)), float("-inf"))
    logs[:, VOCABULARY["cat"]] = 0.0
    speaker = Speaker(lambda tokens, _: logs[tokens], tokenizer(), LIMIT, begin=VOCABULARY["<bos>"])
    assert speaker.log_likelihood(["cat dog"], words=2)[0].tolist() == [0.0, LEAST, 1.0, 0.0]
