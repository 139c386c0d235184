"""The connector's steps of the demo: Microsoft's examples, then an upload whose outcome is unknown.

Each step sends through the code of `irmexport send` and then asks the emulator what it saved.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from irmcore import profile as profiles
from irmcore.delivery.report import Report
from irmcore.operations import operations
from irmcore.operations.status import connector_status
from irmcore.profile import Profile
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from irmcli.demo import examples
from irmcli.emulator.launch import announce, create_emulator
from irmcli.output import Output, count
from irmcli.session.connector_session import ConnectorSession
from irmcli.session.input_file import open_table
from irmcli.settings import Settings

#: What the connector must save of each example: of every row on Microsoft's pages that can be sent, the user
#: and what ``_facts`` tells of it. The other rows of the HR page are ragged, or have a date in another column
#: or without an offset.
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
    "hr": [
        ("sarad@contoso.com", "Performance review"),
        ("sarad@contoso.com", "Performance improvement plan"),
    ],
    "hr-resignations": [("sarad@contoso.com", "2019-04-23T09:48:02.467504+00:00")],
    "hr-job-level-changes": [
        ("sarad@contoso.com", "2019-04-23T09:48:02.467504+00:00"),
        ("pillar@contoso.com", "2019-04-23T09:48:02.467504+00:00"),
    ],
    "hr-performance-reviews": [("sarad@contoso.com", "2019-04-23T09:48:02.467504+00:00")],
    "hr-improvement-plans": [("sarad@contoso.com", "2019-04-23T09:48:02.467504+00:00")],
    "hr-employee-profiles": [("jackq@contoso.com", "jack")],
}
_LIFETIME = 120.0
_UNKNOWN_OUTCOME = """\
User_Principal_Name,Display_Name,Alert_Severity,Alert_Count,Aggregation_Date,Source_Workload,\
AdditionalInfo_Salesforce,AdditionalInfo_Dropbox
sarad@contoso.com,Dropbox - Shared a folder outside the company,critical,2,2023-04-25T00:00:00Z,Dropbox,,text
"""

#: The result of a step: a line of text, and whether it is as expected.
StepResult = tuple[str, bool]


@contextmanager
def connector(output: Output, root: Path) -> Iterator[PurviewEmulator]:
    """The emulator that all steps send to, with a connector for every shipped profile."""
    chosen = [_shipped(name) for name in profiles.shipped_names()]
    with create_emulator(root / "emulator", chosen, Options(), lifetime=_LIFETIME) as emulator:
        announce(root / "emulator", emulator)
        output.line(f"The emulator of the Purview connector runs at {emulator.url} (HTTPS, throw-away CA).")
        yield emulator


def run(output: Output, settings: Settings, root: Path, emulator: PurviewEmulator) -> list[StepResult]:
    """Run all steps with a new outbox under ``root``."""
    demo = _Demo(output, settings, root, emulator)
    chosen = [_shipped(name) for name in EXPECTED]
    return [*map(demo.example, chosen), demo.unknown_outcome(chosen[1])]


def _shipped(name: str) -> Profile:
    return profiles.parse(profiles.shipped_text(name), f"{name}.yaml (shipped)")


class _Demo:
    """What every step needs."""

    def __init__(self, output: Output, settings: Settings, root: Path, emulator: PurviewEmulator) -> None:
        self._output = output
        self._settings = settings
        self._root = root
        self._emulator = emulator

    def example(self, profile: Profile) -> StepResult:
        """Send one of Microsoft's examples; sent, saved and expected rows must agree."""
        output, emulator = self._output, self._emulator
        output.line()
        output.line(f"{profile.name}: {profile.description}", "bold")
        session = self._session(profile)
        report = self._send(session, profile, examples.path(profile.name))
        job = emulator_job(session)
        saved = [dict(record.fields) for record in emulator.records(job)]
        output.table(
            f"What the emulator saved (RecordsSaved {emulator.records_saved(job)})",
            list(saved[0]) if saved else ["nothing"],
            [list(record.values()) for record in saved],
        )
        expected = EXPECTED[profile.name]
        good = report.rows_sent == len(saved) and sorted(_facts(profile, saved)) == sorted(expected)
        counts = f"sent {report.rows_sent}, saved {len(saved)}, expected {len(expected)}"
        if good:
            return f"{profile.name}: {counts.replace(',', ' =')}", True
        return f"{profile.name}: {counts}: WRONG", False

    def unknown_outcome(self, profile: Profile) -> StepResult:
        """Break the connection after the last byte: the batch is held, explained and resolved by hand."""
        output, emulator = self._output, self._emulator
        output.line()
        output.line("An upload whose outcome is unknown: the connection breaks after the last byte", "bold")
        file = self._root / "doubt.csv"
        file.write_text(_UNKNOWN_OUTCOME)
        emulator.faults.next(Fault(reset_after_last_byte=True))
        session = self._session(profile)
        report = self._send(session, profile, file)
        outbox = session.outbox
        status = connector_status(outbox)
        for item in status.items:
            output.line(f"irmexport status: {item.id[:12]} is {item.state} ({count(item.rows, 'row')})")
        saved = emulator.uploads[-1].records_saved
        why = f"the connector's log says RecordsSaved {saved}"
        for item in status.items:
            output.line(f'irmexport resolve {item.id[:12]} --sent --why "{why}"')
            batch = operations.resolve(outbox, item.id, "sent", who=self._settings.origin({}).user, why=why)
            state = batch.state.name if batch.state else "unreadable"
            output.line(f"{item.id[:12]} is now {state}; it is never sent again")
        good = report.held == 1 and saved == 1 and not connector_status(outbox).needs_person
        return f"unknown outcome: {report.held} held, {len(status.items)} explained, resolved by hand", good

    def _session(self, profile: Profile) -> ConnectorSession:
        return ConnectorSession.of(self._output, self._settings, profile, str(self._root / "emulator"))

    def _send(self, session: ConnectorSession, profile: Profile, file: Path) -> Report:
        """Do what `irmexport send` does."""
        self._output.line(
            f"irmexport send {file.name} --profile {profile.name} --emulator {self._root}/emulator", "dim"
        )
        with open_table(str(file), profile, "auto") as table:
            done = session.accept(table, name=file.name, details={"file": file.name})
        session.show(done, dry=False)
        return session.deliver()[0]


def emulator_job(session: ConnectorSession) -> str:
    """The job id of a session's connector at the emulator."""
    return Path(session.outbox.path).name.removeprefix("emulator-")


def _facts(profile: Profile, saved: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
    """Of each saved row the user, and its threshold, its scenario, or else its first other value."""
    headers = {column.role: column.header for column in reversed(profile.columns)}
    told = headers.get("threshold") or headers.get("scenario") or headers["information"]
    return [(row[headers["user"]], row[told]) for row in saved]
