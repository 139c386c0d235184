"""A week of a search head cluster: the built app's own processes, killed and cut off at random moments.

    python -m tests.splunk_app.cluster_trial --days 7 --seed 1 [--lag 0.5] [--rollback] [--without GUARD]

Each day, a search with the rows of that day and of the day before runs on two random members, while a sender
runs on each. Meanwhile searches, senders and REST handlers are killed (SIGKILL), some of them just when a
batch has its COMMIT; a whole search head restarts, a member loses its KV store, the KV store's captain moves,
and the service answers late or with 503. At last everything works, each member runs the search of all days
once more, and what is queued is sent. The members have Python 3.9 and 3.13 in turn. The seed decides what
happens and when, but not what the system's scheduler makes of it.

The clocks of each day are ahead of the day before by more than a lease, or an upload that committed, lasts.
Those of the members differ by more than a lease lasts, so that it keeps no two senders apart.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from irmcore.clock import SystemClock
from irmcore.disk import PosixDisk
from irmcore.http.credentials import Secret
from irmcore.outbox import Outbox
from irmcore.outbox.on_store import records
from irmemulator.faults import Fault
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job
from irmsplunk.splunk.connectors import of_stanza
from irmsplunk.splunk.passwords import bound

from tests.fakes.splunk_cluster import Member, SearchHeadCluster
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_handler import RestHandler
from tests.fakes.splunkd_input import Input
from tests.fakes.splunkd_rest import Cut
from tests.fakes.splunkd_search import ProtocolBroken, SearchProcess, SearchSettings, run
from tests.needs import find_python

JOB = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
APP_ID = "33333333-3333-3333-3333-333333333333"
COLUMNS = ("UserPrincipalName", "PredictionTime", "PredictionScore", "ModelInfo")
SECRET = "emulator-only-s3cret-of-the-connector"
NAMES = ("sarad", "bradh", "megan", "henri", "carla")
#: Seconds by which the clocks of a day are ahead of those of the day before, and those of a member of the
#: member before: more than a lease lasts, and altogether less than clocks may differ.
AHEAD, SKEW = 2_000.0, 140.0
#: Seconds until everything must have been sent.
PATIENCE = 240.0
FAULTS = (Fault(status=503, retry_after=0), *[Fault(delay=1.0)] * 6)
_CLOCK = Path(__file__).parents[1] / "fakes" / "splunk_clock" / "sitecustomize.py"

#: What can be taken out: that the KV store refuses a key of a state or of the log that exists (and for the
#: log that a promotion reads back what it wrote, which notices that), the cluster's outbox itself, reading a
#: result that was cut to its end, and waiting for one's own writes.
STATE, LOG, CLUSTER, PAGES, OWN_WRITES = "state", "log", "cluster", "pages", "own-writes"
#: Guards that are lines of the installed app: the file, the line and what it becomes.
_LINES = {
    LOG: ("cluster/cluster.py", "rolls_back=True", "rolls_back=False"),
    PAGES: ("splunk/kv_store.py", "while page := ", "if page := "),
    OWN_WRITES: ("splunk/kv_store.py", "known = self._pending()", "known: dict[str, _Known] = {}"),
}
GUARDS = (STATE, CLUSTER, *_LINES)


@dataclass
class Figures:
    """What a trial counted. ``in_doubt`` batches had a COMMIT and no receipt when their sender was killed.

    ``taken_back``: rows whose COMMIT, and perhaps receipt, a rollback took back, so that they are sent again.
    """

    days: int = 0
    searches: int = 0
    rows: int = 0
    kills: int = 0
    cut_off: int = 0
    rolled_back: int = 0
    taken_back: int = 0
    in_doubt: int = 0
    held: int = 0
    lost: int = 0
    repeated: int = 0

    def wrong(self) -> list[str]:
        """What breaks the promise."""
        broken = ["lost"] * bool(self.lost) + ["repeated"] * (self.repeated > self.taken_back)
        return broken + ["held"] * (self.held > self.in_doubt)


@dataclass(frozen=True)
class Options:
    """``lag``: seconds by which members show writes late. ``rollback``: acknowledged writes are taken back.

    ``without``: one of GUARDS, or nothing. ``limit``: documents of a result. ``day``: seconds of a day in
    which something happens.
    """

    lag: float = 0.0
    rollback: bool = False
    without: str = ""
    limit: int = 50_000
    day: float = 6.0


class Home(SplunkHome):
    """A Splunk home whose processes have a clock that can be set ahead."""

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "PYTHONPATH": str(self.bin)}

    def set_ahead(self, seconds: float) -> None:
        """For the processes that start from now on."""
        shutil.copy(_CLOCK, self.bin)
        (self.bin / "ahead").write_text(str(seconds))

    def change(self, file: str, old: str, new: str) -> None:
        """Change a line of the installed app."""
        path = self.bin / "irmsplunk" / file
        text = path.read_text()
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new))


@dataclass
class Node:
    """A member and its processes."""

    member: Member
    home: Home
    python: str
    handler: RestHandler | None = None
    sender: Input | None = None
    searches: list[SearchProcess] = field(default_factory=list)
    #: Held while processes are killed and started, so that none is left over.
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self, *kinds: str) -> None:
        """Start its handler, its sender, or both."""
        if "handler" in kinds:
            self.handler = RestHandler(self.python, self.home, self.member.splunkd)
            self.member.splunkd.state.endpoint = self.handler
        if "sender" in kinds:
            self.sender = Input(self.python, self.home, self.member.splunkd).start()

    def kill(self, *kinds: str) -> int:
        """Kill its processes of these kinds; returns how many were running."""
        running = [search for search in self.searches if search.process.poll() is None and "search" in kinds]
        for search in running:
            search.process.kill()
        killed = len(running)
        if self.handler and "handler" in kinds:
            killed += self.handler.kill()
        if self.sender and "sender" in kinds:
            killed += self.sender.kill()
        return killed

    def search(self, results: bytes, dispatch: Path) -> bool:
        """Run a search; whether it has reported that its rows are accepted."""
        arguments = ("profile=leavers", "output=summary", "wait=0")
        settings = SearchSettings(arguments, dispatch, splunkd_uri=self.member.splunkd.uri)
        command = [self.python, str(self.home.bin / "irmexport_command.py")]
        process = SearchProcess(command, settings, self.home.environment())
        self.searches.append(process)
        try:
            _, _, code = run(process, (), last=results)
        except (ProtocolBroken, BrokenPipeError, ValueError):
            return False  # it was killed
        finally:
            process.kill()
        return code == 0


def rows(day: int) -> list[str]:
    """The rows of a day, by what they have in the last column."""
    return [f"{name}-{day}" for name in NAMES]


def body(*days: int) -> bytes:
    """The results of a search over these days."""
    found = [(row, day) for day in days for row in rows(day)]
    lines = (f"{row.split('-')[0]}@contoso.com,2023-04-{day:02d}T05:52:56Z,9,{row}\n" for row, day in found)
    return (",".join(COLUMNS) + "\n" + "".join(lines)).encode()


class Trial:
    """The cluster, its service and what has happened so far."""

    def __init__(
        self,
        cluster: SearchHeadCluster,
        service: PurviewEmulator,
        directory: Path,
        seed: int,
        options: Options,
    ) -> None:
        self._cluster, self._service, self._directory = cluster, service, directory
        self._options, self._seconds = options, options.day
        self._rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        pythons = [find_python("3.9") or sys.executable, find_python("3.13") or sys.executable]
        self.nodes = [
            Node(member, Home(member.home.path), pythons[number % 2])
            for number, member in enumerate(cluster.members)
        ]
        self._happenings: dict[str, Callable[[Node], None]] = {
            "a sender is killed": lambda node: self._kill(node, "sender"),
            "a search is killed": lambda node: self._kill(node, "search"),
            "a handler is killed": lambda node: self._kill(node, "handler"),
            "senders are killed at a COMMIT": self._kill_at_commit,
            "a search head restarts": self._restart,
            "a member loses its KV store": self._cut_off,
            "the captain moves": lambda _: cluster.kv.move_captain(seconds=0.5),
        }
        self.figures = Figures()
        self._doubts: set[str] = set()
        self._ahead = 0.0

    def run(self, days: int) -> Figures:
        """So many days, and then until everything is sent."""
        for day in range(1, days + 1):
            self._day(day)
        self._finish()
        self._count()
        return self.figures

    # -- a day --------------------------------------------------------------------------

    def _start_all(self) -> None:
        for number, node in enumerate(self.nodes):
            node.home.set_ahead(self._ahead + number * SKEW)
            node.start("handler", "sender")

    def _day(self, day: int) -> None:
        self.figures.days = day
        self._start_all()
        self._service.faults.clear()
        for fault in self._rng.choices(FAULTS, k=4):
            self._service.faults.next(fault)
        span = tuple(range(max(1, day - 1), day + 1))
        with ThreadPoolExecutor(8) as pool:
            found = [
                pool.submit(self._search, node, span, self._rng.uniform(0, self._seconds / 2))
                for node in self._rng.sample(self.nodes, 2)
            ]
            happened = [
                pool.submit(
                    self._happen, what, self._rng.choice(self.nodes), self._rng.uniform(0, self._seconds)
                )
                for what in self._rng.choices(tuple(self._happenings), k=4)
            ]
            if self._options.rollback:
                happened.append(pool.submit(self._roll_back, self._rng.randrange(1, 20)))
            self.figures.searches += len(found)
            for one in (*found, *happened):
                one.result()
        for node in self.nodes:
            self.figures.kills += node.kill("handler", "sender", "search")
            node.searches.clear()
        self._doubts |= self._in("COMMIT")  # no process is left that could record the reply
        self._ahead += AHEAD

    def _search(self, node: Node, span: Sequence[int], delay: float) -> bool:
        time.sleep(delay)  # the random moment is the test
        return node.search(body(*span), Path(tempfile.mkdtemp(dir=self._directory)))

    def _happen(self, what: str, node: Node, delay: float) -> None:
        time.sleep(delay)
        self._happenings[what](node)

    def _kill(self, node: Node, *kinds: str) -> None:
        with node.lock:
            self.figures.kills += node.kill(*kinds)
            node.start(*kinds)

    def _kill_at_commit(self, _: Node) -> None:
        end = time.monotonic() + self._seconds
        while not self._in("COMMIT") and time.monotonic() < end:
            time.sleep(0.02)
        for node in self.nodes:
            self._kill(node, "sender")

    def _restart(self, node: Node) -> None:
        with node.lock:
            node.member.splunkd.state.cut = lambda *_: Cut.BEFORE
            self.figures.kills += node.kill("handler", "sender", "search")
            time.sleep(0.5)
            node.member.splunkd.state.cut = lambda *_: Cut.NEVER
            node.start("handler", "sender")

    def _cut_off(self, node: Node) -> None:
        node.member.kv.cut_off = True
        self.figures.cut_off += 1
        time.sleep(1.5)
        node.member.kv.cut_off = False

    def _roll_back(self, writes: int) -> None:
        """Take back the newest writes once a receipt is recorded."""
        sent, end = len(self._in("SENT")), time.monotonic() + 5 * self._seconds
        while len(self._in("SENT")) <= sent and time.monotonic() < end:
            time.sleep(0.02)
        with self._cluster.kv.lock:
            before, documents = self._in("COMMIT") | self._in("SENT"), self._documents()
            self._cluster.kv.roll_back(writes)
            lost = before - self._in("COMMIT") - self._in("SENT")
        self.figures.rolled_back += writes
        self.figures.taken_back += len(_rows_in(documents, lost))

    # -- afterwards ---------------------------------------------------------------------

    def _finish(self) -> None:
        """Start all senders once more, with nothing in their way, until nothing is left to send."""
        self._service.faults.clear()
        self._start_all()
        days = range(1, self.figures.days + 1)
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            assert all(pool.map(lambda node: self._search(node, days, 0.0), self.nodes))
        self.figures.searches += len(self.nodes)
        end = time.monotonic() + PATIENCE
        while self._unsent() and time.monotonic() < end:
            time.sleep(0.5)
        for node in self.nodes:
            node.kill("handler", "sender")

    def _unsent(self) -> list[str]:
        """What a member has not promoted or sent, and what is open in the cluster's outbox and not held."""
        documents = self._documents()
        log = [records.decode(value) for key, value in documents.items() if ".log." in key]
        accepted = {name for entry in log for name in entry.get("batches", ())}
        opened = {
            name for key in documents if ".open." in key and (name := key.rpartition(".")[2]) in accepted
        }
        return [path for path, held in self._own().items() if not held] + sorted(opened - self._in("HELD"))

    def _own(self) -> dict[str, bool]:
        """The batches in members' own directories, and whether they are held there."""
        paths = [str(path) for node in self.nodes for path in node.home.outbox.glob("emulator-*")]
        found = [one for path in paths for one in Outbox(PosixDisk(), SystemClock(), path).ready()]
        return {batch.path: batch.state is not None and batch.state.name == "HELD" for batch in found}

    def _documents(self) -> dict[str, bytes]:
        """The values in the KV store by their `_key`, in order."""
        with self._cluster.kv.lock:
            found = dict(self._cluster.kv.newest.documents)
        return {key: base64.b64decode(found[(*where, key)]["value"]) for *where, key in sorted(found)}

    def _in(self, state: str) -> set[str]:
        """The batches of the cluster's outbox whose newest state this is."""
        newest = {key.split(".")[2]: value for key, value in self._documents().items() if ".state." in key}
        return {name for name, value in newest.items() if records.decode(value)["name"] == state}

    def _count(self) -> None:
        figures, unsent = self.figures, self._unsent()
        kept = Counter(dict(record.fields)["ModelInfo"] for record in self._service.records(JOB))
        held = self._in("HELD")
        own = [path for path, held in self._own().items() if held]
        files = {f".batch.{at}.payload": (Path(path) / "payload").read_bytes() for at, path in enumerate(own)}
        doubtful = set(_rows_in({**self._documents(), **files}, {*held, *map(str, range(len(own)))}))
        accepted = {row for day in range(1, figures.days + 1) for row in rows(day)}
        figures.rows, figures.in_doubt, figures.held = len(accepted), len(self._doubts), len(held) + len(own)
        figures.lost = len(accepted - set(kept) - doubtful) + len(unsent)
        figures.repeated = sum(times - 1 for times in kept.values())


def _rows_in(documents: Mapping[str, bytes], batches: Collection[str]) -> list[str]:
    """The rows of these batches, by what they have in the last column."""
    payloads = [
        value
        for key, value in documents.items()
        if ".batch." in key and ".payload" in key and key.split(".")[2] in batches
    ]
    return [line.rpartition(",")[2] for value in payloads for line in value.decode().splitlines()[1:]]


def archive(directory: Path) -> Path:
    """The built app."""
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "package.py"), "--only", "splunk", "--into", str(directory)]
    subprocess.run([*command, "--without-pages"], check=True, stdout=subprocess.DEVNULL)
    return next(directory.glob("*.spl"))


@contextlib.contextmanager
def world(directory: Path, app: Path, seed: int, options: Options) -> Iterator[Trial]:
    """A trial in a directory."""
    apps, job = [App(TENANT, APP_ID, SECRET)], Job(JOB, APP_ID, "leavers", columns=COLUMNS)
    with (
        PurviewEmulator(apps, [job], directory=directory / "emulator", lifetime=6 * 3600) as service,
        SearchHeadCluster(directory, app, lag=options.lag) as cluster,
    ):
        stanza = {"profile": "leaver-prediction", "job_id": JOB, "tenant_id": TENANT, "app_id": APP_ID}
        stanza |= {"emulator": service.url, "emulator_ca": str(service.ca_file), "disabled": "0"}
        if options.without == CLUSTER:
            stanza["outbox"] = "directory"
        cluster.configure({"leavers": stanza})
        cluster.kv.overwrites = lambda key: options.without in (STATE, LOG) and f".{options.without}." in key
        for member in cluster.members:
            member.splunkd.sign_in(
                "analyst-session", "ana", "search", "irmexport_run", roles=("user", "irmexport_user")
            )
            secret = bound(of_stanza("leavers", stanza).connection, Secret(SECRET))
            member.splunkd.state.passwords["irmexport:leavers:"] = secret
            member.kv.limits["max_rows_per_query"] = str(options.limit)
        trial = Trial(cluster, service, directory, seed, options)
        for node in trial.nodes if options.without in _LINES else ():
            node.home.change(*_LINES[options.without])
        try:
            yield trial
        finally:
            for node in trial.nodes:
                node.kill("handler", "sender", "search")


def main(arguments: Sequence[str]) -> int:
    """Run a trial and print its figures; 1 if the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lag", type=float, default=0.0)
    parser.add_argument("--limit", type=int, default=50_000)
    parser.add_argument("--rollback", action="store_true")
    parser.add_argument("--without", choices=GUARDS, default="")
    given = parser.parse_args(arguments)
    options, begin = Options(given.lag, given.rollback, given.without, given.limit), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        app = archive(Path(place) / "dist")
        with world(Path(place), app, given.seed, options) as trial:
            figures = trial.run(given.days)
    seconds = round(time.monotonic() - begin)
    print(json.dumps({"seed": given.seed, **vars(options), **vars(figures), "seconds": seconds}))  # noqa: T201
    return 1 if figures.wrong() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
