"""docs/runbook.md: each of its commands runs on an outbox in that state and mends it; no word is missing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from irmcli import exit_codes
from irmcore.delivery import connection as connections
from irmcore.operations import reconciliation
from irmcore.outbox import state_file, states
from irmemulator.faults import Fault

from tests.docs.shown import pattern, steps
from tests.fakes.clock import FakeClock
from tests.with_emulator.connector import HEADER, Rig, Run, row

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
ROWS = [row(1), row(2)]
IN_DOUBT = Fault(reset_after_last_byte=True)


def sections(part: str) -> dict[str, str]:
    """The text of each section below the heading ``part``."""
    text = PAGE.split(f"## {part}\n", 1)[1].split("\n## ", 1)[0]
    return dict(one.split("\n", 1) for one in text.split("\n### ")[1:])


WORDS = sections("Status words")


def fail(rig: Rig, *faults: Fault) -> None:
    """Send a batch for each fault."""
    for number, fault in enumerate(faults):
        rig.accept([row(2 * number + 1), row(2 * number + 2)])
        rig.emulator.faults.next(fault)
        rig.drain()


def old_run(rig: Rig) -> None:
    """All of it was 30 hours ago."""
    rig.clock = FakeClock(time.time() - 30 * 3600)
    rig.accept([row(9)])
    rig.drain()


def quarantined(rig: Rig) -> None:
    """A bit of a payload has changed on disk."""
    rig.accept(ROWS)
    file = Path(rig.batches()[0].path, "payload")
    file.write_bytes(file.read_bytes()[:-3] + b"X\r\n")
    rig.drain()


def later_version(rig: Rig) -> None:
    """A batch with a state that this version does not know."""
    rig.accept(ROWS)
    body = json.dumps({"v": 2, "n": 0, "name": "QUEUED"}).encode().ljust(state_file.RECORD_BYTES - 9)
    record = body + b"%08x\n" % zlib.crc32(body)
    size = state_file.RECORD_BYTES * state_file.RECORD_COUNT
    Path(rig.batches()[0].path, "state").write_bytes(record.ljust(size, b"\0"))


def unreadable(rig: Rig) -> None:
    """Nobody may read a batch's state."""
    rig.accept(ROWS)
    Path(rig.batches()[0].path, "state").chmod(0)


def proposed(rig: Rig) -> None:
    """Rows of somebody else that wait for their release."""
    rig.profile = replace(rig.profile, release="approve")
    rig.accept(ROWS)


def differing(rig: Rig) -> None:
    """The portal's log has one of two rows."""
    rig.accept(ROWS)
    rig.drain()
    (batch,) = rig.outbox.done()
    reconciliation.record(rig.outbox, batch.id, 1, rows=2, who="timer")


def copied(rig: Rig) -> None:
    """The outbox is a copy of itself."""
    rig.accept(ROWS)
    path = rig.outbox.path
    Path(path).rename(f"{path}.was")
    shutil.copytree(f"{path}.was", path)
    shutil.rmtree(f"{path}.was")


def without_key(rig: Rig) -> None:
    """Both copies of the key are lost, and it was backed up."""
    rig.accept(ROWS)
    shutil.copy(f"{rig.outbox.path}/key", rig.directory / "backup")
    for name in ("key", "key.copy"):
        Path(rig.outbox.path, name).unlink()


def damaged(rig: Rig) -> None:
    """A file that the outbox can restore is damaged."""
    rig.accept(ROWS)
    rig.drain()
    Path(rig.outbox.path, "outbox.json").write_text("{}")


#: Section → what brings a connector there.
PREPARED: dict[str, Callable[[Rig], object]] = {
    "queued": lambda rig: rig.accept(ROWS),
    "next retry": lambda rig: fail(rig, Fault(status=503, retry_after=600)),
    "last run": old_run,
    "HELD": lambda rig: fail(rig, IN_DOUBT),
    "DEAD": lambda rig: fail(rig, Fault(status=400, body="{}")),
    "QUARANTINED": quarantined,
    "UNREADABLE": unreadable,
    "UNKNOWN": later_version,
    "PAUSED": lambda rig: fail(rig, Fault(status=403)),
    "CIRCUIT BREAKER OPEN": lambda rig: fail(rig, IN_DOUBT, IN_DOUBT),
    "proposed": proposed,
    "difference": differing,
    "a copy": copied,
    "the key": without_key,
    "damage": damaged,
}
#: These need nobody before the time has passed, and those have many words.
NO_PERSON = {"queued", "next retry", "proposed"}
NOT_ONE_LINE = {"a copy", "the key", "damage"}
#: What no command of this version mends.
NOT_MENDED = {"UNKNOWN"}


def test_every_section_has_a_state() -> None:
    """And no state is prepared for nothing."""
    assert WORDS.keys() == PREPARED.keys()


@pytest.mark.parametrize("word", WORDS)
def test_the_commands_of_a_section_mend_the_state(rig: Rig, irmexport: Run, word: str) -> None:
    """Each prints what the page shows, and in the end `irmexport status` is content."""
    rig.outbox.create()
    connections.save(rig.outbox, rig.connection)
    PREPARED[word](rig)
    name = rig.outbox.name
    file = rig.directory / "rows.csv"
    file.write_text("\n".join([HEADER, *ROWS]) + "\n")
    values = {
        "BATCH": next((batch.id[:12] for batch in rig.outbox.all_batches()), "none"),
        "CONNECTOR": name,
        "FILE": str(file),
        "KEYFILE": str(rig.directory / "backup"),
        "OUTBOX": str(rig.directory / "outbox"),
        "PROFILE": f"salesforce-dropbox --emulator {rig.directory}/emulator",
    }
    if word == "QUARANTINED":
        (batch,) = rig.outbox.quarantined()
        values["BATCH"] = batch.id[:12]
    if word == "UNREADABLE":
        irmexport = bound_by_modes
    before = irmexport("status", name, "--max-age", "26h")
    assert (before.exit_code == exit_codes.NEEDS_PERSON) == (word not in NO_PERSON)
    assert word in before.stdout or word in NOT_ONE_LINE

    def filled(text: str) -> str:
        return re.sub("|".join(rf"\b{key}\b" for key in values), lambda found: values[found.group()], text)

    for command, output in steps(WORDS[word]):
        words = shlex.split(filled(command))
        if words[0] == "irmexport":
            printed = irmexport(*words[1:]).output
        else:
            printed = subprocess.check_output(["/bin/sh", "-c", filled(command)], text=True)
        assert re.fullmatch(pattern(filled(output)), printed), f"{command}\nprints\n{printed}"
    after = irmexport("status", name, "--max-age", "26h")
    mended = (exit_codes.DONE, "ready to send", "queued: 0 batches", "proposed")
    found = (after.exit_code, *(part if part in after.stdout else "" for part in mended[1:]))
    assert (found == (*mended[:3], "")) == (word not in NOT_MENDED), after.stdout


class Ran(NamedTuple):
    """What a command in a process of its own has printed, as click's runner has it."""

    exit_code: int
    stdout: str
    output: str


def bound_by_modes(*words: str) -> Ran:
    """Run `irmexport` so that the modes of files count, also for root."""
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*without, sys.executable, "-m", "irmcli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stdout + done.stderr)


def test_every_word_of_the_status_is_explained() -> None:
    """The states that need a person, the circuit breaker's, and the head of each line."""
    folder = ROOT / "common"
    command = (folder / "irmcli" / "commands" / "status.py").read_text(encoding="utf-8")
    batches = (folder / "irmcore" / "operations" / "status.py").read_text(encoding="utf-8")
    named = set(states.NEEDS_PERSON) | set(re.findall(r'name, reason = "([A-Z]+)"', batches))
    stopped = set(re.findall(r'"([A-Z]{3}[A-Z ]+)"', command))
    heads = set(re.findall(r'f"  ([a-z]+(?: [a-z]+)?)[: ]', command))
    assert (len(named), stopped) == (5, {"PAUSED", "CIRCUIT BREAKER OPEN"})
    assert {"queued", "proposed", "last run", "next retry", "next probe", "difference", "days kept"} == heads
    assert named | stopped <= WORDS.keys()
    missing = [head for head in heads if f"`{head}`" not in PAGE and head not in WORDS]
    assert missing == []


def first_cells(head: str) -> list[str]:
    """The first column of the table with this head."""
    rows = PAGE.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [row.strip("| ").split(" | ")[0].strip("`") for row in rows]


def test_every_exit_code_is_explained() -> None:
    """Each that irmcli.exit_codes has."""
    codes = [value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)]
    assert first_cells("code") == sorted(map(str, codes))


def test_every_alert_is_explained() -> None:
    """Splunk's, the rules of Sentinel about irmexport itself, and the Function app's."""
    searches = (ROOT / "splunk_app" / "default" / "savedsearches.conf").read_text(encoding="utf-8")
    alerts = re.findall(r"^\[irmexport - alert - (.+)\]", searches, re.MULTILINE)
    assert sorted(first_cells("alert")) == sorted(alerts)
    rules = [
        file.stem
        for file in (ROOT / "sentinel" / "analytic_rules").glob("*.yaml")
        if "IRMExportHealth(" in file.read_text(encoding="utf-8")
    ]
    template = json.loads((ROOT / "sentinel" / "function_app" / "azuredeploy.json").read_text("utf-8"))
    ours = [one for one in template["resources"] if one["type"] == "Microsoft.Insights/scheduledQueryRules"]
    names = [re.findall(r"'-([a-z]+)-'", one["name"])[0] for one in ours]
    assert sorted(first_cells("alert in Sentinel or Azure")) == sorted(rules + names)


def test_the_events_of_an_alert_are_those_of_its_search() -> None:
    """The first minute begins with the events that the alert has found."""
    searches = (ROOT / "splunk_app" / "default" / "savedsearches.conf").read_text(encoding="utf-8")
    table = PAGE.split("| alert |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    for line in table:
        _, alert, events, *_ = (cell.strip() for cell in line.split("|"))
        search = searches.split(f"alert - {alert}]", 1)[1].split("\n[", 1)[0]
        for event in re.findall(r"`([a-z-]+)`", events):
            assert f'"{event}"' in search, (alert, event)
