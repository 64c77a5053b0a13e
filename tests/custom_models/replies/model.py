"""Answers that are no plain dict, chosen by the request; and response headers."""

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model


class Replies(Model):
    def __init__(self, name):
        super().__init__(name, return_response_headers=True)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        response_headers["x-answered-by"] = "replies"
        response_headers["x-request-id"] = headers.get("x-request-id", "none")
        if isinstance(payload, InferRequest):
            rows = payload.inputs[0].as_numpy()
            output = InferOutput("doubled", list(rows.shape), payload.inputs[0].datatype)
            output.set_data_from_numpy(rows * 2, binary_data=bool(payload.use_binary_outputs))
            return InferResponse(payload.id, self.name, [output], requested_outputs=payload.request_outputs)
        if isinstance(payload, bytes):
            return payload[::-1]
        return getattr(self, payload["kind"])()

    def numpy(self):
        return {"predictions": np.arange(6, dtype=np.float32).reshape(2, 3), "best": np.int64(3), "ok": np.bool_(True)}

    def odd(self):
        return {"nan": float("nan"), 1: "a whole number for a key", "nested": [{"a": np.float64(0.1)}]}

    def text(self):
        return "plain text"

    def raw(self):
        return b"\x00\x01\xff"

    def array(self):
        return [1, 2, 3]

    def nothing(self):
        return None

    def tensors(self):
        return InferResponse("7", self.name, [InferOutput("out", [2], "FP32", [1.0, 2.5])])

    def unserialisable(self):
        return {"predictions": {1, 2}}

    async def postprocess(self, result, headers=None, response_headers=None):
        return result
