"""Paired runs: each contender once a round, in alternating order. The result is the median.

The machine may be shared, and consecutive runs of one contender would measure what else runs on it. The runs
of a round are close together, and the ratio is that of the medians.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.memory import Watch

HERE = Path(__file__).parent

#: What a run took, by name: wall and cpu in seconds, rss in MiB, and what a row adds of its own.
Sample = Mapping[str, float]
#: Runs once; what it must not measure (making its directory, say) it does before or after by itself.
Contender = Callable[[], Sample]


@dataclass(frozen=True)
class Medians:
    """The medians of each contender's quantities over ``rounds`` rounds."""

    rounds: int
    of: Mapping[str, Mapping[str, float]]

    def ratio(self, ours: str, peer: str, quantity: str = "wall") -> float:
        """The peer's quantity divided by ours: for times, how many times as fast ours is."""
        return self.of[peer][quantity] / self.of[ours][quantity]


def race(contenders: Mapping[str, Contender], rounds: int) -> Medians:
    """Run each contender ``rounds`` times, after one round to warm the caches."""
    taken: dict[str, list[Sample]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds + 1):
        for name in order if number % 2 else reversed(order):
            sample = contenders[name]()
            if number:
                taken[name].append(sample)
    return Medians(
        rounds,
        {
            name: {quantity: median(sample[quantity] for sample in samples) for quantity in samples[0]}
            for name, samples in taken.items()
        },
    )


def put_away(path: Path) -> None:
    """Move it away if it exists. Removing it would slow down the creation of files (README)."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.{time.monotonic_ns()}"))


def run_measured(
    command: Sequence[str],
    scratch: Path,
    *,
    environment: Mapping[str, str] | None = None,
    quiet: bool = True,
    watched: bool = False,
) -> dict[str, float]:
    """Run a command with ``child``. Raises CalledProcessError if it fails.

    ``watched``: by ``memory`` too, which adds "pss" and makes the times worthless.
    """
    result = scratch / "taken.json"
    child = [sys.executable, str(HERE / "child.py"), str(result), *command]
    most = _run(child, environment, watched=watched, stdout=subprocess.DEVNULL if quiet else None)
    return {**json.loads(result.read_text()), "pss": most}


def run_search(
    command: Sequence[str],
    requests: Path,
    scratch: Path,
    environment: Mapping[str, str],
    *,
    watched: bool = False,
) -> dict[str, float]:
    """Run a search command with ``search_client``. Raises RuntimeError if it reports an error."""
    result = scratch / "taken.json"
    client = [sys.executable, str(HERE / "search_client.py"), str(requests), str(result), *command]
    most = _run(client, environment, watched=watched)
    taken = {**json.loads(result.read_text()), "pss": most}
    said = taken.pop("said")
    if '"ERROR"' in said:
        raise RuntimeError(f"the command said an error: {said}")
    return dict(taken)


def _run(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    *,
    watched: bool,
    stdout: int | None = None,
) -> float:
    """Run it; returns the peak memory of its descendants, or 0 if not ``watched``."""
    with (
        subprocess.Popen(command, env=environment, stdout=stdout) as process,
        Watch(process.pid) if watched else nullcontext(None) as watch,
    ):
        code = process.wait()
    if code:
        raise subprocess.CalledProcessError(code, command)
    return watch.most if watch is not None else 0.0
