"""What Triton's clients may ask for when a model is loaded or unloaded: nothing that a folder does not say.

Source: Triton's extension_model_repository.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.errors import InvalidInput, NotSupported

#: models here have no dependents: with or without them is the same
_DEPENDENTS = "unload_dependents"
_FILE = "file:"


def check_options(parameters: Mapping[str, Any]) -> None:
    """Refuse what would not be done.

    Raises:
        NotSupported: a configuration, or files.
        InvalidInput: there is no such parameter.
    """
    for name, value in parameters.items():
        if name == _DEPENDENTS:
            if not isinstance(value, bool):
                raise InvalidInput(f"parameters.{name} must be true or false")
        elif name == "config" or name.startswith(_FILE):
            raise NotSupported(f"parameters: {name!r} is not served: a model is loaded as it lies in its folder")
        else:
            raise InvalidInput(f"parameters: {name!r} is unknown; known: {_DEPENDENTS!r}")
