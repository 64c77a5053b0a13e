"""What a spaCy pipeline's `config.cfg` may make spaCy do while it loads.

spaCy imports nothing from a pipeline's folder: `factory` and `@registry` names resolve only to functions that
installed packages registered, and none of spaCy's own components unpickles (weights, strings and rules are msgpack,
JSON and plain numpy arrays; torch layers are read with `weights_only`). What is left are registered functions that
load other pipelines, read files by path or fetch from a network, with arguments that the config chooses. A pipeline
written by `nlp.to_disk` never needs those to load, so they are refused here by name, before anything is resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapters.base import LoadError

#: Only these sections are resolved when a saved pipeline loads; the rest is for training.
_RESOLVED = ("nlp", "components")

#: registries whose functions have no part in a trained pipeline -> what they do
_REFUSED_REGISTRIES = {
    "@cli": "runs commands",
    "@datasets": "downloads data",
    "@llm_models": "calls a language model over the network",
    "@loggers": "reports a training run",
    "@model_loaders": "fetches weights from a hub",
    "@readers": "reads files by path or downloads data",
}

#: beginnings of function and factory names -> what they do
_REFUSED_FUNCTIONS = {
    "spacy.copy_from_base_model.": "loads another pipeline",
    "spacy.KBFromFile.": "reads a file by path",
    "spacy-transformers.": "can fetch weights and code from a hub",
}

#: factories, and those whose names go on with an underscore (llm_ner) -> what they do
_REFUSED_FACTORIES = {
    "llm": "calls a language model over the network",
    "transformer": "(spacy-transformers) can fetch weights and code from a hub",
}

_WAY_OUT = "a pipeline saved by nlp.to_disk loads without it"


def check(config: Mapping[str, Any]) -> None:
    """Refuse an interpolated config that would reach beyond the pipeline's own folder.

    Raises:
        LoadError: it names something that is refused, and where.
    """
    for name, component in config.get("components", {}).items():
        _check_component(name, component)
    for section in _RESOLVED:
        for where, key, value in _settings(config.get(section, {}), section):
            _check_setting(where, key, value)


def _check_component(name: str, component: Any) -> None:
    where = f"config.cfg: [components.{name}]"
    if "/" in name:
        raise LoadError(f"{where}: a component's name is the name of its folder, without slashes")
    if not isinstance(component, Mapping):
        raise LoadError(f"{where} is not a section")
    if "source" in component:
        raise LoadError(f"{where} takes its component from another pipeline (source); {_WAY_OUT}")
    factory = str(component.get("factory"))
    for refused, does in _REFUSED_FACTORIES.items():
        if factory == refused or factory.startswith(f"{refused}_"):
            raise LoadError(f"{where}: factory {factory!r} {does}, which is not done here")


def _check_setting(where: str, key: str, value: Any) -> None:
    if not key.startswith("@"):
        return
    refused = _REFUSED_REGISTRIES.get(key)
    refused = refused or next((does for name, does in _REFUSED_FUNCTIONS.items() if str(value).startswith(name)), None)
    if refused:
        raise LoadError(f"config.cfg: [{where}] names {key[1:]} {value!r}, which {refused}; {_WAY_OUT}")


def _settings(value: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    """Every setting below a section, lists included, as (section, key, value)."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield where, str(key), inner
            yield from _settings(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _settings(inner, where)
