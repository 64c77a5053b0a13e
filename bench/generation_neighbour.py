"""`python -m bench.generation_neighbour`: what a scikit-learn model's latency is while a language model streams.

One server, one small Llama of random weights (float32) and one logistic regression. In rounds: requests to the latter,
one after the other on one connection, while nobody else asks, and while a chat of `--tokens` tokens streams. Those of
one round are neighbours in time, so other work on the machine hits both. The goal: p99 at most twice that alone. What
the language model's `--options` cost it is told by its tokens a second, with and without the requests beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.arguments import count, say
from bench.generation import small_llama
from bench.ports import free_port
from bench.process import Running, started
from bench.report import number, table
from bench.streams import HEAD, latencies, percentile, save_logistic

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.generation_neighbour", description=__doc__)
    parser.add_argument("--tokens", type=count, default=512, help="of a stream; default 512")
    parser.add_argument("--requests", type=count, default=300, help="to the neighbour, in each half; default 300")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    parser.add_argument("--options", type=json.loads, default={}, help="""of the model, as JSON: '{"threads": 1}'""")
    parser.add_argument("--hidden", type=count, default=576, help="size of the language model; default 576")
    parser.add_argument("--layers", type=count, default=30, help="default 30, which SmolLM2-135M has, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        mount = Path(directory) / "models"
        save_logistic(mount / "logistic")
        _save_llama(mount / "llama", options)
        (mount / "llama" / "polyserve.yaml").write_text(json.dumps({"options": options.options}))
        ports = free_port(), free_port()
        command = [sys.executable, "-m", "server", f"--model_dir={mount}"]
        flags = [f"--http_port={ports[0]}", f"--grpc_port={ports[1]}", "--ready=all"]
        with started("polyserve", [*command, *flags], ports, Path(directory) / "log", ROOT, {}) as server:
            server.wait_ready("/v2/health/ready", time.monotonic())
            asyncio.run(_measure(server, options))
    return 0


def _save_llama(folder: Path, options: argparse.Namespace) -> None:
    """With a tokenizer of bytes: what it says is of no interest."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    small_llama(options.hidden, options.layers).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


async def _measure(server: Running, options: argparse.Namespace) -> None:
    rounds = []
    await latencies(server, options.requests)
    await _stream(server, 16)
    for _ in range(options.rounds):
        unhurried = await _stream(server, options.tokens // 4)
        alone = await latencies(server, options.requests)
        stream = asyncio.create_task(_stream(server, options.tokens))
        await asyncio.sleep(0.2)
        beside = await latencies(server, options.requests)
        whole = not stream.done()
        tokens, seconds = await stream
        ratio = percentile(beside, 99) / percentile(alone, 99)
        speeds = [made / took for made, took in (unhurried, (tokens, seconds))]
        rounds.append(
            (*(percentile(each, percent) for percent in (50, 99) for each in (alone, beside)), ratio, *speeds)
        )
        say(f"{tokens} tokens in {seconds:.1f} s; it streamed {'all the while' if whole else 'NOT all the while'}")
    head = ["p50 alone, ms", "p50 beside", "p99 alone", "p99 beside", "p99, x alone", "tokens/s alone", "beside"]
    say(table(head, [[number(statistics.median(each)) for each in zip(*rounds, strict=True)]]))


async def _stream(server: Running, tokens: int) -> tuple[int, float]:
    """How many tokens came, and in how many seconds; bytes that are no character yet make no part of their own."""
    body = {"model": "llama", "prompt": "once", "max_tokens": tokens, "ignore_eos": True, "stream": True}
    raw = json.dumps(body).encode()
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
    writer.write(HEAD.format(path="/openai/v1/completions", length=len(raw)).encode() + raw)
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"the stream was answered {status.decode().strip()}")
    while b"[DONE]" not in (line := await reader.readline()):
        if not line:
            raise RuntimeError("the stream broke off")
    writer.close()
    return tokens, time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
