"""Tiny models of random weights, what they answer by themselves, and a gate before each step of an engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers

from adapters.generation.engine import Engine, Generation, TokenEvent

VOCABULARY = 97
_SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": VOCABULARY, "max_position_embeddings": 512, "initializer_range": 0.3,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
}  # fmt: skip
_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0, "vocab_size": VOCABULARY}
_SHARED_HEADS = {"num_key_value_heads": 2}

#: by architecture: what its configuration is made of
CONFIGURATIONS: dict[str, Callable[[], Any]] = {
    "Llama": lambda: transformers.LlamaConfig(**_SIZES, **_SHARED_HEADS),
    "Qwen3": lambda: transformers.Qwen3Config(**_SIZES, **_SHARED_HEADS, head_dim=16),
    "Mistral": lambda: transformers.MistralConfig(**_SIZES, **_SHARED_HEADS, sliding_window=None),
    "GPT2": lambda: transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=512, initializer_range=0.3, **_IDS
    ),
    "Phi": lambda: transformers.PhiConfig(**_SIZES),
    "GPTNeoX": lambda: transformers.GPTNeoXConfig(**_SIZES),
    "Gemma": lambda: transformers.GemmaConfig(**{**_SIZES, "pad_token_id": 0}, **_SHARED_HEADS, head_dim=8),
    "Mixtral": lambda: transformers.MixtralConfig(**_SIZES, **_SHARED_HEADS, num_local_experts=4),
    "OPT": lambda: transformers.OPTConfig(
        hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4, word_embed_proj_dim=32, init_std=0.3,
        max_position_embeddings=512, **_IDS,
    ),
    "windows": lambda: transformers.MistralConfig(**_SIZES, **_SHARED_HEADS, sliding_window=8),
    "Gemma3": lambda: transformers.Gemma3TextConfig(
        **{**_SIZES, "pad_token_id": 0}, **_SHARED_HEADS, head_dim=8, sliding_window=8
    ),
    "Bloom": lambda: transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3, **_IDS),
    "Mamba": lambda: transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, initializer_range=0.3, **_IDS),
    "T5": lambda: transformers.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0, initializer_factor=3.0, **_IDS
    ),
    "Bart": lambda: transformers.BartConfig(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=128, init_std=0.3, decoder_start_token_id=2,
        forced_eos_token_id=None, **_IDS,
    ),
}  # fmt: skip


def tiny(architecture: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = CONFIGURATIONS[architecture]()
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    return kind.from_config(config).eval()


def prompt_of(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()


def greedy(model: Any, prompt: Sequence[int], tokens: int) -> list[int]:
    """The answer of `model.generate`."""
    ids = torch.tensor([list(prompt)])
    whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)[0]
    return whole[1 if model.config.is_encoder_decoder else len(prompt) :].tolist()


async def events_of(engine: Engine, generation: Generation) -> list[TokenEvent]:
    stream = engine.submit(generation)
    try:
        return [event async for event in stream]
    finally:
        await stream.aclose()


async def tokens_of(engine: Engine, generation: Generation) -> list[int]:
    return [event.token for event in await events_of(engine, generation) if not event.in_prompt]


def together(engine: Engine, generations: Sequence[Generation]) -> list[list[int]]:
    """The tokens of all, which run at once."""

    async def all_of_them() -> list[list[int]]:
        return await asyncio.gather(*(tokens_of(engine, each) for each in generations))

    return asyncio.run(all_of_them())


@dataclass
class Gate:
    """Stands before each forward of a model: which ids and positions come, and whether they may pass."""

    passed: list[tuple[list[int], list[int]]] = field(default_factory=list)
    #: released once for each step that may pass
    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    open: bool = False
    refused: int | None = None  #: an id that the model fails with

    def __call__(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        ids = named["input_ids"][0].tolist()
        self.arrived.release()
        if not self.open:
            assert self.permits.acquire(timeout=60), "nobody has opened the gate"
        self.passed.append((ids, named["position_ids"][0].tolist()))
        if self.refused in ids:
            raise RuntimeError(f"the model fails with {self.refused}")

    @property
    def sizes(self) -> list[int]:
        """How many tokens each step had."""
        return [len(ids) for ids, _ in self.passed]

    async def reached(self) -> None:
        """The engine stands before the gate."""
        assert await asyncio.to_thread(self.arrived.acquire, timeout=60), "no step has come"

    def let(self, steps: int = 1) -> None:
        self.permits.release(steps)

    def let_all(self) -> None:
        self.open = True
        self.permits.release(1)


@contextmanager
def gate(model: Any, *, is_open: bool = False, refused: int | None = None) -> Iterator[Gate]:
    """To be entered once the engine has been made: making it runs the model, too."""
    found = Gate(open=is_open, refused=refused)
    handle = model.register_forward_pre_hook(found, with_kwargs=True)
    try:
        yield found
    finally:
        found.let_all()
        handle.remove()
