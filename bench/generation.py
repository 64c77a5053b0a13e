"""`python -m bench.generation`: what slots are worth, beside transformers' own two ways of generating.

A small Llama of random weights in float32, greedy, all in one process with one number of threads: `SlotEngine`,
`model.generate` for one prompt after the other, and transformers' continuous batching (`generate_batch`). The first
line is of short prompts that come together, the second of long ones. All have to give equal tokens. What counts is the
ratios of one run: the rounds of the three alternate, and other work on the machine hits all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.arguments import count
from bench.report import number, table

Prompts = list[list[int]]

SLOTS, ONE_BY_ONE, CONTINUOUS = WAYS = ("slots", "generate one by one", "continuous batching")
VOCABULARY = 2048
CONTEXT = 2048
CACHE = 1 << 30  #: bytes
#: name, requests, tokens of a prompt (each one or two more than the one before), tokens to make
LOADS = (("short prompts", 32, 16, 64), ("long prompts", 16, 1000, 64))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tokens a second and ratios; the exit status is 1 if the tokens were not equal."""
    parser = argparse.ArgumentParser(prog="python -m bench.generation", description=__doc__)
    parser.add_argument("--threads", type=count, default=1, help="of PyTorch; default 1")
    parser.add_argument("--cpu", action="store_true", help="count seconds of the CPU: where others work beside it")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    parser.add_argument("--hidden", type=count, default=256, help="size of the model; default 256")
    parser.add_argument("--layers", type=count, default=4, help="default 4")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # transformers' hints about its settings
    import torch

    torch.set_num_threads(options.threads)
    model = small_llama(options.hidden, options.layers)
    lines, equal = [], True
    for name, requests, length, tokens in LOADS:
        given = prompts(requests, length)
        speeds, same = measure(
            model, given, tokens, options.rounds, time.process_time if options.cpu else time.perf_counter
        )
        equal = equal and same
        lines.append([name, *(number(speeds[way]) for way in WAYS), *_ratios(speeds), "yes" if same else "NO"])
    print(table(["tokens/s", *WAYS, "x generate", "x continuous", "equal tokens"], lines))
    return 0 if equal else 1


def _ratios(speeds: Mapping[str, float]) -> list[str]:
    return [f"{speeds[SLOTS] / speeds[way]:.2f}" if speeds[way] else "-" for way in (ONE_BY_ONE, CONTINUOUS)]


def small_llama(hidden: int, layers: int) -> Any:
    """A model of random weights, the same each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    heads = hidden // 32
    config = LlamaConfig(
        hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 2), vocab_size=VOCABULARY, max_position_embeddings=CONTEXT,
        bos_token_id=None, eos_token_id=None, initializer_range=0.2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def prompts(requests: int, length: int) -> Prompts:
    """Random ones that share no beginning."""
    import torch

    generator = torch.Generator().manual_seed(1)
    return [torch.randint(VOCABULARY, (length + own,), generator=generator).tolist() for own in range(requests)]


def measure(
    model: Any, given: Prompts, tokens: int, rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, float], bool]:
    """Tokens a second of each way (0 where it does not run here), and whether all made the same."""
    ways: dict[str, Callable[[Prompts], Prompts]] = {
        ONE_BY_ONE: lambda some: one_by_one(model, some, tokens),
        SLOTS: lambda some: in_slots(model, some, tokens),
        CONTINUOUS: lambda some: continuous(model, some, tokens),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    made: dict[str, Prompts] = {}
    for _ in range(rounds):
        for way, run in ways.items():
            run(given[:2])
            begun = clock()
            made[way] = run(given)
            seconds[way].append(clock() - begun)
    total = len(given) * tokens
    speeds = {way: total / statistics.median(seconds[way]) if made[way] else 0 for way in ways}
    return speeds, all(made[way] in ([], made[ONE_BY_ONE]) for way in ways)


def one_by_one(model: Any, given: Prompts, tokens: int) -> Prompts:
    import torch

    answers = []
    for prompt in given:
        ids = torch.tensor([prompt])
        whole = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, pad_token_id=0
        )
        answers.append(whole[0, len(prompt) :].tolist())
    return answers


def in_slots(model: Any, given: Prompts, tokens: int) -> Prompts:
    from adapters.generation.engine import Generation
    from adapters.generation.slot_engine import SlotEngine

    async def answer(engine: SlotEngine, prompt: list[int]) -> list[int]:
        stream = engine.submit(Generation(prompt=prompt, max_tokens=tokens))
        return [event.token async for event in stream]

    async def together() -> Prompts:
        engine = SlotEngine(model, cache_limit=CACHE, nice=0)  # on equal terms with the others
        try:
            return await asyncio.gather(*(answer(engine, prompt) for prompt in given))
        finally:
            engine.close()

    return asyncio.run(together())


def continuous(model: Any, given: Prompts, tokens: int) -> Prompts:
    """transformers' manager; nothing where this version of it does not run."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    blocks = ContinuousBatchingConfig(max_memory_percent=0.05)
    try:
        answers = model.generate_batch(
            given, generation_config=config, continuous_batching_config=blocks, progress_bar=False
        )
    except (RuntimeError, ValueError, TypeError, ImportError) as error:
        print(f"continuous batching does not run here: {error}", file=sys.stderr)
        return []
    made = {tuple(each.prompt_ids): list(each.generated_tokens) for each in answers.values()}
    return [made[tuple(prompt)] for prompt in given]


if __name__ == "__main__":
    sys.exit(main())
