"""A connector's message in Splunk Web: shown as long as somebody is needed, whichever process found that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.delivery.connection import outbox_name
from irmcore.disk import PosixDisk
from irmcore.http.credentials import Secret
from irmcore.outbox import Outbox, states
from irmcore.outbox.transitions import write_state
from irmsplunk.cluster.member import Member
from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.sender.problems import Problems
from irmsplunk.sender.sender import SenderLoop
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.connectors import of_stanza
from irmsplunk.splunk.splunkd import Splunkd

from tests.fakes.connector import Connector, row
from tests.fakes.store import MemoryService, MemoryStore
from tests.splunk_app.conftest import APP_ID, JOB, TENANT

STANZA = {"profile": "leaver-prediction", "job_id": JOB, "tenant_id": TENANT, "app_id": APP_ID}


class Messages(Bulletin):
    """The messages of splunkd. ``meanwhile`` happens just before one is removed."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(Splunkd("https://127.0.0.1:1", "none"))
        self.texts: dict[str, str] = {}
        self._meanwhile = meanwhile

    def post(self, connector: str, text: str) -> None:
        self.texts[connector] = text

    def clear(self, connector: str) -> None:
        self._meanwhile()
        self.texts.pop(connector, None)


def test_a_batch_that_another_process_holds_meanwhile_keeps_its_message(tmp_path: Path) -> None:
    """The sender has looked before that, and removes the message of the endpoint that a search called."""
    clock, configured = SystemClock(), of_stanza("leavers", STANZA)
    connector = Connector(PosixDisk(), clock, root=str(tmp_path))
    connector.outbox = Outbox(PosixDisk(), clock, f"{tmp_path}/{outbox_name(configured.connection)}")
    connector.outbox.create()

    def hold() -> None:
        connector.accept([row(1)])
        (batch,) = connector.outbox.ready()
        write_state(connector.outbox, batch, name=states.HELD, reason="reset")
        messages.post("leavers", "of the endpoint")

    messages = Messages(hold)
    app_log = AppLog(str(tmp_path), clock, "sender")
    loop = SenderLoop(
        PosixDisk(),
        clock,
        str(tmp_path),
        app_log,
        configured=lambda: {"leavers": configured},
        secret=lambda _: Secret("none"),
        problems=Problems(app_log, messages),
        member=lambda: Member("sh1", "g1", in_cluster=False),
        store=MemoryStore(MemoryService()),
    )
    loop.run_once("leavers", 60.0)
    assert messages.texts["leavers"].startswith("reset. ")
