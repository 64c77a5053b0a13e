"""What one program is: how it is found and started, what it may be told, and how its words differ from OpenAI's."""

from __future__ import annotations

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from adapters.base import LoadError, ModelDir, Parameter, Parameters
from adapters.generation import giving_way
from adapters.generation.grammar import Grammar

#: bounds of the options that are numbers
_LEAST = 1
#: set by the server for processes of one thread, which such a program is not
_THREADS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
)

#: what each of them may be told; how, is the program's
COMMON_OPTIONS = (
    Parameter("environment", meaning="the folder of a virtual environment that has the program; needs `trust: full`"),
    Parameter("max_context", int, meaning="tokens of prompt and answer; the model's own limit unless set"),
    Parameter("slots", int, meaning="sequences that are made at once"),
    Parameter("threads", int, meaning="processor threads; all cores unless set"),
    giving_way.OPTION,
    Parameter("chat_template", meaning="the file of the chat template, beside the model"),
    Parameter("max_queue", int, meaning="sequences that are asked of it at a time; further ones are answered 429"),
    Parameter("first_token_seconds", float, meaning="seconds until an answer has to begin; 600 unless set"),
    Parameter("token_seconds", float, meaning="seconds between two tokens of an answer; 60 unless set"),
)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Names in the program's Prometheus text for what an engine tells of itself; "" where it does not."""

    running: str
    waiting: str
    cache: str = ""  #: of 1
    prefix_queries: str = ""
    prefix_hits: str = ""
    preemptions: str = ""
    prompt_tokens: str = ""
    generated_tokens: str = ""


class ServingProgram(ABC):
    """One such program."""

    name: ClassVar[str]  #: of its executable
    hint: ClassVar[str]  #: how it comes onto a machine
    options: ClassVar[tuple[Parameter, ...]]
    metrics: ClassVar[Metrics]
    #: a call of a tool that has to come is asked for, and read, as `json_calls` has it
    calls_as_json: ClassVar[bool] = False

    @abstractmethod
    def arguments(
        self, model_dir: ModelDir, file: str, served_name: str, socket: Path, options: Parameters
    ) -> list[str]:
        """What follows the executable; each option became one of these by its name here, and nothing else did.

        Raises:
            LoadError: an option names what is not there, or may not be.
        """

    def environ(self, options: Parameters) -> Mapping[str, str]:
        """Variables of its own."""
        return {}

    def takes_tools(self, model_dir: ModelDir, file: str, options: Parameters) -> bool:
        """Whether tools that a chat brings reach the model; True where the program itself refuses them."""
        return True

    @abstractmethod
    def body(self, fields: dict[str, Any], grammar: Grammar | None) -> dict[str, Any]:
        """A request in OpenAI's words (and vLLM's for what those lack) in the program's own.

        Raises:
            RefusedJob: it has no word for a field.
        """


def executable(name: str, options: Parameters, hint: str) -> Path:
    """Where the program is: the option's environment, the one that this process runs in, or the server's PATH.

    Raises:
        LoadError: it is nowhere, or the option may not name a place.
    """
    if named := options.get("environment"):
        if options.get("trust") != "full":
            raise LoadError(
                "options.environment names programs to run, which needs `trust: full` in polyserve.yaml, and a server "
                "with --trust=code; without it the program is looked for on the server's PATH"
            )
        found = Path(named) / "bin" / name
        if not found.is_absolute() or not os.access(found, os.X_OK):
            raise LoadError(
                f"options.environment is {named!r}, which must be a folder (by its whole path) with bin/{name}"
            )
        return found
    here = Path(sys.prefix) / "bin" / name
    if os.access(here, os.X_OK):
        return here
    if (on_path := shutil.which(name)) is None:
        raise LoadError(f"{name} is not found: {hint}, or name its environment in options.environment")
    return Path(on_path)


def check_numbers(options: Parameters) -> None:
    """
    Raises:
        LoadError: an option is none that could be meant.
    """
    giving_way.check_nice(options)
    for name, value in options.items():
        if type(value) in (int, float) and value < _LEAST and name not in ("gpu_layers", "gpu_memory", "nice"):
            raise LoadError(f"options.{name} must be at least {_LEAST}, not {value:g}")


def template_file(model_dir: ModelDir, options: Parameters) -> Path | None:
    """The chat template that an option names: a file of the model's folder, and nothing else.

    Raises:
        LoadError: there is no such file.
    """
    if (name := options.get("chat_template")) is None:
        return None
    if not model_dir.has(name):
        raise LoadError(f"options.chat_template is {name!r}, and there is no such file beside the model")
    return model_dir.file(name)


def environment_of(program: ServingProgram, options: Parameters) -> dict[str, str]:
    """The variables of this process, as a program that computes with many threads and asks nobody else wants them."""
    kept = {name: value for name, value in os.environ.items() if name not in _THREADS}
    if threads := options.get("threads"):
        kept["OMP_NUM_THREADS"] = str(threads)
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
    return {**kept, **quiet, **program.environ(options)}
