"""A ModelInfer call by JSON, to a gRPC server of this process and to none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from server.cli.grpc_request import infer, message_of
from server.cli.main import Failure
from server.cli.tls_files import TlsFiles
from tests.certificates import Authority

REQUEST = {
    "model_name": "m",
    "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "contents": {"fp64_contents": [1.5, 2.0]}}],
}


class Echo(GRPCInferenceServiceServicer):
    def ModelInfer(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        if metadata.get("x-key") != "v":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no key\n")
        (tensor,) = request.inputs
        output = pb.ModelInferResponse.InferOutputTensor(name="y", datatype="FP64", shape=tensor.shape)
        output.contents.CopyFrom(tensor.contents)
        return pb.ModelInferResponse(model_name=request.model_name, outputs=[output])


def test_a_call() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        answer = infer(address, REQUEST, {"X-Key": "v"})
        assert answer["outputs"] == [{"name": "y", "shape": [2], "datatype": "FP64", "data": [1.5, 2.0]}]
        with pytest.raises(Failure, match=r"the server answers INVALID_ARGUMENT: no key$"):
            infer(address, REQUEST, {})
    finally:
        server.stop(None)


def test_what_is_no_message() -> None:
    with pytest.raises(Failure, match=r"gRPC has no such message: .*fp64_contents"):
        message_of({"model_name": "m", "inputs": [{"name": "x", "contents": {"fp64_contents": ["a"]}}]})


def test_a_call_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    theirs, mine = authority.sign("server"), authority.sign("mine")
    pairs = [(theirs.key.read_bytes(), theirs.chain.read_bytes())]
    credentials = grpc.ssl_server_credentials(pairs, authority.file.read_bytes(), True)
    server = grpc.server(ThreadPoolExecutor(1))
    add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        files = TlsFiles(authority.file, mine.chain, mine.key)
        assert infer(address, REQUEST, {"X-Key": "v"}, files)["model_name"] == "m"
    finally:
        server.stop(None)


def test_nobody_there() -> None:
    with pytest.raises(Failure, match=r"nothing answers gRPC at 127.0.0.1:1: name the server's port by --grpc-port"):
        infer("127.0.0.1:1", REQUEST, {})
