"""`polyserve.yaml` in a model's folder: what overrides the guesses about that model.

    adapter: sklearn            # instead of asking every adapter
    engine: vllm                # or llama_cpp: that program serves the folder, as a child of the model's worker
    trust: full                 # load this pickle whatever it names
    options:                    # the adapter's own
      method: predict_proba
    batching:                   # or `batching: false`
      enabled: true
      max_rows: 64              # instead of the server's --max_batch_rows
    lanes: 2                    # calls at the same time, at most: instead of one a core
    isolation: process          # or none: in a worker process, or in the server's
    workers: 2                  # worker processes
    memory_limit: 512MiB        # resident memory of each; a worker that uses more is killed and started again
    call_timeout: 120           # seconds that a call may take; then its worker is killed and started again
    pass_env: [HF_TOKEN]        # variables with secrets that the workers may see; not under --sandbox
    pinned: true                # loaded at the start, and never evicted for others (--memory_budget)
    versions: latest            # of a folder with versions: latest, latest: N, all, or a list of numbers
    labels: {stable: 1}         # names for versions
    shadow: true                # of a version: it runs beside the one that serves (`shadow_config`)

Every mistake is a LoadError that names the key, the value and what is allowed: it becomes the model's reason.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from adapters.base import LoadError, ModelDir, Parameter
from server.config.flags import types
from server.config.shadow_config import ShadowConfig, read_shadow
from server.config.version_policy import VersionPolicy, read_labels, read_policy
from server.text import printable

FILE = "polyserve.yaml"
_MISSPELT = "polyserve.yml"
MAX_BYTES = 64 * 1024
#: what stands between values. PyYAML takes some 50 us for each, a scan of the mount reads the file of each folder and
#: version, and the others wait for it
_MARKS, _MOST_MARKS = b"\n\r,:[]{}'\"-?&!|>#", 5000

_KEYS = (
    *("adapter", "engine", "trust", "options", "batching", "lanes"),
    *("isolation", "workers", "memory_limit", "call_timeout", "pass_env"),
    "pinned",
    *("versions", "labels", "shadow"),
)
#: programs that serve language models: names of adapters, as the registry has them
ENGINES = ("vllm", "llama_cpp")
_MOST_WORKERS = 64
_LEAST_MEMORY = 64 * 2**20  #: bytes; an interpreter with numpy alone takes half of that

_KIND_NAMES: Mapping[type, str] = {
    str: "text (in quotes, where YAML reads something else)",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
}


@dataclass(frozen=True)
class ModelConfig:
    """What a model's `polyserve.yaml` says; the defaults are those of a model without one."""

    adapter: str | None = None
    trust: Literal["full"] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    batching: bool = True
    max_batch_rows: int | None = None  #: None: the server's setting
    lanes: int | None = None  #: calls at the same time, at most; None: the server's choice
    isolation: Literal["process", "none"] | None = None  #: None: the server's setting
    workers: int | None = None
    memory_limit: int | None = None  #: bytes
    call_timeout: float | None = None  #: seconds; None: the server's setting
    pass_env: tuple[str, ...] = ()
    pinned: bool = False  #: loaded at the start, and never evicted
    versions: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, str] = field(default_factory=dict)  #: label -> version
    shadow: ShadowConfig | None = None  #: this version answers nobody, and is compared with the one that does

    @classmethod
    def of_version(cls, path: Path, home: Path, root: Path, signed: bool = False) -> Self:
        """The configuration of a version: its own, where its folder has one, or else that of the model's folder.

        `versions` and `labels` are the model's in any case. `signed`: nothing else is taken from the model's folder,
        as only what lies in the version's own was signed.
        """
        own, shared = ModelDir.of(path, root), cls.read(home, root)
        if signed or FILE in (*own.files, *own.outside):
            return replace(cls.read(path, root), versions=shared.versions, labels=shared.labels)
        return shared

    @classmethod
    def read(cls, path: Path, root: Path | None = None) -> Self:
        """The configuration of the model's folder `path`; the file may be absent.

        `root` is the mount, which a link to the file may not leave (default: the folder itself).

        Raises:
            LoadError: the file cannot be read, or says what cannot be meant.
        """
        try:
            text = _read(ModelDir.of(path, root))
        except OSError as error:
            raise LoadError(f"{FILE} cannot be read: {error.strerror}") from error
        return cls._of(_parse(text) if text else None)

    @classmethod
    def _of(cls, document: Any) -> Self:
        content = _mapping(document, "the file")
        _check_keys(content, _KEYS)
        batching = content.get("batching")
        batching = _mapping({"enabled": batching} if isinstance(batching, bool) else batching, "batching")
        _check_keys(batching, ("enabled", "max_rows"), "batching.")
        options = _mapping(content.get("options"), "options")
        if strange := [key for key in options if not isinstance(key, str)]:
            raise LoadError(f"{FILE}: options: the key {printable(repr(strange[0]))} must be text")
        return cls(
            adapter=_adapter(content),
            trust=_value(content.get("trust"), str, "trust", ("full",)),
            options=options,
            batching=_value(batching.get("enabled", True), bool, "batching.enabled") is not False,
            max_batch_rows=_value(batching.get("max_rows"), int, "batching.max_rows", low=1),
            lanes=_value(content.get("lanes"), int, "lanes", low=1),
            isolation=_value(content.get("isolation"), str, "isolation", ("process", "none")),
            workers=_value(content.get("workers"), int, "workers", low=1, high=_MOST_WORKERS),
            memory_limit=_memory(content.get("memory_limit")),
            call_timeout=_value(content.get("call_timeout"), float, "call_timeout", low=1),
            pass_env=_names(content.get("pass_env"), "pass_env"),
            pinned=_value(content.get("pinned"), bool, "pinned") is True,
            versions=read_policy(content.get("versions")),
            labels=read_labels(content.get("labels")),
            shadow=read_shadow(content.get("shadow")),
        )


def check_options(options: Mapping[str, Any], declared: Collection[Parameter]) -> dict[str, Any]:
    """An adapter's options, checked against those that it declares; whole numbers become floats where it wants those.

    Raises:
        LoadError: naming the option, the value and what is allowed.
    """
    by_name = {parameter.name: parameter for parameter in declared}
    _check_keys(options, by_name, "options.")
    return {
        name: _value(value, by_name[name].kind, f"options.{name}", by_name[name].choices)
        for name, value in options.items()
        if value is not None
    }


def _adapter(content: Mapping[Any, Any]) -> str | None:
    """The adapter that is named, by its name or by that of the program that it starts."""
    adapter: str | None = _value(content.get("adapter"), str, "adapter")
    engine: str | None = _value(content.get("engine"), str, "engine", ENGINES)
    if adapter and engine:
        raise LoadError(f"{FILE}: adapter and engine both say who serves the folder: leave one out")
    return adapter or engine


def _read(model_dir: ModelDir) -> bytes:
    if model_dir.lacks(FILE) and model_dir.lacks(_MISSPELT):
        return b""
    if FILE in model_dir.files:
        text = model_dir.head(FILE, MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise LoadError(f"{FILE} is longer than {MAX_BYTES // 1024} KiB")
        return text
    if FILE in model_dir.outside:
        raise LoadError(f"{FILE} leads out of the models directory and is not followed")
    if FILE in model_dir.dirs or (model_dir.path / FILE).exists():
        raise LoadError(f"{FILE} is not a regular file")
    if model_dir.has(_MISSPELT):
        raise LoadError(f"{_MISSPELT} is not read: name it {FILE}")
    return b""


class _Loader(yaml.SafeLoader):
    """YAML's plain data, without what could only be a mistake or an attack: aliases, repeated keys, giant numbers."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _error("aliases (*) are not allowed", self.get_event())  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _error(f"the key {key.value} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if abs(number) >= 2**63:
            raise _error("the number does not fit 64 bits", node)
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _error(problem: str, at: Any) -> yaml.MarkedYAMLError:
    """`at` is a YAML node or event."""
    return yaml.constructor.ConstructorError(None, None, problem, at.start_mark)


def _parse(text: bytes) -> Any:
    if len(text) - len(text.translate(None, _MARKS)) > _MOST_MARKS:
        raise LoadError(f"{FILE} has more than {_MOST_MARKS} lines, commas, colons, brackets and quotes")
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = printable(error.problem or error.context or "not YAML")
        way_out = "; YAML is indented by spaces, not by tabs" if "'\\t'" in problem else ""
        raise LoadError(f"{FILE}{where}: {problem}{way_out}") from error
    except yaml.YAMLError as error:
        raise LoadError(f"{FILE} is not YAML: {printable(' '.join(str(error).split()))}") from error
    except RecursionError as error:
        raise LoadError(f"{FILE} is nested too deeply") from error
    except Exception as error:  # 2024-13-45, `!!int ""`, `!!bool maybe`: PyYAML trips over them in many ways
        raise LoadError(f"{FILE} holds a value that nothing can stand for: {printable(repr(error))}") from error


def _mapping(value: Any, where: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise LoadError(f"{FILE}: {where} must hold `key: value` lines, not {printable(repr(value))}")
    return value


def _check_keys(mapping: Mapping[Any, Any], known: Collection[str], where: str = "") -> None:
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            allowed = f"allowed are {', '.join(known)}" if known else "none is allowed here"
            hint = f"did you mean {where}{near[0]}?" if near else allowed
            raise LoadError(f"{FILE}: unknown key {printable(f'{where}{key}')}; {hint}")


def _memory(value: Any) -> int | None:
    """A size in bytes, written as a number or as `512MiB`."""
    if value is None:
        return None
    try:
        if type(value) not in (int, str):
            raise ValueError("must be a size, such as 512MiB")  # noqa: TRY301  (told as the others are)
        size = types.size().read(str(value))
    except ValueError as error:
        raise LoadError(f"{FILE}: memory_limit: {printable(repr(value))} {error}") from error
    if size < _LEAST_MEMORY:
        raise LoadError(f"{FILE}: memory_limit: {printable(repr(value))} must be at least {_LEAST_MEMORY // 2**20}MiB")
    return size


def _names(value: Any, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise LoadError(f"{FILE}: {where}: {printable(repr(value))} must be a list of names, such as [HF_TOKEN]")
    return tuple(value)


def _value(
    value: Any,
    kind: type,
    where: str,
    choices: Collection[Any] = (),
    low: int | None = None,
    high: int | None = None,
) -> Any:
    """The value, if it is of the kind and among the choices; None (an empty line in the file) stays None."""
    if value is None:
        return None
    if kind is float and type(value) is int:
        value = float(value)
    fits = type(value) is kind and not (choices and value not in choices)
    within = fits and (low is None or value >= low) and (high is None or value <= high)
    if not within or (isinstance(value, float) and not math.isfinite(value)):
        allowed = f"one of {', '.join(map(str, choices))}" if choices else _KIND_NAMES[kind]
        limit = "" if low is None else f", at least {low}"
        limit += "" if high is None else f", at most {high}"
        raise LoadError(f"{FILE}: {where}: {printable(repr(value))} must be {allowed}{limit}")
    return value
