"""The body of `POST responses`: one answer to a conversation that comes whole, for nothing is kept here.

Source: OpenAI's API reference.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.openai.error_object import FieldRefused
from server.api.openai.fail_fast import FailFastList
from server.api.openai.output_format import NamedSchema
from server.api.openai.request_fields import MOST_ALTERNATIVES, Effort, GeneratingRequest
from server.api.openai.response_input import messages_of
from server.api.openai.tool_fields import ToolChoice, Tools, chosen

_LOGPROBS = "message.output_text.logprobs"
_NOT_KEPT = "responses are not kept here: leave it out, and send the whole conversation as input"


class TextFormat(NamedSchema):
    """`text.format`: a schema has its name beside its type here."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(None, pattern="^[a-zA-Z0-9_-]{1,64}$")  # type: ignore[assignment]
    schema_: dict[str, Any] | None = Field(None, alias="schema")  # type: ignore[assignment]


class TextConfig(BaseModel):
    """`text`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningConfig(BaseModel):
    """`reasoning`. There are no summaries: the model's own words are told."""

    model_config = ConfigDict(extra="forbid", strict=True)

    effort: Effort | None = None
    summary: Literal["auto"] | None = None  #: where there is one


class ResponseStreamOptions(BaseModel):
    """`stream_options`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_obfuscation: bool | None = None  #: nothing is padded here


class ResponseRequest(GeneratingRequest):
    """`POST responses`."""

    passed: ClassVar[tuple[str, ...]] = (*GeneratingRequest.passed, "parallel_tool_calls")

    input: str | FailFastList[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    tools: FailFastList[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    include: FailFastList[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    stream_options: ResponseStreamOptions | None = None

    metadata: dict[str, str] | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    @property
    def tells_logprobs(self) -> bool:
        """Whether each token comes with its logprob."""
        return _LOGPROBS in (self.include or ())

    def job(self) -> dict[str, Any]:
        tools, choice = self._chosen()
        more = {
            "messages": messages_of(self.input, self.instructions),
            "max_tokens": self.max_output_tokens,
            "reasoning": {"effort": self.reasoning.effort} if self.reasoning is not None else None,
            "tools": list(tools) or None,
            "tool_choice": choice,
            "grammar": self._grammar(),
            "logprobs": (self.top_logprobs or 0) if self.tells_logprobs else None,
        }
        return super().job() | more

    def check(self) -> None:
        super().check()
        self._chosen()
        self._grammar()
        for name in ("store", "previous_response_id"):
            if getattr(self, name):
                raise FieldRefused(f"{name}: {_NOT_KEPT}", name, "unsupported_parameter")
        if self.top_logprobs and not self.tells_logprobs:
            raise FieldRefused(f'top_logprobs needs include: ["{_LOGPROBS}"]', "top_logprobs")
        messages_of(self.input, self.instructions)

    def _chosen(self) -> tuple[Tools, str | dict[str, str] | None]:
        return chosen([_tool(tool) for tool in self.tools or ()], self.tool_choice)

    def _grammar(self) -> dict[str, Any] | None:
        form = self.text.format if self.text is not None else None
        if form is None or form.type == "text":
            return None
        if form.type == "json_object":
            return {"kind": "json_object", "field": "text.format"}
        if form.schema_ is None or form.name is None:
            raise FieldRefused('text.format of type "json_schema" needs a name and a schema', "text")
        return {"kind": "json_schema", "value": form.schema_, "field": "text.format.schema"}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function as chats have it.

    Raises:
        FieldRefused: it is a tool of another kind, which nobody here would run.
    """
    if tool.get("type") != "function":
        raise FieldRefused(
            'tools: only those of type "function" are served, which the client runs', "tools", "unsupported_parameter"
        )
    if not isinstance(tool.get("name"), str):
        raise FieldRefused('tools: a function must have a "name"', "tools")
    kept = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: tool[name] for name in kept if tool.get(name) is not None}}
