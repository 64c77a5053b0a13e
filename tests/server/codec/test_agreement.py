"""The same rows over V1, V2 JSON, V2 binary, gRPC typed and gRPC raw are the same arrays to the model."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Signature
from adapters.datatypes import datatype_of
from server.codec import grpc_messages, v1, v2
from server.codec.grpc_messages import CONTENTS
from tests.server.codec import requests
from tests.server.codec.signatures import check, fitting, same, signatures

pytestmark = pytest.mark.filterwarnings("error")


@settings(max_examples=150, deadline=None)
@given(signatures, st.data())
@pytest.mark.slow
def test_every_protocol_gives_the_model_the_same_arrays(signature: Signature, data: st.DataObject) -> None:
    tensors = data.draw(fitting(signature).filter(bool))
    body, length = requests.v2_binary(tensors)
    calls = {
        "V1": v1.decode(orjson.dumps(requests.v1_body(tensors, signature)), signature),
        "V2": v2.decode(orjson.dumps(requests.v2_body(tensors)), None, signature),
        "V2 binary": v2.decode(body, str(length), signature),
        "gRPC raw": grpc_messages.decode(requests.grpc_raw(tensors), signature),
    }
    if all(datatype_of(array.dtype) in CONTENTS for array in tensors.values()):
        calls["gRPC typed"] = grpc_messages.decode(requests.grpc_typed(tensors), signature)
    for protocol, call in calls.items():
        check(call, signature)
        assert call.inputs.keys() == tensors.keys()
        for name, array in tensors.items():
            assert same(call.inputs[name], array), protocol
