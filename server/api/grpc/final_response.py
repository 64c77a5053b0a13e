"""The mark of a stream's last answer, for clients that ask by `triton_enable_empty_final_response`: perf_analyzer.

Each answer of a request then has the parameter `triton_final_response`: true for one that is the whole answer. Answers
in parts, of which nobody knows the last before it has come, are followed by an empty one that has it.

    answer of serialized protobuf + a map's entry, serialized  =  the answer with that entry: fields merge by appending

Source: Triton's decoupled_models.md; protobuf's wire format.
"""

from __future__ import annotations

from typing import Any

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.codec.fast.grpc_templates import RequestTemplate
from server.codec.grpc_messages import FINAL_RESPONSE

_MARK = "triton_final_response"


def _entry(is_last: bool) -> bytes:
    response = pb.ModelInferResponse()
    response.parameters[_MARK].bool_param = is_last
    serialized: bytes = response.SerializeToString()
    return serialized


LAST, NOT_LAST = _entry(True), _entry(False)


def wants_mark(request: Any) -> bool:
    """Whether a request, a message or the template of a usual one, which has no parameters, asks for marks."""
    if isinstance(request, RequestTemplate) or FINAL_RESPONSE not in request.parameters:
        return False
    wanted: bool = request.parameters[FINAL_RESPONSE].bool_param
    return wanted


def empty_last(request: Any) -> bytes:
    """What follows the last part of an answer to this message."""
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=request.model_version, id=request.id)
    serialized: bytes = response.SerializeToString()
    return serialized + LAST
