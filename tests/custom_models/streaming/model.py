"""A generator: one event an item; it waits for files that a test makes, and says in one when it is closed."""

import time
from pathlib import Path

from kserve import InferRequest, Model

LIMIT = 60  # seconds


class Streaming(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        if isinstance(payload, InferRequest):
            text = payload.inputs[0].as_numpy().ravel()[0]
            yield from (f"{word} " for word in (text.decode() if isinstance(text, bytes) else text).split())
            return
        notes = Path(payload.get("notes", "."))
        try:
            for number, instance in enumerate(payload["instances"]):
                if instance == "gate":
                    (notes / "at-gate").touch()
                    until((notes / "open").exists)
                if instance == "fail":
                    raise ValueError("an unlucky item")
                if payload.get("seconds"):
                    time.sleep(payload["seconds"])
                if "notes" in payload:
                    (notes / "made").write_text(str(number + 1))
                yield {"number": number, "prediction": instance}
        finally:
            if "notes" in payload:
                (notes / "closed").touch()


def until(condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)
