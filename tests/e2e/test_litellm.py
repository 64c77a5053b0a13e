"""LiteLLM against a whole server: chats, tools streamed and not, completions and responses."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.process import Server
from tests.e2e.test_openai_client import CALLING
from tests.language_models import save_language_model
from tests.outside import interpreter_with, run

pytestmark = pytest.mark.e2e

LITELLM = ("litellm", "litellm==1.110.2")
CODE = """
import json, sys
import litellm
litellm.suppress_debug_info = True
base, tools = sys.argv[1], json.loads(sys.argv[2])
ask = dict(model="openai/tiny", api_base=base, api_key="none", messages=[{"role": "user", "content": "hello"}])
call = dict(tools=tools, tool_choice="required", parallel_tool_calls=False, max_tokens=300)
found = {}
whole = litellm.completion(**ask, max_tokens=5)
found["tokens"] = whole.usage.completion_tokens
found["pieces"] = sum(bool(each.choices) for each in litellm.completion(**ask, max_tokens=5, stream=True))

def told(answer):
    (choice,) = answer.choices
    calls = choice.message.tool_calls or ()
    return [choice.finish_reason, [[each.function.name, each.function.arguments, bool(each.id)] for each in calls]]

found["whole"] = told(litellm.completion(**ask, **call))
chunks = list(litellm.completion(**ask, **call, stream=True))
found["streamed"] = told(litellm.stream_chunk_builder(chunks, messages=ask["messages"]))
text = litellm.text_completion(
    model="text-completion-openai/tiny", api_base=base, api_key="none", prompt="one", max_tokens=5
)
found["text"] = text.usage.completion_tokens
response = litellm.responses(model="openai/tiny", api_base=base, api_key="none", input="hello", max_output_tokens=16)
found["response"] = response.usage.output_tokens
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    interpreter_with(*LITELLM)
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny", template=CALLING, context=1024)
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield server
    server.stop()


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {}},  # open by JSON Schema, and not meant so
        {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]},
    ],
    ids=["none", "one"],
)
def test_litellm(server: Server, parameters: dict[str, object]) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    python = interpreter_with(*LITELLM)
    base = f"{server.url}/openai/v1"
    found = run(python, CODE, base, json.dumps(tools), LITELLM_LOCAL_MODEL_COST_MAP="True")
    assert 1 <= found["tokens"] <= 5
    assert found["pieces"] >= 2
    for reason, calls in (found["whole"], found["streamed"]):
        assert reason == "tool_calls"
        ((name, arguments, has_id),) = calls
        assert (name, has_id) == ("weather", True)
        assert json.loads(arguments).keys() == parameters["properties"].keys()  # type: ignore[attr-defined]
    assert 1 <= found["text"] <= 5
    assert 1 <= found["response"] <= 16
