"""`make mutants`: how many small changes of the core its tests find.

python -m mutants [--seed N] [--sample N] [--minutes N] [--only PART] [--workers N]

A mutant counts as killed if a test fails or hangs. One that survives counts as equivalent if verdicts.toml
proves that it is, and as survived otherwise. The exit code is 1 if more than 3 % survive.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutants.runner import HUNG, KILLED, SURVIVED, Copy, Tests
from mutants.sample import Mutant, drawn

ROOT = Path(__file__).parent.parent
PACKAGES = ("intake", "outbox", "shaping", "settings")
TESTS = tuple(
    f"tests/common/irmcore/{part}" for part in (*PACKAGES, "delivery", "operations", "test_values.py")
)
VERDICTS = ROOT / "mutants" / "verdicts.toml"
EQUIVALENT = "equivalent"
MOST_SURVIVORS = 0.03


def main() -> int:
    """Run the sample; returns the exit code."""
    options = _options()
    core = ROOT / "common" / "irmcore"
    files = [file for package in PACKAGES for file in sorted((core / package).rglob("*.py"))]
    mutants = drawn([file for file in files if options.only in str(file)], ROOT, options.seed, options.sample)
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copies = [Copy(ROOT, Path(scratch) / str(number)) for number in range(options.workers)]
        tests = _tests(copies[0])
        started = time.monotonic()
        proven = {(v["file"], v["before"], v["after"]) for v in _verdicts() if EQUIVALENT in v}
        found = [(mutant, EQUIVALENT, "") for mutant in mutants if mutant.key in proven]
        mutants = [mutant for mutant in mutants if mutant.key not in proven]
        for mutant, verdict, test in _outcomes(mutants, copies, tests, started + 60 * options.minutes):
            found.append((mutant, verdict, test))
            if verdict in (SURVIVED, HUNG):
                print(f"{verdict}: {mutant.file}:{mutant.line} {mutant.operator} {test}", flush=True)
                print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
            if len(found) % 100 == 0:
                print(f"{len(found)} of {len(mutants)}", flush=True)
    return _report(found, options, time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=2026, help="of the sample (2026)")
    parser.add_argument("--sample", type=int, default=300, help="how many mutants (300)")
    parser.add_argument("--minutes", type=float, default=30, help="after which no mutant is begun (30)")
    parser.add_argument("--only", default="", help="draw only from files whose path has this")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (one per processor)")
    return parser.parse_args()


def _verdicts() -> list[dict[str, str]]:
    verdicts: list[dict[str, str]] = tomllib.loads(VERDICTS.read_text(encoding="utf-8"))["mutant"]
    return verdicts


def _tests(copy: Copy) -> Tests:
    """Which tests run which line: noted once, and again when a file of the core or of its tests changed."""
    noted = ROOT / ".cache" / "mutants" / "tests.json"
    read = [file for part in ("common/irmcore", *TESTS) for file in (ROOT / part).rglob("*.py")]
    if not noted.exists() or noted.stat().st_mtime < max(file.stat().st_mtime for file in read):
        print("running all tests once, to note which of them runs which line", flush=True)
        sources = ",".join(f"common/irmcore/{package}" for package in PACKAGES)
        command = [sys.executable, "-m", "mutants.coverage_by_test", sources, noted, *TESTS]
        subprocess.run(command, cwd=copy.path, check=True, env=copy.environment())
    return Tests(**json.loads(noted.read_text(encoding="utf-8")))


def _outcomes(
    mutants: Sequence[Mutant], copies: Sequence[Copy], tests: Tests, end: float
) -> Iterator[tuple[Mutant, str, str]]:
    """Each mutant's outcome, by one process for each copy, until the time is over."""
    todo, done = multiprocessing.Queue(), multiprocessing.Queue()
    for number in [*range(len(mutants)), *(None for _ in copies)]:
        todo.put(number)

    def work(copy: Copy) -> None:
        copy.enter()
        for number in iter(todo.get, None):
            late = time.monotonic() > end
            done.put((number, *(("late", "") if late else copy.outcome(mutants[number], tests))))

    workers = [multiprocessing.Process(target=work, args=(copy,)) for copy in copies]
    for worker in workers:
        worker.start()
    for _ in mutants:
        number, outcome, test = done.get()
        if outcome != "late":
            yield mutants[number], outcome, test
    for worker in workers:
        worker.join()


def _report(found: Sequence[tuple[Mutant, str, str]], options: argparse.Namespace, seconds: float) -> int:
    """The table, and whether few enough survived."""
    outcomes = (KILLED, HUNG, SURVIVED, EQUIVALENT)
    rows = {package: Counter(o for m, o, _ in found if m.package == package) for package in PACKAGES}
    rows["all"] = Counter(outcome for _, outcome, _ in found)
    print(f"seed {options.seed}, {len(found)} mutants, {seconds / 60:.1f} minutes")
    print("".join(f"{name:>12}" for name in ("", *outcomes)))
    for name, counts in rows.items():
        print(f"{name:>12}" + "".join(f"{counts[outcome]:>12}" for outcome in outcomes))
    counted = len(found) - rows["all"][EQUIVALENT]
    share = rows["all"][SURVIVED] / counted if counted else 0.0
    print(f"{share:.1%} of {counted} survive; at most {MOST_SURVIVORS:.0%} may")
    return int(share > MOST_SURVIVORS)


if __name__ == "__main__":
    sys.exit(main())
