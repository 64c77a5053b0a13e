"""Clients of every kind, at work while a server stops: none retries, and a refused connection is how each ends.

A client that stands still for longer than the server keeps connections without a request (`LINGER`) may lose its own:
that is told apart, and is no failure.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import grpc
import httpx
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from server.api.shutdown import LINGER

ROW = [5.1, 3.5, 1.4, 0.2]
#: of clients: HTTP over kept connections, fresh ones, bare ones; gRPC over their own connections, and over one for all
KINDS = ("kept", "fresh", "raw", "remote", "shared")
_BODY = {"instances": [ROW]}


class LeavingLoad:
    """Threads of requests to one model; each runs until the server is gone, or an answer is missing."""

    def __init__(self, http_port: int, grpc_port: int, model: str, each: int = 4) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self._http, self._grpc = f"127.0.0.1:{http_port}", f"127.0.0.1:{grpc_port}"
        self._path = f"/v1/models/{model}:predict"
        self._model = model
        self._here = threading.local()
        self._channel = self._connect()
        kinds: list[Callable[[], None]] = [self._kept, self._fresh, self._raw, self._remote, self._shared]
        self._threads = [threading.Thread(target=self._watched, args=(kind,)) for kind in kinds for _ in range(each)]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        """Until every client has found the server gone."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in self._threads), "a client still waits"
        self._channel.close()

    def _watched(self, kind: Callable[[], None]) -> None:
        self._heard()
        try:
            kind()
        except httpx.ConnectError:
            pass
        except grpc.RpcError as error:
            if "refused" not in str(error.details()):
                self.failed.append(f"{kind.__name__}: {error.code()} {error.details()}")
        except (httpx.TransportError, OSError, http.client.HTTPException) as error:
            silent = time.monotonic() - self._here.heard
            if silent < LINGER and not isinstance(error, ConnectionRefusedError):
                self.failed.append(f"{kind.__name__}: {error!r} after {silent:.3f} s")
        except Exception as error:
            self.failed.append(f"{kind.__name__}: {error!r}")

    def _heard(self) -> None:
        """This client has had an answer, or is about to connect."""
        self._here.heard = time.monotonic()

    def _kept(self) -> None:
        """Connections that are kept."""
        with httpx.Client(base_url=f"http://{self._http}", timeout=60) as client:
            while True:
                self._note("kept", client.post(self._path, json=_BODY))
                time.sleep(0.01)

    def _fresh(self) -> None:
        """A connection for each request."""
        while True:
            self._note("fresh", httpx.post(f"http://{self._http}{self._path}", json=_BODY, timeout=60))

    def _raw(self) -> None:
        """One connection, until an answer says that it was the last."""
        body = json.dumps(_BODY).encode()
        head = f"POST {self._path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        host, port = self._http.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as end:
            while True:
                end.sendall(head + body)
                answer = http.client.HTTPResponse(end)
                answer.begin()
                assert answer.status == 200, answer.read()
                answer.read()
                self._heard()
                self.answered["raw"] += 1
                if answer.getheader("connection") == "close":
                    return
                time.sleep(0.02)

    def _remote(self) -> None:
        """gRPC, over a connection of its own."""
        with self._connect() as channel:
            self._call("remote", channel)

    def _shared(self) -> None:
        """gRPC, over one connection for all of this kind: some calls are in flight while others are begun."""
        self._call("shared", self._channel)

    def _connect(self) -> grpc.Channel:
        return grpc.insecure_channel(self._grpc, options=[("grpc.use_local_subchannel_pool", 1)])

    def _call(self, kind: str, channel: grpc.Channel) -> None:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        while True:
            request = pb.ModelInferRequest(model_name=self._model)
            tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 4])
            tensor.contents.fp64_contents.extend(ROW)
            stub.ModelInfer(request, timeout=60)
            self.answered[kind] += 1

    def _note(self, kind: str, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        self._heard()
        self.answered[kind] += 1
