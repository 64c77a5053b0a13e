"""The command line's commands: finds the one that is meant, and says what to do where none is.

    0   done
    1   a model failed, or the server that was asked
    2   the command line is wrong: nothing was done

Every mistake is one line on standard error that says what to do.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from server.cli.commands import COMMANDS, COMPLETE, ELSEWHERE, HINTS, OPTIONS_ELSEWHERE
from server.cli.screen import broken_pipe, plain
from server.config.settings import COMMAND
from server.runtime.cpu import ONE_THREAD

ABOUT = """\
Serves a folder of models, whatever made them, over KServe's V1 and V2 (REST
and gRPC) and OpenAI's API.

\b
  polyserve serve models      the same as: polyserve --model_dir=models
  polyserve inspect models    what is in it, and why one would not load
  polyserve curl NAME         a request that the model NAME answers
"""
EPILOG = """\
\b
`polyserve COMMAND --help` tells more, `polyserve serve --help` all of the
server's flags. Status: 0 done, 1 a model or the server failed, 2 usage.
"""
FAILED, WRONG, INTERRUPTED = 1, 2, 130


class Failure(click.ClickException):
    """Something that was asked for failed; the message says what to do."""

    exit_code = FAILED


class CommandGroup(click.Group):
    """The commands, each imported when it is called for: the help imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.UsageError(_unknown(*args))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.purpose) for name, command in COMMANDS.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Commands; and the server's flags, which may stand alone."""
        serve = self.get_command(ctx, "serve")
        if incomplete.startswith("-") and serve is not None:
            return serve.shell_complete(ctx, incomplete)
        named = [each for each in COMMANDS if each.startswith(incomplete)]
        return [click.shell_completion.CompletionItem(name, help=COMMANDS[name].purpose) for name in named]


def _unknown(word: str, *rest: str) -> str:
    """What to say of a first word that is no command; `rest` are those behind it."""
    shown = plain(word)
    if word in HINTS:
        return f"there is no command {word!r}: {HINTS[word]}"
    if word == "help" and rest and rest[0] in COMMANDS:
        return f"there is no command 'help': write {COMMAND} {rest[0]} --help"
    near = ELSEWHERE.get(word.lower()) or next(iter(difflib.get_close_matches(word.lower(), COMMANDS, n=1)), None)
    if near is not None:
        return f"there is no command {shown!r}: did you mean {near}?"
    if Path(word).is_dir():
        return f"{shown} is a folder, not a command: write {COMMAND} serve {shown}, or {COMMAND} inspect {shown}"
    if word in ("help", "version"):
        return f"there is no command {word!r}: write {COMMAND} --{word}"
    return f"there is no command {shown!r}: there are {', '.join(COMMANDS)}"


@click.group(
    name=COMMAND,
    cls=CommandGroup,
    help=ABOUT,
    epilog=EPILOG,
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
def command_group() -> None:
    """All of it."""


def run(argv: Sequence[str]) -> int:
    """Run a command; the exit status."""
    for variable, value in ONE_THREAD.items():  # models are loaded as the server loads them
        os.environ.setdefault(variable, value)
    try:
        status = command_group.main(list(argv), prog_name=COMMAND, standalone_mode=False, complete_var=COMPLETE)
    except click.ClickException as error:
        _tell(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read it has seen enough
        broken_pipe()
        return 0
    return status if isinstance(status, int) else 0


def _tell(error: click.ClickException) -> None:
    message = _meant(error) or " ".join(error.format_message().split())
    print(f"{COMMAND}: {message[:1].lower()}{message[1:]}{_where(error)}", file=sys.stderr)


def _meant(error: click.ClickException) -> str:
    """What to write for an option that other programs have; "": nobody knows."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    meant = OPTIONS_ELSEWHERE.get(error.option_name)
    if meant is None or not any(meant in param.opts for param in error.ctx.command.params):
        return ""
    return f"no such option '{error.option_name}': did you mean {meant}?"


def _where(error: click.ClickException) -> str:
    """Where help is, for mistakes of a command's usage whose message does not tell the way out itself."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is None or ctx.parent is None or _meant(error) or "did you mean" in error.format_message().lower():
        return ""
    one = ": one at a time" if "unexpected extra argument" in error.format_message() else ""
    return f"{one} ({ctx.command_path} --help)"
