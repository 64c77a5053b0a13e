"""`polyserve serve`: `server.__main__` runs the server itself; here are its flags, for the shells' completion."""

from __future__ import annotations

import click

from server.cli.folders import Folder
from server.config.flags import Flag, flags_of
from server.config.settings import Settings

_SPLIT = "|"


def _option(flag: Flag) -> click.Option:
    """A flag of the server as the completion sees it."""
    words = flag.kind.shape.split(_SPLIT)
    if flag.kind.shape in ("DIR", "FILE"):
        kind: click.ParamType[object] = click.Path(dir_okay=True)
    else:
        kind = click.Choice(words) if len(words) > 1 and flag.kind.shape.islower() else click.STRING
    return click.Option([flag.flag], type=kind, help=flag.meaning)


def _never() -> None:
    """`server.__main__` has seen the word before.

    Raises:
        click.UsageError: always.
    """
    raise click.UsageError("serve comes first: polyserve serve --model_dir=DIR")


_FOLDER = click.Argument(["directory"], type=Folder(), required=False)
serve = click.Command(
    "serve",
    params=[_FOLDER, *map(_option, flags_of(Settings))],
    callback=_never,
    help="Serve a folder of models.",
)
