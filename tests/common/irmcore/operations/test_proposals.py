"""Release by a second person: nothing is sent before, and nobody agrees to their own proposal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from irmcore.errors import OperatorError
from irmcore.operations import operations
from irmcore.operations.release import preview, proposed, reject, release
from irmcore.operations.rewriting import rotate
from irmcore.operations.status import connector_status
from irmcore.outbox import audit_log
from irmcore.outbox.transitions import quarantine

from tests.common.irmcore.outbox.outages import root
from tests.fakes.clock import FakeClock
from tests.fakes.connector import Connector, row
from tests.fakes.powerloss import Killed
from tests.fakes.transport import FakeTransport

LINES = [row(0), row(1), row(2)]


def proposing(preview_of: str = "names") -> Connector:
    """A connector whose rows wait for their release: two batches by `tester`."""
    connector = Connector(root(), FakeClock())
    connector.profile = replace(connector.profile, release="approve", preview=preview_of)
    connector.accept(LINES)
    return connector


def sent(connector: Connector) -> int:
    """How many uploads a drain makes."""
    service = FakeTransport()
    connector.drain(service)
    return len(service.posts)


def test_nothing_is_sent_before_a_second_person_agrees() -> None:
    """Proposed batches are counted with their age, and are sent once released; both names are on record."""
    connector = proposing()
    outbox = connector.outbox
    connector.clock.sleep(60.0)
    assert sent(connector) == 0
    status = connector_status(outbox)
    assert (status.proposed, status.rows_proposed, status.queued) == (2, 3, 0)
    assert outbox.clock.now() - status.proposed_since == 60.0
    first, second = proposed(outbox)
    release(outbox, first.id, who="eve", why="checked")
    assert sent(connector) == 1
    assert [batch.id for batch in proposed(outbox)] == [second.id]
    (event,) = [event for event in audit_log.read(outbox) if event["event"] == "released"]
    assert (event["proposed_by"], event["by"], event["why"]) == ("tester", "eve", "checked")


@pytest.mark.parametrize("who", ["tester", "Tester", ""])
def test_nobody_releases_their_own_proposal(who: str) -> None:
    """The same account, in whatever case, or none, is refused, with the command for somebody else."""
    connector = proposing()
    (batch, _) = proposed(connector.outbox)
    with pytest.raises(OperatorError, match="by somebody else") as refused:
        release(connector.outbox, batch.id, who=who, why="mine")
    assert f"irmexport release {batch.id[:12]} --why" in refused.value.next_step
    assert sent(connector) == 0


def test_a_rejected_proposal_is_withdrawn() -> None:
    """Also by who proposed it; the same rows are then proposed anew."""
    connector = proposing()
    (batch, _) = proposed(connector.outbox)
    reject(connector.outbox, batch.id, who="tester", why="wrong list")
    assert connector.states()[batch.id] == "done WITHDRAWN"
    assert connector.accept(LINES).counts.shaped == 2
    assert (len(proposed(connector.outbox)), sent(connector)) == (2, 0)


def test_a_profile_changed_to_direct_releases_nothing() -> None:
    """What waits still waits; new rows are sent."""
    connector = proposing()
    connector.profile = replace(connector.profile, release="direct")
    connector.accept([*LINES, row(7)])
    assert sent(connector) == 1
    assert len(proposed(connector.outbox)) == 2


def test_no_other_action_releases() -> None:
    """Requeueing, resuming and resolving leave a proposed batch as it is."""
    connector = proposing()
    outbox = connector.outbox
    (batch, other) = proposed(outbox)
    quarantine(outbox, batch)
    assert operations.requeue(outbox, batch.id, who="tester", why="so").state.name == "PROPOSED"  # type: ignore[union-attr]
    operations.resume(outbox, who="tester")
    for outcome in ("sent", "resend"):
        with pytest.raises(OperatorError, match="is PROPOSED"):
            operations.resolve(outbox, other.id, outcome, who="tester", why="so")
    with pytest.raises(OperatorError, match="is PROPOSED"):
        operations.requeue(outbox, other.id, who="tester", why="so")
    assert sent(connector) == 0


def test_a_preview_shows_what_the_profile_allows() -> None:
    """Names, or pseudonyms that are the same in each batch and after a rotation of the key."""
    outbox = proposing().outbox
    header, *rows = preview(outbox, proposed(outbox)[0], 1)
    assert (header[0], [line[0] for line in rows]) == ("User", ["user0@contoso.com"])
    outbox = proposing("pseudonyms").outbox
    before = preview(outbox, proposed(outbox)[0], 20)
    assert [line[0] for line in before[1:]] == [
        outbox.keyring.pseudonym(f"USER{n}@contoso.com") for n in (0, 1)
    ]
    assert "contoso" not in str(before)
    rotate(outbox)
    assert preview(outbox, proposed(outbox)[0], 20) == before


def test_a_release_that_is_killed_is_recorded_or_not_done() -> None:
    """Killed at any operation, with any power loss, a batch is sent only if its release is on record."""
    connector = proposing()
    start = connector.disk.synced()  # type: ignore[attr-defined]
    (batch, _) = proposed(connector.outbox)
    number = 0
    while True:
        number += 1
        disk = start.fork()
        disk.kill_at = disk.operations + number
        try:
            release(Connector(disk, connector.clock).outbox, batch.id, who="eve", why="checked")
        except Killed:
            for after in disk.fork().after_power_loss(8, seed=number):
                survivor = Connector(after, connector.clock)
                events = [event["event"] for event in audit_log.read(survivor.outbox)]
                assert sent(survivor) <= events.count("released")
                assert list(audit_log.verify(survivor.outbox)) == []
        else:
            break
    assert number > 2
