"""A transformers folder to a `Generator`: model, tokenizer, chat template and engine."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir, Parameters
from adapters.formats.gguf import read_header
from adapters.generation import gguf_copies
from adapters.generation.cache_memory import bytes_of_context, cache_limit, memory_of
from adapters.generation.chat_template import ChatTemplate
from adapters.generation.engine import Engine
from adapters.generation.engines import engine_for
from adapters.generation.generator import Generator
from adapters.generation.gguf_folder import begins_texts, unserved
from adapters.generation.giving_way import check_nice
from adapters.generation.grammar import GrammarLimits
from adapters.generation.lora_folder import Lora
from adapters.generation.lora_weights import add_lora
from adapters.generation.own_settings import chat_tokens, sampling_defaults
from adapters.generation.prompts import Prompts
from adapters.generation.response_form import UNREAD, ResponseForm
from adapters.generation.vocabulary import Vocabulary
from adapters.huggingface_.bundle import weights_of
from adapters.huggingface_.loading import (
    check_loaded,
    check_tokenizer,
    from_folder,
    load_model,
    model_limit,
    reason_of,
)

logger = logging.getLogger(__name__)

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
#: option -> the engine's word for it
_OF_ENGINE = {"slots": "slots", "prefill_chunk": "prefill_chunk", "max_queue": "max_waiting", "nice": "nice"}
#: option -> the word of `GrammarLimits`
_OF_GRAMMARS = {"grammar_bytes": "size", "grammar_depth": "depth", "grammar_seconds": "seconds"}
_COUNTS = ("threads", "cache_bytes", "slots", "prefill_chunk", "max_queue", "grammar_bytes", "grammar_depth")
_SHORTEST_CONTEXT = 128  #: that is worth serving where the model has a longer one
_TEMPLATE = "chat_template.jinja"  #: which transformers reads by itself, but not beside a LoRA
_LONGEST_TEMPLATE = 1 << 20  #: bytes


@dataclass(frozen=True, slots=True)
class LoraOf:
    """A LoRA that changes the model: its own folder, and what that says."""

    model_dir: ModelDir
    lora: Lora


def load_generator(model_dir: ModelDir, file: str, options: Parameters, changed_by: LoraOf | None = None) -> Generator:
    """`file` is a GGUF file, or "" for the folder as a whole. The options are about the folder that is served.

    Raises:
        LoadError: the folder cannot be served, with the reason.
    """
    import torch

    _checked(options)
    torch.set_num_threads(1)  # the engine's thread alone has some beside it: see `EngineThread`
    try:
        model, report, tokenizer = _read(model_dir, file, options.get("dtype", "float32"))
        if changed_by is not None:
            add_lora(model, changed_by.model_dir.path, changed_by.lora)
            model_dir = changed_by.model_dir
        model = model.to(options.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(reason_of(error)) from error
    check_loaded(report)
    growth = check_tokenizer(tokenizer)
    if name := options.get("chat_template") or (changed_by and model_dir.has(_TEMPLATE) and _TEMPLATE):
        tokenizer.chat_template = _template(model_dir, name)
    form = ResponseForm() if options.get("reasoning") == UNREAD else ResponseForm.of(tokenizer)
    context = _context(model_limit(model, tokenizer), options.get("max_context"))
    engine = _engine(model, context, options)
    prompts = Prompts(
        Vocabulary(tokenizer, int(model.get_input_embeddings().num_embeddings), growth),
        ChatTemplate(tokenizer, reads_calls=form.reads_calls),
        _held(context, engine),
        _end_ids(model, tokenizer),
        sampling_defaults(model.generation_config),
        chat_tokens(model.generation_config),
        form,
    )
    limits = {name: options[option] for option, name in _OF_GRAMMARS.items() if option in options}
    return Generator(engine, prompts, GrammarLimits(**limits), on_processor=model.device.type == "cpu")


def _read(model_dir: ModelDir, file: str, dtype: str) -> tuple[Any, dict[str, Any], Any]:
    """Model, transformers' report on its weights, tokenizer."""
    if not file:
        model, report = load_model(
            model_dir.path, "AutoModelForCausalLM", ".safetensors" in weights_of(model_dir), dtype
        )
        return model, report, from_folder("AutoTokenizer", model_dir.path)
    path = model_dir.file(file)
    with path.open("rb") as stream:
        header = read_header(stream)
    if problem := unserved(file, header):  # the file may be another one than the one that was matched
        raise LoadError(problem)
    found = gguf_copies.load(path, dtype, header.numbers, begins=begins_texts(header))
    return found.model, found.report, found.tokenizer


def _engine(model: Any, context: int, options: Parameters) -> Engine:
    of_context = bytes_of_context(model.config.get_text_config(), model.dtype.itemsize, context)
    limit = options.get("cache_bytes") or cache_limit(of_context, memory_of(str(model.device)))
    given = {name: options[option] for option, name in _OF_ENGINE.items() if option in options}
    return engine_for(model, cache_limit=limit, threads=options.get("threads") or cores(), **given)


def _held(context: int, engine: Engine) -> int:
    """The context as far as the engine's cache has room for one sequence."""
    longest = engine.longest()
    if longest >= context:
        return context
    limit = engine.usage().cache_limit
    if longest < _SHORTEST_CONTEXT:
        engine.close()
        raise LoadError(f"its cache ({limit} bytes) has room for {longest} tokens: set options.cache_bytes to more")
    logger.warning(
        "the context is %d tokens, of %d: the cache (%d bytes) has room for no more", longest, context, limit
    )
    return longest


def _checked(options: Parameters) -> None:
    for name in _COUNTS:
        if (value := options.get(name)) is not None and value < 1:
            raise LoadError(f"options.{name} must be at least 1, not {value}")
    check_nice(options)
    if (seconds := options.get("grammar_seconds", 1.0)) <= 0:
        raise LoadError(f"options.grammar_seconds must be more than 0, not {seconds:g}")


def cores() -> int:
    """Processor cores that this process may use: those of its mask, or fewer where a container has a quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = _QUOTA.read_text().split()
        return allowed if quota == "max" else max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def _context(limit: int, wanted: int | None) -> int:
    if wanted is not None and not 2 <= wanted <= limit:
        raise LoadError(f"options.max_context is {wanted}, but this model takes from 2 to {limit} tokens")
    return wanted or limit


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """What ends a sequence, by generation_config.json (which knows a chat's end of turn) or else the tokenizer."""
    named = getattr(model.generation_config, "eos_token_id", None)
    if named is None:
        named = tokenizer.eos_token_id
    ids = named if isinstance(named, list) else [named]
    return frozenset(number for number in ids if isinstance(number, int))


def _template(model_dir: ModelDir, name: str) -> str:
    if not model_dir.has(name):
        raise LoadError(f"options.chat_template is {name!r}, and there is no such file beside the model")
    try:
        return model_dir.head(name, _LONGEST_TEMPLATE).decode()
    except UnicodeDecodeError as error:
        raise LoadError(f"{name} is no text in UTF-8") from error
