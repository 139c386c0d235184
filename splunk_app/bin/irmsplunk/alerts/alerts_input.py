"""The modular input: alerts of Insider Risk Management from Microsoft Graph become events of one index.

Each run reads what was updated since the last one, with a day's overlap, and writes the versions that are
new. A page is written, then noted in KV store. splunkd acknowledges no event: an input that is killed between
the two writes that page again, so a version may be indexed twice; and what is in the queues of splunkd when
that crashes is lost. In a cluster one member at a time reads, by a lease, from where the last one was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, TextIO

from irmcore import alert_list
from irmcore.clock import Clock, SystemClock
from irmcore.delivery.connection import Connection
from irmcore.errors import ConfigurationError, IrmError, Overtaken
from irmcore.outbox.on_store.lease import Lease
from irmcore.store.prefixed import Prefixed

from irmsplunk.alerts.checkpoint import Checkpoint
from irmsplunk.alerts.event import event
from irmsplunk.alerts.graph_list import GraphList, Page
from irmsplunk.cluster.member import this_member
from irmsplunk.sender import modular_input
from irmsplunk.sender.bulletin import Bulletin
from irmsplunk.splunk import connectors, passwords
from irmsplunk.splunk.app_log import AppLog
from irmsplunk.splunk.kv_store import KvStore
from irmsplunk.splunk.next_steps import in_splunk
from irmsplunk.splunk.paths import Paths
from irmsplunk.splunk.splunkd import Splunkd

_KIND = "irmexport_alerts"

SCHEME = modular_input.scheme(
    title="irmexport alerts",
    description="Reads the alerts of Insider Risk Management from Microsoft Graph.",
    mode="xml",
    name="connector",
    about="The connector whose tenant, application and secret are used.",
    required="true",
)


class _Reading:
    """One run. Each page is written and noted before the next one is read. ``began``: the first's time."""

    def __init__(self, graph: GraphList, checkpoint: Checkpoint, out: TextIO, lease: Lease) -> None:
        self._graph, self._checkpoint, self._out, self._lease = graph, checkpoint, out, lease
        self.began = 0.0
        self.listed = self.new = self._saved = 0

    def run(self) -> None:
        """Write each new version, and note it. Raises IrmError, OSError."""
        since = self._checkpoint.since
        found = alert_list.versions(lambda: self._pages(since), since, self._graph.where)
        for version in found:
            self.listed += 1
            if not self._checkpoint.knows(version.name):
                # One without a time that it can have been listed by counts as of now.
                at = version.at if version.at > since else self.began
                self._out.write(event(version.alert, at))
                self._checkpoint.add(version.name, at)
                self.new += 1
        self._save(self.began)

    def _pages(self, since: float) -> Iterator[Page]:
        for page in self._graph.pages(since):
            self.began = self.began or page.at
            yield page
            if self.new > self._saved:
                self._save()

    def _save(self, read: float = 0.0) -> None:
        self._out.flush()
        self._checkpoint.save(read)
        self._saved = self.new
        self._lease.renew()


def _connection(splunkd: Splunkd, start: modular_input.Start) -> Connection:
    """The input's connector, which may be disabled. Raises ConfigurationError, SplunkdRefused."""
    stanza = f"in the stanza [{start.stanza}] of inputs.conf"
    if start.params.get("index", "default") in ("", "default"):
        what = "`index` is not set, and alerts about people must not go into the default index by accident"
        raise ConfigurationError(what, where=start.stanza, next_step=f"Set `index` {stanza}.")
    name = start.params.get("connector", "")
    if not name:
        step = f"Set it {stanza} to the name of a connector."
        raise ConfigurationError("`connector` is not set", where=start.stanza, next_step=step)
    connection = connectors.of_stanza(name, connectors.content_of(splunkd, name)).connection
    if {"tenant_id", "app_id"}.intersection(connection.connector.placeholders()):
        raise ConfigurationError(
            "this connector has no `tenant_id` or no `app_id` yet",
            where=name,
            next_step=f"Set them: `POST irmexport/connectors/{name}`.",
        )
    return connection


def _read(splunkd: Splunkd, start: modular_input.Start, clock: Clock, out: TextIO, app_log: AppLog) -> None:
    connection = _connection(splunkd, start)
    name = start.stanza.partition("://")[2]
    if not connectors.NAME.fullmatch(name):
        raise ConfigurationError(
            "an input's name must be 1 to 40 characters (a-z, 0-9 and hyphens), and not `default`",
            where=start.stanza,
            next_step="Choose another name.",
        )
    store = Prefixed(KvStore(splunkd, clock), f"alerts/{name}")
    lease = Lease(store, clock, this_member(splunkd).name)
    if lease.acquire() is None:
        app_log.write("INFO", "alerts-elsewhere", input=name, by=lease.holder()[0])
        return
    try:
        graph = GraphList(connection, lambda: passwords.read(splunkd, connection), clock, lease.renew)
        reading = _Reading(graph, Checkpoint(store, clock), out, lease)
        reading.run()
        app_log.write("INFO", "alerts-read", input=name, listed=reading.listed, new=reading.new)
    finally:
        lease.release()


def serve(environment: Mapping[str, str], stdin: BinaryIO, stdout: TextIO) -> int:
    """Read the alerts once and return the exit code; splunkd starts it again after the input's interval."""
    clock = SystemClock()
    app_log = AppLog(Paths.from_environment(environment).logs, clock, "alerts")
    try:
        start = modular_input.read_start(stdin, _KIND)
        splunkd = Splunkd(start.uri, start.session_key)
        bulletin, shown = Bulletin(splunkd), start.stanza.replace("://", "-")
        try:
            stdout.write("<stream>\n")
            _read(splunkd, start, clock, stdout, app_log)
            bulletin.clear(shown)
        except ConfigurationError as error:
            bulletin.post(shown, in_splunk(str(error)))
            raise
        finally:
            stdout.write("</stream>\n")
            stdout.flush()
    except Overtaken as error:
        app_log.write("WARN", "alerts-overtaken", what=error.what)
    except IrmError as error:
        app_log.write("ERROR", "alerts-failed", what=in_splunk(str(error)))
        return 1
    except OSError as error:  # splunkd no longer reads
        app_log.write("ERROR", "alerts-failed", what=f"events cannot be written ({error.strerror})")
        return 1
    return 0
