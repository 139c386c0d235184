"""Another Unix user, who may write to the watched folder, gets nothing: no secret, no file, no rows.

The service and the attacker run as two users of their own, so these tests need root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from irmcli.emulator.connection import id_of
from irmcli.emulator.launch import job_of
from irmcli.main import main
from irmcore import profile as profiles
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import App

from tests.other_user import run_python
from tests.with_emulator.connector import HEADER, row

pytestmark = pytest.mark.needs("root")

SERVICE, ATTACKER = 64_001, 64_002
SECRET = "Zq8~the-service-users-real-secret"
PROFILE = "salesforce-dropbox"


@dataclass
class Place:
    """The service's home, and a folder that everybody may write to."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def drop(self) -> Path:
        return self.root / "drop"

    @property
    def outbox(self) -> Path:
        return self.home / "outbox"

    @property
    def profiles(self) -> Path:
        return self.home / "profiles"

    def irmexport(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run irmexport as the service."""
        environment = {"HOME": str(self.home), "IRMEXPORT_PROFILES": str(self.profiles)}
        words = ("-m", "irmcli", "--outbox", str(self.outbox), *words)
        return run_python(SERVICE, *words, environment=environment)

    def watch(self) -> subprocess.CompletedProcess[str]:
        """One look at the folder."""
        words = ("watch", str(self.drop), "--settle", "0.1", "--once", "-p", str(self.profiles / "own.yaml"))
        return self.irmexport(*words)

    def attack(self, script: str) -> None:
        """A shell script as the attacker, in the watched folder."""
        words = ["sh", "-ec", script]
        subprocess.run(words, cwd=self.drop, user=ATTACKER, group=ATTACKER, extra_groups=[], check=True)

    def files_of_the_service(self) -> list[str]:
        """Everything in the service's home but its own state."""
        found = (path for path in self.home.rglob("*") if self.outbox / "watched" not in path.parents)
        return sorted(str(path.relative_to(self.home)) for path in found)


@pytest.fixture
def place() -> Iterator[Place]:
    """Both users' directories. Not tmp_path, which only root may enter."""
    root = Path(tempfile.mkdtemp(prefix="irmexport-attack-"))
    root.chmod(0o755)
    made = Place(root)
    for path, uid, mode in [
        (made.home, SERVICE, 0o700),
        (made.profiles, SERVICE, 0o700),
        (made.outbox, SERVICE, 0o700),
        (made.drop, SERVICE, 0o777),
        (root / "attacker", ATTACKER, 0o755),
    ]:
        path.mkdir()
        path.chmod(mode)
        os.chown(path, uid, uid)
    text = profiles.shipped_text(PROFILE).replace("{env: IRMEXPORT_SECRET}", f"{{file: {made.home}/secret}}")
    for path, content in [
        (made.home / "secret", SECRET),
        (made.profiles / "own.yaml", text.replace("_id: 0", "_id: 1")),
    ]:
        path.write_text(content)
        path.chmod(0o600)
        os.chown(path, SERVICE, SERVICE)
    yield made
    shutil.rmtree(root)


@pytest.fixture
def listener(place: Place) -> Iterator[PurviewEmulator]:
    """The attacker's emulator: what reaches it, the attacker has."""
    profile = profiles.parse(profiles.shipped_text(PROFILE), "p.yaml")
    app = App(id_of(profile, "tenant_id"), id_of(profile, "app_id"), SECRET)
    directory = place.root / "attacker" / "emulator"
    directory.mkdir()
    with PurviewEmulator([app], [job_of(profile)], directory=directory, lifetime=120) as running:
        yield running


@pytest.mark.parametrize("name", ["archive", "errors", "rejects"])
def test_a_link_in_place_of_a_directory_of_ours(place: Place, name: str) -> None:
    """Nothing moves into the service's home, and the message names the link."""
    before = place.files_of_the_service()
    place.attack(f"ln -s {place.profiles} {name}; printf 'name: evil\\n' > own.yaml; printf 'a,a\\n' > x.csv")
    done = place.watch()
    assert done.returncode == 2
    assert f"{place.drop / name}: the directory of `watch` is a link" in done.stderr
    assert place.files_of_the_service() == before


@pytest.mark.parametrize("name", ["archive", "errors", "rejects"])
def test_a_directory_of_ours_that_the_attacker_made(place: Place, name: str) -> None:
    """Its owner could exchange everything in it, so nothing is put there."""
    place.attack(f"mkdir {name}; printf '{HEADER}\\n{row(1)}\\n' > x.csv")
    done = place.watch()
    assert done.returncode == 2
    assert "belongs to another user (uid 64002)" in done.stderr
    assert list((place.drop / name).iterdir()) == []
    assert (place.drop / "x.csv").exists()


def test_a_link_below_a_directory_of_ours(place: Place) -> None:
    """A subdirectory that became a link while files were read leads nowhere either."""
    place.attack(f"mkdir sub; printf '{HEADER}\\n{row(1)}\\n' > sub/x.csv")
    (place.drop / "archive").mkdir(mode=0o700)
    os.chown(place.drop / "archive", SERVICE, SERVICE)
    (place.drop / "archive" / "sub").symlink_to(place.profiles)
    place.watch()
    assert sorted(path.name for path in place.profiles.iterdir()) == ["own.yaml"]


def test_the_secret_is_read_through_no_link(place: Place) -> None:
    """A file, a subdirectory or the former work directory that is a link to the service's files stays put."""
    place.attack(
        f"ln -s {place.home}/secret a.csv; ln -s {place.home} b; mkdir .irmexport; "
        f"ln -s {place.home} .irmexport/work; ln {place.home}/secret c.csv 2>/dev/null || true"
    )
    done = place.watch()
    assert done.returncode == 0, done.stderr
    found = "".join(
        path.read_text() for path in place.drop.rglob("*") if path.is_file() and not path.is_symlink()
    )
    assert SECRET not in found + done.stdout + done.stderr


def plant(place: Place, listener: PurviewEmulator, uid: int) -> Path:
    """An outbox among the service's, with a batch, that names the listener and the service's secret.

    It belongs to the user ``uid``. An earlier `watch` moved such a directory there through a link.
    """
    attacker = place.root / "attacker"
    announced = {
        "url": listener.url,
        "ca_file": str(listener.ca_file),
        "secret_file": str(place.home / "secret"),
    }
    (attacker / "emulator.json").write_text(json.dumps(announced))
    (attacker / "rows.csv").write_text(f"{HEADER}\n{row(1)}\n")
    listener.ca_file.chmod(0o644)
    words = ["send", str(attacker / "rows.csv"), "-p", PROFILE, "--emulator", str(attacker), "--queue-only"]
    done = CliRunner().invoke(main, ["--outbox", str(attacker / "outbox"), *words])
    assert done.exit_code == 0, done.output
    (made,) = (path for path in (attacker / "outbox").iterdir() if path.is_dir())
    assert str(place.home / "secret") in (made / "connector.json").read_text()
    planted = made.rename(place.outbox / made.name)
    give(planted, uid)
    return planted


def give(path: Path, uid: int) -> None:
    """Give a path, and everything below it, to a user; all may read it."""
    for one in [path, *path.rglob("*")]:
        os.chown(one, uid, uid)
        one.chmod(0o755 if one.is_dir() else 0o644)


def token_requests(listener: PurviewEmulator) -> int:
    """How many requests came to the attacker's token endpoint."""
    return listener.entra.token_requests


def test_a_planted_outbox_is_not_drained(place: Place, listener: PurviewEmulator) -> None:
    """An outbox that another user wrote is refused; its emulator gets no request for a token."""
    plant(place, listener, ATTACKER)
    done = place.irmexport("drain")
    assert "the outbox belongs to another user (uid 64002)" in done.stderr
    assert done.returncode == 2
    assert token_requests(listener) == 0


def test_a_planted_file_in_an_own_outbox_is_refused(place: Place, listener: PurviewEmulator) -> None:
    """The directory may be the service's: a single file of another user is enough."""
    planted = plant(place, listener, SERVICE)
    give(planted / "connector.json", ATTACKER)
    done = place.irmexport("drain")
    assert f"{planted.name}/connector.json: the file of the outbox belongs to another user" in done.stderr
    assert done.returncode == 2
    assert token_requests(listener) == 0


def test_an_emulator_gets_no_real_secret(place: Place, listener: PurviewEmulator) -> None:
    """Settings of the service's own, whoever made it write them, send no real secret to an emulator."""
    plant(place, listener, SERVICE)
    done = place.irmexport("drain")
    assert "was not made by an emulator" in done.stdout + done.stderr
    assert token_requests(listener) == 0


def test_a_planted_profile_is_not_read(place: Place) -> None:
    """A profile of another user, in the directory of profiles, is refused with what to do."""
    planted = place.profiles / "leavers.yaml"
    planted.write_text(profiles.shipped_text(PROFILE))
    os.chown(planted, ATTACKER, ATTACKER)
    done = place.irmexport("check", str(place.profiles / "own.yaml"), "-p", "leavers")
    assert done.returncode == 2
    assert "the profile belongs to another user (uid 64002)" in done.stderr


def test_a_race_for_the_directories_is_lost(place: Place) -> None:
    """An attacker who exchanges archive/ for a link again and again gets no file into the service's home."""
    before = place.files_of_the_service()
    (place.drop / "archive").mkdir(mode=0o700)
    os.chown(place.drop / "archive", SERVICE, SERVICE)
    exchange = f"mv archive a; ln -s {place.profiles} archive; rm -f archive; mv a archive"
    race = subprocess.Popen(
        ["sh", "-c", f"while :; do {exchange}; done"],
        cwd=place.drop,
        user=ATTACKER,
        group=ATTACKER,
        extra_groups=[],
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 8
        number = 0
        while time.monotonic() < until:
            number += 1
            file = place.drop / f"own{number}.yaml"
            file.write_text(f"{HEADER}\n{row(number)}\n")
            os.chown(file, ATTACKER, ATTACKER)
            place.watch()
    finally:
        race.kill()
        race.wait(30)
    found = [name for name in place.files_of_the_service() if not name.startswith("outbox/")]
    assert found == [name for name in before if not name.startswith("outbox/")]
