"""Small language models of random weights, made on the spot: a Llama, a byte-level tokenizer, a chat template."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant', 'tool'] %}"
    "{{ raise_exception('there is no role ' + message['role'] + ' here') }}{% endif %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
#: as Qwen's: it thinks unless it is told not to, and is told what it thought before; calls are JSON between tags
THINKING_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n"
    "{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}"
    "{{ message['content'] }}<|end|>\n{% endfor %}{% if tools %}<tool_call>{% endif %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% if tools %}!{% endif %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>"
    "{% elif begins is defined %}<think>{% endif %}{% endif %}"
)
CALL_OF_NOW = '{"name": "now", "arguments": {}}'
#: what comes behind each token of the model that thinks; byte-level names of a line's end, a space and a tab among them
_SAID = ("\u010a", "<think>", "\u0120", "h", "m", "</think>", "\u0109", "y", "e", "s", "<|end|>")
_CALLED = ("!", "<tool_call>", CALL_OF_NOW, "</tool_call>", "<|end|>")
CONTEXT = 128
_TEXTS = ("the quick brown fox jumps over the lazy dog", "what is the capital of France? Paris is.", "one two three")


def save_language_model(folder: Path, template: str | None = TEMPLATE, context: int = CONTEXT, seed: int = 0) -> Path:
    """A Llama that goes on writing nonsense, the same every time; an emoji takes it several tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level_tokenizer(context)
    tokenizer.chat_template = template
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 4,  # models' tables are often longer than their tokenizers'
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_thinking_model(folder: Path, response_template: Any = None) -> Path:
    """A model that thinks " hm", and then says "yes"; with tools, it calls the one that is called now.

    Each token says which one is next: nothing reaches it but the last one's own embedding.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>", CALL_OF_NOW])
    tokenizer.chat_template = THINKING_TEMPLATE
    tokenizer.response_template = response_template
    ids = tokenizer.convert_tokens_to_ids
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=len(tokenizer) + len(tokenizer) % 2,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    layer = model.model.layers[0]
    with torch.no_grad():
        for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight, model.lm_head.weight):
            weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(config.vocab_size, config.hidden_size))
        for chain in (_SAID, _CALLED):
            for token, following in pairwise(chain):
                model.lm_head.weight[ids(following), ids(token)] = 5.0
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_level_tokenizer(context: int = CONTEXT) -> Any:
    """GPT-2's kind, with every byte, a few words, and a beginning of sequence before each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|start|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|start|>"],
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
