"""Custom models: a folder whose `model.py` holds a `kserve.Model`, written as KServe's documentation shows.

The folder is claimed by reading the file (`source`). It is run in a process of its own (`program`), the model built
and loaded (`building`), and every request answered by KServe's own data plane (`answers`).
"""

from __future__ import annotations

import inspect
import logging
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from adapters.base import (
    Adapter,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Reply,
    ReplyStream,
    Request,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
    Trust,
)
from adapters.custom_ import building, program, source
from adapters.custom_.answers import Answers
from adapters.custom_.application import Application, event_loop
from adapters.custom_.foreign import kind_of
from adapters.custom_.generate import Form
from adapters.custom_.predictor import hosts_of
from adapters.custom_.source import SourceFolder, UnreadableSource, parse
from adapters.datatypes import NUMPY_OF

FILE = f"{program.MODULE}.py"

#: options that become arguments of the command line that KServe parses
_PREDICTOR = (
    Parameter("predictor_host", str, meaning="the predictor that this transformer calls"),
    Parameter("predictor_protocol", str, ("v1", "v2", "grpc-v2"), "the protocol of these calls"),
    Parameter("predictor_use_ssl", bool, meaning="make these calls over TLS"),
    Parameter("predictor_request_timeout_seconds", int, meaning="how long such a call may take"),
    Parameter("predictor_request_retries", int, meaning="how often a failed call is repeated"),
)

_HOOKS = ("preprocess", "predict", "postprocess", "explain")
#: of a model whose folder has no versions, as Triton counts
_ONLY_VERSION = "1"
_MOST_MISNAMED = 20  #: files that are looked into for a model under another name


class CustomAdapter(Adapter):
    """One user's `kserve.Model`."""

    name = "custom"
    platform = "kserve"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("class", str, meaning="the class to serve, where model.py holds several"),
        Parameter("args", str, meaning="more arguments of the command line that model.py sees"),
        *_PREDICTOR,
    )
    own_process: ClassVar[bool] = True
    traits = Traits(batchable=False)

    def __init__(self, model: Any, server: Any, name: str, version: str, application: Application) -> None:
        inputs, outputs = _specs(model.get_input_types), _specs(model.get_output_types)
        streams = _yields(model.predict)
        super().__init__(Signature(inputs, outputs, whole=True, overlaps=streams or _waits(model), streams=streams))
        self._model = model
        self._application = application
        self._layers = application.layers(name)
        self._answers = Answers(server.dataplane, Form(name, version, inputs, outputs), hosts_of(model))

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        if not model_dir.has(FILE):
            return _misnamed(model_dir)
        text = model_dir.head(FILE, source.MAX_BYTES + 1)
        if len(text) > source.MAX_BYTES:
            return Match(Rank.SUFFIX, FILE, f"{FILE} is longer than {source.MAX_BYTES // 2**20} MiB", trust=Trust.CODE)
        try:
            module = parse(text)
        except UnreadableSource as error:
            rank, file = (Rank.CODE, "") if b"kserve" in text else (Rank.SUFFIX, FILE)
            return Match(rank, file, f"{FILE}{error}", trust=Trust.CODE)
        if not SourceFolder(model_dir.path, model_dir.root).models(module) and not module.calls_server:
            problem = f"{FILE} defines no subclass of kserve.Model{kind_of(text)}"
            return Match(Rank.SUFFIX, FILE, problem, trust=Trust.CODE)
        return Match(Rank.CODE, trust=Trust.CODE)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        event_loop()  # user code may ask for it before there is one that runs
        path = model_dir.path.absolute()
        name = model_dir.name or path.name
        module = parse((path / FILE).read_bytes())
        classes = set(module.classes)
        program.settle_in(path, name, _arguments((path / FILE).read_text(errors="replace"), name, path, options))
        ran = program.run(path / FILE, as_script=module.main_block is not None and module.calls_server)
        model = building.build(ran, module.used(classes), name, path, options)
        building.check_answers(model)
        application = ran.application or Application()
        for told in application.dropped():
            print(told)
        application.start()
        version = path.name if path.name != name and path.name.isdecimal() else _ONLY_VERSION
        return cls(model, _registered(ran.server, model), name, version, application)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError("a custom model answers whole requests")

    async def answer(self, request: Request) -> Reply | ReplyStream:
        if self._layers is None:
            return await self._answers.to(request)
        return await self._layers.around(request, self._answers.to)

    def close(self) -> None:
        self._application.close()
        self._model.stop()
        if getattr(self._model, "engine", False):
            self._model.stop_engine()


def _arguments(text: str, name: str, folder: Path, options: Parameters) -> list[str]:
    """The command line of `model.py`: KServe's flags, but none that a strict parser of the file's own would refuse."""
    given = {option.name: options[option.name] for option in _PREDICTOR if option.name in options}
    if "--model_name" in text or "model_server" in text:  # whose parser is often the parent of the file's own
        given["model_name"] = name
    if "--model_dir" in text:
        given["model_dir"] = folder
    return [*(f"--{key}={value}" for key, value in given.items()), *shlex.split(str(options.get("args", "")))]


def _registered(server: Any, model: Any) -> Any:
    """A `ModelServer` that has the model and is not started: the file's own, or one as the command line says."""
    from kserve import ModelServer

    server = ModelServer() if server is None else server
    log = logging.getLogger("kserve")
    log.addFilter(_is_news)
    try:
        server.register_model(model)  # whose name is `name` by now
    finally:
        log.removeFilter(_is_news)
    return server


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line says more than ours, which tells of every model once that it is ready."""
    return record.msg != "Registering model: %s"


def _misnamed(model_dir: ModelDir) -> Match | None:
    """A model of KServe's under another name than `model.py`, or of another server's, where nobody else claims it."""
    for name in model_dir.named(".py")[:_MOST_MISNAMED]:
        if model_dir.file(name).stat().st_size > source.MAX_BYTES:
            continue
        text = _text(model_dir, name)
        if b"kserve" not in text:
            if kind := kind_of(text):
                return Match(Rank.SUFFIX, name, f"{name} holds no kserve.Model{kind}, in {FILE}", trust=Trust.CODE)
            continue
        try:
            module = parse(text)
        except UnreadableSource:
            continue
        if SourceFolder(model_dir.path, model_dir.root).models(module):
            problem = f"{name} holds a kserve.Model: rename it to {FILE}"
            return Match(Rank.SUFFIX, name, problem, trust=Trust.CODE)
    return None


def _text(model_dir: ModelDir, name: str) -> bytes:
    return model_dir.file(name).read_bytes()


def _waits(model: Any) -> bool:
    """Whether a hook of the model's own is a coroutine, or its predictions come from another server."""
    from kserve import Model

    own = [hook for hook in _HOOKS if getattr(type(model), hook, None) is not getattr(Model, hook, None)]
    return "predict" not in own or any(inspect.iscoroutinefunction(getattr(model, hook)) for hook in own)


def _yields(hook: Callable[..., Any]) -> bool:
    """Whether a hook is a generator, which waits elsewhere than on the event loop."""
    return inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook)


def _specs(declare: Callable[[], Any]) -> tuple[TensorSpec, ...]:
    """What `get_input_types` or `get_output_types` say, for the metadata; none where they say nothing of the kind."""
    declared = building.settled(declare())
    try:
        specs = tuple(TensorSpec(str(each["name"]), str(each["datatype"]), _shape(each["shape"])) for each in declared)
    except (KeyError, TypeError, ValueError) as error:
        print(f"the metadata leaves out what {declare.__name__} says: {error!r}: name, datatype and shape are needed")
        return ()
    for spec in specs:
        if spec.datatype not in NUMPY_OF:
            print(f"the metadata leaves out {spec.name!r}: its datatype {spec.datatype!r} is none of V2's")
    return tuple(spec for spec in specs if spec.datatype in NUMPY_OF)


def _shape(sizes: Any) -> tuple[int, ...]:
    return tuple(-1 if size is None else max(int(size), -1) for size in sizes)
