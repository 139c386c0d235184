"""The built app on each of Splunk's Pythons, a fake splunkd for it, and searches that run in it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from irmcore.http.credentials import Secret
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App, Job
from irmsplunk.splunk.connectors import of_stanza
from irmsplunk.splunk.passwords import bound

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_rest import SplunkdRest
from tests.fakes.splunkd_search import Reply, SearchProcess, SearchSettings, run
from tests.needs import find_python

ROOT = Path(__file__).parent.parent.parent
JOB = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
APP_ID = "33333333-3333-3333-3333-333333333333"
COLUMNS = ("UserPrincipalName", "PredictionTime", "PredictionScore", "ModelInfo")
SECRET = "emulator-only-s3cret-of-the-connector"

PYTHONS = [
    pytest.param("3.9", marks=pytest.mark.needs("python3.9")),
    pytest.param("3.13", marks=pytest.mark.needs("python3.13")),
]


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    """One of Splunk's Pythons."""
    found = find_python(request.param)
    assert found is not None
    return found


@pytest.fixture
def sdk() -> Path | None:
    """A splunklib that replaces the app's own; overridden by tests that need one."""
    return None


@pytest.fixture
def home(archive: Path, tmp_path: Path, sdk: Path | None) -> SplunkHome:
    """A Splunk home with the app installed."""
    home = SplunkHome.install(archive, tmp_path / "splunk")
    if sdk is not None:
        own = home.bin.parent / "lib" / "splunklib"
        shutil.rmtree(own)
        shutil.copytree(sdk, own)
    return home


@pytest.fixture(scope="session")
def newest_sdk() -> Path:
    """Splunklib 3.x, cached in .cache/ until its lock changes."""
    lock = ROOT / "requirements" / "splunk-sdk3.txt"
    kept = ROOT / ".cache" / "splunk-sdk3" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=kept.parent))
        locked = ("--require-hashes", "--no-deps", "--only-binary=:all:", "--ignore-requires-python")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq")
        subprocess.run([*pip, *locked, "--target", new, "-r", lock], check=True)
        try:
            new.rename(kept)
        except OSError:
            shutil.rmtree(new)  # another worker was first
    return kept / "splunklib"


@pytest.fixture
def splunkd(tmp_path: Path) -> Iterator[SplunkdRest]:
    """A splunkd with one connector, an analyst with the capability to send, and one without."""
    with SplunkdRest(tmp_path) as rest:
        rest.sign_in("analyst-session", "ana", "search", "irmexport_run", roles=("user", "irmexport_user"))
        rest.sign_in("guest-session", "gus", "search")
        rest.sign_in("admin-session", "adm", "irmexport_configure", "irmexport_run", roles=("admin",))
        rest.state.confs["irmexport_connectors"] = {
            "leavers": {
                "profile": "leaver-prediction",
                "job_id": JOB,
                "tenant_id": TENANT,
                "app_id": APP_ID,
                "disabled": "0",
            }
        }
        save_secret(rest)
        yield rest


def save_secret(splunkd: SplunkdRest, secret: str = SECRET, name: str = "leavers") -> None:
    """Save a connector's secret as the app does, for the destination that its stanza names now."""
    connection = of_stanza(name, splunkd.state.confs["irmexport_connectors"][name]).connection
    splunkd.state.passwords[f"irmexport:{name}:"] = bound(connection, Secret(secret))


@pytest.fixture
def emulator(splunkd: SplunkdRest, tmp_path: Path) -> Iterator[PurviewEmulator]:
    """The emulator, configured as the connector's service."""
    job = Job(JOB, APP_ID, "leavers", columns=COLUMNS)
    apps = [App(TENANT, APP_ID, SECRET)]
    with PurviewEmulator(apps, [job], directory=tmp_path / "emulator", lifetime=300) as running:
        stanza = splunkd.state.confs["irmexport_connectors"]["leavers"]
        stanza["emulator"] = running.url
        stanza["emulator_ca"] = str(running.ca_file)
        save_secret(splunkd)
        yield running
        assert not running.failures


class Searches:
    """Starts the command as splunkd does, in one Splunk home."""

    def __init__(self, python: str, home: SplunkHome, splunkd: SplunkdRest, dispatch: Path) -> None:
        self._python, self.home, self.splunkd, self.dispatch = python, home, splunkd, dispatch
        self._started: list[SearchProcess] = []

    def start(self, *args: str, **settings: object) -> SearchProcess:
        self.dispatch.mkdir(exist_ok=True)
        search = SearchSettings(
            args=args or ("profile=leavers", "wait=0"),
            dispatch_dir=self.dispatch,
            splunkd_uri=self.splunkd.uri,
            **settings,  # type: ignore[arg-type]
        )
        command = [self._python, str(self.home.bin / "irmexport_command.py")]
        self._started.append(SearchProcess(command, search, self.home.environment()))
        return self._started[-1]

    def run(self, *bodies: bytes, args: tuple[str, ...] = (), **settings: object) -> tuple[list[Reply], int]:
        """Run a whole search; the last body is sent with finished."""
        process = self.start(*args, **settings)
        _, replies, code = run(process, bodies[:-1], last=bodies[-1])
        return replies, code

    def batches(self) -> list[Path]:
        """The queued batches."""
        return sorted(self.home.outbox.glob("*/ready/*"))

    def payloads(self) -> list[bytes]:
        return [(batch / "payload").read_bytes() for batch in self.batches()]

    def end(self) -> None:
        for process in self._started:
            process.kill()


@pytest.fixture
def searches(python: str, home: SplunkHome, splunkd: SplunkdRest, tmp_path: Path) -> Iterator[Searches]:
    """Searches on one of Splunk's Pythons."""
    found = Searches(python, home, splunkd, tmp_path / "dispatch")
    yield found
    found.end()


@pytest.fixture
def on_3_13(archive: Path, splunkd: SplunkdRest, tmp_path: Path) -> Iterator[Searches]:
    """Searches on the newer Python only, for tests that do not depend on the version."""
    python = find_python("3.13")
    assert python is not None
    home = SplunkHome.install(archive, tmp_path / "splunk-3.13")
    found = Searches(python, home, splunkd, tmp_path / "dispatch")
    yield found
    found.end()
