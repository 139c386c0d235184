"""`irmexport person`: find, export or erase what this machine keeps about one person."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from irmcore.clock import SystemClock, iso
from irmcore.operations import person
from irmcore.operations.connectors import title_of
from irmcore.operations.person import AUDIT, ROWS
from irmcore.outbox import promotion_note

from irmcli import options
from irmcli.exit_codes import DONE, NEEDS_PERSON
from irmcli.identities.former import forget
from irmcli.identities.named import Named, named
from irmcli.output import Output, count
from irmcli.session.connectors import outboxes_of
from irmcli.session.private_file import write_new
from irmcli.settings import Settings
from irmcli.watching import copies

_COPY, _DIRECTORY = "file of a watched folder", "directory of people"
_SHARED = "outbox that machines share"
_ELSEWHERE = (
    "rows of this connector are in an outbox that machines share: run the same with `--outbox ADDRESS`, or "
    "send `POST irmexport/person/erase` to any member of the Splunk cluster"
)
_RECALL = (
    "What was uploaded cannot be recalled from here, and backups are not searched (docs/privacy.md). "
    "Row keys stay, encrypted, so that no export sends an erased row again."
)
_name = click.argument("name")


@click.group("person")
def command() -> None:
    """Find, export or erase what is kept about one person.

    docs/privacy.md says where this machine looks.

    NAME is a user principal name; with a directory of people, any name of the person, whose other names are
    searched, too.
    """


@command.command("find")
@_name
@options.directory_of_people
@click.pass_context
def find(ctx: click.Context, *, name: str, directory: Path | None) -> None:
    """Show where rows that name the person are. Changes nothing.

    Example: irmexport person find sarad@contoso.com
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    who = _named(output, settings, name, directory)
    found = list(_everywhere(settings, who))
    _show(output, found)
    output.document(_listed(found))


@command.command("export")
@_name
@click.argument("file", type=click.Path(dir_okay=False))
@options.directory_of_people
@click.pass_context
def export(ctx: click.Context, *, name: str, file: str, directory: Path | None) -> None:
    """Write what `find` finds to FILE, to disclose it to the person.

    FILE is JSON with mode 0600.

    A row may name other people, too: read the file before you hand it over.

    Example: irmexport person export sarad@contoso.com sarad.json
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    who = _named(output, settings, name, directory)
    found = list(_everywhere(settings, who))
    document = {"made": iso(SystemClock().now()), "names": who.names, "found": found, "note": _RECALL}
    document["not_searched"] = copies.elsewhere(settings.outbox.absolute())
    text = json.dumps(document, indent=1, ensure_ascii=False, default=str)
    write_new(file, text.encode("utf-8", "replace"))
    _show(output, found)
    output.line(f"Written to {file}.")
    output.document({"file": file, "found": len(found)})


@command.command("erase")
@_name
@options.directory_of_people
@options.why
@click.pass_context
def erase(ctx: click.Context, *, name: str, directory: Path | None, why: str) -> None:
    """Erase the rows that name the person.

    The audit log records who did it, why and how many rows.

    Queued batches are replaced by ones without these rows. Exits with 4 if something is left for a person to
    decide, which is listed.

    Example: irmexport person erase anna@contoso.com --why "request 2026-17 of 3 November"
    """
    output, settings = Output.of(ctx), Settings.of(ctx)
    who = _named(output, settings, name, directory)
    done = {"unsent": 0, "sent": 0, "refused": 0, "held": 0, "files": 0}
    for outbox in outboxes_of(settings):
        if all(one.kind == AUDIT for one in person.find(outbox, who.pattern)):
            continue
        splitters = settings.service_of(outbox, warn=output.warn).splitters
        by = settings.origin({}).user
        erased = person.erase(outbox, who.pattern, splitters, by=by, why=why)
        output.line(title_of(outbox), "bold")
        for key in ("unsent", "sent", "refused", "held"):
            done[key] += getattr(erased, key)
        output.line(
            f"  erased {count(erased.unsent, 'row')} that had no receipt, {count(erased.sent, 'row')} that "
            f"had one (with all rows of their files), and {count(erased.refused, 'row')} that were refused"
        )
        if erased.held:
            unknown = f"  of {count(erased.held, 'row')} it is unknown whether the service has them"
            output.line(unknown, "yellow")
    done["files"] = _erase_copies(settings, who)
    if who.has_left:
        forget(who.directory, [who.object_id])
    left = list(_everywhere(settings, who))
    if left:
        _show(output, left)
    for step in dict.fromkeys(one["next_step"] for one in left if one["next_step"]):
        output.line(f"  {step}", "yellow")
    output.line(_RECALL)
    output.document({**done, "left": _listed(left)})
    ctx.exit(NEEDS_PERSON if any(one["next_step"] for one in left) else DONE)


def _named(output: Output, settings: Settings, name: str, directory: Path | None) -> Named:
    who = named(directory or settings.directory_of_people, name)
    if who.object_id:
        output.line(f"The directory of people has {count(len(who.names), 'name')} of this person.")
    else:
        output.line("The directory of people does not know this name, so only this name is searched.")
    for address in copies.elsewhere(settings.outbox.absolute()):
        output.warn(f"{address} is not on this machine: search its archive, rejects and errors yourself")
    if who.shared:
        output.warn(f"{count(who.shared, 'name')} that other people have had, too, cannot be searched")
    return who


def _everywhere(settings: Settings, who: Named) -> Iterator[dict[str, Any]]:
    """What is found in the outboxes, the watched folders and the directory of people.

    Each with the ``next_step`` of a person if `erase` has left it, or if it cannot be searched from here.
    """
    for outbox in outboxes_of(settings):
        if not settings.address and promotion_note.exists(outbox):
            yield _entry(_SHARED, outbox.name, "not searched", [], _ELSEWHERE)
        for one in person.find(outbox, who.pattern):
            step = "" if one.kind == AUDIT else "erase again"
            if one.kind == ROWS and one.batch is not None:
                step = f"irmexport resolve {one.batch.id[:12]} --withdraw --why REASON; then erase again"
            yield _entry(one.kind, one.where, one.state, one.values, step)
    for root in copies.watched(settings.outbox.absolute()):
        for copy, opened, name in copies.copies(root):
            lines = copies.search(copy, opened, name, who.pattern)
            if lines:
                step = "correct or delete the file" if copy.subfolder == "errors" else "erase again"
                yield _entry(_COPY, str(copy.path), copy.subfolder, lines, step)
    if who.object_id and (not who.has_left or who.known()):
        state = "has left" if who.has_left else "mirrors Microsoft Entra"
        versions = [asdict(version) for version in who.versions]
        yield _entry(_DIRECTORY, str(who.directory), state, versions, "")


def _entry(what: str, where: str, state: str, values: list[Any], step: str) -> dict[str, Any]:
    found = {"what": what, "where": where, "state": state, "count": len(values)}
    return {**found, "values": values, "next_step": step}


def _erase_copies(settings: Settings, who: Named) -> int:
    """Delete processed files that name the person; the outbox has or had the other rows of them."""
    erased = 0
    for root in copies.watched(settings.outbox.absolute()):
        for copy, opened, name in copies.copies(root):
            if copy.subfolder != "errors" and copies.search(copy, opened, name, who.pattern):
                os.unlink(name, dir_fd=opened)
                erased += 1
    return erased


def _listed(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "values"} for one in found]


def _show(output: Output, found: list[dict[str, Any]]) -> None:
    rows = [(one["what"], one["state"], one["count"], one["where"]) for one in found]
    output.table("Found", ("what", "state", "number", "where"), rows)
    if not found:
        output.line("Nothing was found.")
