"""`irmexport demo`: Microsoft's own examples from CSV to receipt, against the local stand-in. No cloud."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from irmcore import connection as connections
from irmcore import intake
from irmcore import profile as profiles
from irmcore.profile import Profile
from irmemulator import Emulator, Options

from irmcli import delivered, examples, rehearsal, shaped, source
from irmcli.commands.send import box_of
from irmcli.exits import DONE, FAILED
from irmcli.say import Say
from irmcli.settings import Settings

#: What the connector must keep of each example: (user, threshold) of every row that Microsoft's page prints.
EXPECTED = {
    "leaver-prediction": [
        ("sarad@contoso.com", "6"),
        ("sarad@contoso.com", "9"),
        ("sarad@contoso.com", "3"),
    ],
    "salesforce-dropbox": [
        ("sarad@contoso.com", "10"),
        ("sarad@contoso.com", "6"),
        ("bradh@contoso.com", "50"),
        ("bradh@contoso.com", "3"),
        ("sarad@contoso.com", "14"),
        ("bradh@contoso.com", "5"),
    ],
}
_LIFETIME = 120.0


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep all of it here, to look at.",
)
@click.pass_context
def command(ctx: click.Context, directory: Path | None) -> None:
    """Send Microsoft's two examples to a local stand-in over HTTPS, and show what it kept."""
    say, settings = Say.of(ctx), Settings.of(ctx)
    with tempfile.TemporaryDirectory(prefix="irmexport-demo-") as temporary:
        place = directory or Path(temporary)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        ctx.exit(DONE if _acts(say, replace(settings, outbox=place / "outbox"), place) else FAILED)


def _acts(say: Say, settings: Settings, place: Path) -> bool:
    chosen = [_shipped(name) for name in EXPECTED]
    with rehearsal.emulator(place / "emulator", chosen, Options(), lifetime=_LIFETIME) as running:
        rehearsal.announce(place / "emulator", running)
        say.line(f"A stand-in of the Purview connector runs at {running.url} (HTTPS, throw-away CA).")
        results = [_example(say, settings, profile, running, place) for profile in chosen]
    say.document(results)
    say.line()
    verdicts = [_verdict(say, result) for result in results]
    return all(verdicts)


def _verdict(say: Say, result: dict[str, object]) -> bool:
    """Whether what was sent, kept and expected is the same."""
    sent, kept, expected = result["sent"], result["kept"], result["expected"]
    if sent == kept == expected:
        say.line(f"{result['profile']}: sent {sent} = kept {kept} = expected {expected}", "green")
        return True
    say.line(f"{result['profile']}: sent {sent}, kept {kept}, expected {expected}: NOT THE SAME", "red")
    return False


def _shipped(name: str) -> Profile:
    """The shipped profile, whatever the user has of the same name."""
    return profiles.parse(profiles.shipped_text(name), f"{name}.yaml (shipped)")


def _example(
    say: Say, settings: Settings, profile: Profile, running: Emulator, place: Path
) -> dict[str, object]:
    file = examples.path(profile.name)
    say.line()
    say.line(f"{profile.name}: {profile.description}", "bold")
    say.line(f"irmexport send {file.name} --profile {profile.name} --emulator …", "dim")
    connection = rehearsal.connection(profile, str(place / "emulator"))
    box = box_of(settings, connection)
    with source.table(str(file), profile, "auto") as table:
        done = intake.accept(
            table,
            profile.at(connection.connector),
            box,
            settings.origin({"file": file.name}),
            where=connections.destination(connection),
            name=file.name,
        )
    connections.save(box, connection)
    shaped.show(say, done, dry=False)
    report, _ = delivered.drain(say, box, settings.service(connection))
    job = connection.connector.job_id
    kept = [dict(record.fields) for record in running.records(job)]
    say.table(
        f"What the stand-in kept (RecordsSaved {running.records_saved(job)})",
        list(kept[0]) if kept else ["nothing"],
        [list(record.values()) for record in kept],
    )
    expected = EXPECTED[profile.name]
    found = sorted(_facts(profile, kept))
    return {
        "profile": profile.name,
        "sent": report.rows_sent,
        "kept": len(kept) if found == sorted(expected) else -1,
        "expected": len(expected),
        "rows": kept,
    }


def _facts(profile: Profile, kept: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """User and threshold of each kept row."""
    headers = {column.role: column.header for column in profile.columns}
    return [(row[headers["user"]], row[headers["threshold"]]) for row in kept]
