"""What a page may show without its being run here, by the reason, and what is checked of it all the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping

import yaml

from server.config.settings import Settings, SettingsError
from tests.deploy.manifests import ROOT, check_kubernetes
from tests.docs.pages import NotRun, PageError

#: programs of other servers
_THEIRS = ("mlserver", "bentoml", "mlflow", "torchserve", "tritonserver", "torch-model-archiver", "docker", "pip")
_ENGINES = ("docker", "podman", "make", "kubectl", "helm", "curl", "HOST=")
_IMAGE = re.compile(r"polyserve:\w+$")
_PATH = re.compile(r"\b(?:deploy|docs|examples)/[\w./-]*")


def check(step: NotRun) -> None:
    """
    Raises:
        PageError: there is no such reason, or the block is wrong.
    """
    if step.reason not in CHECKS:
        raise PageError(f"not-run={step.reason}: there is {', '.join(CHECKS)}")
    CHECKS[step.reason](step)


def _commands(step: NotRun) -> Iterator[list[str]]:
    """The words of each command."""
    typed = step.block.text.replace("\\\n", " ")
    lines = [line[2:] for line in typed.splitlines() if line.startswith("$ ")]
    if not lines:
        raise PageError("it shows no command, `$ …`")
    for line in lines:
        yield shlex.split(line, comments=True)


def _containers(step: NotRun) -> None:
    """Commands of a container engine or a cluster: files are there, and the server's flags are the server's."""
    for words in _commands(step):
        if not words[0].startswith(_ENGINES):
            raise PageError(f"{words[0]} is none of {', '.join(_ENGINES)}")
        for word in words:
            for path in _PATH.findall(word):
                if not (ROOT / path).exists():
                    raise PageError(f"there is no {path}")
        if words[0] == "make":
            _target(words[1])
        images = [at for at, word in enumerate(words) if _IMAGE.search(word)]
        if words[0] in ("docker", "podman") and words[1] == "run" and images:
            _parse(words[images[0] + 1 :])


def _target(name: str) -> None:
    """
    Raises:
        PageError: the Makefile does not have it.
    """
    if f"\n{name}:" not in (ROOT / "Makefile").read_text():
        raise PageError(f"make has no target {name}")


def _stores(step: NotRun) -> None:
    """A server of models that are elsewhere: its flags are right."""
    for words in _commands(step):
        if words[:2] != ["polyserve", "serve"]:
            raise PageError("it does not begin with polyserve serve")
        _parse(words[2:])


def _parse(flags: list[str]) -> None:
    """
    Raises:
        PageError: the server would refuse them.
    """
    rest = flags[1:] if flags[:1] == ["serve"] else flags
    folder = [f"--model_dir={rest[0]}", *rest[1:]] if rest and rest[0][0] != "-" else rest
    try:
        Settings.parse(folder, {})
    except SettingsError as error:
        raise PageError(str(error)) from error


def _theirs(step: NotRun) -> None:
    """Commands or code of another project."""
    if step.block.language == "console":
        for words in _commands(step):
            if words[0] not in _THEIRS:
                raise PageError(f"{words[0]} is none of {', '.join(_THEIRS)}")


def _manifest(step: NotRun) -> None:
    """A manifest: YAML, and valid where Kubernetes' own kinds are concerned."""
    for document in yaml.safe_load_all(step.block.text):
        if not {"apiVersion", "kind", "metadata"} <= document.keys():
            raise PageError("it is no manifest: apiVersion, kind and metadata are needed")
        check_kubernetes(document)


def _tree(step: NotRun) -> None:
    """A folder, drawn."""
    if not any(line.startswith(("├── ", "└── ")) for line in step.block.lines):
        raise PageError("it draws no folder")


def _example(step: NotRun) -> None:
    """YAML to choose from."""
    yaml.safe_load(step.block.text)


#: `not-run=REASON` -> its check
CHECKS: Mapping[str, Callable[[NotRun], None]] = {
    "container": _containers,
    "store": _stores,
    "theirs": _theirs,
    "manifest": _manifest,
    "tree": _tree,
    "example": _example,
}
