"""The Splunk app as package.py builds it: reproducible, pure Python, complete, and accepted by AppInspect."""

import json
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import bundle
from package import COMPILE, write_build
from tests.built_app import build

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def app(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app, unpacked."""
    into = tmp_path_factory.mktemp("app")
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into / "irmexport"


def test_the_same_tree_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    """Two builds give the same archive and the same bill of materials."""
    again = build(tmp_path)
    assert again.read_bytes() == archive.read_bytes()
    listed = f"{archive.name}.cdx.json"
    assert again.with_name(listed).read_bytes() == archive.with_name(listed).read_bytes()


def test_the_archive_does_not_show_who_built_it(archive: Path) -> None:
    """It has one top folder, uid and gid 0, no user names, one time and plain modes."""
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert {member.name.split("/")[0] for member in members} == {"irmexport"}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 1_700_000_000)}
    assert {m.mode for m in members if m.isfile()} == {0o644}
    assert all(m.isfile() or m.isdir() for m in members)


def test_the_core_inside_is_the_repositorys(app: Path) -> None:
    """Byte for byte, plus only the profile's schema compiled to Python."""

    def files(top: Path) -> dict[str, bytes]:
        found = [file for file in top.rglob("*") if file.is_file() and file.suffix != ".pyc"]
        return {str(file.relative_to(top)): file.read_bytes() for file in found}

    inside = files(app / "lib" / "irmcore")
    del inside["profile/compiled.py"]
    assert inside == files(ROOT / "common" / "irmcore")


def test_the_compiled_schema_is_that_of_the_schema(app: Path) -> None:
    """The app validates profiles with code compiled from this schema by the library that it ships."""
    lib = app / "lib"
    ask = "from irmcore.profile.load import PROFILE; f = PROFILE.validate; print(f.__module__, f({'a': 1}))"
    environment = {"PYTHONPATH": str(lib), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            input=(ROOT / "common/irmcore/profile/profile.schema.json").read_text(encoding="utf-8"),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    assert run(COMPILE).stdout == (lib / "irmcore/profile/compiled.py").read_text(encoding="utf-8")
    assert "JsonSchemaValueException: data must contain" in run(ask).stderr
    assert run(ask.replace("f({'a': 1})", "''")).stdout.strip() == "irmcore.profile.compiled"


def test_nothing_compiled_local_or_hidden_is_inside(app: Path) -> None:
    """No ELF file, no .pyc, no local settings, no package that needs native code."""
    for file in app.rglob("*"):
        assert file.name not in {"local", "local.meta", "__pycache__", "cryptography", "cffi"}
        assert not file.name.startswith(".")
        if file.is_file():
            assert file.suffix not in {".so", ".pyc", ".pyd", ".dll"}
            assert file.read_bytes()[:4] != b"\x7fELF"


def test_the_bill_of_materials_is_what_is_inside(app: Path, archive: Path) -> None:
    """It lists each package of lib/ and of the pages with its version, and no other."""
    bom = json.loads(archive.with_name(f"{archive.name}.cdx.json").read_text(encoding="utf-8"))
    assert bom["bomFormat"] == "CycloneDX"
    listed = {(component["purl"], component["name"], component["version"]) for component in bom["components"]}
    installed = set()
    for metadata in (app / "lib").glob("*.dist-info/METADATA"):
        name = re.search(r"^Name: (\S+)", metadata.read_text(encoding="utf-8"), re.MULTILINE)
        number = re.search(r"^Version: (\S+)", metadata.read_text(encoding="utf-8"), re.MULTILINE)
        assert name
        assert number
        package = name[1].lower().replace("_", "-")
        installed.add((f"pkg:pypi/{package}@{number[1]}", package, number[1]))
    notices = (app / "appserver" / "static" / "third-party.txt").read_text(encoding="utf-8")
    bundled = re.findall(r"^(\S+) (\d\S*) \(([^)]+)\)$", notices, re.MULTILINE)
    assert {"react", "@splunk/react-ui", "@splunk/react-page"} <= {package for package, _, _ in bundled}
    for package, version, licence in bundled:
        purl = f"pkg:npm/{package.replace('@', '%40')}@{version}"
        installed.add((purl, package, version))
        (component,) = [one for one in bom["components"] if one["purl"] == purl]
        assert component["licenses"] == [{"expression": licence}]
    assert listed == installed
    for component in bom["components"]:
        if component["purl"].startswith("pkg:pypi/"):
            assert component["hashes"]
            assert component["licenses"], component["name"]
    assert json.loads(archive.with_name(f"{archive.name}.vex.json").read_text())["statements"]


def test_each_page_of_the_app_has_its_views_and_scripts(app: Path) -> None:
    """The navigation names existing views; each page is a dashboard, and a view for 10.4 with a script."""
    ui, static = app / "default" / "data" / "ui", app / "appserver" / "static"
    navigation = ElementTree.parse(ui / "nav" / "default.xml")  # noqa: S314 - our own
    named = {view.get("name", "") for view in navigation.iter("view")} - {"search"}
    assert named == {"overview", "thresholds", *bundle.PAGES}
    views = {file.stem: file.read_text(encoding="utf-8") for file in (ui / "views").glob("*.xml")}
    assert set(views) == named | {f"{page}_10_4" for page in bundle.PAGES}
    for page in bundle.PAGES:
        assert f'id="irmexport-{page}"' in views[page]
        assert 'script="dashboard.js"' in views[page]
        assert "splunk_ui_app.html" in views[f"{page}_10_4"]
        assert f"'{page}'" in (static / "pages" / f"{page}_10_4.js").read_text(encoding="utf-8")
    assert not (app / "appserver" / "templates").exists()
    assert not (app / "ui").exists()


def test_the_build_changes_with_the_files_that_browsers_keep(app: Path, tmp_path: Path) -> None:
    """It is a positive integer, the same for the same files, and another one for a changed file."""
    copy = shutil.copytree(app, tmp_path / "irmexport")
    conf = copy / "default" / "app.conf"
    (built,) = re.findall(r"^build = (\d+)$", conf.read_text(encoding="utf-8"), re.MULTILINE)
    template = (ROOT / "splunk_app" / "default" / "app.conf").read_text(encoding="utf-8")

    def build() -> str:
        conf.write_text(template, encoding="utf-8")
        write_build(copy)
        return re.findall(r"^build = (\d+)$", conf.read_text(encoding="utf-8"), re.MULTILINE)[0]

    assert 1 < int(built) < 2**31
    assert build() == built
    with (copy / "appserver" / "static" / "dashboard.js").open("a", encoding="utf-8") as script:
        script.write("\n")
    assert build() != built


ICONS = {
    **{f"static/appIcon{kind}.png": (36, 36) for kind in ("", "Alt")},
    **{f"static/appIcon{kind}_2x.png": (72, 72) for kind in ("", "Alt")},
    "static/appLogo.png": (160, 40),
    "static/appLogo_2x.png": (320, 80),
}


def test_the_app_and_its_action_have_icons(app: Path) -> None:
    """They have the sizes that Splunk Web shows; `icon_path` names a file of appserver/static."""
    for name, size in ICONS.items():
        content = (app / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n", name
        assert struct.unpack(">II", content[16:24]) == size, name
    assert {file.name for file in (app / "static").iterdir()} == {Path(name).name for name in ICONS}
    conf = (app / "default" / "alert_actions.conf").read_text(encoding="utf-8")
    (icon,) = re.findall(r"^icon_path = (\S+)$", conf, re.MULTILINE)
    assert (app / "appserver" / "static" / icon).read_bytes()[1:4] == b"PNG"


def test_the_licences_of_bundled_packages_allow_shipping_them(archive: Path) -> None:
    """All are permissive, except for certifi's: MPL 2.0 asks that its unchanged files stay under it."""
    bom = json.loads(archive.with_name(f"{archive.name}.cdx.json").read_text(encoding="utf-8"))
    declared = {one["name"]: one["licenses"][0] for one in bom["components"]}
    licences = {name: one.get("expression") or one["license"]["name"] for name, one in declared.items()}
    assert licences.pop("certifi") == "Mozilla Public License 2.0 (MPL 2.0)"
    permissive = {"MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause", "ISC", "0BSD", "PSF-2.0"}
    permissive |= {"MIT License", "Apache Software License", "BSD License", "Apache-2.0 OR BSD-2-Clause"}
    assert set(licences.values()) <= permissive


def test_security_md_names_the_packages_frozen_for_the_older_python(app: Path) -> None:
    """It lists the packages of lib/ that get no more fixes for 3.9, with their versions."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for name in ("requests", "urllib3", "splunk_sdk"):
        (found,) = (app / "lib").glob(f"{name}-*.dist-info")
        number = found.name.removesuffix(".dist-info").split("-")[1]
        assert f"{name.replace('_', '-')} {number}" in text


def checks(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The result and name of each check in a report."""
    for inspected in report["reports"]:
        for group in inspected["groups"]:
            for check in group["checks"]:
                yield check["result"], check["name"]


@pytest.mark.needs("libmagic")
@pytest.mark.timeout(600)
def test_appinspect_finds_no_failure_and_only_warnings_that_have_a_reason(tmp_path: Path) -> None:
    """With all checks and with those of Splunk Cloud; docs/splunk.md explains each remaining warning."""
    archive = build(tmp_path, "--inspect")
    document = (ROOT / "docs" / "splunk.md").read_text(encoding="utf-8")
    reasons = set(re.findall(r"^\| `(check_\w+)` \|", document, re.MULTILINE))
    warned = set()
    for name in ("appinspect", "appinspect-cloud"):
        report = json.loads(archive.with_name(f"{archive.name}.{name}.json").read_text(encoding="utf-8"))
        summary = report["summary"]
        assert (summary["error"], summary["failure"], summary["future_failure"]) == (0, 0, 0)
        assert summary["success"] > 50
        warned |= {check for result, check in checks(report) if result == "warning"}
    assert warned == reasons
