"""Completions of an encoder-decoder (T5, BART, Marian): the prompt is what it reads, the text is what it writes.

Such a model has no engine: its texts come whole, by a request of tensors that shares the model's queue with V1's and
V2's. What asks for more than that is refused by its field.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from adapters.base import TEXT_COUNTS, Signature, Tensors
from adapters.shared.arrays import array_of
from server.api.openai.completion_answers import CompletionShape
from server.api.openai.encoder_fields import texts_of
from server.api.openai.error_object import FieldRefused
from server.api.openai.request_fields import CompletionRequest
from server.api.openai.text_answers import MadeText, token_usage
from server.codec.decoded_request import DecodedRequest
from server.codec.error_text import quoted
from server.codec.outputs import dumps
from server.codec.parameters import read_parameters
from server.errors import InvalidInput, TooLong
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.request import Codec

TASK = "text2text"  #: `Signature.task` of models that write a text for a text
_MOST = "max_new_tokens"
_CUT = ", or send the parameter truncation: true to have it cut"  # a way out that completions do not have
_READ = ("model", "user", "prompt", "max_tokens", "temperature")
#: fields -> the values that change nothing
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("n", "best_of", "top_p", "repetition_penalty"), (1,)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "min_p"), (0,)),
    **dict.fromkeys(("stream", "echo", "ignore_eos"), (False,)),
    **dict.fromkeys(("stop", "stop_token_ids"), ([],)),
    "suffix": ("",),
    "logit_bias": ({},),
}


def completion_codec(request: CompletionRequest, signature: Signature) -> Codec:
    """How a model with that signature is asked, and its texts written.

    Raises:
        FieldRefused: the model knows nothing of what is asked for.
    """
    _refuse_others(request)
    prompts = texts_of(request.prompt, "prompt")
    inputs = {signature.inputs[0].name: array_of(prompts)}
    call = DecodedRequest(inputs, len(prompts), read_parameters(_parameters(request), signature))
    shape = CompletionShape(f"cmpl-{uuid.uuid4().hex}", int(time.time()), request.model, len(prompts), None)

    def encode(outputs: Tensors, decoded: DecodedRequest) -> Answer:
        return _answer(shape, outputs[signature.outputs[0].name].tolist())

    return Codec(lambda waiting: call, encode)


def in_words_of_completions(error: InvalidInput) -> InvalidInput:
    """What the model says of its own input and parameters, as the client called them."""
    text = str(error).replace(_CUT, "")
    if isinstance(error, TooLong):
        return FieldRefused(text.replace("text[", "prompt[", 1), "prompt", error.code)
    return FieldRefused(text.replace(_MOST, "max_tokens"), "max_tokens") if text.startswith(_MOST) else error


def _parameters(request: CompletionRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {TEXT_COUNTS.name: True}
    if request.max_tokens is not None:
        if request.max_tokens < 1:
            raise FieldRefused(f"max_tokens must be at least 1, not {request.max_tokens}", "max_tokens")
        asked[_MOST] = request.max_tokens
    if request.temperature is not None:
        asked["do_sample"] = request.temperature > 0
        if request.temperature > 0:
            asked["temperature"] = request.temperature
    return asked


def _refuse_others(request: CompletionRequest) -> None:
    for name in sorted(request.model_fields_set - set(_READ)):
        if getattr(request, name) not in _NEUTRAL.get(name, ()):
            raise FieldRefused(
                f"{name}: the model {quoted(request.model)} writes a whole text for a text, and knows nothing of that: "
                "leave it out",
                name,
                "unsupported_parameter",
            )


def _answer(shape: CompletionShape, written: list[dict[str, Any]]) -> Answer:
    made = [MadeText(_text(each), finish=each["finish_reason"]) for each in written]
    usage = {
        "prompt_tokens": sum(each["tokens_read"] for each in written),
        "completion_tokens": sum(each["tokens_written"] for each in written),
    }
    return Answer(200, JSON_HEADERS, dumps({**shape.complete(made), "usage": token_usage(usage)}))


def _text(written: Mapping[str, Any]) -> str:
    """Under the name that transformers has for a text of the task."""
    return next(str(value) for name, value in written.items() if name.endswith("_text"))
