"""Builds dist/: the wheel, the Splunk app with its list of materials, the Sentinel solution.

The same commit gives the same bytes.

File times inside are the last commit's (or SOURCE_DATE_EPOCH, where that is set) and modes are
normalised. The wheel's build fetches nothing. The app's lib/ is fetched as requirements/splunk-lib.txt
hashes it, and what its pages are bundled of as splunk_app/ui/package-lock.json does, once for each
lock; later builds find them in .cache/.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

import bundle

ROOT = Path(__file__).resolve().parent
APP = "irmexport"
LOCK = ROOT / "requirements" / "splunk-lib.txt"
WHEEL_LOCK = ROOT / "requirements" / "runtime.txt"
BUILD_LOCK = ROOT / "requirements" / "splunk-build.txt"
# lib/ is resolved for the older of Splunk's two Pythons; what is installed runs on both.
LIB_PYTHON = "3.9"
# The schema on standard input as a module with the function `validate`; under its $id it would be named so.
COMPILE = """
import json, sys, fastjsonschema
schema = json.load(sys.stdin)
del schema["$id"]
print(fastjsonschema.compile_to_code(schema, use_default=False))
"""
# A zip knows no earlier time than 1980.
ZIP_BEGINS = 315_532_800
# On PyPI as source alone. Its archive is checked against the lock and built by the locked setuptools.
SOURCE_ONLY = "splunk-sdk"
# Compiled parts (each of these packages has a pure one beside them), scripts and pip's own notes.
LEFT_OUT = ("*.so", "*.pyd", "bin", "__pycache__", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
NATIVE = ("cryptography", "cffi", "pycparser", "_cffi_backend")


def commit_time() -> str | None:
    """Seconds since 1970 of the last commit; None in an unpacked source archive."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None


def version() -> str:
    """The project's version, which the app has too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def build_wheel(into: Path) -> list[Path]:
    """The wheel, and the list of what it runs on as the lock has it, written into that folder."""
    (wheel,) = map(Path, WheelBuilder(str(ROOT)).build(directory=str(into), versions=["standard"]))
    return [wheel, write_materials(wheel, WHEEL_LOCK)]


def locked(lock: Path) -> dict[str, str]:
    """Package and version of everything in a lock."""
    found = re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def pip(python: Path | str, *arguments: str | Path) -> None:
    """Run pip with only what a lock names and hashes; what it says is shown when it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
    command += ["install", "--require-hashes", "--no-deps", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")


def libraries() -> Path:
    """The packages of lib/, pure Python, in a folder of .cache/ named by their lock."""
    recipe = LOCK.read_bytes() + BUILD_LOCK.read_bytes() + repr((LEFT_OUT, LIB_PYTHON, SOURCE_ONLY)).encode()
    kept = ROOT / ".cache" / "splunk-lib" / hashlib.sha256(recipe).hexdigest()[:16]
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
        target = Path(temporary) / "lib"
        source_lock = Path(temporary) / "source.txt"
        wheel_lock = Path(temporary) / "wheels.txt"
        entries = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))
        source_lock.write_text("\n".join(e for e in entries if e.startswith(f"{SOURCE_ONLY}==")) + "\n")
        wheel_lock.write_text(
            "\n".join(
                # `python_full_version < '3.11'` is asked of the Python that runs pip: this one is for 3.9.
                re.sub(r" ; python_full_version < '3\.11'", "", e)
                for e in entries
                if re.match(r"[a-z0-9.-]+==", e) and not e.startswith(f"{SOURCE_ONLY}==")
            )
            + "\n"
        )
        platforms = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
        wheels = ("--only-binary=:all:", *(f"--platform={platform}" for platform in platforms))
        target_python = (f"--python-version={LIB_PYTHON}", "--implementation=cp")
        pip(sys.executable, "--target", target, "--no-compile", *wheels, *target_python, "-r", wheel_lock)
        builder = Path(temporary) / "builder"
        venv.create(builder, with_pip=True)
        python = builder / "bin" / "python"
        pip(python, "--only-binary=:all:", "-r", BUILD_LOCK)
        sdk = Path(temporary) / "sdk"
        from_source = ("--no-build-isolation", "--no-binary", SOURCE_ONLY)
        pip(python, "--target", sdk, "--no-compile", *from_source, "-r", source_lock)
        shutil.copytree(sdk, target, dirs_exist_ok=True)
        for pattern in LEFT_OUT:
            for found in list(target.rglob(pattern)):
                shutil.rmtree(found) if found.is_dir() else found.unlink()
        refuse_native(target)
        try:
            target.rename(kept)
        except OSError:
            if not kept.is_dir():  # another build was first
                raise
    return kept


def refuse_native(folder: Path) -> None:
    """Stop if anything compiled, or anything that needs it, is left."""
    for file in folder.rglob("*"):
        if file.is_file() and file.read_bytes()[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe"):
            sys.exit(f"{file} is compiled code: add it to LEFT_OUT, or leave its package out.")
        if file.name in NATIVE:
            sys.exit(f"{file} needs compiled code: add it to requirements/core-py39.excludes.")


def lay_app(into: Path, *, pages: bool) -> tuple[Path, list[bundle.Bundled]]:
    """The app as it will be installed, in a new folder of that one; and what its pages are made of."""
    app = into / APP
    shutil.rmtree(app, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "local", "local.meta", ".*")
    app.mkdir()
    for part in sorted((ROOT / "splunk_app").iterdir()):
        if part.is_dir() and part != bundle.UI:
            shutil.copytree(part, app / part.name, ignore=unwanted)
        elif part.is_file() and not part.name.startswith("."):
            shutil.copyfile(part, app / part.name)
    static = app / "appserver" / "static" / "pages"
    static.mkdir(parents=True, exist_ok=True)
    bundled = bundle.bundle(static) if pages else []
    shutil.copytree(libraries(), app / "lib")
    shutil.copytree(ROOT / "common" / "irmcore", app / "lib" / "irmcore", ignore=unwanted)
    compile_schema(app / "lib")
    shutil.copyfile(ROOT / "LICENSE", app / "LICENSE")
    for name, text in (("default/app.conf", f"version = {version()}\n"), ("app.manifest", f'"{version()}"')):
        if text not in (app / name).read_text(encoding="utf-8"):
            sys.exit(f"splunk_app/{name} does not have the version of pyproject.toml, {version()}.")
    return app, bundled


def compile_schema(lib: Path) -> None:
    """The profile's schema as the code that ``lib``'s own fastjsonschema makes of it, beside the schema.

    A search would make it anew each time it starts (``irmcore.settings.kind``).
    """
    schema = (lib / "irmcore" / "profile" / "profile.schema.json").read_bytes()
    made = subprocess.run(
        [sys.executable, "-c", COMPILE],
        input=schema,
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(lib), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    (lib / "irmcore" / "profile" / "compiled.py").write_bytes(made.stdout)


def pack(app: Path, archive: Path, made: int) -> None:
    """The app as a tarball that does not depend on who packs it where."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted([app, *app.rglob("*")]):
            entry = tar.gettarinfo(str(file), str(file.relative_to(app.parent)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = made
            entry.mode = 0o755 if entry.isdir() else 0o644
            with file.open("rb") if entry.isfile() else io.BytesIO() as content:
                tar.addfile(entry, content if entry.isfile() else None)
    with archive.open("wb") as packed, gzip.GzipFile("", "wb", 9, packed, mtime=made) as compressed:
        compressed.write(raw.getvalue())


def materials(lock: Path, bundled: Sequence[bundle.Bundled] = ()) -> dict[str, object]:
    """What is built, as CycloneDX 1.5: the packages of its lock, and those inside the app's pages."""

    def component(name: str, number: str, purl: str) -> dict[str, object]:
        return {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}

    python = [
        component(name, number, f"pkg:pypi/{name}@{number}") for name, number in sorted(locked(lock).items())
    ]
    pages = [
        {**component(one.name, one.version, one.purl), "licenses": [{"expression": one.licence}]}
        for one in bundled
    ]

    own = {"type": "application", "bom-ref": APP, "name": APP, "version": version()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": python + pages,
    }


def write_materials(built: Path, lock: Path, bundled: Sequence[bundle.Bundled] = ()) -> Path:
    """The list of materials beside what was built."""
    listed = built.with_name(f"{built.name}.cdx.json")
    listed.write_text(json.dumps(materials(lock, bundled), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return listed


def build_app(into: Path, *, pages: bool) -> list[Path]:
    """The Splunk app and its list of materials, written into that folder."""
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{APP}-{version()}.spl"
    with tempfile.TemporaryDirectory() as temporary:
        app, bundled = lay_app(Path(temporary), pages=pages)
        pack(app, archive, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    return [archive, write_materials(archive, LOCK, bundled)]


def build_solution(into: Path) -> list[Path]:
    """Build the Sentinel solution in the folder ``into``; returns its files."""
    sys.path[:0] = [str(ROOT / "common"), str(ROOT / "sentinel")]  # this tree's, whatever is installed
    from irmsentinel.content import artefacts as content
    from irmsentinel.packaging import content_hub, solution

    loaded = content.load(ROOT / "sentinel")
    documents = {
        "azuredeploy.json": solution.deployment(loaded),
        "createUiDefinition.json": content_hub.interface(loaded),
        "mainTemplate.json": content_hub.package(loaded, version()),
    }
    files = {name: json.dumps(document, indent=2) + "\n" for name, document in documents.items()}
    files["LICENSE"] = (ROOT / "LICENSE").read_text(encoding="utf-8")
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{APP}-sentinel-{version()}.zip"
    made = max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), ZIP_BEGINS)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in sorted(files.items()):
            entry = zipfile.ZipInfo(name, time.gmtime(made)[:6])
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return [archive]


def appinspect() -> Path:
    """splunk-appinspect in an environment of its own, kept until its lock changes."""
    lock = ROOT / "requirements" / "appinspect.txt"
    environment = ROOT / ".cache" / "appinspect"
    stamp = environment / "made-from"
    made_from = hashlib.sha256(lock.read_bytes() + BUILD_LOCK.read_bytes()).hexdigest()
    python = environment / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != made_from:
        venv.create(environment, with_pip=True, clear=True)
        pip(python, "--only-binary=:all:", "-r", BUILD_LOCK)
        # painter, like splunk-sdk, is published as source alone.
        pip(python, "--no-build-isolation", "--only-binary=:all:", "--no-binary=painter", "-r", lock)
        stamp.write_text(made_from)
    return python.with_name("splunk-appinspect")


def inspect(archive: Path) -> list[Path]:
    """Splunk's own checks of the app, without a filter and with Splunk Cloud's: their reports beside it."""
    tool = appinspect()
    reports = []
    for name, tags in (("appinspect", ()), ("appinspect-cloud", ("--included-tags", "cloud"))):
        report = archive.with_name(f"{archive.name}.{name}.json")
        command = [tool, "inspect", archive, "--mode", "precert", "--skip-trusted-libraries-update", *tags]
        command += ["--data-format", "json", "--output-file", report]
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if ran.returncode or not report.exists():
            sys.exit(
                f"splunk-appinspect failed; it needs libmagic.\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"
            )
        reports.append(report)
    return reports


def main() -> None:
    """Build, and print each file's SHA-256 and path as sha256sum does."""
    arguments = argparse.ArgumentParser(description="Build dist/, byte for byte reproducibly.")
    arguments.add_argument("--into", type=Path, default=ROOT / "dist", help="default: dist/")
    arguments.add_argument("--only", choices=("wheel", "splunk", "sentinel"), help="default: all")
    # The demo drives the command and the sender, and must not need Node.
    arguments.add_argument("--without-pages", action="store_true", help="leave the app's pages out")
    arguments.add_argument("--inspect", action="store_true", help="have splunk-appinspect look at the app")
    asked = arguments.parse_args()
    into = asked.into.resolve()
    if "SOURCE_DATE_EPOCH" not in os.environ and (committed := commit_time()):
        os.environ["SOURCE_DATE_EPOCH"] = committed
    built = build_wheel(into) if asked.only in {None, "wheel"} else []
    built += build_app(into, pages=not asked.without_pages) if asked.only in {None, "splunk"} else []
    built += build_solution(into) if asked.only in {None, "sentinel"} else []
    if asked.inspect:
        built += inspect(next(file for file in built if file.suffix == ".spl"))
    for file in built:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}")


if __name__ == "__main__":
    main()
