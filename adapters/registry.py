"""Which adapter serves a model directory: an ordered table, one claim each, the surest claim wins.

A new framework is one line in `TABLE`. Third parties add theirs through the entry-point group `polyserve.adapters`.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from adapters.base import Adapter, LoadError, Match, ModelDir, Origin, Rank
from adapters.formats import mlserver_settings, nested, probe, requirements
from adapters.formats.mlserver_settings import Named
from adapters.shared.messages import listed, several

#: adapter name -> "module:class". Importing these modules imports no framework.
TABLE: dict[str, str] = {
    "sklearn": "adapters.sklearn_:SklearnAdapter",
    "xgboost": "adapters.xgboost_:XGBoostAdapter",
    "lightgbm": "adapters.lightgbm_:LightGBMAdapter",
    "onnx": "adapters.onnx_:OnnxAdapter",
    "spacy": "adapters.spacy_:SpacyAdapter",
    "huggingface": "adapters.huggingface_:HuggingFaceAdapter",
    "generation": "adapters.generation:GenerationAdapter",
    "sentence_transformers": "adapters.sentence_transformers_:SentenceTransformersAdapter",
    "custom": "adapters.custom_:CustomAdapter",
    "torch": "adapters.torch_:TorchAdapter",
    "torchserve": "adapters.torchserve_:TorchServeAdapter",
    "tensorflow": "adapters.tensorflow_:TensorflowAdapter",
    "catboost": "adapters.catboost_:CatBoostAdapter",
    "skops": "adapters.skops_:SkopsAdapter",
    "mlflow": "adapters.mlflow_:MlflowAdapter",
    "fil": "adapters.fil_:FilAdapter",
}

#: engines of other programs: asked about a folder only where its polyserve.yaml names one (`engine:`)
ENGINES: dict[str, str] = {
    "vllm": "adapters.upstream:VllmAdapter",
    "llama_cpp": "adapters.upstream:LlamaCppAdapter",
}

log = logging.getLogger(__name__)

ENTRY_POINTS = "polyserve.adapters"

#: import name -> what `pip install` calls it, where the two differ
DISTRIBUTION = {
    "PIL": "pillow",
    "imblearn": "imbalanced-learn",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
}


class Unsupported(LoadError):
    """No adapter claims the directory."""


class Ambiguous(LoadError):
    """Two adapters claim the directory with the same right."""


class Outdated(LoadError):
    """No installed version of the adapter's framework reads the file, but those of `origin` do."""

    def __init__(self, problem: str, origin: Origin) -> None:
        super().__init__(problem)
        self.origin = origin


class NotInstalled(LoadError):
    """The model's adapter, or the model itself, needs packages that are not installed."""

    def __init__(self, modules: Sequence[str]) -> None:
        """`modules` are their import names."""
        self.packages = tuple(DISTRIBUTION.get(name, name) for name in modules)
        lacking = " and ".join(self.packages) + (" is" if len(self.packages) == 1 else " are")
        super().__init__(f"{lacking} not installed: pip install {' '.join(self.packages)}")


@dataclass(frozen=True)
class Choice:
    """The adapter that serves a directory, and its claim."""

    adapter: type[Adapter]
    match: Match
    directory: ModelDir | None = None  #: what to load, where it is not the directory that was asked about


@cache
def adapters() -> dict[str, type[Adapter]]:
    """Every known adapter by name, in the table's order, then those of third parties."""
    found = {name: _import(target) for name, target in TABLE.items()}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            found.setdefault(entry.name, entry.load())
        except Exception as error:  # somebody else's package: it must not take the others' models down
            log.warning("adapter %s (%s) does not import: %s: %s", entry.name, entry.value, type(error).__name__, error)
    return found


def get(name: str) -> type[Adapter]:
    """The adapter of that name.

    Raises:
        LoadError: there is none; the message names the nearest.
    """
    if target := TABLE.get(name) or ENGINES.get(name):  # a worker needs no other
        return _import(target)
    known = adapters()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise LoadError(f"adapter {name!r} is unknown: {hint}")


def choose(model_dir: ModelDir, only: str | None = None, *, refit: bool = False) -> Choice:
    """The adapter for a directory; `only` names one instead of asking all.

    A requirements.txt beside the model becomes the match's, unless the adapter reads it otherwise. With requirements,
    what is installed here does not matter, nor does a `problem` of the installed versions (`Match.origin`); `refit`
    says that the caller will make the origin's environment, too. Where nobody claims the directory, the only folder
    below that somebody claims is taken (`Choice.directory`). Where MLServer's settings name one of several files or
    folders, that one is.

    Raises:
        LoadError: nobody can serve it, with the reason that the operator should read.
    """
    named = mlserver_settings.read(model_dir)
    try:
        choice = _chosen_here_or_below(model_dir, only, refit)
    except LoadError as error:
        if named is None or isinstance(error, NotInstalled | Outdated):
            raise
        choice = _named(named, model_dir, only, refit)
    else:
        if named is None or choice.match.rank is Rank.CODE:
            return choice
        if not _leads_to(choice, named, model_dir):
            with contextlib.suppress(LoadError):  # a part of what the folder holds as a whole, then
                choice = _named(named, model_dir, only, refit)
    return replace(choice, match=replace(choice.match, version=choice.match.version or named.version))


def claims_on(model_dir: ModelDir, only: str | None = None) -> list[Choice]:
    """Whatever adapters say of a directory, those with a `problem` included; `only` asks one of them."""
    candidates = [get(only)] if only else list(adapters().values())
    return [Choice(adapter, match) for adapter in candidates if (match := adapter.match(model_dir)) is not None]


def _chosen_here_or_below(model_dir: ModelDir, only: str | None, refit: bool) -> Choice:
    try:
        return _chosen(model_dir, only, refit)
    except Unsupported as error:
        below = _below(model_dir, only, refit)
        if below is None:
            raise
        path, choice = below
        if isinstance(choice, Unsupported):
            raise choice from error
        if isinstance(choice, LoadError):
            raise _said_of(f"{path}/", choice) from error
        return choice


def _leads_to(choice: Choice, named: Named, model_dir: ModelDir) -> bool:
    same_file = named.file in ("", choice.match.file)
    return same_file and (choice.directory or model_dir).path == named.directory.path


def _named(named: Named, model_dir: ModelDir, only: str | None, refit: bool) -> Choice:
    """The choice of what settings of MLServer's name, among others that could be the model, too."""
    directory = named.directory
    looked_at = directory.only(named.file, requirements.FILE) if named.file else directory
    try:
        choice = _chosen_here_or_below(looked_at, only, refit)
    except LoadError as error:
        raise _said_of(f"{mlserver_settings.FILE} names {named.file or directory.path.name}", error) from error
    if choice.directory is None and directory.path != model_dir.path:
        return replace(choice, directory=directory)
    return choice


def _chosen(model_dir: ModelDir, only: str | None, refit: bool) -> Choice:
    claims = claims_on(model_dir, only)
    if not claims:
        raise Unsupported(_unsupported(model_dir, only))
    best = max(claim.match.rank for claim in claims)
    choice = _single([claim for claim in claims if claim.match.rank == best])
    choice = _delegated(choice, model_dir) if choice.match.delegate else _with_requirements(choice, model_dir)
    match = choice.match
    environment = bool(match.requirements) or (refit and match.origin is not None and bool(match.origin.requirements))
    if match.problem and not (environment and match.origin):
        raise Outdated(match.problem, match.origin) if match.origin else LoadError(match.problem)
    if not environment:
        _require((*choice.adapter.requires, *match.requires))
    return choice


def _below(model_dir: ModelDir, only: str | None, refit: bool) -> tuple[str, Choice | LoadError] | None:
    """The folder one level down that somebody claims, and the choice there, or why there is none."""
    found: dict[str, Choice | LoadError] = {}
    for path in nested.candidates(model_dir):
        inner = model_dir.folder(path)
        try:
            choice = _chosen(inner, only, refit)
            found[path] = choice if choice.directory else replace(choice, directory=inner)
        except Unsupported:
            continue
        except LoadError as error:
            found[path] = error
    sound = [path for path, choice in found.items() if isinstance(choice, Choice)]
    if len(sound) == 1 or len(found) == 1:
        (path,) = sound or found
        return path, found[path]
    if not found:
        return None
    named = listed([f"{path}/" for path in sound or found])
    return "", Unsupported(
        f"it holds no model itself, but {len(sound or found)} one level down: {named}; keep one, "
        "move them up as models of their own, or name this folder in --model_dir to serve each"
    )


def _said_of(what: str, error: LoadError) -> LoadError:
    text = f"{what}: {error}"
    return Outdated(text, error.origin) if isinstance(error, Outdated) else LoadError(text)


def _with_requirements(choice: Choice, model_dir: ModelDir) -> Choice:
    if choice.match.requirements or choice.adapter.reads_requirements:
        return choice
    return replace(choice, match=replace(choice.match, requirements=requirements.beside(model_dir)))


def _delegated(choice: Choice, model_dir: ModelDir) -> Choice:
    """The choice of the adapter that serves what the claimed directory describes."""
    name, folder = choice.match.delegate or ("", "")
    adapter, inner = get(name), model_dir.folder(folder)
    if (match := adapter.match(inner)) is None:
        raise LoadError(f"{folder or 'the folder'} holds nothing for {name}, though it is described so")
    return Choice(adapter, match, inner)


def _single(claims: list[Choice]) -> Choice:
    sound = [claim for claim in claims if not claim.match.problem]
    if len(sound) > 1:
        named = (f"{claim.match.file or 'the directory'} ({claim.adapter.name})" for claim in sound)
        raise Ambiguous(several(named, ", or name the adapter in polyserve.yaml"))
    if not sound and len(claims) > 1:
        raise LoadError("; ".join(dict.fromkeys(claim.match.problem for claim in claims)))
    return sound[0] if sound else claims[0]


def _require(modules: Iterable[str]) -> None:
    absent = [name for name in dict.fromkeys(modules) if importlib.util.find_spec(name) is None]
    if absent:
        raise NotInstalled(absent)


def _unsupported(model_dir: ModelDir, only: str | None) -> str:
    if only:
        return f"polyserve.yaml names the adapter {only!r}, which finds nothing of its own here"
    if model_dir.outside:
        return f"{', '.join(model_dir.outside)} leads out of the models directory and is not followed"
    if not model_dir.files and not model_dir.dirs:
        if model_dir.unfit:
            return f"{model_dir.unfit[0]} is no regular file, or its name holds control characters: it is not opened"
        above = _above_version(model_dir)
        if not above.has(probe.TRITON):
            return "the directory is empty"
        model_dir = above  # an ensemble, most likely: its versions are empty folders
    if known := probe.recognise(model_dir):
        way_out = probe.way_out(known)
        return f"{known}, which this version does not serve{way_out and f'; {way_out}'}"
    if kept := nested.kept_by_mlflow(model_dir):
        return kept
    names = [*model_dir.files, *(f"{name}/" for name in model_dir.dirs)]
    return f"no known model format among {listed(names)}"


def _above_version(model_dir: ModelDir) -> ModelDir:
    """The folder that holds a version's; the folder itself where it is none, or all there is."""
    path = model_dir.path
    return replace(model_dir, path=path.parent) if path.name.isdecimal() and path != model_dir.root else model_dir


def _import(target: str) -> type[Adapter]:
    module, _, name = target.partition(":")
    adapter: type[Adapter] = getattr(importlib.import_module(module), name)
    return adapter
