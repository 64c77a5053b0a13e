"""What a directory holds, and how it is to be loaded. Nothing of it is executed, and no framework imported."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from adapters import registry
from adapters.base import Adapter, LoadError, ModelDir, Trust
from adapters.registry import Choice
from server.config.model_config import ModelConfig, check_options
from server.loading import compatibility, files, trust
from server.loading.catalog import Found
from server.loading.signatures import Verifier

__all__ = ["Recognised", "Recogniser"]


class Recognised(NamedTuple):
    """What a directory holds, and how it is to be loaded."""

    directory: ModelDir
    choice: Choice
    options: dict[str, Any]
    config: ModelConfig


class Recogniser:
    """Chooses an adapter, as far as the server's flags and a folder's polyserve.yaml allow it. Thread-safe."""

    def __init__(
        self,
        may_import: threading.Event,
        *,
        prefer_proba: bool,
        allowed: Trust,
        verifier: Verifier | None,
        auto_env: bool,
        default_options: Mapping[str, Any],
    ) -> None:
        """As `Loader`; `auto_env`: versions of libraries that are not installed are no reason to refuse."""
        self._may_import = may_import
        self._prefer_proba = prefer_proba
        self._allowed = allowed
        self._verifier = verifier
        self._auto_env = auto_env
        self._default_options = dict(default_options)

    def recognise(self, found: Found) -> Recognised:
        """What a directory holds, and how it would be loaded; nothing of it is executed, and no framework imported.

        Raises:
            LoadError: it cannot be served, with the reason.
        """
        if self._verifier:
            self._may_import.wait()
            self._verifier.verify(found.directory)
        config = self._config(found)
        full = config.trust == "full" and self._allowed is Trust.CODE
        directory = replace(found.directory, trusted=full, name=found.name)
        choice = self._choose(directory, config)
        options = self._options(config, choice.adapter)
        if full:
            options["trust"] = "full"
        return Recognised(choice.directory or directory, choice, options, _with_own_version(config, found, choice))

    def _config(self, found: Found) -> ModelConfig:
        path, root = found.directory.path, found.directory.root
        if not found.home:
            return ModelConfig.read(path, root)
        return ModelConfig.of_version(path, found.home, root, signed=self._verifier is not None)

    def _choose(self, directory: ModelDir, config: ModelConfig) -> Choice:
        try:
            choice = registry.choose(directory, config.adapter, refit=self._auto_env)
            choice = trust.in_full(choice) if directory.trusted else choice
            trust.check(choice, self._allowed)
            if trust.needed(choice) is not Trust.CODE and not (choice.directory or directory).has(choice.match.file):
                files.refuse_strange_files(directory)  # a framework will look into the whole folder
        except registry.Outdated as error:
            raise LoadError(f"{error}; {compatibility.hint(error.origin)}") from error
        except LoadError as error:
            if hint := trust.overruled(config, self._allowed):
                raise LoadError(f"{error}{hint}") from error
            raise
        return choice

    def _options(self, config: ModelConfig, adapter: type[Adapter]) -> dict[str, Any]:
        options: dict[str, Any] = check_options(config.options, adapter.options)
        if self._prefer_proba and any(option.name == "predict_proba" for option in adapter.options):
            options.setdefault("predict_proba", True)
        known = {option.name for option in adapter.options}
        return {name: value for name, value in self._default_options.items() if name in known} | options


def _with_own_version(config: ModelConfig, found: Found, choice: Choice) -> ModelConfig:
    """The version that the files give themselves is a label of a folder that has no number of its own."""
    version = choice.match.version
    if found.version or not version:
        return config
    names = [version, version.removesuffix(".0")]  # clients that count in whole numbers say 1 for 1.0
    return replace(config, labels={**dict.fromkeys(names, found.version), **config.labels})
