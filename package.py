"""Builds dist/: the wheel. The same commit gives the same bytes.

File times inside are the last commit's (or SOURCE_DATE_EPOCH, where that is set), modes are
normalised, and nothing is fetched: the build backend is the one that `make` installed from
requirements/build.txt.
"""

import argparse
import hashlib
import os
import subprocess
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent


def commit_time() -> str | None:
    """Seconds since 1970 of the last commit; None in an unpacked source archive."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None


def build_wheel(into: Path) -> Path:
    """The wheel, written into that folder."""
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(into), versions=["standard"])
    return Path(wheel)


def main() -> None:
    """Build, and print each file's SHA-256 and path as sha256sum does."""
    arguments = argparse.ArgumentParser(description="Build the wheel, byte for byte reproducibly.")
    arguments.add_argument("--into", type=Path, default=ROOT / "dist", help="default: dist/")
    into = arguments.parse_args().into.resolve()
    if "SOURCE_DATE_EPOCH" not in os.environ and (time := commit_time()):
        os.environ["SOURCE_DATE_EPOCH"] = time
    wheel = build_wheel(into)
    print(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}")


if __name__ == "__main__":
    main()
