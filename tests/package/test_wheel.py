"""The wheel as package.py builds it: reproducible, complete, and a clear error where modules are missing."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = {"irmcore": "common", "irmcli": "common", "irmemulator": "common", "irmsentinel": "sentinel"}
#: The folders beside irmsentinel in the tree, which the wheel puts into irmsentinel/content/.
CONTENT = (
    "parsers",
    "enrichment",
    "published",
    "analytic_rules",
    "hunting",
    "workbooks",
    "defender",
    "aggregations",
    "summary_rules",
    "tables",
    "samples",
    "dcr",
    "solution",
    "function_app",
)
SOURCES = (
    *("package.py", "bundle.py", "pyproject.toml", "README.md", "LICENSE", ".gitignore"),
    "requirements/runtime.txt",
)
COMMIT_TIME = "1700000000"


def fresh_tree(copy: Path) -> Path:
    """A copy of what the wheel is built from, without .venv, as in a new clone."""
    for top in ("common", "sentinel"):
        shutil.copytree(ROOT / top, copy / top, copy_function=shutil.copyfile)
    (copy / "requirements").mkdir()
    for name in SOURCES:
        shutil.copyfile(ROOT / name, copy / name)
    return copy


def built_from(tree: Path, into: Path) -> Path:
    """The wheel that package.py builds from a tree."""
    ran = subprocess.run(
        [sys.executable, tree / "package.py", "--only", "wheel", "--into", into],
        env=os.environ | {"SOURCE_DATE_EPOCH": COMMIT_TIME},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = into.glob("*.whl")
    assert re.search(rf"^{hashlib.sha256(wheel.read_bytes()).hexdigest()}  ", ran.stdout)
    assert wheel.name in ran.stdout
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return built_from(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_same_tree_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """A copy in another place, with other file times and modes, builds the same wheel byte for byte."""
    copy = fresh_tree(tmp_path / "copy")
    for file in copy.rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            os.utime(file, (1, 1_000_000_000))
    again = built_from(copy, tmp_path / "dist")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_the_bill_of_materials_is_the_lock(wheel: Path) -> None:
    """A CycloneDX file beside the wheel has the name, version and purl of each dependency."""
    listed = json.loads(wheel.with_name(f"{wheel.name}.cdx.json").read_text())
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock, re.MULTILINE))
    assert (listed["bomFormat"], listed["metadata"]["component"]["name"]) == ("CycloneDX", "irmexport")
    assert {(part["name"], part["version"]) for part in listed["components"]} == locked
    assert {part["purl"] for part in listed["components"]} == {f"pkg:pypi/{n}@{v}" for n, v in locked}
    assert ("msal", dict(locked)["msal"]) in locked
    assert all(set(re.findall(r"[0-9a-f]{64}", str(part["hashes"]))) for part in listed["components"])
    licences = {part["name"]: part["licenses"] for part in listed["components"]}
    assert licences["msal"] == [{"license": {"name": "MIT License"}}]
    assert sum(map(bool, licences.values())) > len(licences) / 2


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a new venv that contains only the wheel."""
    venv = tmp_path_factory.mktemp("venv")
    python = venv / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    assert (venv / "bin" / "irmexport").exists()
    return Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))


def test_an_installed_wheel_has_every_file_of_the_source(installed: Path) -> None:
    """Code, shipped profiles, schema and content are installed unchanged, and nothing else is."""

    def files(top: Path, name: str) -> dict[str, bytes]:
        return {
            f"{name}/{file.relative_to(top)}": file.read_bytes()
            for file in top.rglob("*")
            if file.is_file() and file.suffix != ".pyc"
        }

    source: dict[str, bytes] = {}
    found: dict[str, bytes] = {}
    for package, place in PACKAGES.items():
        source |= files(ROOT / place / package, package)
        found |= files(installed / package, package)
    for folder in CONTENT:
        source |= files(ROOT / "sentinel" / folder, f"irmsentinel/content/{folder}")
    assert found == source
    kinds = {Path(name).suffix for name in source}
    assert {".py", ".yaml", ".json", ".kql", ".jsonl"} <= kinds, "profiles, the schema or the KQL are missing"


def package_without_modules(tree: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run package.py with a Python that has only the standard library."""
    command = [sys.executable, "-S", tree / "package.py", "--only", "wheel", "--into", tree / "dist"]
    environment = {"PATH": str(path), "SOURCE_DATE_EPOCH": COMMIT_TIME}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_in_a_new_clone_package_py_sets_up_its_venv(wheel: Path, tmp_path: Path) -> None:
    """`python package.py`, as docs/splunk.md has it: `make` makes .venv, and the build runs in it."""
    tree = fresh_tree(tmp_path / "clone")
    tools = tmp_path / "tools"
    tools.mkdir()
    make = f'[ "$*" = "-C {tree} .venv/.dev" ] && /bin/ln -s {ROOT / ".venv"} {tree / ".venv"}'
    (tools / "make").write_text(f"#!/bin/sh\n{make}\n")
    (tools / "make").chmod(0o755)
    ran = package_without_modules(tree, tools)
    assert ran.returncode == 0, ran.stderr
    assert (tree / "dist" / wheel.name).read_bytes() == wheel.read_bytes()


def test_without_make_the_error_says_what_the_build_needs(tmp_path: Path) -> None:
    """One sentence, not a traceback."""
    ran = package_without_modules(fresh_tree(tmp_path / "clone"), tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("package.py: ")
    assert "It needs make" in ran.stderr
    assert "Traceback" not in ran.stderr
