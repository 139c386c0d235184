"""The Sentinel act of `irmexport demo`: made-up IRM alerts meet sign-ins and audit events, locally."""

from __future__ import annotations

from pathlib import Path

from irmcore.errors import ConfigurationError

from irmsentinel import calls, command, content, extra, samples
from irmsentinel.voice import Voice

#: What is shown of each function; answers.json has what must come out.
SHOWN = ("IRMAlerts", "IRMAlertsSignins", "IRMAlertsAuditLogs")


def act(say: Voice, place: Path) -> list[tuple[str, bool]]:
    """Show the functions on sample tables written to `place`, and what each came to."""
    try:
        with extra.needed():
            from irmsentinel import local
    except ConfigurationError as missing:
        say.line(f"Without the Sentinel act: {missing}", "dim")
        return []
    loaded = content.load()
    folder = place / "tables"
    written = samples.write(loaded.root, folder, seed=1, people=50)
    known = samples.answers(loaded.root)
    say.line()
    say.line("The other way: IRM alerts in Sentinel's tables (all made up), run on this machine", "bold")
    say.line(f"{sum(written.values()):,} rows in {len(written)} tables, {folder}", "dim")
    verdicts = []
    engine, now = local.opened(loaded, folder)
    with engine:
        for name in SHOWN:
            answer = known[name]
            result = command.in_order(engine.run(calls.text(loaded.named(name), {}), now=now))
            result = command.chosen(result, ",".join(answer.columns))
            say.line()
            command.show(say, name, result)
            same = sorted(map(repr, map(list, result.rows))) == sorted(map(repr, answer.rows))
            said = f"{name}: {len(result.rows)} rows on made-up tables"
            verdicts.append((f"{said}, the known answer" if same else f"{said}, NOT THE KNOWN ANSWER", same))
    return verdicts
