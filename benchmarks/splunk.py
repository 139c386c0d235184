"""The built Splunk app beside the SDK's command that does nothing, and beside csv.reader → csv.writer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.rows import PROFILE, splunk_bodies
from benchmarks.table import Line
from benchmarks.timing import HERE, Medians, put_away, race, run_search
from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_rest import SplunkdRest
from tests.fakes.splunkd_search import SearchSettings, frame
from tests.needs import find_python

PYTHONS = ("3.9", "3.13")
CHUNK = 50_000
_ID = "11111111-1111-1111-1111-111111111111"


def measure(scratch: Path, *, rows: int, rounds: int) -> Iterator[Line]:
    """The lines of each Python version on this machine."""
    archive = installed(scratch)
    for version in PYTHONS:
        python = find_python(version)
        if python is None:
            print(f"Python {version} is not here: its lines are left out", file=sys.stderr)
            continue
        home = SplunkHome.install(archive, scratch / f"splunk-{version}")
        with SplunkdRest(scratch) as splunkd:
            splunkd.sign_in("analyst-session", "ana", "irmexport_run", roles=("irmexport_user",))
            splunkd.state.confs["irmexport_connectors"] = connectors()
            bench = Bench(python, home, splunkd.uri, scratch)
            yield from bench.lines(version, rows, rounds)


def installed(scratch: Path) -> Path:
    """The built app."""
    made = scratch / "app"
    subprocess.run(
        [sys.executable, "package.py", "--only", "splunk", "--into", str(made)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return next(made.glob("*.spl"))


def connectors() -> dict[str, dict[str, str]]:
    """The connector that searches use."""
    ids = dict.fromkeys(("job_id", "tenant_id", "app_id"), _ID)
    return {"load": {"profile": PROFILE, **ids, "disabled": "0"}}


class Bench:
    """One Python version: the installed app and its two peers, with the same requests."""

    def __init__(self, python: str, home: SplunkHome, uri: str, scratch: Path) -> None:
        self._home, self._scratch = home, scratch
        # As on a search head, where compiled files are kept from the first run on.
        self._environment = {
            key: value for key, value in home.environment().items() if key != "PYTHONDONTWRITEBYTECODE"
        }
        self._settings = SearchSettings(
            args=("profile=load", "wait=0"), dispatch_dir=scratch, splunkd_uri=uri
        )
        lib = home.bin.parent / "lib"
        peers = HERE / "peers"
        self.ours = [python, str(home.bin / "irmexport_command.py")]
        self._sdk = [python, str(peers / "do_nothing_sdk.py"), str(lib)]
        self._csv = [python, str(peers / "csv_frames.py")]

    def lines(self, version: str, rows: int, rounds: int) -> Iterator[Line]:
        """Measure rows per second and memory, then the start."""
        search = self.requests("search", list(splunk_bodies(rows, CHUNK)))
        found = race(
            {
                "ours": partial(self._fresh, search),
                "sdk": partial(self.run, self._sdk, search),
                "csv": partial(self.run, self._csv, search),
            },
            rounds,
        )
        ours = f"{_speed(found, 'ours', rows)}, {found.of['ours']['rss']:.0f} MiB"
        named = f"`| irmexport`, Python {version}"
        with_sdk = f"{_speed(found, 'sdk', rows)}, {found.of['sdk']['rss']:.0f} MiB"
        sdk = "the SDK's command that does nothing"
        yield Line(
            f"{named}, {rows:,} rows", sdk, found.ratio("ours", "sdk"), 1.3, 2.0, ours, with_sdk,
            details=dict(found.of),
        )  # fmt: skip
        yield Line(
            f"{named}, {rows:,} rows", "csv.reader → csv.writer", found.ratio("ours", "csv"), 0.6, 0.9, ours,
            f"{_speed(found, 'csv', rows)}, {found.of['csv']['rss']:.0f} MiB",
        )  # fmt: skip
        together = self._fresh(search, watched=True)["pss"]
        yield Line(
            f"{named}, most memory of a process", "", found.of["ours"]["rss"], 90, 48,
            f"{found.of['ours']['rss']:.0f} MiB; with its workers {together:.0f} MiB", with_sdk,
            unit=" MiB", least=False,
        )  # fmt: skip
        empty = self.requests("empty", [])
        start = race(
            {"ours": partial(self.run, self.ours, empty), "sdk": partial(self.run, self._sdk, empty)},
            rounds * 2,
        )
        yield Line(
            f"{named}, start → getinfo reply", sdk,
            start.of["ours"]["getinfo"] / start.of["sdk"]["getinfo"], 1.1, 0.6,
            f"{start.of['ours']['getinfo'] * 1000:.0f} ms", f"{start.of['sdk']['getinfo'] * 1000:.0f} ms",
            least=False, details=dict(start.of),
        )  # fmt: skip

    def requests(self, name: str, bodies: list[bytes]) -> Path:
        """A file with the requests of a search."""
        path = self._scratch / f"{name}.requests"
        with path.open("wb") as file:
            file.write(frame(self._settings.getinfo(), b""))
            for number, body in enumerate(bodies, start=1):
                file.write(frame({"action": "execute", "finished": number == len(bodies)}, body))
        return path

    def run(self, command: list[str], requests: Path, *, watched: bool = False) -> dict[str, float]:
        """Run a search."""
        return run_search(command, requests, self._scratch, self._environment, watched=watched)

    def _fresh(self, requests: Path, *, watched: bool = False) -> dict[str, float]:
        """Run ours with an empty outbox; otherwise all rows after the first run would be skipped."""
        put_away(self._home.outbox)
        return self.run(self.ours, requests, watched=watched)


def _speed(found: Medians, name: str, rows: int) -> str:
    return f"{rows / found.of[name]['wall'] / 1000:.0f} k rows/s"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        count = int((sys.argv[1:] or ["200000"])[0])
        for line in measure(Path(place), rows=count, rounds=int((sys.argv[2:] or ["5"])[0])):
            print(" | ".join(line.cells()))
            for who, taken in line.details.items():
                print(f"   {who}: {json.dumps({k: round(v, 3) for k, v in taken.items()})}")
