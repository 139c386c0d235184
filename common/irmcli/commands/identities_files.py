"""`irmexport identities import` and `export`: the directory of people from and to CSV files."""

from pathlib import Path

import click
from irmcore.identity.directory import Directory

from irmcli import options
from irmcli.output import Output, count
from irmcli.session import private_file
from irmcli.settings import Settings
from irmcli.time_options import parse_timestamp


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.directory_of_people
@click.option(
    "--at", metavar="TIME", help="When the file was correct, as 2026-11-22T08:00Z or 36h ago.  [default: now]"
)
@click.option("--accept-removals", is_flag=True, help="Accept that half of the people or more are gone.")
@click.pass_context
def import_(
    ctx: click.Context, *, file: Path, directory: Path | None, at: str | None, accept_removals: bool
) -> None:
    """Fill the directory from a CSV FILE instead of Entra ID. The file has all people.

    Columns: object_id, user_principal_name (required), mails, account_names, sid, employee_id, enabled,
    created, groups, country. Values in a list are separated by semicolons.

    Example: irmexport identities import people.csv
    """
    from irmcli.identities.people_file import import_people

    output, settings = Output.of(ctx), Settings.of(ctx)
    path = directory or settings.directory_of_people
    if directory is None:
        settings.outbox_ready()
    moment = None if at is None else parse_timestamp(at)
    people, gone = import_people(file, path, moment, accept_removals=accept_removals)
    output.line(f"The file has {people:,} people; {gone:,} are gone. The directory: {path}")
    output.document({"directory": str(path), "people": people, "removed": gone})


@click.command("export")
@click.option(
    "--splunk",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Write the lookup of the Splunk app to this file.",
)
@click.option(
    "--max-age",
    callback=options.period,
    default="7d",
    show_default=True,
    metavar="AGE",
    help="How long after the last sync the lookup may be used, as 7d or 36h. Later events are refused.",
)
@options.directory_of_people
@click.pass_context
def export(ctx: click.Context, *, file: Path, max_age: int, directory: Path | None) -> None:
    """Write the directory as a lookup for the Splunk app.

    It has what each name resolves to, and when.

    The file has the names of all people and is written with mode 0600.

    Example: irmexport identities export --splunk irmexport_identities.csv
    """
    from irmcli.identities.splunk_lookup import write_lookup

    output, settings = Output.of(ctx), Settings.of(ctx)
    with (
        Directory(directory or settings.directory_of_people) as people,
        private_file.replacing(file) as written,
    ):
        rows = write_lookup(people, written, max_age)
    output.line(f"{file}: {count(rows, 'row')}")
    output.document({"file": str(file), "rows": rows})
