"""Raises what the request asks for."""

import sys

from fastapi import HTTPException
from kserve import Model
from kserve.errors import InferenceError, InvalidInput, ModelNotFound, ModelNotReady


class Failures(Model):
    def load(self):
        return True

    def predict(self, payload, headers=None):
        kind = payload["instances"][0] if isinstance(payload, dict) else payload.inputs[0].data[0].decode()
        raise {
            "invalid": InvalidInput("the age must be positive"),
            "value": ValueError("a value"),
            "http": HTTPException(422, "unprocessable", {"x-why": "because"}),
            "object": HTTPException(409, {"code": 7}),
            "missing": ModelNotFound("other"),
            "unready": ModelNotReady("other", "still warming up"),
            "inference": InferenceError("the device is lost"),
            "unwritten": NotImplementedError("not yet"),
            "exit": SystemExit(3),
            "interrupt": KeyboardInterrupt(),
        }[kind]


if __name__ == "__main__":
    sys.exit("this file is not a script")
