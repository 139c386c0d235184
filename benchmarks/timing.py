"""Paired runs: each contender once a round, the order turned each round; what counts is the median.

This machine may be shared, so one run after the other of the same thing would measure its neighbours;
a round's runs lie close together, and the ratio is that of the medians.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent

#: What a run took, by name: wall and cpu in seconds, rss in MiB, and what a row adds of its own.
Sample = Mapping[str, float]
#: Runs once; what it must not measure (making its directory, say) it does before or after by itself.
Contender = Callable[[], Sample]


@dataclass(frozen=True)
class Medians:
    """The medians of each quantity of each contender, over ``rounds`` rounds."""

    rounds: int
    of: Mapping[str, Mapping[str, float]]

    def ratio(self, ours: str, peer: str, quantity: str = "wall") -> float:
        """How many times as fast ours is as the peer (of times: the peer's by ours)."""
        return self.of[peer][quantity] / self.of[ours][quantity]


def race(contenders: Mapping[str, Contender], rounds: int) -> Medians:
    """Run each contender ``rounds`` times, and once more before, to warm caches."""
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


def run_measured(
    command: Sequence[str], scratch: Path, *, environment: Mapping[str, str] | None = None, quiet: bool = True
) -> dict[str, float]:
    """Run a command to its end by ``child``. Raises CalledProcessError if it fails."""
    result = scratch / "taken.json"
    subprocess.run(
        [sys.executable, str(HERE / "child.py"), str(result), *command],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    taken: dict[str, float] = json.loads(result.read_text())
    return taken


def run_search(
    command: Sequence[str], requests: Path, scratch: Path, environment: Mapping[str, str]
) -> dict[str, float]:
    """Run a search command by ``search_client``. Raises RuntimeError if it says an error."""
    result = scratch / "taken.json"
    client = [sys.executable, str(HERE / "search_client.py"), str(requests), str(result)]
    subprocess.run([*client, *command], check=True, env=environment)
    taken = json.loads(result.read_text())
    said = taken.pop("said")
    if '"ERROR"' in said:
        raise RuntimeError(f"the command said an error: {said}")
    return dict(taken)
