"""Hugging Face models that MLflow stored whole: safetensors and tokenizer.json only, never code that comes with them, never a download."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError, Subject
from audit.subject.flavors.language import BATCH, Speaker, encoded, only_texts, padded
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array

#: Tokens at once where the configuration does not say.
OTHERWISE = 512


class _Net(Subject):
    """A net of the library, from its own weights."""

    kind = "module"
    packages = ("transformers", "torch", "tokenizers")

    def __init__(self, net: Any) -> None:
        self._net = net

    def parameters(self) -> int:
        """Elements of all parameters."""
        return int(sum(p.numel() for p in self._net.parameters()))


class Classifier(_Net):
    """A text classifier: one score a class."""

    outputs = "logit"

    def __init__(self, net: Any, tokenizer: Any, limit: int, pad: int) -> None:
        super().__init__(net)
        self._tokenizer, self._limit, self._pad = tokenizer, limit, pad
        names = net.config.id2label
        self.classes = [str(names[i]) for i in range(len(names))]

    def predict(self, rows: Rows) -> Answer:
        """Logits (n, classes)."""
        import torch

        parts = []
        texts = only_texts(rows)
        for first in range(0, len(texts), BATCH):
            tokens = [encoded(self._tokenizer, text).ids[: self._limit] for text in texts[first : first + BATCH]]
            ids, real = padded(tokens, self._pad)
            with torch.inference_mode():
                parts.append(self._net(input_ids=ids, attention_mask=real.long()).logits.double().numpy())
        return Answer(np.concatenate(parts))


class Language(_Net):
    """A causal or masked language model; what it returns for a text is the mean log-likelihood of a token, in nats."""

    outputs = "value"
    regression = True

    def __init__(self, net: Any, speaker: Speaker) -> None:
        super().__init__(net)
        self._speaker = speaker

    def methods(self) -> list[str]:
        """What a language model can be asked."""
        return self._speaker.methods()

    def predict(self, rows: Rows) -> Answer:
        """(n, 1): log-likelihood of the text over the number of its words' tokens; 0 for a text without any."""
        texts = only_texts(rows)
        words = [encoded(self._speaker.tokenizer, text, self._speaker.begin).word for text in texts]
        width = max((max(own, default=-1) + 1 for own in words), default=0) or 1
        total = self._speaker.log_likelihood(texts, words=width)[:, :width].sum(axis=1)
        tokens = np.array([sum(word >= 0 for word in own) for own in words])
        return Answer((total / np.maximum(tokens, 1))[:, None])

    def speak(self, rows: Rows, *, method: str, **params: Any) -> Array:
        """See `flavors.language`."""
        return self._speaker.speak(only_texts(rows), method=method, **params)


def load(spec: dict[str, Any]) -> Subject:
    """By the architecture that config.json names; only those that the library itself brings."""
    import torch
    import transformers
    from tokenizers import Tokenizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = os.path.join(spec["root"], spec["model_file"])
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        named = str((json.load(file).get("architectures") or [""])[0])
    kinds = {
        "CausalLM": "AutoModelForCausalLM",
        "LMHeadModel": "AutoModelForCausalLM",
        "MaskedLM": "AutoModelForMaskedLM",
        "SequenceClassification": "AutoModelForSequenceClassification",
    }
    auto = next((name for ending, name in kinds.items() if named.endswith(ending)), None)
    if auto is None:
        raise ContractError(
            f"models of the architecture {named[:60]!r} are not audited; causal and masked language models and text classifiers are"
        )
    tokens = os.path.join(spec["root"], "components", "tokenizer", "tokenizer.json")
    if not os.path.exists(tokens):
        raise ContractError("the model brings no tokenizer.json")
    net = getattr(transformers, auto).from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    net.eval()
    tokenizer = Tokenizer.from_file(tokens)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    limit = int(getattr(net.config, "max_position_embeddings", None) or getattr(net.config, "n_positions", None) or OTHERWISE)
    pad = net.config.pad_token_id or 0
    if auto == "AutoModelForSequenceClassification":
        return Classifier(net, tokenizer, limit, pad)
    return Language(net, _speaker(net, tokenizer, limit, pad, masked=auto == "AutoModelForMaskedLM", root=spec["root"]))


def _speaker(net: Any, tokenizer: Any, limit: int, pad: int, *, masked: bool, root: str) -> Speaker:
    def foretold(ids: Any, real: Any) -> Any:
        return net(input_ids=ids, attention_mask=real.long()).logits.log_softmax(dim=-1)

    def hidden(ids: Any, real: Any) -> Any:
        return net(input_ids=ids, attention_mask=real.long(), output_hidden_states=True).hidden_states[-1]

    with open(os.path.join(root, "components", "tokenizer", "tokenizer_config.json"), encoding="utf-8") as file:
        special = json.load(file)

    def token(name: str) -> int | None:
        named = special.get(name)
        text = named.get("content") if isinstance(named, dict) else named
        return tokenizer.token_to_id(text) if isinstance(text, str) else None

    mask = token("mask_token") if masked else None
    if masked and mask is None:
        raise ContractError(
            "the tokenizer has no mask token, behind which a masked language model's words are hidden: save the model again with one whose "
            "tokenizer_config.json names mask_token"
        )
    begin = None if masked else token("bos_token")
    return Speaker(foretold, tokenizer, limit, pad, begin, token("eos_token"), mask, hidden)
