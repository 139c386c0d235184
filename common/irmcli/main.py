"""`irmexport`: the list of subcommands, the common options, and errors as exit codes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click
from irmcore import __version__
from irmcore.errors import IrmError

from irmcli import plugins
from irmcli.exit_codes import FAILED, code_of, disk_trouble, fault
from irmcli.output import Output
from irmcli.settings import Settings

#: name → module under irmcli.commands, in the order of a first use. A module is imported when it runs.
COMMANDS = {
    "profile": "profile",
    "wizard": "wizard",
    "credential": "credential",
    "check": "check",
    "send": "send",
    "watch": "watch",
    "drain": "drain",
    "status": "status",
    "show": "show",
    "reconcile": "reconcile",
    "resolve": "resolve",
    "requeue": "requeue",
    "resume": "resume",
    "export-rejects": "export_rejects",
    "audit": "audit",
    "report": "report",
    "doctor": "doctor",
    "clean-up": "clean_up",
    "schedule": "schedule",
    "emulator": "emulator",
    "demo": "demo",
}


class Commands(click.Group):
    """The subcommands, each imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(point.name for point in plugins.points(plugins.COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return with_json(import_module(f"irmcli.commands.{COMMANDS[cmd_name]}").command)
        for point in plugins.points(plugins.COMMANDS).select(name=cmd_name):
            return with_json(point.load())
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = [name for name in self.list_commands(ctx) if name[:2] == args[0][:2]]
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IrmError as error:
            Output.of(ctx).error(error)
            ctx.exit(code_of(error))
        except BrokenPipeError:
            # Whoever read our output has enough of it (`| head`): no error of ours.
            sys.stderr.close()
            ctx.exit(FAILED)
        except OSError as error:
            Output.of(ctx).error(disk_trouble(error))
            ctx.exit(FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - told without its text, which may quote a row
            Output.of(ctx).error(fault(error))
            ctx.exit(FAILED)


def with_json(command: click.Command) -> click.Command:
    """``command`` with a --json of its own, so that it may stand behind the subcommand too."""

    def turn_on(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.obj = ctx.find_root().obj = Output(as_json=True)

    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_json(inner)
    elif all(param.name != "as_json" for param in command.params):
        option = click.Option(
            ["--json", "as_json"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=turn_on,
            help="Print one JSON document instead of text.",
        )
        command.params.append(option)
    return command


def _host(ctx: click.Context) -> Any:
    """What a command from outside needs of us, for when it asks: --help does not load it."""
    from irmcli.session.connector_session import Ways

    return Ways(Output.of(ctx), Settings.of(ctx))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="irmexport")
@click.option(
    "--outbox",
    envvar="IRMEXPORT_OUTBOX",
    type=click.Path(file_okay=False),
    help="Where batches are kept until they have a receipt.  [IRMEXPORT_OUTBOX]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.pass_context
def main(ctx: click.Context, outbox: str | None, as_json: bool) -> None:
    """Send detections to Microsoft Purview Insider Risk Management.

    Exit codes: 0 done, 1 failed or waiting for another try, 2 usage or configuration, 3 rows refused,
    4 held, paused or given up: a person is needed.
    """
    ctx.obj = Output(as_json=as_json)
    ctx.meta["irmexport.settings"] = Settings.read(outbox)
    ctx.meta["irmexport.host"] = _host
