"""Builds dist/: the wheel, the Splunk app, the Sentinel solution, the Function app, and bills of materials.

It runs in .venv, which it has `make` set up from the locks if need be. The same commit gives the same bytes:
file times are those of the last commit (or SOURCE_DATE_EPOCH, if set) and modes are normalised. Building the
wheel downloads nothing. The packages of the Splunk app's lib/, of its pages and of the Function app are
downloaded as requirements/splunk-lib.txt, splunk_app/ui/package-lock.json and requirements/function-app.txt
hash them, once for each version of these locks, into .cache/.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
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
import venv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from pathlib import Path

try:
    import tomllib

    from hatchling.builders.wheel import WheelBuilder
except ModuleNotFoundError as missing:
    # Not in .venv: set it up with the locked packages, and start again there.
    tree = Path(__file__).resolve().parent
    try:
        make = ["make", "-C", str(tree), ".venv/.dev"]
        made = subprocess.run(make, stdout=sys.stderr, check=False).returncode
    except FileNotFoundError:
        made = 127
    if made or Path(sys.prefix) == tree / ".venv":
        sys.exit(
            f"package.py: {sys.executable} has no module {missing.name}, and `make .venv/.dev`, which "
            f"installs it into .venv, failed ({made}). It needs make, and Python 3.11 or newer."
        )
    started_again = [str(tree / ".venv" / "bin" / "python"), str(tree / "package.py"), *sys.argv[1:]]
    sys.exit(subprocess.run(started_again, check=False).returncode)

import bundle

ROOT = Path(__file__).resolve().parent
APP = "irmexport"
LOCK = ROOT / "requirements" / "splunk-lib.txt"
#: Why known advisories about the app's packages do not affect it (OpenVEX).
VEX = ROOT / "requirements" / "vex.json"
FUNCTION_APP = ROOT / "sentinel" / "function_app"
FUNCTION_LOCK = ROOT / "requirements" / "function-app.txt"
#: The name that Azure's onedeploy demands.
FUNCTION_PACKAGE = "released-package.zip"
# The Python of the Function app, as azuredeploy.json has it.
FUNCTION_PYTHON = "3.11"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
WHEEL_LOCK = ROOT / "requirements" / "runtime.txt"
BUILD_LOCK = ROOT / "requirements" / "splunk-build.txt"
# lib/ is resolved for the older of Splunk's two Pythons; the packages run on both.
LIB_PYTHON = "3.9"
# Compiles the schema on standard input to a module. Without $id its function is called `validate`.
COMPILE = """
import json, sys, fastjsonschema
schema = json.load(sys.stdin)
del schema["$id"]
print(fastjsonschema.compile_to_code(schema, use_default=False))
"""
# The earliest time in a zip file: 1980-01-01.
ZIP_BEGINS = 315_532_800
# PyPI has only its source. The archive is checked against the lock and built by the locked setuptools.
SOURCE_ONLY = "splunk-sdk"
# Compiled modules (these packages fall back to pure Python), scripts and pip's own files.
PIPS_OWN = ("bin", "__pycache__", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
LEFT_OUT = ("*.so", "*.pyd", *PIPS_OWN)
NATIVE = ("cryptography", "cffi", "pycparser", "_cffi_backend")


def commit_time() -> str | None:
    """The time of the last commit in seconds since 1970; None in an unpacked source archive."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return ran.stdout.strip() or None


def version() -> str:
    """The project's version, which is also the app's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def build_wheel(into: Path) -> list[Path]:
    """Write the wheel and its bill of materials, which lists the locked dependencies, into a folder."""
    (wheel,) = map(Path, WheelBuilder(str(ROOT)).build(directory=str(into), versions=["standard"]))
    return [wheel, write_materials(wheel, WHEEL_LOCK, sys.path)]


def locked(lock: Path) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Each package in a lock: its name, its version, and the SHA-256 of each file that is accepted."""
    entries = re.findall(
        r"^([a-z0-9.-]+)==([^ ;]+)(.*?)(?=^[a-z0-9]|\Z)",
        lock.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return [
        (
            name,
            number,
            [{"alg": "SHA-256", "content": one} for one in re.findall(r"sha256:([0-9a-f]{64})", text)],
        )
        for name, number, text in sorted(entries)
    ]


def pip(python: Path | str, *arguments: str | Path) -> None:
    """Run pip, restricted to hashed packages; its output is shown only if it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
    command += ["install", "--require-hashes", "--no-deps", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")


def libraries() -> Path:
    """The packages of lib/ in a folder of .cache/ that is named after their lock."""

    def install(target: Path, work: Path) -> None:
        install_libraries(target, work)
        leave_out(target, LEFT_OUT)
        refuse_native(target)

    recipe = LOCK.read_bytes() + BUILD_LOCK.read_bytes() + repr((LEFT_OUT, LIB_PYTHON, SOURCE_ONLY)).encode()
    return cached("splunk-lib", recipe, install)


def cached(name: str, recipe: bytes, install: Callable[[Path, Path], None]) -> Path:
    """A folder of .cache/ that is named after its recipe. ``install(folder, work)`` fills a new one."""
    found = ROOT / ".cache" / name / hashlib.sha256(recipe).hexdigest()[:16]
    if found.is_dir():
        return found
    found.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=found.parent) as temporary:
        target = Path(temporary) / "lib"
        install(target, Path(temporary))
        try:
            target.rename(found)
        except OSError:
            if not found.is_dir():  # another build was first
                raise
    return found


def leave_out(folder: Path, patterns: Sequence[str]) -> None:
    """Remove what matches a pattern, wherever it is in ``folder``."""
    for pattern in patterns:
        for found in list(folder.rglob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def install_libraries(target: Path, work: Path) -> None:
    """Install the locked packages into ``target``: wheels for Splunk's Python, the SDK from source."""
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"))
    source_lock, wheel_lock = work / "source.txt", work / "wheels.txt"
    source_lock.write_text("\n".join(e for e in entries if e.startswith(f"{SOURCE_ONLY}==")) + "\n")
    wheel_lock.write_text(
        "\n".join(
            # pip would evaluate `python_full_version < '3.11'` for the Python that runs it, not for 3.9.
            re.sub(r" ; python_full_version < '3\.11'", "", e)
            for e in entries
            if re.match(r"[a-z0-9.-]+==", e) and not e.startswith(f"{SOURCE_ONLY}==")
        )
        + "\n"
    )
    install_wheels(target, LIB_PYTHON, wheel_lock)
    venv.create(work / "builder", with_pip=True)
    python = work / "builder" / "bin" / "python"
    pip(python, "--only-binary=:all:", "-r", BUILD_LOCK)
    from_source = ("--no-build-isolation", "--no-binary", SOURCE_ONLY)
    pip(python, "--target", work / "sdk", "--no-compile", *from_source, "-r", source_lock)
    shutil.copytree(work / "sdk", target, dirs_exist_ok=True)


def install_wheels(target: Path, python: str, lock: Path) -> None:
    """Install the wheels of a lock for CPython ``python`` on Linux (x86-64), whatever this machine is."""
    wheels = ("--only-binary=:all:", *(f"--platform={platform}" for platform in PLATFORMS))
    of_python = (f"--python-version={python}", "--implementation=cp")
    pip(sys.executable, "--target", target, "--no-compile", *wheels, *of_python, "-r", lock)


def refuse_native(folder: Path) -> None:
    """Stop if compiled code is left, or a package that needs it."""
    for file in folder.rglob("*"):
        if file.is_file() and file.read_bytes()[:4] in (b"\x7fELF", b"\xcf\xfa\xed\xfe"):
            sys.exit(f"{file} is compiled code: add it to LEFT_OUT, or leave its package out.")
        if file.name in NATIVE:
            sys.exit(f"{file} needs compiled code: add it to requirements/core-py39.excludes.")


def assemble_app(into: Path, *, pages: bool) -> tuple[Path, list[bundle.Bundled]]:
    """Write the app's files into a new folder below ``into``; returns it and the packages of the pages."""
    app = into / APP
    shutil.rmtree(app, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "local", "local.meta", ".*")
    app.mkdir()
    for part in sorted((ROOT / "splunk_app").iterdir()):
        if part.is_dir() and part != bundle.UI:
            shutil.copytree(part, app / part.name, ignore=unwanted)
        elif part.is_file() and not part.name.startswith("."):
            shutil.copyfile(part, app / part.name)
    static = app / "appserver" / "static"
    static.mkdir(parents=True, exist_ok=True)
    bundled = bundle.bundle(static) if pages else []
    write_build(app)
    shutil.copytree(libraries(), app / "lib")
    shutil.copytree(ROOT / "common" / "irmcore", app / "lib" / "irmcore", ignore=unwanted)
    compile_schema(app / "lib")
    shutil.copyfile(ROOT / "LICENSE", app / "LICENSE")
    for name, text in (("default/app.conf", f"version = {version()}\n"), ("app.manifest", f'"{version()}"')):
        if text not in (app / name).read_text(encoding="utf-8"):
            sys.exit(f"splunk_app/{name} must have the version of pyproject.toml, {version()}.")
    return app, bundled


def write_build(app: Path) -> None:
    """Set `build` in app.conf, which is part of the address of static files.

    Browsers keep those files until it changes, so it is a number made of their content and the version.
    """
    digest = hashlib.sha256(version().encode())
    for file in sorted((app / "appserver").rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(app).as_posix()}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    conf = app / "default" / "app.conf"
    text = conf.read_text(encoding="utf-8")
    build = int.from_bytes(digest.digest()[:4], "big") >> 1
    conf.write_text(text.replace("build = 1\n", f"build = {build}\n"), encoding="utf-8")


def compile_schema(lib: Path) -> None:
    """Compile the profile's schema to Python, beside the schema, with ``lib``'s own fastjsonschema.

    Without it, every search would compile the schema when it starts (``irmcore.settings.kind``).
    """
    schema = (lib / "irmcore" / "profile" / "profile.schema.json").read_bytes()
    compiled = subprocess.run(
        [sys.executable, "-c", COMPILE],
        input=schema,
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(lib), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    (lib / "irmcore" / "profile" / "compiled.py").write_bytes(compiled.stdout)


def pack(app: Path, archive: Path, mtime: int) -> None:
    """Write the app as a tarball whose bytes do not depend on who builds it, or where."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted([app, *app.rglob("*")]):
            entry = tar.gettarinfo(str(file), str(file.relative_to(app.parent)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = mtime
            entry.mode = 0o755 if entry.isdir() else 0o644
            with file.open("rb") if entry.isfile() else io.BytesIO() as content:
                tar.addfile(entry, content if entry.isfile() else None)
    with archive.open("wb") as packed, gzip.GzipFile("", "wb", 9, packed, mtime=mtime) as compressed:
        compressed.write(raw.getvalue())


def licence(name: str, path: list[str]) -> list[dict[str, object]]:
    """The licence that an installed package declares; empty if it is not installed or declares none."""
    found = next(iter(importlib.metadata.distributions(name=name, path=path)), None)
    if found is None:
        return []
    declared = dict(found.metadata.items()) if isinstance(found.metadata, Message) else {}
    if expression := declared.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = found.metadata.get_all("Classifier") or ()
    names = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License ::")]
    names = names or [declared.get("License", "").strip().split("\n")[0]]
    return [{"license": {"name": one}} for one in names if one]


def materials(lock: Path, bundled: Sequence[bundle.Bundled], path: list[str]) -> dict[str, object]:
    """The bill of materials (CycloneDX 1.5): the packages of a lock, and those in the app's pages.

    ``path`` is where the packages are installed, for their licences.
    """

    def component(name: str, number: str, purl: str) -> dict[str, object]:
        return {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}

    python = [
        {
            **component(name, number, f"pkg:pypi/{name}@{number}"),
            "hashes": hashes,
            "licenses": licence(name, path),
        }
        for name, number, hashes in locked(lock)
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


def write_materials(built: Path, lock: Path, path: list[str], bundled: Sequence[bundle.Bundled] = ()) -> Path:
    """Write the bill of materials beside what was built."""
    target = built.with_name(f"{built.name}.cdx.json")
    document = json.dumps(materials(lock, bundled, path), indent=1, sort_keys=True)
    target.write_text(document + "\n", encoding="utf-8")
    return target


def build_app(into: Path, *, pages: bool) -> list[Path]:
    """Write the Splunk app and its bill of materials into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{APP}-{version()}.spl"
    with tempfile.TemporaryDirectory() as temporary:
        app, bundled = assemble_app(Path(temporary), pages=pages)
        pack(app, archive, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
        bill = write_materials(archive, LOCK, [str(app / "lib")], bundled)
    vex = archive.with_name(f"{archive.name}.vex.json")
    shutil.copyfile(VEX, vex)
    return [archive, bill, vex]


def build_solution(into: Path) -> list[Path]:
    """Write the Sentinel solution into a folder; returns its files."""
    # This tree's code, not an installed version.
    sys.path[:0] = [str(ROOT / "common"), str(ROOT / "sentinel")]
    from irmsentinel.content import artefacts as content
    from irmsentinel.packaging.package_files import package_files

    files = package_files(content.load(ROOT / "sentinel"), version())
    files["LICENSE"] = (ROOT / "LICENSE").read_text(encoding="utf-8")
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{APP}-sentinel-{version()}.zip"
    write_zip(archive, {name: text.encode() for name, text in files.items()})
    return [archive]


def write_zip(archive: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip file whose bytes do not depend on who builds it, or where."""
    mtime = max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), ZIP_BEGINS)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, time.gmtime(mtime)[:6])
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, content, zipfile.ZIP_DEFLATED)


def build_function_app(into: Path) -> list[Path]:
    """Write the Function app's package, its templates and its bill of materials into a folder.

    The package has the locked wheels, so that Azure builds nothing.
    """

    def install(target: Path, _: Path) -> None:
        install_wheels(target, FUNCTION_PYTHON, FUNCTION_LOCK)
        leave_out(target, PIPS_OWN)

    recipe = FUNCTION_LOCK.read_bytes() + repr((PIPS_OWN, PLATFORMS, FUNCTION_PYTHON)).encode()
    packages = cached("function-app", recipe, install)
    site = ".python_packages/lib/site-packages"
    found = (file for file in packages.rglob("*") if file.is_file())
    files = {f"{site}/{file.relative_to(packages).as_posix()}": file.read_bytes() for file in found}
    with tempfile.TemporaryDirectory() as temporary:
        (wheel,) = map(Path, WheelBuilder(str(ROOT)).build(directory=temporary, versions=["standard"]))
        with zipfile.ZipFile(wheel) as ours:
            files |= {f"{site}/{name}": ours.read(name) for name in ours.namelist()}
    for name in ("function_app.py", "host.json"):
        files[name] = (FUNCTION_APP / name).read_bytes()
    into.mkdir(parents=True, exist_ok=True)
    archive = into / FUNCTION_PACKAGE
    write_zip(archive, files)
    templates = [into / name for name in ("azuredeploy.json", "createUiDefinition.json")]
    for template in templates:
        shutil.copyfile(FUNCTION_APP / template.name, template)
    return [archive, write_materials(archive, FUNCTION_LOCK, [str(packages)]), *templates]


def appinspect() -> Path:
    """splunk-appinspect in its own environment, rebuilt when its lock changes."""
    lock = ROOT / "requirements" / "appinspect.txt"
    environment = ROOT / ".cache" / "appinspect"
    stamp = environment / "lock-hash"
    lock_hash = hashlib.sha256(lock.read_bytes() + BUILD_LOCK.read_bytes()).hexdigest()
    python = environment / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != lock_hash:
        venv.create(environment, with_pip=True, clear=True)
        pip(python, "--only-binary=:all:", "-r", BUILD_LOCK)
        # Of painter, too, PyPI has only the source.
        pip(python, "--no-build-isolation", "--only-binary=:all:", "--no-binary=painter", "-r", lock)
        stamp.write_text(lock_hash)
    return python.with_name("splunk-appinspect")


def inspect(archive: Path) -> list[Path]:
    """Run AppInspect on the app, with all checks and with those of Splunk Cloud; returns the reports."""
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
    """Build, then print the SHA-256 and path of each file as sha256sum does."""
    arguments = argparse.ArgumentParser(description="Build dist/, byte for byte reproducibly.")
    arguments.add_argument("--into", type=Path, default=ROOT / "dist", help="default: dist/")
    arguments.add_argument(
        "--only", choices=("wheel", "splunk", "sentinel", "function-app"), help="default: all"
    )
    # For the demo, which uses no pages and must work without Node.
    arguments.add_argument("--without-pages", action="store_true", help="leave the app's pages out")
    arguments.add_argument("--inspect", action="store_true", help="run splunk-appinspect on the app")
    options = arguments.parse_args()
    into = options.into.resolve()
    if "SOURCE_DATE_EPOCH" not in os.environ and (committed := commit_time()):
        os.environ["SOURCE_DATE_EPOCH"] = committed
    built = build_wheel(into) if options.only in {None, "wheel"} else []
    built += build_app(into, pages=not options.without_pages) if options.only in {None, "splunk"} else []
    built += build_solution(into) if options.only in {None, "sentinel"} else []
    if options.only in {None, "function-app"}:
        try:
            built += build_function_app(into)
        except SystemExit as failed:  # of pip
            if options.only:
                raise
            what = f"The Function app is not in {into}: its wheels could not be downloaded."
            print(f"{failed}\n{what} Everything else is.", file=sys.stderr)
    if options.inspect:
        built += inspect(next(file for file in built if file.suffix == ".spl"))
    for file in built:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}")


if __name__ == "__main__":
    main()
