"""Folders that `vllm serve` or `llama-server` serves, where polyserve.yaml says `engine: vllm` or `engine: llama_cpp`.

The worker starts the program, and turns jobs into requests to it and its chunks into parts: routes, fields that are
refused, streams, metrics and limits are those of any language model, whichever engine makes the tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import orjson

from adapters.base import (
    Adapter,
    InvalidInput,
    Match,
    ModelDir,
    Parameters,
    Rank,
    Reply,
    ReplyStream,
    Request,
    Tensors,
    Trust,
)
from adapters.generation import gguf_folder
from adapters.generation.adapter import USAGE, job_fields, text_signature
from adapters.generation.giving_way import NICE, give_way
from adapters.generation.job import Chat, Job, Prompt
from adapters.generation.refusal import JSON_HEADERS, RefusedJob, refusal
from adapters.generation.tool_calls import check_form
from adapters.huggingface_.architecture import generates
from adapters.huggingface_.bundle import Damaged, check, read_config, weights_of
from adapters.upstream.llama_cpp_program import LlamaCppProgram
from adapters.upstream.program import ServingProgram, check_numbers, environment_of, executable
from adapters.upstream.program_process import ProgramProcess, end_worker, socket_folder
from adapters.upstream.upstream_parts import UpstreamParts
from adapters.upstream.upstream_request import requests_of
from adapters.upstream.upstream_stream import Patience, UpstreamStream
from adapters.upstream.upstream_text import UpstreamText
from adapters.upstream.upstream_usage import usage_of
from adapters.upstream.vllm_program import VllmProgram

_MOST_OPEN = 256  #: sequences, unless the options say otherwise
_FIRST_WORD = 1.0  #: seconds that a refusal is waited for before an answer is begun
_SOCKET = "engine.sock"


@dataclass(eq=False)
class UpstreamAdapter(Adapter):
    """A model in a program of its own."""

    process: ProgramProcess
    served_name: str
    patience: Patience
    most_open: int
    takes_tools: bool = True
    open_sequences: int = 0

    own_worker: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("h11",)
    program: ClassVar[ServingProgram]
    #: what becomes of the worker when the program ends
    on_death: ClassVar[Callable[[str], None]] = staticmethod(end_worker)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        check_numbers(options)
        served_name = model_dir.name or model_dir.path.name
        takes_tools = cls.program.takes_tools(model_dir, file, options)
        path = executable(cls.program.name, options, cls.program.hint)
        folder = socket_folder()
        socket = folder / _SOCKET
        line = [str(path), *cls.program.arguments(model_dir, file, served_name, socket, options)]
        process = ProgramProcess(line, environment_of(cls.program, options), folder, socket)
        give_way(options.get("nice", NICE), process.pid)
        try:
            process.wait_ready(served_name)
        except BaseException:
            process.close()
            raise
        process.watch(cls.on_death)
        given = {"first": options.get("first_token_seconds"), "between": options.get("token_seconds")}
        patience = Patience(**{name: value for name, value in given.items() if value is not None})
        most_open = options.get("max_queue", _MOST_OPEN)
        return cls(text_signature(), process, served_name, patience, most_open, takes_tools)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError("a language model answers whole requests")

    async def answer(self, request: Request) -> Reply | ReplyStream:
        if request.verb == USAGE:
            usage = await usage_of(self.process.socket, self.program.metrics, self.open_sequences)
            return Reply(orjson.dumps(asdict(usage)), JSON_HEADERS)
        try:
            return ReplyStream(await self._begin(Job.of(job_fields(request.body))), JSON_HEADERS)
        except InvalidInput as error:
            return refusal(error)

    async def _begin(self, job: Job) -> UpstreamParts:
        """
        Raises:
            InvalidInput: the job, or the program, refuses it.
        """
        for prompt in job.prompts:
            if isinstance(prompt, Chat) and prompt.tools:
                self._check_tools(prompt.tools)
        requests = requests_of(job, self.program, self.served_name)
        if self.open_sequences + len(requests) > self.most_open:
            raise RefusedJob(
                f"the model has no room for more requests: {self.open_sequences} sequences are being made, and "
                f"{self.most_open} may be (options.max_queue)",
                None,
                "queue_full",
                429,
            )
        schema = "tools" if job.grammar is None else job.grammar.field
        streams = [
            UpstreamStream(self.program.name, self.process.socket, target, body, self.patience, schema)
            for target, body in requests
        ]
        self._count(len(streams))
        try:
            await streams[0].opened(_FIRST_WORD)
            if streams[0].refusal:
                await anext(streams[0])  # which raises it
        except BaseException:
            self._count(-len(streams))
            for stream in streams:
                await stream.aclose()
            raise
        prompts = [prompt for prompt in job.prompts for _ in range(job.n)]
        sequences = list(zip(streams, map(self._text, prompts), strict=True))
        return UpstreamParts(sequences, job.n, lambda: self._count(-len(streams)), stream=job.stream)

    def _check_tools(self, tools: Any) -> None:
        check_form(tools)
        if not self.takes_tools:
            raise RefusedJob(
                f"tools: the model's chat template has none, and {self.program.name} would ignore them: leave them out",
                "tools",
                "unsupported_parameter",
            )

    def _text(self, prompt: Prompt) -> UpstreamText:
        if not isinstance(prompt, Chat):
            return UpstreamText(self.program.name)
        as_json = prompt.needs_call and self.program.calls_as_json
        return UpstreamText(
            self.program.name, parallel_calls=prompt.parallel_calls, tools=prompt.tools or (), as_json=as_json
        )

    def _count(self, more: int) -> None:
        self.open_sequences += more

    def close(self) -> None:
        self.process.close()


class VllmAdapter(UpstreamAdapter):
    """`engine: vllm`: folders of transformers' decoders."""

    name = "vllm"
    platform = "vllm"
    safe_form: ClassVar[str] = "as safetensors"
    program: ClassVar[ServingProgram] = VllmProgram()
    options = program.options

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        try:
            config = read_config(model_dir)
            if config is None or not generates(config) or not weights_of(model_dir):
                return None
            if not model_dir.trusted:  # code that it names would be run
                check(model_dir, config)
        except Damaged as error:
            return Match(Rank.BUNDLE, problem=str(error))
        trust = Trust.SAFE if ".safetensors" in weights_of(model_dir) else Trust.PICKLE
        return Match(Rank.BUNDLE, trust=trust)


class LlamaCppAdapter(UpstreamAdapter):
    """`engine: llama_cpp`: one GGUF file."""

    name = "llama_cpp"
    platform = "llama_cpp"
    program: ClassVar[ServingProgram] = LlamaCppProgram()
    options = program.options

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        found = gguf_folder.match(model_dir)
        return None if found is None else replace(found, requires=())
