"""`x-request-id`: what ties a request to its lines in everybody's logs.

One that comes is checked, answered with, logged, and handed on with the request, to workers and over gRPC as well.
Where none comes, one is made if the server was told to (`--request_ids`).
"""

from __future__ import annotations

import re
import uuid

from server.errors import InvalidInput

NAME = "x-request-id"
HEADER = NAME.encode()
#: characters of one
LONGEST = 128
_VISIBLE = re.compile(rf"[!-~]{{1,{LONGEST}}}", re.ASCII)


def is_valid(value: str) -> bool:
    """Whether it can stand in a header and in a line of a log as it is."""
    return _VISIBLE.fullmatch(value) is not None


def checked(value: str) -> str:
    """The identifier that a client sends.

    Raises:
        InvalidInput: it is none.
    """
    if not is_valid(value):
        raise InvalidInput(
            f"{NAME} must be 1 to {LONGEST} visible ASCII characters, and is {len(value)} characters"
            f"{' long' if len(value) > LONGEST else ', some of them others' if value else ''}"
        )
    return value


def made() -> str:
    """A new one."""
    return uuid.uuid4().hex
