"""The canary's step of `irmexport demo`: a row for a made-up account, an alert about it six hours later."""

from __future__ import annotations

from pathlib import Path

from irmcli.output import Output
from irmcli.session.connector_session import ConnectorSession
from irmcli.settings import Settings

from irmsentinel.canary import record, row, sightings
from irmsentinel.canary.sightings import GRAPH
from irmsentinel.cli.canary import look_for, send_row
from irmsentinel.cli.collector_session import open_graph
from irmsentinel.emulators.collector_session import running_emulator
from irmsentinel.emulators.synthetic_records import graph_alert

#: The person of the emulator's alert 0.
_ACCOUNT = "person0000@contoso.com"
_DELAY, _DAY = 6 * 3600, 86_400


def run(output: Output, settings: Settings, root: Path) -> tuple[str, bool]:
    """Send to the emulator under ``root``, and look as if it were a day later: the clock is scripted."""
    output.line()
    output.line("A canary: a row for a test account, and an alert about that account (made up)", "bold")
    output.line(f"irmexport canary send leaver-prediction --user {_ACCOUNT}", "dim")
    profile = row.readable(settings.profile("leaver-prediction"))
    session = ConnectorSession.of(output, settings, profile, str(root / "emulator"))
    upload, _ = send_row(output, session, profile, _ACCOUNT)
    received = (upload.receipt if upload is not None else None) or 0.0
    folder = root / "canary"
    with running_emulator(folder, alerts=0) as emulator:
        for person in range(2):
            emulator.graph.put(graph_alert(person, 0, received + _DELAY, received + _DELAY + person))
        feed, now = open_graph(settings, str(folder / "collector.yaml"), folder), received + _DAY
        output.line("irmexport canary look leaver-prediction --graph collector.yaml --limit 7d", "dim")
        graph = {GRAPH: lambda account, since: sightings.of_graph(feed, account, since, now)}
        code = look_for(output, session.outbox, graph, limit=7 * _DAY, now=now)
    known = record.load(session.outbox)
    good = code == 0 and known is not None and [*map(round, known.delays(GRAPH))] == [_DELAY]
    text = "canary: an alert about the test account, 6 h after its row was confirmed"
    return (text if good else f"{text}: WRONG", good)
