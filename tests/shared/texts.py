"""A tiny model of text alone."""

from collections.abc import Sequence

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from indirect_rlvr.training import models
from indirect_rlvr.training.tiny import build_tokenizer


def text_model(words: Sequence[str], **config: int) -> models.Policy:
    """A Qwen2 of two layers with random weights, always the same, that knows `words`; `config` over its sizes."""
    tokenizer = build_tokenizer(words)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    made = Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **{**sizes, **config}, **ends)
    return models.Policy(Qwen2ForCausalLM(made), tokenizer, "", False)
