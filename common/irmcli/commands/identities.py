"""The group `irmexport identities`: the directory of people."""

import click

from irmcli.commands import (
    identities_files,
    identities_leavers,
    identities_recheck,
    identities_show,
    identities_sync,
)


@click.group("identities")
def command() -> None:
    """Maintain and query the directory of people.

    The names in rows are resolved through it.
    """


for _command in (
    *(identities_sync.sync, identities_show.explain, identities_show.status),
    *(identities_files.import_, identities_files.export, identities_recheck.recheck_),
    *(identities_leavers.leavers, identities_sync.emulator),
):
    command.add_command(_command)
