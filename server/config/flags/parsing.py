"""Command line and environment into values. A flag beats its environment variable, which beats the default.

Flags are spelled with `_` or `-`; a value follows `=` or comes next; a switch may stand alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.config.flags.table import PREFIX, Flag, flags_of
from server.text import printable

#: What Kubernetes puts into `<SERVICE>_PORT` for a Service: POLYSERVE_HTTP_PORT, should one be called polyserve-http.
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")


class SettingsError(ValueError):
    """The command line or the environment is wrong; `problems` holds a sentence for each mistake."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse(
    table: type[Any], argv: Sequence[str], environ: Mapping[str, str], elsewhere: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values that the command line and the environment give, by field name; what neither names is left out.

    `elsewhere` holds flags of others that are said in another way here, and the way.

    Raises:
        SettingsError: with every mistake, not only the first.
    """
    flags = flags_of(table)
    problems: list[str] = []
    texts = {flag.name: (flag.env, text) for flag in flags if (text := _from_environment(flag, environ))}
    given: dict[str, tuple[str, str]] = {}
    for flag, text in _from_command_line(argv, flags, problems, elsewhere or {}):
        before = f"{given[flag.name][1]}\n" if flag.kind.repeats and flag.name in given else ""
        given[flag.name] = (flag.flag, before + text)
    texts |= given
    values: dict[str, Any] = {}
    for flag in flags:
        if flag.name in texts:
            source, text = texts[flag.name]
            try:
                values[flag.name] = flag.read(text, source)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise SettingsError(*problems)
    return values


def unknown_variables(table: type[Any], environ: Mapping[str, str]) -> list[str]:
    """A warning for each environment variable that is nearly, but not quite, one of the table's."""
    known = [flag.env for flag in flags_of(table)]
    strange = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=0.85) for name in strange}
    return [f"{name} is not a setting; did you mean {match[0]}?" for name, match in near.items() if match]


def _from_environment(flag: Flag, environ: Mapping[str, str]) -> str:
    """The variable's text; an empty one counts as unset, as Compose files and templates of manifests leave them."""
    text = environ.get(flag.env, "").strip()
    return "" if flag.env.endswith("_PORT") and _SERVICE_LINK.match(text) else text


def _from_command_line(
    argv: Sequence[str], flags: Sequence[Flag], problems: list[str], elsewhere: Mapping[str, str]
) -> Iterator[tuple[Flag, str]]:
    """The flags of a command line with their texts, in order; mistakes are added to `problems`."""
    known = {_canonical(flag.flag): flag for flag in flags}
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        name, equals, text = token.partition("=")
        follows = bool(rest) and not rest[0].startswith("--")
        if not name.startswith("--") and name in elsewhere:
            problems.append(f"unknown flag {name}; {elsewhere[name]}")
            rest = rest[1:] if follows and not equals else rest
        elif not name.startswith("--"):
            problems.append(f"unexpected argument {printable(token)}: a setting is a flag, --name=value")
        elif (flag := known.get(_canonical(name))) is None:
            way_out = elsewhere.get(_canonical(name)) or _nearest(_canonical(name), known)
            problems.append(f"unknown flag {printable(name)}; {way_out}")
            rest = rest[1:] if follows and not equals else rest
        elif equals:
            yield flag, text
        elif follows:
            yield flag, rest.pop(0)
        elif flag.kind.alone is not None:
            yield flag, flag.kind.alone
        else:
            problems.append(f"{flag.flag}: needs a value, as in {flag.usage}")


def _canonical(name: str) -> str:
    return "--" + name[2:].replace("-", "_")


def _nearest(name: str, known: Mapping[str, Flag]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    if near:
        return f"did you mean {known[near[0]].flag}?"
    alone = difflib.get_close_matches(name, ("--help", "--version"), n=1)
    return f"did you mean {alone[0]}?" if alone else "--help lists the known ones"
