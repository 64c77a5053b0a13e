"""The explaining side of a model that explains: the way of a prediction, with a queue and a thread of its own.

An explanation takes tens to thousands of times as long as a prediction: in the same queue, predictions would wait for
it. One call at a time and a bounded number of rows a call keep it from taking the machine, or its memory.
"""

from __future__ import annotations

import math
from dataclasses import replace

from adapters.base import Adapter, Signature, Tensors
from server.codec import outputs
from server.codec.decoded_request import DecodedRequest
from server.codec.fast.json_rows import V1Decoder
from server.errors import InvalidInput
from server.inference.answer import JSON_HEADERS, Answer
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.request import Codec, InferenceRequest
from server.telemetry.counters import ModelMetrics

#: contributions in one call, at most: 16 million numbers, which are 128 MiB and some 300 MB of JSON
MOST_NUMBERS = 1 << 24


def explanation_batcher(
    name: str,
    adapter: Adapter,
    executor: Executor,
    limits: Limits,
    metrics: ModelMetrics,
    merges: bool,
) -> Batcher:
    """The queue of requests for explanations."""
    bounded = replace(limits, concurrency=1, max_rows=min(limits.max_rows, most_rows(adapter.signature)))
    batched = adapter.signature.batched
    return Batcher(adapter.explain, executor, bounded, merges, batched, name, on_call=metrics.called)


def explanation_codec(name: str, signature: Signature, decode_v1: V1Decoder) -> Codec:
    """A V1 body to V1 explanations."""
    most = most_rows(signature)

    def decode(request: InferenceRequest) -> DecodedRequest:
        decoded = decode_v1(request.body)
        if decoded.rows > most:
            raise InvalidInput(
                f"{decoded.rows} instances in one request: model {name!r} explains at most {most} at a time, send fewer"
            )
        return decoded

    def encode(explained: Tensors, decoded: DecodedRequest) -> Answer:
        return Answer(200, JSON_HEADERS, outputs.encode_explanations(explained, signature))

    return Codec(decode, encode)


def most_rows(signature: Signature) -> int:
    """Rows that are explained in one call, at most."""
    numbers = sum(abs(math.prod(spec.shape[1:])) for spec in signature.explanations)
    return max(1, MOST_NUMBERS // max(1, numbers))
