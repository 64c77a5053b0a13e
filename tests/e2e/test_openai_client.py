"""The official `openai` package, unchanged, against a whole server: plain, asynchronous, parsed, helpers, responses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from huggingface_hub import InferenceClient
from pydantic import BaseModel, ConfigDict, Field

from tests.e2e.process import Server
from tests.language_models import TEMPLATE, save_language_model, save_thinking_model

pytestmark = pytest.mark.e2e

HELLO: Any = [{"role": "user", "content": "hello"}]
#: a template that has calls written as JSON between tags
CALLING = TEMPLATE + "{% if tools %}<tool_call>{% endif %}"
WEATHER: Any = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 8}},
    "required": ["city"],
    "additionalProperties": False,
}


class Person(BaseModel):
    """What a model of nonsense is held to."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=6)
    mood: Literal["good", "bad"]
    age: int = Field(ge=0, le=9)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny", template=CALLING, context=1024)
    save_thinking_model(mount / "thinker")
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.client.base_url}/openai/v1", api_key="none", max_retries=0) as client:
        yield client


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["thinker", "tiny"]
    assert client.models.retrieve("tiny").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_chats_plain_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=HELLO, seed=3, max_tokens=12)
    chunks = client.chat.completions.create(
        model="tiny", messages=HELLO, seed=3, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    text, usage = "", None
    for chunk in chunks:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert usage is not None
    assert whole.usage is not None
    # the second finds the prompt of the first in the cache, or does not
    details = {"prompt_tokens_details": None}
    assert usage.model_copy(update=details) == whole.usage.model_copy(update=details)


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="tiny", prompt=["one", "two"], max_tokens=4, logprobs=2, seed=1)
    assert [len(choice.logprobs.tokens or ()) for choice in answer.choices if choice.logprobs] == [4, 4]


def test_parsed_chats(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Person, seed=1, n=2)
    for choice in parsed.choices:
        assert isinstance(choice.message.parsed, Person)
        assert choice.finish_reason == "stop"
    again = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Person, seed=1, n=2)
    assert [each.message.parsed for each in again.choices] == [each.message.parsed for each in parsed.choices]


def test_the_helper_of_streams_parses_too(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Person, seed=5)
    with client.chat.completions.stream(model="tiny", messages=HELLO, response_format=Person, seed=5) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == parsed.choices[0].message.parsed


def test_an_answer_cut_short_is_told_as_such(client: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="tiny", messages=HELLO, response_format=Person, max_tokens=3)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_calls_of_tools(client: openai.OpenAI, choice: Any) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
        {"type": "function", "function": {"name": "now"}},
    ]
    asked: dict[str, Any] = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": False, "seed": 2}
    answer = client.chat.completions.create(model="tiny", messages=HELLO, **asked).choices[0]
    (call,) = answer.message.tool_calls or ()
    assert (answer.finish_reason, call.type) == ("tool_calls", "function")
    assert call.type == "function"
    assert isinstance(json.loads(call.function.arguments), dict)
    if choice != "required":
        assert list(json.loads(call.function.arguments)) == ["city"]
    with client.chat.completions.stream(model="tiny", messages=HELLO, **asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    (other,) = streamed.message.tool_calls or ()
    assert (other.function.name, other.function.arguments) == (call.function.name, call.function.arguments)


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="tiny", input="hello", instructions="be brief", max_output_tokens=6)
    assert (answer.status, answer.object) == ("incomplete", "response")
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 6
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        *(item.model_dump() for item in answer.output),
        {"role": "user", "content": "and then?"},
    ]
    assert client.responses.create(model="tiny", input=items, max_output_tokens=6, store=False).id != answer.id


def test_responses_in_events(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "input": "hello", "max_output_tokens": 9, "extra_body": {"seed": 4}}
    whole = client.responses.create(**asked, include=["message.output_text.logprobs"], top_logprobs=2)
    events = list(client.responses.create(**asked, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == text
    assert last.response.usage is not None
    assert whole.usage is not None
    details = {"input_tokens_details": None}  # the second finds the prompt of the first in the cache, or does not
    assert last.response.usage.model_copy(update=details) == whole.usage.model_copy(update=details)
    (part,) = whole.output[0].content  # type: ignore[union-attr]
    assert part.type == "output_text"
    assert [len(token.top_logprobs) for token in part.logprobs or ()] == [2] * 9


def test_responses_parsed_and_by_the_helper_of_streams(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "input": "hello", "text_format": Person, "extra_body": {"seed": 7}}
    parsed = client.responses.parse(**asked)
    assert isinstance(parsed.output_parsed, Person)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_parsed == parsed.output_parsed


def test_responses_that_call(client: openai.OpenAI) -> None:
    asked: Any = {
        "model": "tiny",
        "input": "hello",
        "tools": [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "extra_body": {"seed": 7},
    }
    (call,) = client.responses.create(**asked).output
    assert call.type == "function_call"
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        (streamed,) = stream.get_final_response().output
    assert "response.function_call_arguments.delta" in kinds
    assert streamed.type == "function_call"
    assert streamed.arguments == call.arguments
    items: Any = [
        {"role": "user", "content": "hello"},
        call.model_dump(exclude={"parsed_arguments"}),
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
    ]
    assert client.responses.create(model="tiny", input=items, max_output_tokens=3).output


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"input": []}, "input"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "objekt"}}}}, "text"),
    ],
)
def test_what_responses_do_not_have_is_refused_by_name(client: openai.OpenAI, asked: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**{"model": "tiny", "input": "hello", **asked})
    assert caught.value.param == param
    assert param in caught.value.message


def thought(message: Any) -> tuple[str | None, str | None]:
    return getattr(message, "reasoning_content", None), message.content


def test_reasoning_is_told_apart_whole_and_streamed(client: openai.OpenAI) -> None:
    asked: Any = {"model": "thinker", "messages": HELLO, "stop": ["h", "zz"], "logprobs": True}
    whole = client.chat.completions.create(**asked, n=2)
    for choice in whole.choices:
        assert (*thought(choice.message), choice.finish_reason) == ("hm", "yes", "stop")
        assert choice.logprobs is not None
        assert len(choice.logprobs.content or ()) == 9
    assert whole.usage is not None
    assert whole.usage.completion_tokens_details is not None
    assert whole.usage.completion_tokens_details.reasoning_tokens == 2 * 5
    chunks = list(client.chat.completions.create(**asked, stream=True))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "hm"
    assert "".join(delta.content or "" for delta in deltas) == "yes"
    with client.chat.completions.stream(model="thinker", messages=HELLO) as stream:
        assert thought(stream.get_final_completion().choices[0].message) == ("hm", "yes")


def test_what_a_request_says_of_reasoning(client: openai.OpenAI) -> None:
    tables: list[tuple[Any, Any]] = [
        ({"max_tokens": 3}, ("h", None, "length")),
        ({"include_reasoning": False}, (None, "yes", "stop")),
        ({"reasoning_effort": "none"}, (None, "\tyes", "stop")),
        ({"chat_template_kwargs": {"begins": True}}, ("hm", "yes", "stop")),
        ({"structured_outputs": {"choice": ["no"]}}, ("hm", "no", "stop")),
    ]
    for asked, expected in tables:
        choice = client.chat.completions.create(model="thinker", messages=HELLO, extra_body=asked).choices[0]
        assert (*thought(choice.message), choice.finish_reason) == expected, asked


def test_a_model_that_thinks_may_call(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "now"}}]
    choice = client.chat.completions.create(model="thinker", messages=HELLO, tools=tools).choices[0]
    (call,) = choice.message.tool_calls or ()
    assert call.type == "function"
    assert (call.function.name, call.function.arguments, choice.finish_reason) == ("now", "{}", "tool_calls")


def test_reasoning_of_responses_comes_back(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="thinker", input="hello", reasoning={"effort": "low"})
    assert [item.type for item in whole.output] == ["reasoning", "message"]
    assert whole.output_text == "yes"
    assert whole.usage is not None
    assert whole.usage.output_tokens_details.reasoning_tokens == 5
    with client.responses.stream(model="thinker", input="hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.reasoning_text.delta" in kinds
    assert [item.type for item in final.output] == ["reasoning", "message"]
    thoughts, answer = (item.model_dump(exclude_none=True) for item in final.output)
    tokens = []
    for items in ([answer], [thoughts, answer]):
        again: Any = [{"role": "user", "content": "hello"}, *items, {"role": "user", "content": "and then?"}]
        usage = client.responses.create(model="thinker", input=again).usage
        assert usage is not None
        tokens.append(usage.input_tokens)
    assert tokens[1] - tokens[0] == 4  # <think> h m </think>: the template was handed it


def test_texts_are_told_whole(client: openai.OpenAI) -> None:
    assert client.completions.create(model="thinker", prompt="\n").choices[0].text == "<think> hm</think>\tyes"


def test_many_at_once_by_the_asynchronous_client(server: Server, client: openai.OpenAI) -> None:
    def asked(number: int) -> Any:
        return {"model": "tiny", "messages": HELLO, "seed": number, "response_format": {"type": "json_object"}}

    async def run() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="none", max_retries=0) as many:
            calls = (many.chat.completions.create(**asked(number), max_tokens=40) for number in range(16))
            return [answer.choices[0].message.content for answer in await asyncio.gather(*calls)]

    together = asyncio.run(run())
    for number in (0, 9):
        alone = client.chat.completions.create(**asked(number), max_tokens=40)
        assert alone.choices[0].message.content == together[number]


def test_the_client_of_huggingface_hub(server: Server) -> None:
    hub = InferenceClient(base_url=f"{server.url}/openai/v1", api_key="none")
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    schema: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER, "strict": True}}
    whole = hub.chat_completion(HELLO, model="tiny", max_tokens=9, seed=1, logprobs=True, top_logprobs=2)
    chunks = hub.chat_completion(HELLO, model="tiny", max_tokens=9, seed=1, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    formed = hub.chat_completion(HELLO, model="tiny", response_format=schema, seed=1)
    assert list(json.loads(formed.choices[0].message.content or "")) == ["city"]
    called = hub.chat_completion(HELLO, model="tiny", tools=tools, tool_choice="required", seed=1, max_tokens=200)
    assert called.choices[0].message.tool_calls


def test_errors_are_those_of_openai(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "one " * 2000}])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"items": {"type": "objekt"}}}}
    with pytest.raises(openai.BadRequestError, match=r"schema\.items: Invalid type: objekt"):
        client.chat.completions.create(model="tiny", messages=HELLO, response_format=schema)  # type: ignore[call-overload]
