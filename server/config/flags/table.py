"""One row of the table of settings: as it is declared, and as the parser and the manual see it."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from server.config.flags.types import Kind
from server.text import printable

T = TypeVar("T")

PREFIX = "POLYSERVE_"


def setting(default: T, kind: Kind[Any], group: str, meaning: str, *, shown: str = "", **spelling: Any) -> T:
    """A row of the table, as a dataclass field.

    `shown` describes a default of None. `spelling` holds `flag` and `env` where they are not the field's name and its
    upper case behind POLYSERVE_, and `kserve=True` for a flag of KServe's own parser.
    """
    row = {"kind": kind, "group": group, "meaning": meaning, "shown": shown, **spelling}
    return field(default=default, metadata=row)


@dataclass(frozen=True)
class Flag:
    """A row of the table as the parser and the manual see it."""

    name: str
    default: Any
    kind: Kind[Any]
    group: str
    meaning: str
    shown: str
    flag: str
    env: str
    kserve: bool

    @classmethod
    def of(cls, row: Field[Any]) -> Flag:
        spelling = {"flag": f"--{row.name}", "env": f"{PREFIX}{row.name.upper()}", "kserve": False}
        return cls(name=row.name, default=row.default, **{**spelling, **row.metadata})

    @property
    def usage(self) -> str:
        return f"{self.flag}={self.kind.shape}"

    @property
    def default_text(self) -> str:
        return self.shown or ("none" if self.default is None else self.kind.show(self.default))

    def read(self, text: str, source: str) -> Any:
        """The value that the text stands for.

        Raises:
            ValueError: naming the source (the flag or the variable), the text and what is allowed.
        """
        try:
            return self.kind.read(text)
        except ValueError as error:
            raise ValueError(f"{source}={printable(self.kind.quote(text))}: {error}") from error


def flags_of(table: type[Any]) -> tuple[Flag, ...]:
    """The rows of a table of settings, in its order."""
    return tuple(Flag.of(row) for row in fields(table))
