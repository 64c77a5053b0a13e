"""Triton without a container: the server that the wheel of `nvidia-pytriton` carries, and its Python backend.

The wheel keeps the backend's stub for each Python apart, and its libraries beside it; both are put where Triton looks.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import places
from bench.environments import Environment

VERSION = "0.7.0"
#: the stub was built for numpy 1, and takes arrays of numpy 2 for empty ones
ENVIRONMENT = Environment(
    "triton",
    ("numpy==1.26.4",),
    ("scikit-learn", "joblib", "onnxruntime", "torch", "transformers"),
    bare=(f"nvidia-pytriton=={VERSION}",),
)

PACKAGES = ENVIRONMENT.site_packages  #: where the server is to run

_SERVER = PACKAGES / "pytriton" / "tritonserver"
_STUB = "triton_python_backend_stub"
_MODEL = Path(__file__).with_name("peers") / "triton_model.py"

#: model -> what goes in and what comes out: datatype and dimensions of a row, () for one value
_TENSORS = {
    "logistic": (("FP64", (4,)), ("INT64", ())),
    "forest": (("FP64", (30,)), ("INT64", ())),
    "wide": (("FP64", (100,)), ("INT64", ())),
    "onnx": (("FP32", (64,)), ("FP32", (10,))),
    "bert": (("STRING", ()), ("INT64", ())),
}
MODELS = frozenset(_TENSORS)


def command(folder: Path, http_port: int, grpc_port: int) -> list[str]:
    """What starts the server with the models of `folder`."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    backends = folder.with_name(f"{folder.name}-backends")
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(_SERVER / "backends", backends)
    shutil.copy2(_SERVER / "python_backend_stubs" / python / _STUB, backends / "python" / _STUB)
    flags = {
        "model-repository": folder,
        "backend-directory": backends,
        "http-port": http_port,
        "grpc-port": grpc_port,
        "http-address": "127.0.0.1",
        "grpc-address": "127.0.0.1",
        "allow-metrics": "false",
    }
    return [str(_SERVER / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in flags.items())]


def environ() -> Mapping[str, str]:
    """Where the server and the stub find their libraries, and the stub Python's own.

    The stub reads no PYTHONPATH, but looks into its working directory first: that is to be `PACKAGES`.
    """
    libraries = [str(PACKAGES / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "PYTHONHOME": sys.base_prefix}


def write_repository(folder: Path, models: Sequence[str], file_of: Mapping[str, str]) -> None:
    """Triton's folder of models: each one's `config.pbtxt`, and its version 1; `file_of`: model -> its file."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in models:
        (folder / name / "1").mkdir(parents=True)
        shutil.copy2(_MODEL, folder / name / "1" / "model.py")
        path = places.MODELS / name / file_of[name]
        (folder / name / "config.pbtxt").write_text(_config(name, path))


def _config(name: str, path: Path) -> str:
    given, answered = _TENSORS[name]
    return f"""name: "{name}"
backend: "python"
max_batch_size: 1024
input [ {_tensor("input-0", *given)} ]
output [ {_tensor("output-0", *answered)} ]
dynamic_batching {{ }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "file" value: {{ string_value: "{path}" }} }}
"""


def _tensor(name: str, datatype: str, dimensions: tuple[int, ...]) -> str:
    return f'{{ name: "{name}" data_type: TYPE_{datatype} dims: {list(dimensions or (1,))} }}'
