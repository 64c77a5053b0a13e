"""`llama-server` of llama.cpp: its command line, and its words.

Source: llama.cpp's tools/server/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.base import ModelDir, Parameter, Parameters
from adapters.formats.gguf import read_header
from adapters.generation.grammar import Grammar
from adapters.generation.job import NO_EFFORT
from adapters.generation.refusal import RefusedJob
from adapters.generation.response_form import OPTION, UNREAD
from adapters.upstream.json_calls import schema_of
from adapters.upstream.program import COMMON_OPTIONS, Metrics, ServingProgram, template_file

_TEMPLATE = "tokenizer.chat_template"  #: of a GGUF file's header
_LONGEST_TEMPLATE = 1 << 20  #: bytes that are looked at
_SLOTS = 4  #: sequences at once, unless the options say otherwise
#: field of a job -> llama.cpp's word
_WORDS = {"repetition_penalty": "repeat_penalty"}
#: what it has no word for
_LACKS = ("stop_token_ids", "echo")
#: fields of calls of tools, and what a function takes that does not say so
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0")


class LlamaCppProgram(ServingProgram):
    """See `ServingProgram`."""

    name = "llama-server"
    hint = "install llama.cpp on the machine, so that llama-server is on the server's PATH"
    options = (
        *COMMON_OPTIONS,
        Parameter("gpu_layers", int, meaning="layers of the model that a GPU holds"),
        Parameter("cache_type", choices=_CACHE_TYPES, meaning="the type of keys and values in memory; f16 unless set"),
        OPTION,
    )
    metrics = Metrics(
        running="llamacpp:requests_processing",
        waiting="llamacpp:requests_deferred",
        cache="llamacpp:kv_cache_usage_ratio",
        prompt_tokens="llamacpp:prompt_tokens_total",
        generated_tokens="llamacpp:tokens_predicted_total",
    )
    calls_as_json = True

    def arguments(
        self, model_dir: ModelDir, file: str, served_name: str, socket: Path, options: Parameters
    ) -> list[str]:
        slots = options.get("slots", _SLOTS)
        line = ["--model", str(model_dir.file(file)), "--alias", served_name, "--host", str(socket)]
        line += ["--parallel", str(slots), "--metrics", "--no-webui", "--jinja"]
        line += ["--reasoning-format", "none" if options.get("reasoning") == UNREAD else "deepseek"]
        if context := options.get("max_context"):
            line += ["--ctx-size", str(context * slots)]
        for option, flag in (("threads", "--threads"), ("gpu_layers", "--n-gpu-layers")):
            if option in options:
                line += [flag, str(options[option])]
        if kind := options.get("cache_type"):
            line += ["--cache-type-k", kind, "--cache-type-v", kind]
        if template := template_file(model_dir, options):
            line += ["--chat-template-file", str(template)]
        return line

    def takes_tools(self, model_dir: ModelDir, file: str, options: Parameters) -> bool:
        """It leaves tools out of a prompt whose template does not ask for them, and says nothing."""
        if template_file(model_dir, options):
            return b"tools" in model_dir.head(options["chat_template"], _LONGEST_TEMPLATE)
        with model_dir.file(file).open("rb") as stream:
            return "tools" in read_header(stream).text(_TEMPLATE)

    def body(self, fields: dict[str, Any], grammar: Grammar | None) -> dict[str, Any]:
        for field in _LACKS:
            if fields.get(field):
                raise RefusedJob(
                    f"{field}: llama-server has no word for it: leave it out", field, "unsupported_parameter"
                )
        body = {_WORDS.get(name, name): value for name, value in fields.items()}
        if effort := body.pop("reasoning_effort", None):
            told = {"reasoning_effort": effort, "enable_thinking": effort != NO_EFFORT}
            body["chat_template_kwargs"] = told | (body.get("chat_template_kwargs") or {})
        if body.get("tool_choice", "auto") != "auto":
            body = _with_call(body)
        if "repeat_penalty" in body:
            body["repeat_last_n"] = -1  # over prompt and answer; its own choice is the last 64 tokens
        return body if grammar is None else {**body, **_constraint(grammar)}


def _with_call(body: dict[str, Any]) -> dict[str, Any]:
    """A request whose answer has to be a call.

    It takes such a wish for "auto" where it does not know how the model's template has calls written, or where a
    function is named; but it holds any answer to a schema, behind what is thought before. The template is told of the
    tools as it tells of them itself.
    """
    choice, tools = body["tool_choice"], body["tools"]
    name = choice["function"]["name"] if isinstance(choice, dict) else ""
    schema = schema_of(tools, name, several=body.get("parallel_tool_calls", True))
    told = {**(body.get("chat_template_kwargs") or {}), "tools": [_whole(tool["function"]) for tool in tools]}
    left = {field: value for field, value in body.items() if field not in _OF_TOOLS}
    return {**left, "chat_template_kwargs": told, "json_schema": schema}


def _whole(function: Mapping[str, Any]) -> dict[str, Any]:
    told = {"name": function["name"], "description": function.get("description") or ""}
    return {"type": "function", "function": {**told, "parameters": function.get("parameters") or _NO_PARAMETERS}}


def _constraint(grammar: Grammar) -> dict[str, Any]:
    """
    Raises:
        RefusedJob: llama.cpp reads no grammar of that kind.
    """
    if grammar.kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if grammar.kind == "json_schema":
        return {"json_schema": grammar.value}
    if grammar.kind == "choice":
        return {"grammar": "root ::= " + " | ".join(json.dumps(each, ensure_ascii=False) for each in grammar.value)}
    raise grammar.refused(f"llama-server reads JSON schemas and choices, and no grammar by {grammar.kind}")
