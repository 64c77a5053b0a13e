"""Payloads as KServe's CloudEvents and as lines of JSON, whatever protocol they came over."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import unquote

import kserve.protocol.grpc.grpc_predict_v2_pb2 as pb
import pytest
from cloudevents.http import from_http

from server.repository.payloads.payload import PROTOBUF, Payload, Sender, cloud_event, json_line, readable

REQUEST = Payload("request", "abc", "iris", "3", "v1", "application/json", b'{"instances": [[1]]}', time=1.25)
ANSWER = replace(REQUEST, kind="response", body=b'{"predictions": [1]}')


def test_an_event_is_as_kserves_logger_sends_it() -> None:
    headers, body = cloud_event(REQUEST, Sender("mine", "space"))
    assert body == REQUEST.body
    assert headers == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "abc",
        "ce-type": "org.kubeflow.serving.inference.request",
        "ce-source": "/v2/models/iris",
        "ce-time": "1970-01-01T00:00:01.250Z",
        "ce-inferenceservicename": "mine",
        "ce-namespace": "space",
        "ce-component": "predictor",
        "ce-endpoint": "3",
        "ce-metadata": "{}",
    }
    event = from_http(headers, body)  # the SDK's own reader takes it
    assert event["type"] == "org.kubeflow.serving.inference.request"
    assert event.data == {"instances": [[1]]}


def test_an_answer_has_the_id_of_its_request_and_a_status() -> None:
    headers, _ = cloud_event(replace(ANSWER, status=400, metadata={"x-tenant": "a"}), Sender())
    assert headers["ce-type"] == "org.kubeflow.serving.inference.response"
    assert (headers["ce-id"], headers["ce-statuscode"]) == ("abc", "400")
    assert headers["ce-inferenceservicename"] == "iris"
    assert "ce-namespace" not in headers
    assert headers["ce-metadata"] == '{"X-Tenant":["a"]}'


def test_headers_are_as_kserves_logger_writes_them_whatever_they_hold() -> None:
    """It encodes nothing, and who follows CloudEvents decodes: both read the same."""
    headers, body = cloud_event(replace(REQUEST, metadata={"x-long-name": 'é "100%25" \n'}), Sender())
    written = headers["ce-metadata"]
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == json.loads(unquote(written)) == {"X-Long-Name": ['é "100%25" \n']}
    assert from_http(headers, body)["metadata"] == written


def test_names_that_headers_cannot_have_are_encoded() -> None:
    headers, _ = cloud_event(replace(REQUEST, model="é\r\nx"), Sender())
    assert headers["ce-source"] == "/v2/models/%C3%A9%0D%0Ax"


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_a_message_over_grpc_is_logged_as_v2_has_it_in_json(raw: bool) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", shape=[1, 2], datatype="FP64")
    message = pb.ModelInferRequest(model_name="iris", id="7", inputs=[tensor])
    if raw:
        message.raw_input_contents.append(b"\0" * 8 + b"\0\0\0\0\0\0\xf0?")
    else:
        message.inputs[0].contents.fp64_contents.extend([0.0, 1.0])
    sent = replace(REQUEST, protocol="grpc", content_type=PROTOBUF, body=message.SerializeToString())
    body, media = readable(sent)
    document = json.loads(body)
    assert media == "application/json"
    (told,) = document["inputs"]
    assert (told["name"], told["shape"], told["datatype"], told["data"]) == ("x", [1, 2], "FP64", [0.0, 1.0])


def test_an_answer_over_grpc_is_as_well() -> None:
    tensor = pb.ModelInferResponse.InferOutputTensor(name="y", shape=[1], datatype="BYTES")
    tensor.contents.bytes_contents.append(b"Rome")
    message = pb.ModelInferResponse(model_name="iris", id="7", outputs=[tensor])
    sent = replace(ANSWER, protocol="grpc", content_type=PROTOBUF, body=message.SerializeToString())
    (told,) = json.loads(readable(sent)[0])["outputs"]
    assert (told["name"], told["data"]) == ("y", ["Rome"])


def test_what_cannot_be_read_is_logged_as_it_is() -> None:
    sent = replace(REQUEST, protocol="grpc", content_type=PROTOBUF, body=b"\xff\xff")
    assert readable(sent) == (b"\xff\xff", PROTOBUF)


def test_a_line_holds_the_body_as_json_or_in_base64() -> None:
    line = json.loads(json_line(replace(ANSWER, status=503), Sender("mine", "space")))
    assert (line["body"], line["status"], line["service"]) == ({"predictions": [1]}, 503, "mine")
    assert (line["id"], line["model"], line["version"], line["protocol"]) == ("abc", "iris", "3", "v1")
    line = json.loads(json_line(replace(REQUEST, body=b"\x00\x01"), Sender()))
    assert base64.b64decode(line["body_base64"]) == b"\x00\x01"
    assert "status" not in line


@pytest.mark.parametrize("deep", [300, 900, 5000])
def test_a_body_that_is_nested_deeply_is_logged_all_the_same(deep: int) -> None:
    """Of a batch of lines, none would be written else: whoever sends it would hide what others send."""
    body = b"[" * deep + b"]" * deep
    line = json.loads(json_line(replace(REQUEST, body=body), Sender()))
    assert base64.b64decode(line["body_base64"]) == body


STREAM = replace(ANSWER, body=b"", parts=[b'{"a":1}', b": the model is at work", b"[DONE]"])


def test_an_answer_in_parts_is_the_events_that_it_was_and_a_list_in_a_line() -> None:
    body, media = readable(STREAM)
    assert (body, media) == (b'data: {"a":1}\n\ndata: [DONE]\n\n', "text/event-stream")
    line = json.loads(json_line(STREAM, Sender()))
    assert (line["parts"], line["content_type"]) == ([{"a": 1}, "[DONE]"], "text/event-stream")
    assert "body" not in line
    assert STREAM.size > ANSWER.size


def test_parts_over_grpc_are_as_v2_has_them() -> None:
    tensor = pb.ModelInferResponse.InferOutputTensor(name="y", shape=[1], datatype="BYTES")
    tensor.contents.bytes_contents.append(b"Rome")
    part = pb.ModelInferResponse(model_name="iris", outputs=[tensor]).SerializeToString()
    line = json.loads(json_line(replace(STREAM, protocol="grpc", content_type=PROTOBUF, parts=[part, part]), Sender()))
    assert [each["outputs"][0]["data"] for each in line["parts"]] == [["Rome"], ["Rome"]]
