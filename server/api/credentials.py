"""API keys: who may ask, and for which models, where the server was told to look (`--api_keys_file`).

A key comes as `Authorization: Bearer KEY` or as `X-API-Key: KEY`, over gRPC as metadata of these names. The file is
looked at with every request, and read again when it has changed: one that was put in the place of another counts from
the next request on, one that is being written counts once it rests. What cannot be read leaves the keys as they were.

Health is open to all, and so is what needs the server's `ADMIN_TOKEN`, whose holder may ask for anything.
"""

from __future__ import annotations

import hmac
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.config.api_keys import ApiKey, KeyRing, KeysError
from server.errors import Forbidden, Unauthorized
from server.text import printable

log = logging.getLogger("kserve")

AUTHORIZATION, API_KEY = "authorization", "x-api-key"
#: headers that carry keys: no model is shown them where keys are asked for
CARRIERS = frozenset({AUTHORIZATION.encode(), API_KEY.encode()})
KEY = "polyserve.api_key"  #: where the scope of a request has its `ApiKey`
#: seconds that a file which is written in place must rest; the writes of an editor or a shell take a thousandth
REST = 0.25
_BEARER = "bearer "
_HOW = "send `Authorization: Bearer <key>` or `X-API-Key: <key>`"
_ADMIN = ApiKey("ADMIN_TOKEN", admin=True)


class KeyFile:
    """The keys of a file, as it is now."""

    def __init__(self, path: Path, *, lenient: bool = False) -> None:
        """`lenient`: one that cannot be read now holds no keys.

        Raises:
            KeysError: it cannot be read.
        """
        self._path = path
        self._state = _state(path)
        self._refused: Any = None  #: what of the file was refused last
        try:
            self._ring = self._read()
        except KeysError as error:
            if not lenient:
                raise
            log.error("--api_keys_file %s: %s; nobody is let in", path, error)  # noqa: TRY400  (no fault of ours)
            self._ring, self._state = KeyRing(), None

    @property
    def ring(self) -> KeyRing:
        """The keys."""
        state = _state(self._path)
        if state != self._state and state != self._refused and not _is_being_written(state, self._state):
            try:
                self._ring = self._read()
            except KeysError as error:
                self._refused = state
                told = f"{error}; the keys stay as they were"
                log.error("--api_keys_file %s: %s", self._path, told)  # noqa: TRY400  (no fault of ours)
            else:
                self._state, self._refused = state, None
                log.info("--api_keys_file %s was read again: %d keys", self._path, len(self._ring))
        return self._ring

    def _read(self) -> KeyRing:
        ring = KeyRing.read(self._path)
        for note in ring.notes:
            log.warning("--api_keys_file: %s", note)
        return ring


class KeyGuard:
    """Asks every request for its key."""

    def __init__(self, keys: KeyFile, admin_token: str = "") -> None:
        self._keys = keys
        self._admin_token = admin_token

    def admits(self, headers: Iterable[tuple[bytes, bytes]], model: str) -> bool:
        """Whether a request may reach the model."""
        key = self._known(_given(headers))
        return key is not None and key.allows(model)

    def key_of(self, headers: Iterable[tuple[Any, Any]]) -> ApiKey:
        """The key that a request brings.

        Raises:
            Unauthorized: it brings none, or one that is none.
        """
        given = _given(headers)
        if not given:
            raise Unauthorized(f"this server asks for an API key: {_HOW}")
        if (key := self._known(given)) is None:
            raise Unauthorized(f"this is no API key of this server (any more): {_HOW}")
        return key

    def is_admin(self, headers: Iterable[tuple[Any, Any]]) -> bool:
        """Whether a request brings a key that is for loading and unloading."""
        key = self._known(_given(headers))
        return key is not None and key.admin

    def _known(self, given: list[str]) -> ApiKey | None:
        ring = self._keys.ring
        for each in given:
            if self._admin_token and hmac.compare_digest(each.encode(), self._admin_token.encode()):
                return _ADMIN
            if (key := ring.find(each)) is not None:
                return key
        return None


def check_model(key: ApiKey | None, model: str) -> None:
    """
    Raises:
        Forbidden: the key is not for the model; whether there is one of that name is not said.
    """
    if key is not None and not key.allows(model):
        raise Forbidden(f"this API key ({printable(key.name)}) is not for model {printable(model)!r}")


def shown_to(key: ApiKey | None, name: str) -> bool:
    """Whether who has the key may know of the model."""
    return key is None or key.allows(name)


def check_all(key: ApiKey | None, what: str) -> None:
    """
    Raises:
        Forbidden: the key is for some models alone.
    """
    if key is not None and key.models is not None:
        raise Forbidden(f"this API key ({printable(key.name)}) is for some models: {what} tells of all; ask for one")


def _given(headers: Iterable[tuple[Any, Any]]) -> list[str]:
    """The keys that headers, or metadata, carry."""
    found = []
    for name, value in headers:
        name = name if isinstance(name, str) else str(name, "latin-1")
        if name not in (AUTHORIZATION, API_KEY):
            continue
        text = value if isinstance(value, str) else str(value, "latin-1")
        if name == API_KEY:
            found.append(text.strip())
        elif text[: len(_BEARER)].lower() == _BEARER:
            found.append(text[len(_BEARER) :].strip())
    return [each for each in found if each]


def _state(path: Path) -> tuple[int, int, int, int, int] | None:
    """What tells one content of a file from another; None: there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116  (with every request)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_being_written(now: tuple[int, ...] | None, known: tuple[int, ...] | None) -> bool:
    """Whether the same file has changed a moment ago: half of it may be missing."""
    if now is None or known is None or now[:2] != known[:2]:
        return False
    return abs(time.time() - now[3] / 1e9) < REST
