"""Servers of language models side by side: ours, transformers' own in both its ways, and llama.cpp's where it is.

All serve SmolLM2 from the same weights; llama.cpp reads the packed file (four bits a weight) that ours were unpacked
from, so its figures tell what packed weights are worth, too.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import language_models, places
from bench.environments import Environment

NAME = "smollm2"
THREADS = len(os.sched_getaffinity(0))


def _transformers_environment() -> Environment:
    """`transformers serve`, with the transformers and the PyTorch of ours: the comparison is of servers."""
    torch = importlib.metadata.version("torch").partition("+")[0]
    version = importlib.metadata.version("transformers")
    packages = (f"torch=={torch}", f"transformers[serving]=={version}")
    return Environment("transformers-serve", packages, ("accelerate", "numpy"))


TRANSFORMERS = _transformers_environment()


@dataclass(frozen=True)
class LanguageServer:
    """One side of the comparison."""

    name: str
    command: Callable[[int, int], list[str]]  #: of an HTTP and a gRPC port
    path: str
    ready: str
    fields: Mapping[str, Any]  #: of a body, beside messages and length: its model, and that it never ends by itself
    environment: Environment | None = None  #: of its own; None: ours
    environ: Mapping[str, str] = field(default_factory=dict)


def _mount(model: Path, name: str, settings: str = "") -> Path:
    """A folder that has this model alone."""
    mount = places.RUN / f"models-{name}"
    shutil.rmtree(mount, ignore_errors=True)
    mount.mkdir(parents=True)
    shutil.copytree(model, mount / NAME, copy_function=os.link)
    if settings:
        (mount / NAME / "polyserve.yaml").write_text(settings)
    return mount


def _polyserve(packed: bool, name: str, settings: str = "") -> Callable[[int, int], list[str]]:
    def command(http_port: int, grpc_port: int) -> list[str]:
        model = language_models.smollm2_gguf().parent if packed else language_models.smollm2()
        flags = [f"--model_dir={_mount(model, name, settings)}", f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
        return [sys.executable, "-m", "server", *flags, "--ready=all"]

    return command


def _transformers(*flags: str) -> Callable[[int, int], list[str]]:
    def command(http_port: int, grpc_port: int) -> list[str]:
        program = str(TRANSFORMERS.folder / "bin" / "transformers")
        model = str(language_models.smollm2())
        return [program, "serve", model, f"--port={http_port}", "--host=127.0.0.1", "--device=cpu", *flags]

    return command


def _llama_server(http_port: int, grpc_port: int) -> list[str]:
    file = str(language_models.smollm2_gguf())
    flags = ["--host", "127.0.0.1", "--port", str(http_port), "--threads", str(THREADS)]
    return ["llama-server", "--model", file, *flags, "--parallel", "32", "--ctx-size", str(32 * 512), "--no-webui"]


_OURS = {"model": NAME, "ignore_eos": True, "stream_options": {"include_usage": True}}
_THEIRS = {
    "model": str(places.MODELS / NAME),
    "generation_config": json.dumps({"eos_token_id": -1, "pad_token_id": 0, "do_sample": False}),
}

SYSTEMS: dict[str, LanguageServer] = {
    system.name: system
    for system in (
        LanguageServer(
            *("polyserve", _polyserve(False, "polyserve"), "/openai/v1/chat/completions", "/v2/health/ready", _OURS)
        ),
        LanguageServer(
            *("transformers-serve", _transformers(), "/v1/chat/completions", "/health", _THEIRS), TRANSFORMERS
        ),
        LanguageServer(
            "transformers-continuous",
            _transformers("--continuous-batching", "--cb-max-memory-percent=0.2"),
            *("/v1/chat/completions", "/health", _THEIRS),
            TRANSFORMERS,
        ),
        LanguageServer("llama-server", _llama_server, "/v1/chat/completions", "/health", _OURS),
        LanguageServer(
            "polyserve-llama_cpp",
            _polyserve(True, "llama_cpp", "engine: llama_cpp\noptions: {slots: 32, max_context: 512}\n"),
            *("/openai/v1/chat/completions", "/v2/health/ready", _OURS),
        ),
    )
}


def missing(system: LanguageServer) -> str:
    """Why it cannot be started here; "" where it can."""
    needs_llama = system.name in ("llama-server", "polyserve-llama_cpp")
    return "llama-server is not on the PATH" if needs_llama and not shutil.which("llama-server") else ""
