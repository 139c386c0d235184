"""`irmexport outbox`: migrate, repair, adopt, retire or move an outbox, export rows, and manage its key."""

from dataclasses import replace
from pathlib import Path

import click
from irmcore.clock import SystemClock
from irmcore.errors import KeyMissing, OperatorError
from irmcore.operations import adoption, moving, queue_export, rewriting
from irmcore.operations.connectors import title_of
from irmcore.operations.moving_back import move_back
from irmcore.outbox import Outbox, audit_log, keyring
from irmcore.outbox.outbox import KEY_FILES

from irmcli import options
from irmcli.output import Output, count
from irmcli.session.connectors import connectors_of
from irmcli.session.private_file import write_new
from irmcli.settings import Settings

_connector = click.argument("connector")


@click.group("outbox")
def command() -> None:
    """Migrate, repair, move or retire an outbox; manage its key."""


@command.command("migrate")
@_connector
@click.pass_context
def migrate(ctx: click.Context, *, connector: str) -> None:
    """Migrate the outbox of CONNECTOR from format 3. Stop other irmexport processes first.

    An interrupted migration continues when you run this again. Earlier versions cannot read the outbox
    afterwards.

    Example: irmexport outbox migrate leaver-prediction
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    batches = rewriting.migrate(outbox)
    output.line(f"{title_of(outbox)} has format 4 now, with {count(batches, 'batch')}.")
    output.line(f"Back up its key: irmexport outbox key backup {outbox.name} FILE")
    output.document({"connector": outbox.name, "batches": batches})


@command.command("repair")
@_connector
@click.pass_context
def repair(ctx: click.Context, *, connector: str) -> None:
    """Restore parts of an outbox from their second copies.

    Also finishes an interrupted migration or key rotation.

    Restores FORMAT, outbox.json, a copy of the key, row keys and the row ledger. Sends nothing.

    Example: irmexport outbox repair leaver-prediction
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    restored = rewriting.repair(outbox)
    output.line(f"{title_of(outbox)}: repaired; the row keys of {count(restored, 'batch')} were restored.")
    output.line("`irmexport audit --verify` lists what is still damaged.")
    output.document({"connector": outbox.name, "rowkeys_restored": restored})


@command.command("adopt")
@_connector
@click.option(
    "--hold/--send",
    "hold",
    default=True,
    show_default=True,
    help="Hold queued batches for a decision, or send them.",
)
@options.why
@click.pass_context
def adopt(ctx: click.Context, *, connector: str, hold: bool, why: str) -> None:
    """Use an outbox that was copied, restored or moved. Queued batches become HELD, for a person to decide.

    With --send they are sent. Use it only if this copy is complete and no other copy sends.

    Example: irmexport outbox adopt leaver-prediction --why "restored from last night's backup"
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    held = adoption.adopt(outbox, send=not hold, who=Settings.of(ctx).origin({}).user, why=why)
    output.line(f"{title_of(outbox)} is adopted here.")
    if held:
        output.line(f"{count(held, 'batch')} HELD: compare them with the connector's log, then run")
        output.line("  irmexport resolve BATCH --sent --why REASON    (or --resend)")
    output.document({"connector": outbox.name, "held": held})


@command.command("retire")
@_connector
@options.why
@click.pass_context
def retire(ctx: click.Context, *, connector: str, why: str) -> None:
    """Make an outbox accept and send nothing ever again.

    Do this when another one has replaced it.

    Example: irmexport outbox retire leaver-prediction --why "the new machine sends"
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    adoption.retire(outbox, who=Settings.of(ctx).origin({}).user, why=why)
    output.line(f"{title_of(outbox)} is retired.")
    output.document({"connector": outbox.name, "retired": True})


@command.command("move")
@_connector
@click.argument("to", metavar="ADDRESS|DIRECTORY")
@options.why
@click.pass_context
def move(ctx: click.Context, *, connector: str, to: str, why: str) -> None:
    """Move an outbox to an address, or back to a directory.

    An address is az://… or s3://….

    Its history, key and row keys come along, and it is retired where it was. To an address, batches that need
    a decision are refused: decide first. An interrupted move continues when you run this again.

    Example: irmexport outbox move leaver-prediction az://contoso/outboxes/irm --why "two machines send"
    """
    output, outbox, settings = Output.of(ctx), _one(ctx, connector), Settings.of(ctx)
    if settings.address:
        batches, there = _move_back(output, settings, outbox.name, to, why)
    else:
        from irmcli.session.shared import address_of

        address, there = address_of(replace(settings, address=to)), to
        address.register(outbox.name)
        batches = moving.move(outbox, address.shared(outbox.name), who=settings.origin({}).user, why=why)
    output.line(f"{title_of(outbox)} was moved, with {count(batches, 'batch')}. From now on, use")
    output.line(f"  --outbox '{there}', or IRMEXPORT_OUTBOX")
    output.document({"connector": outbox.name, "batches": batches})


def _move_back(output: Output, settings: Settings, name: str, to: str, why: str) -> tuple[int, str]:
    """Move an outbox from an address to the directory ``to``; returns the number of batches, and its path."""
    from irmcli.session.shared import address_of

    if "://" in to:
        raise OperatorError(
            "an outbox is moved from one address to another by way of a directory",
            where=to,
            next_step=f"Nothing was changed. Run `irmexport outbox move {name} DIRECTORY --why REASON`.",
        )
    address, origin = address_of(settings), settings.origin({})
    root = replace(settings, outbox=Path(to).absolute()).outbox_ready()
    target = Outbox(settings.disk, SystemClock(), f"{root}/{name}")
    replica = address.replica(name)
    splitters = settings.service_of(replica, warn=output.warn).splitters
    place = f"{origin.host}:{target.path}"
    shared = address.shared(name)
    return move_back(replica, shared, target, splitters, place=place, who=origin.user, why=why), root


@command.command("export")
@_connector
@click.option(
    "--file",
    "-o",
    "file",
    type=click.Path(dir_okay=False),
    help="File to create; standard output by default.",
)
@click.option("--held", is_flag=True, help="Include batches that are held or dead.")
@click.pass_context
def export(ctx: click.Context, *, connector: str, file: str | None, held: bool) -> None:
    """Write the queued rows of CONNECTOR as CSV: personal data. Needs no key and changes nothing.

    Example: irmexport outbox export leaver-prediction > queued.csv
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    payloads = queue_export.queued_payloads(outbox, held=held)
    if file is None:
        for part in queue_export.joined(payloads):
            output.raw(part)
        return
    found = list(payloads)
    write_new(file, b"".join(queue_export.joined(iter(found))))
    output.line(f"Wrote {count(len(found), 'batch')} to {file}.")
    output.document({"connector": outbox.name, "file": file, "batches": len(found)})


@command.group("key")
def key() -> None:
    """Back up, restore or rotate the key of an outbox."""


@key.command("backup")
@_connector
@click.argument("file", type=click.Path(dir_okay=False))
@click.pass_context
def backup(ctx: click.Context, *, connector: str, file: str) -> None:
    """Write the key to FILE, which must not exist. Keep it apart from backups of the outbox.

    Example: irmexport outbox key backup leaver-prediction /media/usb/leavers.key
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    write_new(file, keyring.encode(outbox.load_keyring()))
    output.line(f"Wrote the key of {title_of(outbox)} to {file}.")
    output.document({"connector": outbox.name, "file": file})


@key.command("restore")
@_connector
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.pass_context
def restore(ctx: click.Context, *, connector: str, file: str) -> None:
    """Restore the key from FILE, a backup of the same outbox.

    Example: irmexport outbox key restore leaver-prediction leavers.key
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    outbox.check_format()
    with adoption.exclusive(outbox):
        _restore(outbox, file)
        audit_log.append(outbox, {"event": "key-restored", "by": Settings.of(ctx).origin({}).user})
    output.line(f"Restored the key of {title_of(outbox)}.")
    output.document({"connector": outbox.name, "restored": True})


def _restore(outbox: Outbox, file: str) -> None:
    known = outbox.identity()
    try:
        found = keyring.decode(Path(file).read_bytes())
    except ValueError:
        found = None
    if found is None or known is None or found.outbox != known.id:
        raise KeyMissing(
            "this is not a key of this outbox" if found else "this is not a key, or it is damaged",
            where=file,
            next_step=f"Give the file that `irmexport outbox key backup {outbox.name} FILE` wrote.",
        )
    present = [ring for ring in outbox.keyrings().values() if ring and ring.outbox == known.id]
    if any(ring.newest >= found.newest for ring in present):
        raise OperatorError(
            "the key of this outbox is not missing",
            where=f"{outbox.path}/{KEY_FILES[0]}",
            next_step="Nothing was changed.",
        )
    outbox.save_keyring(found)


@key.command("rotate")
@_connector
@click.pass_context
def rotate(ctx: click.Context, *, connector: str) -> None:
    """Add a secret to the key and key everything anew. Batch ids change; whole earlier ids are still found.

    Use it if somebody may have read the key. `repair` finishes an interrupted rotation.

    Example: irmexport outbox key rotate leaver-prediction
    """
    output, outbox = Output.of(ctx), _one(ctx, connector)
    batches = rewriting.rotate(outbox)
    output.line(f"{title_of(outbox)}: the key was rotated, and {count(batches, 'batch')} rewritten.")
    output.line(f"Back it up again: irmexport outbox key backup {outbox.name} FILE")
    output.document({"connector": outbox.name, "batches": batches})


def _one(ctx: click.Context, connector: str) -> Outbox:
    """The one outbox that ``connector`` names. Raises OperatorError."""
    found = connectors_of(Settings.of(ctx)).choose(connector)
    if len(found) != 1:
        names = ", ".join(outbox.name for outbox in found)
        raise OperatorError(
            f"{len(found)} connectors match `{connector}`",
            next_step=f"Give one of: {names}.",
        )
    return found[0]
