"""A handler in its process: its module imported, its entry point found as TorchServe finds it, and called."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from adapters.base import LoadError
from adapters.torchserve_.manifest import Manifest
from adapters.torchserve_.messages import Part

#: holds the package `ts`
_COMPAT = Path(__file__).resolve().parent / "compat"

_REQUIREMENTS = "the archive's requirements file (torch-model-archiver --requirements-file)"

Entry = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Answer:
    """A handler's answer to one request, and the headers and status that it set."""

    body: Any
    headers: Mapping[str, str]
    status: int = 200
    phrase: str = ""  #: why the status is what it is

    @classmethod
    def of(cls, body: Any, processor: Any) -> Self:
        headers = {str(name).lower(): str(value) for name, value in processor.get_response_headers().items()}
        status, phrase = processor.get_response_status_code(), processor.get_response_status_phrase()
        return cls(body, headers, int(status or 200), str(phrase or ""))


class Handler:
    """A handler that is initialized. Takes over the process: working directory, import path."""

    def __init__(self, folder: Path, manifest: Manifest, own: bool, name: str, batch_size: int) -> None:
        settle_in(folder)
        from ts.context import Context, RequestProcessor  # type: ignore[import-not-found]  # ours, or TorchServe's
        from ts.utils.util import PredictionException, get_yaml_config  # type: ignore[import-not-found]

        self._processor, self._refusal = RequestProcessor, PredictionException
        config = get_yaml_config(str(folder / manifest.config)) if manifest.config else {}
        self.batch_size = batch_size or _batch_size(config)
        self._context = Context(
            model_name=name,
            model_dir=str(folder),
            manifest=manifest.document,
            batch_size=self.batch_size,
            gpu=None,
            mms_version=sys.modules["ts"].__version__,
            metrics=_metrics(),
            model_yaml_config=config or {},
        )
        self._requests = 0
        try:
            module = importlib.import_module(manifest.handler if own else f"ts.torch_handler.{manifest.handler}")
            self._entry = self._initialized(module, manifest.function or "handle")
        except LoadError:
            raise
        except BaseException as error:  # the user's code may raise anything, SystemExit included
            traceback.print_exception(error)
            raise LoadError(_cause(error, folder, manifest)) from error

    def call(self, requests: Sequence[Part]) -> list[Answer]:
        """The handler's answers to a batch of requests.

        A request that the handler refuses (`PredictionException`) gets that status; of a batch, it alone.

        Raises:
            RuntimeError: it answered something else than one item a request.
        """
        processors = [self._processor(_Headers(request.headers)) for request in requests]
        self._context.request_processor = processors
        self._context.request_ids = {index: f"{self._requests + index}" for index in range(len(requests))}
        self._requests += len(requests)
        try:
            answer = self._entry([request.data for request in requests], self._context)
        except self._refusal as error:
            if len(requests) > 1:
                return [self.call([request])[0] for request in requests]
            message = str(error.message)
            return [Answer({"error": message}, {}, int(error.error_code), message)]
        if not isinstance(answer, list):
            raise RuntimeError(  # noqa: TRY004  (the model's failure, whatever the type)
                f"the handler answered a {type(answer).__name__}: it must answer a list with one item a request"
            )
        if len(answer) != len(requests):
            raise RuntimeError(f"the handler answered {len(answer)} items for {len(requests)} requests")
        return [Answer.of(body, processor) for body, processor in zip(answer, processors, strict=True)]

    def _initialized(self, module: ModuleType, function: str) -> Entry:
        entry = getattr(module, function, None)
        if entry is not None:
            entry(None, self._context)  # TorchServe's way to let a function load its model
            return entry  # type: ignore[no-any-return]
        service = _service_class(module)()
        service.initialize(self._context)
        handle: Entry = service.handle
        return handle


class _Headers(dict[str, Any]):
    """A request's headers, whose names are the same in any case."""

    def __init__(self, headers: Any) -> None:
        super().__init__({str(name).lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.lower())


def settle_in(folder: Path) -> None:
    """Make this process the model's own, as TorchServe does."""
    os.chdir(folder)
    sys.dont_write_bytecode = True  # a plain folder is the user's, and may be read-only
    sys.path.insert(0, str(folder))
    if str(_COMPAT) not in sys.path:
        sys.path.append(str(_COMPAT))


def _service_class(module: ModuleType) -> type[Any]:
    """The one class of the module that handles requests."""
    own = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    handling = [each for each in own if hasattr(each, "handle") and hasattr(each, "initialize")]
    # A base class of another in the file is not meant to be served.
    leaves = [each for each in handling if not any(other is not each and issubclass(other, each) for other in handling)]
    if len(leaves) == 1:
        return leaves[0]
    if leaves:
        named = ", ".join(each.__name__ for each in leaves)
        raise LoadError(f"the handler {module.__name__} holds several classes that handle requests ({named}): keep one")
    raise LoadError(
        f"the handler {module.__name__} has neither a function handle(data, context) nor a class with "
        "initialize and handle"
    )


def _metrics() -> Any:
    from ts.metrics.metrics_store import MetricsStore  # type: ignore[import-not-found]

    try:
        return MetricsStore({}, "")
    except TypeError:  # TorchServe's own takes other arguments in some of its versions
        return MetricsStore()


def _batch_size(config: Any) -> int:
    size = config.get("batchSize", 1) if isinstance(config, dict) else 1
    return size if isinstance(size, int) and size > 0 else 1


def _cause(error: BaseException, folder: Path, manifest: Manifest) -> str:
    """What the operator reads when a handler cannot be loaded; the stack is in the log."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else f"handler {manifest.handler}"
    hint = ""
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "ts":
        hint = (
            "; what is imported of TorchServe's own package is not all here: list torchserve "
            f"in {_REQUIREMENTS}, which brings the whole package"
        )
    elif isinstance(error, ModuleNotFoundError):
        hint = f"; list what it needs in {_REQUIREMENTS}"
    return f"{where}: {type(error).__name__}: {error}{hint}"
