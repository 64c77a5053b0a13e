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
bash:  polyserve completion bash > ~/.local/share/bash-completion/completions/polyserve
zsh:   polyserve completion zsh > "${fpath[1]}/_polyserve"
fish:  polyserve completion fish > ~/.config/fish/completions/polyserve.fish
"""
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and files in SHELL.

    Write it where the shell looks for such scripts, and start a new shell.
    """
    from server.cli.main import command_group

    found = get_completion_class(shell)
    assert found is not None
    say(found(command_group, {}, COMMAND, COMPLETE).source())
