"""`irmexport export-rejects`: a connector's refused rows as a CSV file that can be corrected and sent."""

import shlex
from pathlib import Path

import click
from irmcore.delivery.connection import settings_of
from irmcore.errors import ConfigurationError, IrmError
from irmcore.operations.connectors import profile_of
from irmcore.outbox import Outbox, audit_log
from irmcore.outbox.runs import is_of_promotion, reject_files
from irmcore.shaping import corrections

from irmcli.emulator.connection import id_of
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of
from irmcli.session.private_file import OWN_FILE, write_new
from irmcli.settings import Settings


@click.command("export-rejects")
@click.argument("connector", default="", required=False)
@click.option("--run", default="", help="Only the rows of this run.")
@click.option("--to", "file", default="", help="Write them to this new file, which only you can read.")
@click.option("--list", "only_list", is_flag=True, help="Print only the paths of the reject files.")
@click.pass_context
def command(ctx: click.Context, *, connector: str, run: str, file: str, only_list: bool) -> None:
    """Print refused rows, to be corrected and sent again.

    CONNECTOR may be left out if no other has refused rows.

    The CSV has the columns of the source, after the columns irmexport_reason and irmexport_advice, which
    `send`, `check` and `watch` leave out. A cell that a spreadsheet would run as a formula gets an
    apostrophe in front, which these commands take off. The rows are personal data.

    Example: irmexport export-rejects leaver-prediction --to refused.csv
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    outboxes = connectors_of(settings).choose(connector)
    if settings.address:
        from irmcli.session.shared import own_connectors

        names = {outbox.name for outbox in outboxes}
        outboxes = [outbox for outbox in own_connectors(settings) if outbox.name in names]
    found = [(outbox, path) for outbox in outboxes for path in reject_files(outbox, run)]
    paths = [path for _, path in found]
    output.document(paths)
    if not paths:
        unknown = f"a run {run} has no refused rows. Those of others: irmexport export-rejects --list"
        output.warn(unknown if run else "no rows were refused")
    elif only_list or (output.as_json and not file):
        for path in paths:
            output.line(path)
    else:
        outbox = _only_one(found, file)
        # Of several files, the newest was opened last, so it says what the person's spreadsheet likes.
        known = _delimiters(outbox)
        delimiter = next((known[path] for path in reversed(paths) if path in known), ",")
        files = [Path(path).read_bytes() for path in paths]
        data = corrections.file_of(files, delimiter)
        if file:
            write_new(file, data)
            rows = count(sum(1 for each in files for _ in corrections.read(each)), "row")
            output.line(f"Written: {file} ({rows} of {count(len(paths), 'run')})")
            output.line(f"Next: correct the rows, then run {_send(settings, outbox, file)}")
            output.line(OWN_FILE)
        else:
            output.raw(data)
        of_promotions = [Path(path).read_bytes() for path in paths if is_of_promotion(path)]
        moved = sum(1 for each in of_promotions for _ in corrections.read(each))
        if moved:
            output.warn(
                f"{count(moved, 'row')} {'are' if moved > 1 else 'is'} in the columns of the connector, "
                "with the values that would have been sent: another machine had already sent a row of the "
                "same user and time. Correct such rows at their source."
            )


def _only_one(found: list[tuple[Outbox, str]], file: str) -> Outbox:
    """The connector of all reject files. Raises ConfigurationError if they are of several."""
    newest = {outbox.name: (outbox, Path(path).stem) for outbox, path in found}
    if len(newest) > 1:
        to = f" --to {shlex.quote(file)}" if file else ""
        profiles_of = [profile_of(outbox) for outbox, _ in newest.values()]
        names = profiles_of if len({*profiles_of} - {""}) == len(newest) else list(newest)
        commands = (
            f"irmexport export-rejects {name}{to} (newest run {run})"
            for name, (_, run) in zip(names, newest.values(), strict=True)
        )
        raise ConfigurationError(
            f"{len(newest)} connectors have refused rows, and their columns differ",
            next_step=f"Choose one: {'; '.join(commands)}. Or one run, with --run.",
        )
    return found[0][0]


def _send(settings: Settings, outbox: Outbox, file: str) -> str:
    """The command that sends the file to the connector."""
    saved, profile = settings_of(outbox) or {}, profile_of(outbox)
    try:
        known = outbox.name.endswith(id_of(settings.profile(profile), "job_id"))
    except IrmError:
        known = False
    ca = saved.get("emulator_ca")
    emulator = f" --emulator {shlex.quote(str(Path(ca).parent))}" if ca else ""
    command = f"irmexport send {shlex.quote(file)} --profile {profile if known else 'PROFILE'}{emulator}"
    return command if known else f"{command} (PROFILE is the file of the profile {profile})"


def _delimiters(outbox: Outbox) -> dict[str, str]:
    """The delimiters of the files whose rows are in these reject files."""
    return {str(event.get("rejects")): event.get("delimiter", ",") for event in audit_log.read(outbox)}
