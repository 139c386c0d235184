"""`irmexport outbox` from its user's point of view, with real directories."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.outbox import Outbox

from tests.common.irmcore.outbox import format_3
from tests.with_emulator.connector import Rig, Run, row
from tests.with_emulator.test_cli import document, rows


def queued(rig: Rig, irmexport: Run) -> Path:
    """The directory of an outbox with a queued batch."""
    assert irmexport("send", rows(rig, row(1), row(2)), "{at}", "--queue-only").exit_code == 0
    return Path(rig.outbox.path)


def test_a_copy_is_adopted_or_retired(rig: Rig, irmexport: Run) -> None:
    """A backup restored in place sends nothing, and says why; adopted, its queue is held; it is retired."""
    original = queued(rig, irmexport)
    backup = rig.directory / "backup"
    shutil.copytree(original, backup)
    shutil.rmtree(original)
    shutil.copytree(backup, original)
    refused = irmexport("drain")
    assert refused.exit_code == 2
    assert f"irmexport outbox adopt {original.name} --why" in refused.stderr
    assert irmexport("status").exit_code == 4
    assert irmexport("outbox", "adopt", original.name, "--why", "restored").exit_code == 0
    assert irmexport("drain").exit_code == 4
    assert rig.kept() == []
    assert "HELD" in irmexport("status").stdout
    assert irmexport("outbox", "retire", original.name, "--why", "moved").exit_code == 0
    assert "retired" in irmexport("drain").stderr
    assert [event["event"] for event in document(irmexport("--json", "audit"))][-2:] == ["adopted", "retired"]


def test_a_connector_that_cannot_be_read_does_not_hide_the_others(rig: Rig, irmexport: Run) -> None:
    """`status` reports the error of one connector and shows the next one."""
    path = queued(rig, irmexport)
    other = Outbox(PosixDisk(), SystemClock(), str(path.with_name("a-first-one")))
    other.create()
    breaker = Path(other.path) / "breaker"
    breaker.unlink()
    breaker.mkdir()
    result = irmexport("status")
    assert result.exit_code == 4
    assert str(breaker) in result.stderr
    assert "queued: 1 batch, 2 rows" in result.stdout
    first, second = document(irmexport("--json", "status"))
    assert (first["name"], str(breaker) in first["error"]) == ("a-first-one", True)
    assert (second["name"], second["queued"]) == (path.name, 1)


def test_a_missing_format_is_repaired(rig: Rig, irmexport: Run) -> None:
    """Without FORMAT, status, audit and drain say what to do; `repair` restores it, and nothing is lost."""
    path = queued(rig, irmexport)
    (path / "FORMAT").unlink()
    command = f"irmexport outbox repair {path.name}"
    for words, code in ((("status",), 4), (("audit",), 4), (("drain",), 1)):
        result = irmexport(*words)
        assert (result.exit_code, command in result.output) == (code, True), words
    assert irmexport(*command.split()[1:]).exit_code == 0
    assert irmexport("drain").exit_code == 0
    assert len(rig.kept()) == 2


def test_a_lost_key_is_restored_from_its_backup(rig: Rig, irmexport: Run) -> None:
    """Without the key nothing is sent, but rows can be exported; the backup of another outbox is refused."""
    path = queued(rig, irmexport)
    backup = rig.directory / "key-backup.json"
    assert irmexport("outbox", "key", "backup", path.name, str(backup)).exit_code == 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    for name in ("key", "key.copy"):
        (path / name).unlink()
    refused = irmexport("drain")
    assert refused.exit_code == 1
    assert f"irmexport outbox key restore {path.name} FILE" in refused.stderr
    assert "queued: 1 batch, 2 rows" in irmexport("status").stdout
    assert "user1@contoso.com" in irmexport("outbox", "export", path.name).stdout
    foreign = Outbox(PosixDisk(), SystemClock(), str(rig.directory / "foreign"))
    foreign.create()
    other = str(rig.directory / "foreign" / "key")
    assert "not a key of this outbox" in irmexport("outbox", "key", "restore", path.name, other).stderr
    assert irmexport("outbox", "key", "restore", path.name, str(backup)).exit_code == 0
    assert irmexport("outbox", "key", "rotate", path.name).exit_code == 0
    assert irmexport("drain").exit_code == 0
    assert len(rig.kept()) == 2


def test_an_outbox_of_format_3_is_migrated(rig: Rig, irmexport: Run) -> None:
    """Each command names the command that migrates; afterwards a batch is found by its old id."""
    root = Path(rig.outbox.path).parent
    root.mkdir(mode=0o700, exist_ok=True)
    format_3.lay(PosixDisk(), str(root))
    for words in (("drain",), ("status",), ("audit",), ("outbox", "export", "small")):
        result = irmexport(*words)
        assert result.exit_code != 0
        assert "irmexport outbox migrate small" in result.output, words
    assert irmexport("outbox", "migrate", "small").exit_code == 0
    assert irmexport("outbox", "migrate", "small").exit_code == 2
    old, _ = next(item for item in format_3.STATES.items() if item[1] == "done SENT")
    shown = irmexport("show", old)
    assert shown.exit_code == 0
    assert "SENT" in shown.stdout
    assert irmexport("audit", "--verify").exit_code == 0
