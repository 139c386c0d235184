"""`irmexport completion`: print the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script for SHELL that completes commands. Add its line to the shell's start file.

    bash (4.4 or newer), in ~/.bashrc: eval "$(irmexport completion bash)"

    zsh, in ~/.zshrc: eval "$(irmexport completion zsh)"

    fish, once: irmexport completion fish > ~/.config/fish/completions/irmexport.fish

    Example: irmexport completion bash
    """
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - a Choice
    click.echo(made(ctx.find_root().command, {}, "irmexport", "_IRMEXPORT_COMPLETE").source())
