"""Flags of other servers, as people type them from habit: and what is written here instead."""

from __future__ import annotations

from collections.abc import Mapping

_FOLDER = "write --model_dir=DIR, or polyserve serve DIR"
_CONFIG = "settings are flags, or variables; what one model needs is in the polyserve.yaml of its folder"
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
}

#: flag -> what to write instead
PEER_FLAGS: Mapping[str, str] = {f"--{name}": way_out for name, way_out in _NAMES.items()}
