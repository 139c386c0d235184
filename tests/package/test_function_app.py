"""The Function app as package.py builds it: reproducible, complete, and it runs without anything else."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ".python_packages/lib/site-packages"
#: Starts like the host's worker: it adds the app and its packages to the path of its own process only.
WORKER = f"""
import sys
sys.path[:0] = ["{SITE}", "."]
import function_app, azure.functions
found = {{function.get_function_name(): function for function in function_app.app.get_functions()}}
found["health"].get_user_function()(timer=azure.functions.timer.TimerRequest(past_due=False))
print(*sorted(found))
"""


def build(into: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run package.py."""
    return subprocess.run(
        [sys.executable, ROOT / "package.py", "--only", "function-app", "--into", into, *arguments],
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package."""
    into = tmp_path_factory.mktemp("dist")
    ran = build(into)
    assert ran.returncode == 0, ran.stderr
    return into / "released-package.zip"


def test_the_package_is_built_the_same_byte_for_byte(package: Path, tmp_path: Path) -> None:
    """The iteration order of sets does not matter. Templates and a bill of materials are beside it."""
    assert build(tmp_path, PYTHONHASHSEED="2").returncode == 0
    assert (tmp_path / package.name).read_bytes() == package.read_bytes()
    names = {"azuredeploy.json", "createUiDefinition.json", "released-package.zip.cdx.json"}
    assert {file.name for file in tmp_path.iterdir()} == {package.name, *names}


def test_it_has_exactly_the_locked_packages_for_azures_python(package: Path) -> None:
    """Each in its version, with compiled modules for Linux and CPython 3.11, and no cached or test file."""
    lock = (ROOT / "requirements" / "function-app.txt").read_text()
    wanted = set(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock, re.MULTILINE))
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
    infos = [re.fullmatch(rf"{SITE}/([^/]+)-([^/-]+)\.dist-info/METADATA", name) for name in names]
    found = {(info[1].lower().replace("_", "-"), info[2]) for info in infos if info}
    assert {one for one in found if one[0] != "irmexport"} == wanted
    assert {"host.json", "function_app.py", f"{SITE}/irmcli/main.py"} <= set(names)
    assert all(
        re.search(r"cpython-311-x86_64-linux-gnu|abi3", name) for name in names if name.endswith(".so")
    )
    assert not [
        name for name in names if "__pycache__" in name or name.endswith((".pyc", "local.settings.json"))
    ]
    python = json.loads((ROOT / "sentinel/function_app/azuredeploy.json").read_text())
    (site,) = (one for one in python["resources"] if one["type"] == "Microsoft.Web/sites")
    assert site["properties"]["functionAppConfig"]["runtime"] == {"name": "python", "version": "3.11"}


def test_it_runs_on_a_python_that_has_nothing_else(package: Path, tmp_path: Path) -> None:
    """Indexed and invoked as the host does it. (Other machines than Azure's can only look at the files.)"""
    here = (sys.platform, platform.machine(), sys.version_info[:2])
    if here != ("linux", "x86_64", (3, 11)):
        return
    with zipfile.ZipFile(package) as archive:
        archive.extractall(tmp_path / "wwwroot")
    (tmp_path / "settings").mkdir()
    ran = subprocess.run(
        [sys._base_executable, "-S", "-c", WORKER],  # type: ignore[attr-defined] # noqa: SLF001 - without the venv
        cwd=tmp_path / "wwwroot",
        env={
            "TMPDIR": str(tmp_path),
            "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
            "IRMEXPORT_SETTINGS": str(tmp_path / "settings"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    assert {"collect", "drain", "export", "health"} <= set(ran.stdout.split())


def test_wheels_that_cannot_be_downloaded_are_named(tmp_path: Path) -> None:
    """The message has pip's own reason; nothing half-built is left."""
    tree = tmp_path / "tree"
    (tree / "requirements").mkdir(parents=True)
    for name in ("package.py", "bundle.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tree / name)
    (tree / "requirements" / "function-app.txt").write_text("no-such-package==1 --hash=sha256:" + "0" * 64)
    ran = subprocess.run(
        [sys.executable, tree / "package.py", "--only", "function-app", "--into", tmp_path / "dist"],
        env=os.environ | {"PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "no-such-package" in ran.stderr
    assert not (tmp_path / "dist").exists()
