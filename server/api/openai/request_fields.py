"""The bodies that are taken, field by field: what is not here is refused by its name.

Types are checked here, ranges by the model (`adapters.generation.job`), which other protocols ask, too. Fields that
change no text (who the user is, what to store nowhere) are taken and left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.api.openai.body_parts import check_parts
from server.api.openai.error_object import FieldRefused
from server.api.openai.fail_fast import FailFastList
from server.api.openai.output_format import ResponseFormat, StructuredOutputs, grammar_of
from server.api.openai.tool_fields import ToolChoice, chosen
from server.codec.error_text import nearest, quoted, shortened
from server.codec.json_bodies import parse_object
from server.errors import InvalidInput

MOST_ALTERNATIVES = 20
#: tokens with a bias, which are those of the largest vocabularies: each takes a microsecond of everybody's here
_MOST_BIASES = 300_000
_MOST_MISTAKES = 1000  #: of a body, that one is told of
_DEEPEST = 254  #: levels of nesting, as orjson writes them
_LEAST_CHAT = 1  #: tokens of an answer

#: how much a model is to think
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

#: OpenAI's fields that are not served
_NOT_SERVED = {
    *("audio", "best_of", "function_call", "functions", "prediction"),
    *("suffix", "web_search_options", "conversation", "reasoning", "prompt", "max_tool_calls"),
    *("context_management", "moderation"),
}

#: of chats: what is done here, of fields that could ask for more
_USUAL: Mapping[str, Any] = {"modalities": ["text"], "verbosity": "medium"}


class StreamOptions(BaseModel):
    """How a stream ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = None
    include_obfuscation: bool | None = None  #: nothing is padded here


class OpenAIRequest(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    user: str | None = None

    def check(self) -> None:
        """
        Raises:
            FieldRefused: fields do not fit each other.
        """


class GeneratingRequest(OpenAIRequest):
    """What all that asks a model of language has in common: how tokens are drawn."""

    #: fields that go to the model as they are
    passed: ClassVar[tuple[str, ...]] = (
        *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"),
        *("seed", "stream"),
    )

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stream: bool | None = None

    def job(self) -> dict[str, Any]:
        """What the model is asked."""
        return {name: value for name in self.passed if (value := getattr(self, name)) is not None}


class TextRequest(GeneratingRequest):
    """What chats and completions have in common."""

    passed: ClassVar[tuple[str, ...]] = (
        *GeneratingRequest.passed,
        *("logit_bias", "stop", "stop_token_ids", "ignore_eos", "n"),
    )

    max_tokens: int | None = None
    logit_bias: dict[str, float] | None = Field(None, max_length=_MOST_BIASES)
    stop: str | FailFastList[str] | None = None
    stop_token_ids: FailFastList[int] | None = None
    ignore_eos: bool | None = None
    n: int | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: dict[str, Any] | None = None
    guided_regex: str | None = None
    guided_choice: FailFastList[str] | None = None
    guided_grammar: str | None = None

    @property
    def wants_usage(self) -> bool:
        """A stream ends with a chunk of the usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True

    def job(self) -> dict[str, Any]:
        return {**super().job(), "grammar": self.grammar()}

    def grammar(self) -> dict[str, Any] | None:
        """What the text has to be like.

        Raises:
            FieldRefused: it is asked for in several ways.
        """
        guided = {name: getattr(self, f"guided_{name}") for name in ("json", "regex", "choice", "grammar")}
        return grammar_of(self.response_format, self.structured_outputs, guided)

    def check(self) -> None:
        self.grammar()
        if self.stream_options is not None and not self.stream:
            raise FieldRefused("stream_options is for streams: set stream to true, or leave it out", "stream_options")


class ChatRequest(TextRequest):
    """`POST chat/completions`."""

    messages: FailFastList[dict[str, Any]]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    chat_template_kwargs: dict[str, Any] | None = None
    reasoning_effort: Effort | None = None
    include_reasoning: bool | None = None  #: vLLM's: false leaves it out of the answer
    tools: FailFastList[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    modalities: FailFastList[str] | None = None
    verbosity: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    def job(self) -> dict[str, Any]:
        tools, choice = chosen(self.tools or (), self.tool_choice)
        budget = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        more = {
            "messages": self.messages,
            "max_tokens": budget,
            "chat_template_kwargs": self.chat_template_kwargs,
            "reasoning_effort": self.reasoning_effort,
            "tools": list(tools) or None,
            "tool_choice": choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "logprobs": (self.top_logprobs or 0) if self.logprobs else None,
        }
        return super().job() | more

    def check(self) -> None:
        super().check()
        for name, usual in _USUAL.items():
            if getattr(self, name) not in (None, usual):
                problem = f"{name}: only {orjson.dumps(usual).decode()} is served here: send that, or leave it out"
                raise FieldRefused(problem, name, "unsupported_parameter")
        if not self.messages:
            raise FieldRefused("messages is an empty list: send at least one message", "messages")
        chosen(self.tools or (), self.tool_choice)
        if self.top_logprobs is not None and not self.logprobs:
            raise FieldRefused("top_logprobs needs logprobs: set that to true", "top_logprobs")
        for name in ("max_tokens", "max_completion_tokens"):
            if (asked := getattr(self, name)) is not None and asked < _LEAST_CHAT:
                raise FieldRefused(f"{name} must be at least {_LEAST_CHAT}, not {asked}", name)


class CompletionRequest(TextRequest):
    """`POST completions`."""

    prompt: Any = None  #: a text, texts, ids, or lists of ids: the model says what is wrong with it
    logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    echo: bool | None = None
    best_of: int | None = None
    suffix: Literal[""] | None = None

    def job(self) -> dict[str, Any]:
        more = {"prompt": self.prompt, "max_tokens": self.max_tokens, "logprobs": self.logprobs, "echo": self.echo}
        return super().job() | more

    @property
    def count(self) -> int:
        """How many texts there will be."""
        several = isinstance(self.prompt, list) and self.prompt and type(self.prompt[0]) is not int
        return (len(self.prompt) if several else 1) * (self.n or 1)

    def check(self) -> None:
        super().check()
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise FieldRefused(f"best_of is not served: leave it out, or give n ({self.n or 1}) for it", "best_of")


_R = TypeVar("_R", bound=OpenAIRequest)


def read_request(body: bytes, kind: type[_R]) -> _R:
    """A body as the request that it is.

    Raises:
        InvalidInput: naming the field, and what is allowed.
        TooLarge: it holds more than any request would.
    """
    check_parts(body)
    fields = {name: value for name, value in parse_object(body, '"model"').items() if value is not None}
    try:
        request = kind.model_validate(fields)
    except ValidationError as error:
        if (count := error.error_count()) > _MOST_MISTAKES:  # each would become an object of a kilobyte
            raise InvalidInput(f"the body has {count} fields that are unknown, or values of a wrong type") from error
        raise _refusal(error.errors()[0], kind) from error
    request.check()
    return request


def _refusal(problem: Mapping[str, Any], kind: type[OpenAIRequest]) -> FieldRefused:
    where = [shortened(str(each)) for each in problem["loc"]]  # keys, which are the client's, and numbers
    field = str(problem["loc"][0]) if where else ""
    if problem["type"] == "extra_forbidden" and len(where) == 1:
        if field in _NOT_SERVED:
            return FieldRefused(f"{field} is not served here: leave it out", field, "unsupported_parameter")
        hint = nearest(field, kind.model_fields)
        return FieldRefused(f"there is no field {quoted(field)}; {hint}", field[:100], "unknown_parameter")
    if problem["type"] == "missing":
        return FieldRefused(f"{'.'.join(where)} is missing", field, "missing_required_parameter")
    if problem["type"] == "literal_error" and len(where) == 1:
        served = str(problem["ctx"]["expected"]).replace("False", "false").replace("'", '"')
        return FieldRefused(f"{field}: only {served} is served here: send that, or leave it out", field, "invalid_type")
    return FieldRefused(f"{'.'.join(where)}: {problem['msg']}", field, "invalid_type")


def packed(job: Mapping[str, Any]) -> bytes:
    """The job as the model reads it.

    Raises:
        InvalidInput: it is nested deeper than any model of texts would read.
    """
    try:
        return orjson.dumps(job)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"the request is nested too deep, and {_DEEPEST} levels are taken: {error}") from error
