"""Messages beside inference: a model's name, or a few settings.

They are read on the event loop, and before anything is known of who asks. protobuf makes twenty bytes of each field of
two, and takes seconds for millions of them: so they are bounded by what anybody would ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from server.errors import InvalidInput, TooLarge

#: bytes of one
MOST = 1 << 19


def reader(kind: Any) -> Callable[[bytes], Any]:
    """What reads serialized messages of that class."""
    name = kind.DESCRIPTOR.name

    def read(raw: bytes) -> Any:
        """
        Raises:
            TooLarge: nobody asks for so much.
            InvalidInput: it is no such message.
        """
        if len(raw) > MOST:
            raise TooLarge(f"the {name} holds {len(raw)} bytes, and {MOST} are taken: models' files are not sent")
        try:
            return kind.FromString(raw)
        except DecodeError as error:
            raise InvalidInput(f"the message is no {name}: {error}") from error

    return read
