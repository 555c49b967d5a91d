"""The nets over tokens: what no padding may change, what no later token may change, and the values of attention by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from models.encoding import tokens
from models.nets import causal, text_encoder
from models.nets.attention import Attention
from models.pretraining.causal import IGNORED, following
from models.pretraining.masked import hidden, joined, pairs
from models.pretraining.tokenizing import MASK, SPECIAL, characters, subwords

SIZES = {"width": 8, "layers": 2, "heads": 2, "inner": 16, "dropout": 0.0}


def net(build: Any, length: int, classes: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return build({"columns": [{"length": length}], "classes": classes, "vocabulary": 50, "network": SIZES}).eval()


def test_attention_by_hand() -> None:
    """One head, all matrices the identity: place 0 of (1, 0) and (0, 1) weighs e^(1/√2) against 1; hidden places weigh nothing."""
    layer = Attention(2, 1, 0.0)
    for part in (layer.query, layer.key, layer.value, layer.output):
        torch.nn.init.eye_(part.weight)
        torch.nn.init.zeros_(part.bias)
    x = torch.eye(2)[None]
    share = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    both = layer(x, torch.tensor([[[[True, True]]]]))
    assert both[0].tolist() == pytest.approx([pytest.approx([share, 1 - share]), pytest.approx([1 - share, share])])
    assert layer(x, torch.tensor([[[[True, False]]]]))[0].tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert torch.isfinite(layer(x, torch.tensor([[[[False, False]]]]))).all()


@pytest.mark.parametrize("build", [text_encoder.build, causal.build])
def test_padding_changes_nothing_and_an_empty_text_is_a_number(build: Any) -> None:
    short, long = net(build, 5), net(build, 9)
    weights = {k: v[:5] if k == "embeddings.places.weight" else v for k, v in long.state_dict().items()}
    short.load_state_dict(weights)
    row = torch.tensor([[7, 8, 9, 0, 0]])
    with torch.inference_mode():
        assert short(row) == pytest.approx(long(torch.nn.functional.pad(row, (0, 4))), abs=1e-6)
        empty = short(torch.zeros(1, 5, dtype=torch.long))
        assert torch.isfinite(empty).all()
        alone, beside = short(row), short(torch.cat([row, torch.zeros(1, 5, dtype=torch.long), torch.full((1, 5), 11)]))
    assert beside[0] == pytest.approx(alone[0], abs=1e-6)
    assert beside[1] == pytest.approx(empty[0], abs=1e-6)


def test_no_place_sees_what_follows_it() -> None:
    model = net(causal.build, 6)
    one, other = torch.tensor([[5, 6, 7, 8, 9, 10]]), torch.tensor([[5, 6, 7, 20, 21, 22]])
    with torch.inference_mode():
        assert torch.equal(model.everywhere(one)[:, :3], model.everywhere(other)[:, :3])
        assert not torch.allclose(model.everywhere(one)[:, 3], model.everywhere(other)[:, 3])
        assert torch.allclose(model(one[:, :]), model.everywhere(one)[:, 5])


def test_the_exported_graph_gives_what_the_net_gives() -> None:
    for build in (text_encoder.build, causal.build):
        model = net(build, 6)
        x = torch.tensor([[5, 6, 7, 0, 0, 0], [8, 0, 0, 0, 0, 0], [0] * 6])
        graph = torch.export.export(model, (x[:2],), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)).module()
        assert torch.allclose(graph(x), model(x), atol=1e-6)


def test_tokenizers_are_the_same_twice_and_know_their_padding() -> None:
    texts = ["the film is fine", "the film is bad", "a fine bad film"] * 3
    first, second = (subwords(texts, 300) for _ in range(2))
    assert first.to_str() == second.to_str()
    assert [first.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3, 4]
    ids = tokens(first, ["the film", "", None], 6)
    assert (ids[:, 0].tolist(), ids[2].tolist()) == ([2, 2, 0], [0] * 6)
    assert first.decode(ids[0].tolist()).strip() == "the film"


def test_a_context_that_is_too_long_keeps_its_end() -> None:
    """What a language model goes on from is the end of a text; line breaks and blanks are characters too."""
    tokenizer = characters(["ab c\n"])
    ids = tokens(tokenizer, ["abc", "ababab\n c", "x"], 4)
    assert [[tokenizer.id_to_token(int(i)) for i in row] for row in ids] == [
        ["[CLS]", "a", "b", "c"], ["[CLS]", "\n", " ", "c"], ["[CLS]", "[UNK]", "[PAD]", "[PAD]"],
    ]  # fmt: skip


def test_two_sentences_share_the_room() -> None:
    assert joined([5] * 9, [6] * 9, 9) == ([2, 5, 5, 5, 3], [6, 6, 6, 3])
    assert joined([5] * 9, [6], 9) == ([2, 5, 5, 5, 5, 5, 3], [6, 3])
    assert joined([5], [6] * 9, 9) == ([2, 5, 3], [6, 6, 6, 6, 6, 3])


def test_pairs_follow_or_do_not_and_hidden_tokens_are_never_special() -> None:
    documents = [[[10 * d + s + 5] for s in range(4)] for d in range(100)]
    generator = torch.Generator().manual_seed(0)
    ids, segments, follows = pairs(documents, 6, generator)
    assert ids.shape == segments.shape == (300, 6)
    right = ids[:, 3] == ids[:, 1] + 1
    assert right[follows == 1].all()
    assert right[follows == 0].float().mean() < 0.05
    assert 0.4 < follows.float().mean() < 0.6
    changed, chosen = hidden(ids.repeat(50, 1), 0.15, 2000, generator)
    assert not (chosen & (ids.repeat(50, 1) < len(SPECIAL))).any()
    words = ids.repeat(50, 1) >= len(SPECIAL)
    assert chosen[words].float().mean() == pytest.approx(0.15, abs=0.01)
    assert (changed[chosen] == SPECIAL.index(MASK)).float().mean() == pytest.approx(0.8, abs=0.02)
    assert torch.equal(changed[~chosen], ids.repeat(50, 1)[~chosen])


def test_what_follows_each_place() -> None:
    """Tokens 5, 6, 7 have the classes 0, 1 and none; the label stands behind the last token, and padding behind nothing."""
    class_of = torch.tensor([IGNORED] * 5 + [0, 1, IGNORED])
    ids = torch.tensor([[2, 5, 6, 7], [2, 6, 0, 0], [0, 0, 0, 0]])
    found = following(ids, torch.tensor([8, 9, 9]), class_of)
    assert found.tolist() == [[0, 1, IGNORED, 8], [1, 9, IGNORED, IGNORED], [IGNORED] * 4]
    assert np.array_equal(ids.numpy()[2], [0] * 4)
