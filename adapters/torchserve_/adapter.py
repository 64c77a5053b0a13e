"""TorchServe archives: what torch-model-archiver makes, with custom or default handlers, served as TorchServe would.

A request to the model is a list of instances; the handler gets them in batches of at most `batch_size` (1 unless the
archive's model-config or polyserve.yaml says otherwise, as in TorchServe: a handler may not expect more).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from adapters.base import (
    Adapter,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    RefusedAs,
    Signature,
    Tensors,
    TensorSpec,
    Traits,
    Trust,
)
from adapters.formats import probe
from adapters.shared.arrays import array_of
from adapters.shared.messages import several
from adapters.torchserve_ import manifest
from adapters.torchserve_.archive import MAX_SMALL, Archive, FolderArchive, TarArchive, ZipArchive
from adapters.torchserve_.handler import Answer, Handler
from adapters.torchserve_.messages import ENVELOPE, HTTP, plain, request_of
from adapters.torchserve_.temporary import TemporaryFolder

#: where KServe's TorchServe examples keep the archive
STORE = "model-store"
_TARS = (".tar.gz", ".tgz")
_INPUT, _OUTPUT = "data", "predictions"
_SIGNATURE = Signature(
    (TensorSpec(_INPUT, "BYTES", (-1,), nullable=True, binary=True, json=True),),
    (TensorSpec(_OUTPUT, "BYTES", (-1,), json=True),),
    any_name=True,
    parameters=(ENVELOPE,),
)


@dataclass(eq=False)
class TorchServeAdapter(Adapter):
    """One handler, initialized."""

    handler: Handler
    place: TemporaryFolder | None
    bare: bool  #: the handler takes instances as they are (a service envelope)

    name = "torchserve"
    platform = "torchserve_mar"
    options: ClassVar[tuple[Parameter, ...]] = (
        Parameter("batch_size", int, meaning="requests that the handler takes at a time; 1 by default"),
        Parameter(
            "service_envelope", str, ("kserve", "json", "body"), "hand instances to the handler without a request"
        ),
    )
    own_process: ClassVar[bool] = True
    traits = Traits(thread_safe=False)

    def __post_init__(self) -> None:
        self.traits = replace(self.traits, batchable=self.handler.batch_size > 1)

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        files = _archives(model_dir)
        rank = Rank.CONTENT
        if not files and _is_unpacked(model_dir):
            files, rank = ("",), Rank.BUNDLE
        if len(files) > 1:
            return Match(rank, problem=several(files), trust=Trust.CODE)
        if files:
            return _claim(model_dir, files[0], rank)
        if damaged := model_dir.named(".mar"):
            problem = f"{damaged[0]} is no model archive, or it is cut short: it holds no {manifest.PATH}"
            return Match(Rank.SUFFIX, damaged[0], problem=problem, trust=Trust.CODE)
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        archive = _open(model_dir, file)
        place = None if isinstance(archive, FolderArchive) else TemporaryFolder()
        try:
            handler = _handler(archive, place.folder if place else model_dir.path.absolute(), model_dir.name, options)
        except BaseException as error:
            if place:
                place.close()
            if isinstance(error, LoadError):
                raise LoadError(f"{file or 'the archive'}: {error}") from error
            raise
        return cls(_SIGNATURE, handler, place, "service_envelope" in options)

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        http = parameters.get(ENVELOPE.name) == HTTP
        requests = [request_of(element, http, self.bare and not http) for element in inputs[_INPUT].tolist()]
        size = self.handler.batch_size
        answers = [
            answer
            for start in range(0, len(requests), size)
            for answer in self.handler.call(requests[start : start + size])
        ]
        return {_OUTPUT: array_of([_http(answer) if http else _plain(answer) for answer in answers])}

    def example(self) -> Tensors:
        """None: nobody but the handler knows what it takes."""
        return {}

    def close(self) -> None:
        if self.place:
            self.place.close()


def _archives(model_dir: ModelDir) -> tuple[str, ...]:
    """The archives directly inside, or in KServe's model-store."""
    found = tuple(name for name in model_dir.files if manifest.PATH in probe.zip_names(model_dir, name))
    found += tuple(name for name in model_dir.named(*_TARS) if _is_tar_archive(model_dir, name))
    if not found and STORE in model_dir.dirs:
        inner = ModelDir.of(model_dir.path / STORE, model_dir.root)
        return tuple(f"{STORE}/{name}" for name in _archives(inner))
    return found


def _is_tar_archive(model_dir: ModelDir, name: str) -> bool:
    """The manifest comes last, so that all is read: only where the name promises an archive."""
    try:
        return manifest.PATH in TarArchive(model_dir.file(name)).names
    except LoadError:
        return False


def _is_unpacked(model_dir: ModelDir) -> bool:
    folder = manifest.PATH.partition("/")[0]
    return folder in model_dir.dirs and ModelDir.of(model_dir.path / folder, model_dir.root).has("MANIFEST.json")


def _open(model_dir: ModelDir, file: str) -> Archive:
    if not file:
        return FolderArchive(model_dir.path, model_dir.root)
    store, _, name = file.rpartition("/")
    path = (ModelDir.of(model_dir.path / store, model_dir.root) if store else model_dir).file(name)
    return TarArchive(path) if name.lower().endswith(_TARS) else ZipArchive(path)


def _claim(model_dir: ModelDir, file: str, rank: Rank) -> Match:
    archive = _open(model_dir, file)
    try:
        description = archive.manifest()
        names = archive.names
        problem = description.problem(names)
        requirements = (
            archive.read(description.requirements, MAX_SMALL).decode("utf-8-sig") if description.requirements else ""
        )
    except (LoadError, UnicodeDecodeError) as error:
        problem = str(error)
    if problem:
        return Match(rank, file, problem=f"{file or 'the archive'}: {problem}", trust=Trust.CODE)
    own = description.is_own(names)
    torch = ("torch",) if description.serialized.endswith((".pt", ".pth", ".bin")) else ()
    requires = torch if own else manifest.DEFAULTS[description.handler]
    version = description.version
    return Match(rank, file, requires=requires, trust=Trust.CODE, requirements=requirements, version=version)


def _handler(archive: Archive, folder: Path, name: str, options: Parameters) -> Handler:
    """The archive's handler, the archive unpacked into `folder` (unless it is that folder)."""
    description, names = archive.manifest(), archive.names
    if problem := description.problem(names):
        raise LoadError(problem)
    if not isinstance(archive, FolderArchive):
        archive.unpack(folder)
    name = name or str(description.document["model"].get("modelName") or folder.name)
    batch_size = options.get("batch_size")
    if batch_size is not None and batch_size < 1:
        raise LoadError(f"options.batch_size must be at least 1, not {batch_size}")
    return Handler(folder, description, description.is_own(names), name, batch_size or 0)


def _plain(answer: Answer) -> Any:
    """The item alone; a status that says that it failed is an error."""
    if answer.status >= 400:
        message = answer.phrase or f"the handler refuses the request (status {answer.status})"
        raise RefusedAs(message, answer.status if answer.status < 600 else 500)
    return plain(answer.body)


def _http(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "headers": dict(answer.headers), "body": plain(answer.body)}
