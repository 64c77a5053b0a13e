"""`--api_keys_file`: who may ask the server, and for which models.

    - key: sk-1f0c...                    # or its hash, as `printf %s KEY | sha256sum` prints it: sha256:3b9c...
      name: team-a                       # for messages and the log; the key itself is never shown
      models: [iris, "bert-*"]           # all models, where it does not say
      admin: true                        # may load and unload models, too
    - sha256:9a27...                     # an entry may be the key alone

A file of plain lines is a list of keys that are for all models. A mistake names the entry and the field, and never
what is written there. Keys are kept as hashes under a secret of the process: how long a look-up takes tells nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self
from unicodedata import normalize

import yaml

from server.text import printable

MAX_BYTES = 2**20
MAX_KEYS = 10_000
LONGEST = 512  #: characters of a key
_SHORT = 16  #: characters: a key that may be guessed
_KEY = re.compile(rf"[!-~]{{1,{LONGEST}}}", re.ASCII)
_HASH = "sha256:"
_LONGEST_NAME = 1024  #: characters of a model's name
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_FIELDS = ("key", "name", "models", "admin")


class KeysError(ValueError):
    """The file cannot be read, or is not as above."""


@dataclass(frozen=True)
class ApiKey:
    """What one key is for."""

    name: str
    models: tuple[str, ...] | None = None  #: names, or patterns with * and ?; None: all
    admin: bool = False

    def allows(self, model: str) -> bool:
        """Whether it is for the model."""
        if self.models is None:
            return True
        if len(model) > _LONGEST_NAME:  # to normalize one may take the square of its length
            return False
        name = normalize("NFC", model)
        return any(fnmatchcase(name, pattern) for pattern in self.models)


@dataclass(frozen=True)
class KeyRing:
    """The keys of a file."""

    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _keys: dict[bytes, ApiKey] = field(default_factory=dict, repr=False)
    notes: list[str] = field(default_factory=list)  #: what an operator should know

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Raises:
            KeysError: with the reason.
        """
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise KeysError(f"it cannot be read: {error.strerror}") from error
        return cls.parse(raw)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """
        Raises:
            KeysError
        """
        ring = cls()
        entries = _entries(raw)
        for number, entry in enumerate(entries, 1):
            ring._add(f"entry {number}", entry)
        return ring

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, given: str) -> ApiKey | None:
        """What the key is for; None: it is none of these."""
        blinded = self._blinded(hashlib.sha256(given.encode("utf-8", "replace")).digest())
        for known, key in () if blinded not in self._keys else ((blinded, self._keys[blinded]),):
            if hmac.compare_digest(known, blinded):
                return key
        return None

    def _blinded(self, digest: bytes) -> bytes:
        return hmac.digest(self._secret, digest, "sha256")

    def _add(self, where: str, entry: Any) -> None:
        fields = entry if isinstance(entry, dict) else {"key": entry}
        for name in fields:
            if name not in _FIELDS:
                near = difflib.get_close_matches(str(name), _FIELDS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_FIELDS)}"
                raise KeysError(f"{where}: {printable(str(name))} is no field; {hint}")
        digest, length = _digest(where, fields.get("key"))
        key = ApiKey(_name(where, fields), _models(where, fields), _admin(where, fields))
        blinded = self._blinded(digest)
        if blinded in self._keys:
            raise KeysError(f"{where}: the key is that of another entry ({self._keys[blinded].name})")
        if length < _SHORT:
            self.notes.append(f"{where} ({key.name}): the key has {length} characters and may be guessed: use 32")
        self._keys[blinded] = key


def _entries(raw: bytes) -> list[Any]:
    if len(raw) > MAX_BYTES:
        raise KeysError(f"it has more than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeysError("it is not UTF-8") from error
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if lines and all(_KEY.fullmatch(line) for line in lines) and lines[0][0] not in "-[{":
        found: Any = lines
    else:
        found = _yaml(text)
    if found is None:
        raise KeysError("it holds no keys: write a list of entries, or one key a line")
    if not isinstance(found, list):
        raise KeysError("it must be a list of entries, each with a key (and name, models, admin), or one key a line")
    if not 0 < len(found) <= MAX_KEYS:
        raise KeysError(f"it holds {len(found)} keys, and must hold 1 to {MAX_KEYS}")
    return found


def _yaml(text: str) -> Any:
    try:
        if any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in yaml.scan(text)):
            raise KeysError("anchors and aliases are not read here")
        _check_once(yaml.compose(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)  # the message itself would show what is written there
        raise KeysError(f"it is no YAML{f', at line {mark.line + 1}' if mark else ''}") from error


def _check_once(root: yaml.Node | None) -> None:
    """
    Raises:
        KeysError: an entry gives a field twice, of which YAML would take the last.
    """
    entries = root.value if isinstance(root, yaml.SequenceNode) else []
    for number, entry in enumerate(entries, 1):
        names = [key.value for key, _ in entry.value] if isinstance(entry, yaml.MappingNode) else []
        if twice := [name for name in _FIELDS if names.count(name) > 1]:
            raise KeysError(f"entry {number}: {twice[0]} is given twice")


def _digest(where: str, value: Any) -> tuple[bytes, int]:
    """The key's hash, and its length (of a hash, what is long enough)."""
    if value is None:
        raise KeysError(f"{where}: key is missing")
    if not isinstance(value, str):
        raise KeysError(f"{where}: key must be text: write it in quotes")
    if value.startswith(_HASH):
        if not _HEX.fullmatch(value[len(_HASH) :]):
            raise KeysError(f"{where}: key must have 64 hexadecimal digits behind {_HASH}")
        return bytes.fromhex(value[len(_HASH) :]), _SHORT
    if not _KEY.fullmatch(value):
        raise KeysError(f"{where}: key must be 1 to {LONGEST} visible ASCII characters, without spaces")
    return hashlib.sha256(value.encode()).digest(), len(value)


def _name(where: str, fields: Mapping[Any, Any]) -> str:
    name = fields.get("name", where)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise KeysError(f"{where}: name must be a text in one line")
    return name


def _models(where: str, fields: Mapping[Any, Any]) -> tuple[str, ...] | None:
    models = fields.get("models")
    if "models" not in fields:
        return None
    if not isinstance(models, list) or not models or not all(isinstance(each, str) and each for each in models):
        raise KeysError(f'{where}: models must be a list of names, such as [iris, "bert-*"]; leave it out for all')
    return tuple(normalize("NFC", each) for each in models)


def _admin(where: str, fields: Mapping[Any, Any]) -> bool:
    admin = fields.get("admin", False)
    if not isinstance(admin, bool):
        raise KeysError(f"{where}: admin must be true or false")
    return admin
