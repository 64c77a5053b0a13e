"""`polyserve completion SHELL`: the script by which a shell completes the commands, their options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from server.cli.commands import COMPLETE
from server.cli.screen import say
from server.config.settings import COMMAND

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
As in .bashrc, .zshrc, and config.fish:
  eval "$(polyserve completion bash)"
  eval "$(polyserve completion zsh)"
  polyserve completion fish | source
"""
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and folders in SHELL."""
    from server.cli.main import command_group

    found = get_completion_class(shell)
    assert found is not None
    source = found(command_group, {}, COMMAND, COMPLETE).source()
    say(source.replace('string split ","', 'string split -m 1 ","'))  # fish: what is said of a word may have a comma
