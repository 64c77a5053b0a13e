"""The base of all handlers: load a model, then preprocess, inference, postprocess."""

from __future__ import annotations

import abc
import importlib
import logging
import os
import time
from typing import Any

import torch

from ..handler_utils.timer import timed
from ..utils.util import list_classes_from_module, load_label_mapping

logger = logging.getLogger(__name__)


class BaseHandler(abc.ABC):  # noqa: B024  (custom handlers are instances of subclasses that override what they like)
    """Loads TorchScript, ONNX, or an eager model (a class in `modelFile`, its weights in `serializedFile`)."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: dict[str, str] | None = None
        self.device: Any = None
        self.initialized = False
        self.context: Any = None
        self.model_pt_path: str | None = None
        self.manifest: Any = None
        self.map_location: str | None = None
        self.explain = False
        self.target = 0
        self.profiler_args: dict[str, Any] = {}

    def initialize(self, context: Any) -> None:
        """Load the model that the manifest names."""
        self.context = context
        self.model_yaml_config = getattr(context, "model_yaml_config", None) or {}
        properties = context.system_properties
        cuda = torch.cuda.is_available() and properties.get("gpu_id") is not None
        self.map_location = "cuda" if cuda else "cpu"
        self.device = torch.device(f"cuda:{properties['gpu_id']}" if cuda else "cpu")
        self.manifest = context.manifest
        model_dir = properties["model_dir"]
        described = self.manifest["model"]
        if described.get("serializedFile"):
            self.model_pt_path = os.path.join(model_dir, described["serializedFile"])  # noqa: PTH118
        if described.get("modelFile"):
            self.model = self._load_pickled_model(model_dir, described["modelFile"], self.model_pt_path)
            self.model.to(self.device)
            self.model.eval()
        else:
            self.model = self._load_serialized()
        self.mapping = load_label_mapping(os.path.join(model_dir, "index_to_name.json"))  # noqa: PTH118
        self.initialized = True

    def _load_serialized(self) -> Any:
        path = self.model_pt_path or ""
        if path.endswith((".pt", ".pth")):
            model = self._load_torchscript_model(path)
            model.eval()
            return model
        if path.endswith(".onnx"):
            return self._load_onnx_model(path)
        raise RuntimeError(
            "No model weights could be loaded: the archive needs a TorchScript .pt, a .onnx or a model.py"
        )

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        return torch.jit.load(model_pt_path, map_location=self.device)

    def _load_onnx_model(self, path: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def _load_pickled_model(self, model_dir: str, model_file: str, model_pt_path: str | None) -> Any:
        """The class in `model_file`, with weights that are loaded without running what a pickle may hold."""
        if not os.path.isfile(os.path.join(model_dir, model_file)):  # noqa: PTH113, PTH118
            raise RuntimeError("Missing the model.py file")
        module = importlib.import_module(model_file.split(".")[0])
        classes = list_classes_from_module(module)
        modules = [each for each in classes if issubclass(each, torch.nn.Module)]
        candidates = classes if len(classes) == 1 else modules
        if len(candidates) != 1:
            named = ", ".join(each.__name__ for each in classes)
            raise ValueError(f"Expected only one class as model definition. {model_file} has: {named or 'none'}")
        model = candidates[0]()
        if model_pt_path:
            model.load_state_dict(torch.load(model_pt_path, map_location=self.device, weights_only=True))
        return model

    @timed
    def preprocess(self, data: Any) -> Any:
        """A tensor of the requests."""
        return torch.as_tensor(data, device=self.device)

    @timed
    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's answer to what `preprocess` gave."""
        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    @timed
    def postprocess(self, data: Any) -> list[Any]:
        """A list with one item a request."""
        result: list[Any] = data.tolist()
        return result

    def handle(self, data: list[Any], context: Any) -> list[Any] | None:
        """The answers to a batch of requests."""
        start = time.perf_counter()
        self.context = context
        if self._is_describe():
            output: list[Any] | None = [self.describe_handle()]
        else:
            prepared = self.preprocess(data)
            if self._is_explain():
                output = self.explain_handle(prepared, data)
            else:
                output = self.postprocess(self.inference(prepared))
        if context.metrics is not None:
            context.metrics.add_time("HandlerTime", round((time.perf_counter() - start) * 1000, 2), None, "ms")
        return output

    def explain_handle(self, data_preprocess: Any, raw_data: list[Any]) -> Any:
        row = raw_data[0]
        inputs, target = None, 0
        if isinstance(row, dict):
            inputs = row.get("data") or row.get("body")
            target = row.get("target") or 0
        return self.get_insights(data_preprocess, inputs, target)

    def get_insights(self, tensor_data: Any, _: Any, target: Any = 0) -> Any:
        raise NotImplementedError("this handler explains nothing: TorchServe's explanations need captum")

    def _is_explain(self) -> bool:
        if self.context and self.context.get_request_header(0, "explain") == "True":
            self.explain = True
            return True
        return False

    def _is_describe(self) -> bool:
        return bool(self.context) and self.context.get_request_header(0, "describe") == "True"

    def describe_handle(self) -> Any:
        """What a handler says of itself; nothing unless overridden."""
        return None

    def get_device(self) -> Any:
        return self.device
