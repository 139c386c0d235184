"""`irmexport identities recheck`: rows on disk that the directory would now resolve differently."""

from pathlib import Path

import click

from irmcli import options
from irmcli.output import Output, count
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings


@click.command("recheck")
@options.profile
@options.emulator
@options.directory_of_people
@click.pass_context
def recheck_(
    ctx: click.Context, *, profile_name: str, emulator_dir: str | None, directory: Path | None
) -> None:
    """List what the directory would now resolve differently.

    These are batches and refused rows of a profile, without their values.

    `irmexport show BATCH --payload` shows the rows of a batch. A batch has no source names: to find an
    address that has turned out to be another person's, run `irmexport send FILE --dry-run` on the source.

    Example: irmexport identities recheck --profile leaver-prediction
    """
    from irmcli.identities.recheck import recheck

    output, settings = Output.of(ctx), Settings.of(ctx)
    profile = settings.profile(profile_name)
    session = ConnectorSession.of(output, settings, profile, emulator_dir)
    own = profile.identity.directory if profile.identity is not None else None
    path = directory or (Path(own) if own is not None else settings.directory_of_people)
    with output.progress("checking"):
        found = list(recheck(session.outbox, profile, path))
    rows = [(one.where, one.what[:24], one.rows, one.reason) for one in found]
    output.table("Would now resolve differently", ("where", "batch or run", "rows", "reason"), rows)
    output.line(f"{count(sum(one.rows for one in found), 'row')} would now resolve differently.")
    output.document([one._asdict() for one in found])
