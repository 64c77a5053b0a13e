"""Every call of Triton's four clients, in a process of its own: its messages and KServe's bear the same names.

    python -m tests.e2e.triton_calls HTTP_ADDRESS GRPC_ADDRESS MODEL INPUT COLUMNS

Prints {client: {call: what it answers}} as JSON; a call that is refused answers {"refused": its text}.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import queue
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tritonclient.utils import InferenceServerException

PATIENCE = 240
Call = Callable[[Any], Any]


def calls(kind: Any, model: str, tensor: str, columns: int) -> dict[str, Call]:
    """A way to call each public method of a client."""

    def inputs() -> list[Any]:
        made = kind.InferInput(tensor, [2, columns], "FP64")
        made.set_data_from_numpy(np.ones([2, columns]))
        return [made]

    over_http = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "deflate"}
    compressed = over_http if kind is tritonclient.http else {"compression_algorithm": "gzip"}
    memory: dict[str, Call] = {
        "get_system_shared_memory_status": lambda it: it.get_system_shared_memory_status(),
        "register_system_shared_memory": lambda it: it.register_system_shared_memory("r", "/r", 64),
        "unregister_system_shared_memory": lambda it: it.unregister_system_shared_memory("r"),
        "get_cuda_shared_memory_status": lambda it: it.get_cuda_shared_memory_status(),
        "register_cuda_shared_memory": lambda it: it.register_cuda_shared_memory("r", b"aGFuZGxl", 0, 64),
        "unregister_cuda_shared_memory": lambda it: it.unregister_cuda_shared_memory(),
    }
    return {
        "is_server_live": lambda it: it.is_server_live(),
        "is_server_ready": lambda it: it.is_server_ready(),
        "is_model_ready": lambda it: it.is_model_ready(model),
        "is_model_ready of version 1": lambda it: it.is_model_ready(model, "1"),
        "get_server_metadata": lambda it: it.get_server_metadata(),
        "get_model_metadata": lambda it: it.get_model_metadata(model, "1"),
        "get_model_config": lambda it: it.get_model_config(model, "1"),
        "infer": lambda it: it.infer(model, inputs()),
        "infer compressed": lambda it: it.infer(model, inputs(), **compressed),
        "infer by version 1": lambda it: it.infer(model, inputs(), model_version="1"),
        "get_model_repository_index": lambda it: it.get_model_repository_index(),
        "get_inference_statistics": lambda it: it.get_inference_statistics(model, "1"),
        "get_inference_statistics of all": lambda it: it.get_inference_statistics(),
        "get_trace_settings": lambda it: it.get_trace_settings(model),
        "get_trace_settings of all": lambda it: it.get_trace_settings(),
        "update_trace_settings": lambda it: it.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        "update_trace_settings to none": lambda it: it.update_trace_settings(settings={"trace_level": ["OFF"]}),
        "get_log_settings": lambda it: it.get_log_settings(),
        "update_log_settings": lambda it: it.update_log_settings({"log_verbose_level": 0}),
        "load_model": lambda it: it.load_model(model),
        "load_model otherwise": lambda it: it.load_model(model, config='{"backend": "onnxruntime"}'),
        "unload_model": lambda it: it.unload_model(model),
        "load_model again": lambda it: it.load_model(model),
        **memory,
    }


def plain(answer: Any) -> Any:
    """Of an answer what JSON can hold."""
    if isinstance(answer, Message):
        return MessageToDict(answer, preserving_proto_field_name=True)
    if hasattr(answer, "get_response"):
        response = answer.get_response()
        found = plain(response) if isinstance(response, Message) else response
        name = found["outputs"][0]["name"]
        return {"name": found["model_name"], name: answer.as_numpy(name).tolist()}
    return answer


async def ask(client: Any, made: dict[str, Call]) -> dict[str, Any]:
    """What each call answers."""
    answers: dict[str, Any] = {}
    for name, call in made.items():
        try:
            answer = call(client)
            answers[name] = plain(await answer if inspect.isawaitable(answer) else answer)
        except InferenceServerException as error:
            answers[name] = {"refused": str(error)}
    return answers


async def aio(module: Any, address: str, made: dict[str, Call], more: Callable[[Any], Any] | None = None) -> Any:
    """The same of a client of coroutines."""
    async with module.InferenceServerClient(address) as client:
        answers = await ask(client, made)
        return answers | (await more(client) if more is not None else {})


def sync(module: Any, address: str, made: dict[str, Call], more: Callable[[Any], Any]) -> Any:
    """The same of a client that blocks."""
    with module.InferenceServerClient(address) as client:
        return asyncio.run(ask(client, made)) | more(client)


def main(http: str, grpc: str, model: str, tensor: str, columns: str) -> None:
    """Ask, and print."""
    of_http = calls(tritonclient.http, model, tensor, int(columns))
    of_grpc = calls(tritonclient.grpc, model, tensor, int(columns))

    def tensors(module: Any) -> list[Any]:
        made = module.InferInput(tensor, [1, int(columns)], "FP64")
        made.set_data_from_numpy(np.ones([1, int(columns)]))
        return [made]

    def async_http(client: Any) -> dict[str, Any]:
        return {"async_infer": plain(client.async_infer(model, tensors(tritonclient.http)).get_result())}

    def async_grpc(client: Any) -> dict[str, Any]:
        came: queue.SimpleQueue[Any] = queue.SimpleQueue()
        client.async_infer(model, tensors(tritonclient.grpc), lambda result, error: came.put(error or result))
        answers = {"async_infer": plain(came.get(timeout=PATIENCE))}
        client.start_stream(lambda result, error: came.put(error or result))
        client.async_stream_infer(model, tensors(tritonclient.grpc))
        answers["async_stream_infer"] = plain(came.get(timeout=PATIENCE))
        client.stop_stream()
        return answers

    async def stream_grpc(client: Any) -> dict[str, Any]:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield {"model_name": model, "inputs": tensors(tritonclient.grpc)}

        results = [plain(result) async for result, _ in client.stream_infer(requests())]
        return {"stream_infer": results[0]}

    answers = {
        "http": sync(tritonclient.http, http, of_http, async_http),
        "grpc": sync(tritonclient.grpc, grpc, of_grpc, async_grpc),
        "http.aio": asyncio.run(aio(tritonclient.http.aio, http, of_http)),
        "grpc.aio": asyncio.run(aio(tritonclient.grpc.aio, grpc, of_grpc, stream_grpc)),
    }
    local = {"close", "plugin", "register_plugin", "unregister_plugin", "generate_request_body", "parse_response_body"}
    local |= {"start_stream", "stop_stream"}
    modules = {"http": tritonclient.http, "grpc": tritonclient.grpc}
    modules |= {"http.aio": tritonclient.http.aio, "grpc.aio": tritonclient.grpc.aio}
    for name, module in modules.items():
        public = {each for each in dir(module.InferenceServerClient) if not each.startswith("_")} - local
        answers[name]["not asked"] = sorted(public - {call.split(" ")[0] for call in answers[name]})
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
