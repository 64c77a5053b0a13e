"""Flags of other servers, as people type them from habit: and what is written here instead."""

from __future__ import annotations

from collections.abc import Mapping

_FOLDER = "write --model_dir=DIR, or polyserve serve DIR"
_CONFIG = "settings are flags, or variables; what one model needs is in the polyserve.yaml of its folder"
_CONTENT = (
    "what a folder holds says by which framework it is served (polyserve inspect DIR); its polyserve.yaml may name "
    "another adapter"
)
_LEVEL = "write --log_level=debug"
_NAMES = {
    "host": "every address is listened on: publish the port to those who may ask, or serve a socket by --uds",
    "port": "write --http_port=8080 for REST, --grpc_port=8081 for gRPC",
    "rest_api_port": "write --http_port=8080",
    "model_repository": _FOLDER,  # Triton
    "model_store": _FOLDER,  # TorchServe
    "model_base_path": _FOLDER,  # TensorFlow Serving
    "model_path": _FOLDER,
    "models_dir": _FOLDER,
    "model_uri": "write --model=NAME=URI",  # MLflow
    "env_manager": "write --auto_env=true",
    "model_config_file": _CONFIG,
    "ts_config": _CONFIG,
    "config": _CONFIG,
    "reload": "folders are watched already (--watch)",
    "debug": _LEVEL,
    "verbose": _LEVEL,
    "log_verbose": _LEVEL,
    "model_format": _CONTENT,
    "framework": _CONTENT,
    "max_batch_size": "write --max_batch_rows=256",
    "timeout": "write --request_timeout=60",
    "metrics_port": "/metrics is on REST's port (--http_port)",
    "served_model_name": "write --model_name=NAME; in a folder of models each is called as its folder",  # vLLM
    "api_key": "write --api_keys_file=FILE",
    "tensor_parallel_size": _CONFIG,
    "gpu_memory_utilization": _CONFIG,
    "device": _CONFIG,
    **dict.fromkeys(
        ("gpu", "gpus", "cuda", "num_gpus"), "a GPU is used where the frameworks find one (make image GPU=true)"
    ),
    **dict.fromkeys(
        ("cors", "cors_origin", "cors_origins", "allow_origins"), "write --allowed_origins=https://page.example"
    ),
}
#: letters that stand for a flag elsewhere
_LETTERS = {
    "p": _NAMES["port"],
    "d": _FOLDER,
    "m": _FOLDER,
    "v": _LEVEL,
}

#: flag -> what to write instead
PEER_FLAGS: Mapping[str, str] = {
    **{f"--{name}": way_out for name, way_out in _NAMES.items()},
    **{f"-{letter}": way_out for letter, way_out in _LETTERS.items()},
}
