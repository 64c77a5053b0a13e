"""Model archives, made by the real torch-model-archiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FUNCTION = """
import json, os

def handle(data, context):
    if data is None:
        handle.weights = json.load(open(os.path.join(context.system_properties["model_dir"], "weights.json")))
        return None
    return [handle.weights["factor"] * sum(row["body"]) for row in data]
"""

#: a class as TorchServe's documentation shows them, which tells what it got
CLASS = """
import os
import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException


class Summing(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        self.beside = os.listdir(".")

    def preprocess(self, data):
        rows = []
        for row in data:
            value = row.get("data") or row.get("body")
            if isinstance(value, dict):
                value = value["x"]
            if not isinstance(value, list):
                raise PredictionException("send a list of numbers", 415)
            rows.append(value)
        return torch.tensor(rows, dtype=torch.float32)

    def postprocess(self, data):
        return [{"sum": value, "batch": len(data)} for value in data[:, 0].tolist()]
"""

MODEL = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x)
"""

#: shows each request, and sets what can be set of an answer
ECHO = """
def handle(data, context):
    if data is None:
        return None
    answers = []
    for index, row in enumerate(data):
        kind = context.get_request_header(index, "X-Kind")
        if kind == "bytes":
            context.set_response_content_type(index, "image/png")
            answers.append(b"\\x89PNG")
        elif kind == "text":
            answers.append("hello")
        elif kind == "teapot":
            context.set_response_status(418, "short and stout", index)
            answers.append("no")
        elif kind == "many":
            answers += [1, 2]
        elif kind == "crash":
            raise ValueError("boom")
        else:
            context.set_response_header(index, "x-id", str(context.get_request_id(index)))
            answers.append({name: [type(value).__name__, value.decode("latin-1") if hasattr(value, "decode") else value]
                            for name, value in row.items()})
    return answers
"""


def archive(folder: Path, name: str, handler: str, into: Path, **options: str) -> Path:
    """Run the archiver in `folder`, where the options' files lie; its result in `into`."""
    into.mkdir(parents=True, exist_ok=True)
    flags = {"model-name": name, "version": "1.0", "handler": handler, "export-path": str(into), **options}
    arguments = [part for key, value in flags.items() for part in (f"--{key.replace('_', '-')}", value)]
    run = "from model_archiver.model_packaging import generate_model_archive as make; make()"
    # The archiver gathers its files in a folder named after the model: not in one that others share.
    with tempfile.TemporaryDirectory() as own:
        environ = {**os.environ, "TMPDIR": own}
        command = [sys.executable, "-c", run, *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environ)
    return into


def functions(work: Path, into: Path, **options: str) -> Path:
    """A module with `handle`, and an extra file."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "scale.py").write_text(FUNCTION)
    (work / "weights.json").write_text('{"factor": 3}')
    return archive(work, "scale", "scale.py", into, extra_files="weights.json", **options)


def eager(work: Path, into: Path, **options: str) -> Any:
    """A BaseHandler, a model file and its weights; the model itself is returned."""
    import torch

    work.mkdir(parents=True, exist_ok=True)
    (work / "summing.py").write_text(CLASS)
    (work / "net.py").write_text(MODEL)
    scope: dict[str, Any] = {"__name__": "net"}
    exec(MODEL, scope)
    torch.manual_seed(0)
    model = scope["Net"]().eval()
    torch.save(model.state_dict(), work / "net.pt")
    archive(work, "eager", "summing.py", into, model_file="net.py", serialized_file="net.pt", **options)
    return model


def echo(work: Path, into: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    (work / "echo.py").write_text(ECHO)
    return archive(work, "echo", "echo.py", into)


def classifier(work: Path, into: Path, labels: Mapping[str, Any] | None = None) -> Any:
    """The default image_classifier with a TorchScript model of 8 classes, which is returned."""
    import torch

    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 16, 16), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    torch.jit.script(model.eval()).save(work / "vision.pt")
    options = {}
    if labels is not None:
        (work / "index_to_name.json").write_text(json.dumps(labels))
        options["extra_files"] = "index_to_name.json"
    archive(work, "vision", "image_classifier", into, serialized_file="vision.pt", **options)
    return model.eval()


def forged(path: Path, files: Mapping[str, bytes], **model: Any) -> Path:
    """A zip archive of these files with a manifest of this `model`, whatever they are."""
    document = {"runtime": "python", "model": {"modelName": "m", "handler": "h.py", **model}}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
        target.writestr("MAR-INF/MANIFEST.json", json.dumps(document))
    return path
