"""The demo's acts of the command line: Microsoft's two examples, then an upload whose outcome nobody knows.

What is shown is what happened: each act sends through the code that `irmexport send` uses, and asks the
stand-in what it kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from irmcore import profile as profiles
from irmcore.delivery.connection import Connection
from irmcore.delivery.report import Report
from irmcore.operations import operations
from irmcore.operations.status import connector_status
from irmcore.profile import Profile
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from irmcli.demo import examples
from irmcli.emulator.connection import connection_to
from irmcli.emulator.launch import announce, create_emulator
from irmcli.output import Output, count
from irmcli.session import input_file as source
from irmcli.session.connector_session import ConnectorSession
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
_DOUBT = """User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,Source_Workload,\
AdditionalInfo_Salesforce,AdditionalInfo_Dropbox
sarad@contoso.com,Dropbox - Shared a folder outside the company,critical,2,2023-04-25T00:00:00Z,Dropbox,,text
"""


#: What an act came to: a line that says it, and whether it is what must be.
Verdict = tuple[str, bool]


@contextmanager
def connector(output: Output, place: Path) -> Iterator[PurviewEmulator]:
    """The stand-in that all acts send to, with a job for every shipped profile."""
    names = profiles.shipped_names()
    chosen = [profiles.parse(profiles.shipped_text(name), f"{name}.yaml (shipped)") for name in names]
    with create_emulator(place / "emulator", chosen, Options(), lifetime=_LIFETIME) as running:
        announce(place / "emulator", running)
        output.line(f"A stand-in of the Purview connector runs at {running.url} (HTTPS, throw-away CA).")
        yield running


def play(output: Output, settings: Settings, place: Path, running: PurviewEmulator) -> list[Verdict]:
    """All acts, in a new outbox under ``place``, and what each came to."""
    chosen = [profiles.parse(profiles.shipped_text(name), f"{name}.yaml (shipped)") for name in EXPECTED]
    stage = _Stage(output, settings, place, running)
    results = [stage.example(profile) for profile in chosen]
    ended = stage.doubt(chosen[1])
    return [*map(_verdict, results), ended]


class _Stage:
    """What every act needs at hand."""

    def __init__(self, output: Output, settings: Settings, place: Path, running: PurviewEmulator) -> None:
        self._output = output
        self._settings = settings
        self._place = place
        self._running = running

    def example(self, profile: Profile) -> dict[str, object]:
        """One of Microsoft's examples, as the page prints it."""
        output, file = self._output, examples.path(profile.name)
        output.line()
        output.line(f"{profile.name}: {profile.description}", "bold")
        connection, report = self._send(profile, file)
        job = connection.connector.job_id
        kept = [dict(record.fields) for record in self._running.records(job)]
        output.table(
            f"What the stand-in kept (RecordsSaved {self._running.records_saved(job)})",
            list(kept[0]) if kept else ["nothing"],
            [list(record.values()) for record in kept],
        )
        expected = EXPECTED[profile.name]
        right = sorted(_facts(profile, kept)) == sorted(expected)
        return {
            "profile": profile.name,
            "sent": report.rows_sent,
            "kept": len(kept),
            "expected": len(expected),
            "right": right,
            "rows": kept,
        }

    def doubt(self, profile: Profile) -> Verdict:
        """The connection breaks after the last byte: held, explained, and ended by a person."""
        output, running = self._output, self._running
        output.line()
        output.line("An upload whose outcome nobody knows: the connection breaks after its last byte", "bold")
        file = self._place / "doubt.csv"
        file.write_text(_DOUBT)
        running.faults.next(Fault(reset_after_last_byte=True))
        connection, report = self._send(profile, file)
        outbox = ConnectorSession(self._output, self._settings, profile, connection).outbox
        overview = connector_status(outbox)
        for item in overview.items:
            output.line(f"irmexport status: {item.id[:12]} is {item.state} ({count(item.rows, 'row')})")
        saved = running.uploads[-1].records_saved
        why = f"the connector's log says RecordsSaved {saved}"
        for item in overview.items:
            output.line(f'irmexport resolve {item.id[:12]} --sent --why "{why}"')
            ended = operations.resolve(outbox, item.id, "sent", who=self._settings.origin({}).user, why=why)
            output.line(
                f"{item.id[:12]} is {ended.state.name if ended.state else 'unreadable'}; never sent again"
            )
        good = report.held == 1 and saved == 1 and not connector_status(outbox).needs_person
        return f"in doubt: {report.held} held, {len(overview.items)} explained, resolved by a person", good

    def _send(self, profile: Profile, file: Path) -> tuple[Connection, Report]:
        """What `irmexport send` does."""
        output, settings = self._output, self._settings
        output.line(f"irmexport send {file.name} --profile {profile.name} --emulator …", "dim")
        connection = connection_to(profile, str(self._place / "emulator"))
        way = ConnectorSession(output, settings, profile, connection)
        with source.table(str(file), profile, "auto") as table:
            done = way.accept(table, name=file.name, details={"file": file.name})
        way.show(done, dry=False)
        report, _ = way.deliver()
        return connection, report


def _verdict(result: dict[str, object]) -> Verdict:
    """Whether what was sent, kept and expected is the same."""
    sent, kept, expected = result["sent"], result["kept"], result["expected"]
    good = sent == kept == expected and bool(result["right"])
    relation = f"sent {sent} = kept {kept} = expected {expected}"
    return f"{result['profile']}: {relation if good else relation.replace(' =', ',') + ': WRONG'}", good


def _facts(profile: Profile, kept: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """User and threshold of each kept row."""
    headers = {column.role: column.header for column in profile.columns}
    return [(row[headers["user"]], row[headers["threshold"]]) for row in kept]
