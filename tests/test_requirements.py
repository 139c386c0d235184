"""The locks under requirements/ are whole, agree with each other and name no address."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def name_of(requirement: str) -> str:
    """A requirement's package, as locks spell it."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def locked(path: Path) -> dict[str, str]:
    """Package and version of each entry of a lock."""
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry
    versions = dict(entry.split(maxsplit=1)[0].split("==") for entry in entries)
    assert len(versions) == len(entries), f"{path.name} has a package in two versions"
    return versions


def wanted(group: str | None = None) -> set[str]:
    """The packages that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["optional-dependencies"][group] if group else project["dependencies"]
    return set(map(name_of, asked))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_everything(lock: Path) -> None:
    """Each package once, with one version and a hash."""
    assert locked(lock)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_place(lock: Path) -> None:
    """No address, option or path of the machine that made it."""
    text = re.sub(r"--hash=sha256:\w+", "", lock.read_text(encoding="utf-8"))
    assert not re.search(r"://|--|file:|/(tmp|home|root|work|opt)/", text)


def test_the_locks_have_what_the_project_asks_for() -> None:
    """A dependency that pyproject.toml gained without `make lock` is found."""
    versions = {lock.name: locked(lock) for lock in LOCKS}
    users = (
        wanted()
        | wanted("sentinel")
        | wanted("keyring")
        | wanted("keyvault")
        | wanted("entra")
        | wanted("cloud")
    )
    assert users <= versions["runtime.txt"].keys()
    assert users | wanted("dev") <= versions["dev.txt"].keys()


def test_the_locks_agree() -> None:
    """Tests run on what users get: the smaller lock is a part of the larger one."""
    versions = {lock.name: locked(lock) for lock in LOCKS}
    assert versions["runtime.txt"].items() <= versions["dev.txt"].items()
    assert versions["build.txt"].items() <= versions["dev.txt"].items()
    assert versions["core-py39.txt"].items() <= versions["core-tests-py39.txt"].items()
    assert versions["core-py39.txt"].items() <= versions["splunk-lib.txt"].items()


def test_the_core_for_splunk_has_no_native_code() -> None:
    """The Splunk app ships neither cryptography nor what it needs."""
    for name in ("core-py39.txt", "splunk-lib.txt"):
        found = locked(ROOT / "requirements" / name).keys()
        assert found.isdisjoint({"cryptography", "cffi", "pycparser"})
