"""`irmexport identities leavers`: people with a leave date in Microsoft Entra ID, as rows of HR data."""

import csv
from pathlib import Path

import click

from irmcli import options
from irmcli.extras import entra_extra
from irmcli.output import Output, count
from irmcli.session import private_file
from irmcli.settings import Settings


@click.command("leavers")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.graph_cloud
@options.sign_in
@options.graph_emulator
@click.pass_context
def leavers(
    ctx: click.Context,
    *,
    file: Path,
    cloud: str,
    who: options.SignIn,
    emulator_dir: Path | None,
) -> None:
    """Write everybody with an employeeLeaveDateTime to a CSV FILE.

    The file is for `irmexport send --profile hr-resignations`.

    Needs the application permissions User.Read.All and User-LifeCycleInfo.Read.All of Microsoft Graph. Entra
    does not know when somebody gave notice, so the leave date is both ResignationDate and LastWorkingDate.

    Example: irmexport identities leavers leavers.csv --sign-in managed-identity
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    with entra_extra():
        from irmcli.identities import leavers as found
        from irmcli.identities.sign_in import graph_client
    client = graph_client(who, cloud, settings.environment, emulator_dir)
    rows = list(found.leavers(client))
    with private_file.replacing(file) as written:
        csv.writer(written).writerows([found.HEADER, *rows])
    output.line(f"{file}: {count(len(rows), 'row')}")
    output.document({"file": str(file), "rows": len(rows)})
