"""The server's own settings as options of commands, which find what the server does with the same flags."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from server.config.flags import SettingsError, flags_of
from server.config.settings import Settings

T = TypeVar("T", bound=Callable[..., Any])

#: who must have signed the models
SIGNERS = ("verify_key", "verify_certificates", "verify_identity", "verify_issuer", "verify_trust_config")
#: what decides whether a model loads, and how
LOADING = (
    *("model_name", "trust", *SIGNERS, "auto_env", "isolation", "load_threads", "load_timeout"),
    *("sandbox", "sandbox_network", "sandbox_read"),
    *("env_dir", "env_timeout", "wheelhouse", "predict_proba", "max_models", "max_model_files"),
)
#: what decides how a folder is looked at
LOOKING = ("model_name", "trust", *SIGNERS, "auto_env", "load_threads", "load_timeout", "max_models")


def server_options(*names: str) -> Callable[[T], T]:
    """Options for these settings, spelled with `_` or `-`; the command gets those given as keyword arguments."""
    flags = {flag.name: flag for flag in flags_of(Settings)}

    def add(function: T) -> T:
        for name in reversed(names):
            flag = flags[name]
            alone: dict[str, Any] = {} if flag.kind.alone is None else {"is_flag": False, "flag_value": flag.kind.alone}
            spellings = dict.fromkeys([f"--{name.replace('_', '-')}", flag.flag])
            function = click.option(
                *spellings, name, metavar=flag.kind.shape, help=flag.meaning.partition(":")[0], hidden=True, **alone
            )(function)
        return function

    return add


def settings_of(directory: Path, given: Mapping[str, Any], **fixed: str) -> Settings:
    """The server's settings for a folder of models, with these options, and what the environment says of others.

    Raises:
        click.UsageError: naming every mistake.
    """
    known = {flag.name: flag.flag for flag in flags_of(Settings)}
    values = {**{name: value for name, value in given.items() if value is not None}, **fixed}
    argv = [f"{known[name]}={value}" for name, value in values.items()]
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_HERE}
    try:
        return Settings.parse([*argv, f"--model_dir={directory}"], environ)
    except SettingsError as error:
        raise click.UsageError("; ".join(error.problems)) from error


#: they name other models than those of the folder, or leave some out
_NOT_HERE = (
    *("STORAGE_URI", "POLYSERVE_MODEL", "MODEL_DIR", "MODEL_NAME"),
    *("POLYSERVE_LOAD", "POLYSERVE_MEMORY_BUDGET"),  # every model is looked at, now
)
