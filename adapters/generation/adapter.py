"""Decoder language models: transformers' folders (`config.json` with `...ForCausalLM`, weights, a tokenizer), and GGUF.

They are asked by jobs (`job`), and answer in parts as tokens are made. They run in a worker: a request takes long, and
the engine computes all the time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import orjson

from adapters.base import (
    Adapter,
    InvalidInput,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Reply,
    ReplyStream,
    Request,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
    Trust,
)
from adapters.generation import gguf_folder, giving_way, lora_folder, response_form
from adapters.generation.generator import Generator
from adapters.generation.loading import LoraOf, load_generator
from adapters.generation.refusal import JSON_HEADERS, RefusedJob, refusal
from adapters.huggingface_.architecture import generates, takes
from adapters.huggingface_.bundle import Damaged, check, needs_sentencepiece, read_config, weights_of
from adapters.huggingface_.loading import DTYPES
from adapters.huggingface_.sentence import is_foreign, read_sentence

#: Triton's names
TEXT_INPUT, TEXT_OUTPUT = "text_input", "text_output"
#: the verb that asks what the engine holds (`engine.EngineUsage`)
USAGE = "usage"
#: what a prediction may be asked with; `job` has the ranges
_PARAMETERS = (
    Parameter("max_tokens", int, meaning="tokens of the answer, at most; 16 unless asked"),
    Parameter("temperature", float, meaning="0, the likeliest tokens, unless asked"),
    Parameter("top_p", float),
    Parameter("top_k", int),
    Parameter("min_p", float),
    Parameter("repetition_penalty", float),
    Parameter("presence_penalty", float),
    Parameter("frequency_penalty", float),
    Parameter("seed", int),
    Parameter("stop", str, meaning="a text that ends the answer, and is left out"),
    Parameter("ignore_eos", bool, meaning="go on behind the model's end of sequence"),
    Parameter("echo", bool, meaning="the prompt comes first"),
)


@dataclass(eq=False)
class GenerationAdapter(Adapter):
    """A model that goes on writing."""

    generator: Generator

    name = "generation"
    platform = "huggingface"
    requires: ClassVar[tuple[str, ...]] = ("transformers", "torch")
    safe_form: ClassVar[str] = "as safetensors"
    own_worker: ClassVar[bool] = True
    converts: ClassVar[bool] = True
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("dtype", choices=DTYPES, meaning="the weights' type in memory; float32 unless set"),
        Parameter("device", meaning="cpu, cuda, cuda:1, ...; a GPU where there is one unless set"),
        Parameter("threads", int, meaning="processor threads of one step; all cores unless set"),
        giving_way.OPTION,
        Parameter("max_context", int, meaning="tokens of prompt and answer; the model's own limit unless set"),
        Parameter("slots", int, meaning="sequences that are made at once; 32 unless set"),
        Parameter("prefill_chunk", int, meaning="tokens of a prompt that one step reads"),
        Parameter("cache_bytes", int, meaning="memory of the keys and values of all sequences"),
        Parameter("max_queue", int, meaning="sequences that may wait; further ones are answered 429"),
        Parameter("grammar_bytes", int, meaning="size of a JSON schema or a grammar, at most; 262144 unless set"),
        Parameter("grammar_depth", int, meaning="levels that one may be nested; 32 unless set"),
        Parameter("grammar_seconds", float, meaning="seconds to compile one, at most; 5 unless set"),
        Parameter("chat_template", meaning="the file of the chat template, beside the model"),
        response_form.OPTION,
    )
    traits = Traits(batchable=False)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return cls._match_whole(model_dir) or lora_folder.match(model_dir, cls._match_whole)

    @classmethod
    def _match_whole(cls, model_dir: ModelDir) -> Match | None:
        return cls._match_folder(model_dir) or (None if weights_of(model_dir) else gguf_folder.match(model_dir))

    @classmethod
    def _match_folder(cls, model_dir: ModelDir) -> Match | None:
        try:
            config = read_config(model_dir)
            if config is None or not generates(config) or is_foreign(model_dir, config) or not weights_of(model_dir):
                return None
            if read_sentence(model_dir) is not None:  # it embeds
                return None
            check(model_dir, config)
        except Damaged as error:
            return Match(Rank.BUNDLE, problem=str(error))
        if taken := takes(config):
            return Match(Rank.BUNDLE, problem=f"it takes {taken}, and only texts are served")
        requires = ("sentencepiece",) if needs_sentencepiece(model_dir) else ()
        trust = Trust.SAFE if ".safetensors" in weights_of(model_dir) else Trust.PICKLE
        return Match(Rank.BUNDLE, requires=requires, trust=trust)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        if file == lora_folder.CONFIG:
            generator = cls._load_lora(model_dir, options)
        else:
            generator = load_generator(model_dir, file, options)
        adapter = cls(text_signature(chats=generator.takes_chats), generator)
        adapter.reserve_bytes = generator.reserve_bytes
        return adapter

    @classmethod
    def _load_lora(cls, model_dir: ModelDir, options: Parameters) -> Generator:
        try:
            lora = lora_folder.read(model_dir)
            base = lora_folder.base_of(model_dir, lora)
        except Damaged as error:
            raise LoadError(str(error)) from error
        found = cls._match_whole(base)
        if found is None or found.problem:  # it has changed since it was matched
            raise LoadError(f"its base model cannot be served: {found.problem if found else 'it is gone'}")
        return load_generator(base, found.file, options, LoraOf(model_dir, lora))

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError("a language model answers whole requests")

    async def answer(self, request: Request) -> Reply | ReplyStream:
        if request.verb == USAGE:
            return Reply(orjson.dumps(asdict(self.generator.usage())), JSON_HEADERS)
        try:
            parts = await self.generator.begin(self.generator.job(job_fields(request.body)), len(request.body))
        except InvalidInput as error:
            return refusal(error)
        return ReplyStream(parts, JSON_HEADERS)

    def close(self) -> None:
        self.generator.close()


def text_signature(*, chats: bool = False) -> Signature:
    """Of a model that goes on with texts, whichever engine makes the tokens; `chats`: and with conversations."""
    return Signature(
        inputs=(TensorSpec(TEXT_INPUT, "BYTES", (-1,)),),
        outputs=(TensorSpec(TEXT_OUTPUT, "BYTES", (-1,)),),
        whole=True,
        overlaps=True,
        streams=True,
        generates=True,
        task="chat" if chats else "",
        any_name=True,
        parameters=_PARAMETERS,
    )


def job_fields(body: bytes) -> dict[str, Any]:
    """The fields of a job.

    Raises:
        RefusedJob: it is none.
    """
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise RefusedJob("a job must be a JSON object")
    return found
