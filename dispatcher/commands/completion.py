"""`dlr completion`: the script that lets a shell complete what is typed after `dlr`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Let the shell read it at its start. For bash, put this line into ~/.bashrc, and for zsh, with
    zsh in it, into ~/.zshrc: eval "$(dlr completion bash)"

    Example: dlr completion fish > ~/.config/fish/completions/dlr.fish
    """
    found = get_completion_class(shell)
    assert found is not None, "click completes for these shells"
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "dlr", "_DLR_COMPLETE").source(), nl=False)
