"""`make mutants-content`: how many small changes of the KQL its fixtures find.

python -m mutants.content [--seed N] [--sample N] [--only NAME] [--workers N]

A change is one of six kinds: a window of time, the kind of a join, case folding, a threshold, a column (a key
of `by` or `on`, an order of arguments, a column in another's place), a filter. The fixtures of a changed
query run first, then those of its callers. One that the local engine refuses is not counted. One that
survives counts as equivalent if content_verdicts.toml proves that it is. The exit code is 1 if more than 3 %
survive.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from irmcore.errors import IrmError
from irmsentinel.content.tables import LITERALS

from tests.sentinel import fixtures
from tests.sentinel.fixtures import Case, Query

ROOT = Path(__file__).parent.parent
VERDICTS = ROOT / "mutants" / "content_verdicts.toml"
MOST_SURVIVORS = 0.03
KILLED, SURVIVED, EQUIVALENT, REFUSED = "killed", "survived", "equivalent", "does not run"

_UNIT = {"d": "h", "h": "d", "m": "h", "s": "m"}
_FOLDED = {"=~": "==", "!~": "!=", "!=~": "!=", "in~": "in", "!in~": "!in", "tolower(": "tostring("} | {
    word: f"{word}_cs" for word in ("has", "contains", "startswith", "endswith")
}
_COMPARED = {">": ">=", ">=": ">", "<": "<=", "<=": "<", "==": "!=", "!=": "=="}
_JOINS = {
    "inner": ("leftouter",),
    "leftouter": ("inner",),
    "leftanti": ("leftsemi",),
    "leftsemi": ("leftanti",),
    "fullouter": ("leftouter", "inner"),
}


@dataclass(frozen=True)
class Mutant:
    """One change of one query: the body from ``start`` to ``end`` becomes ``new``."""

    query: Query
    kind: str
    start: int
    end: int
    new: str

    @property
    def body(self) -> str:
        return self.query.body[: self.start] + self.new + self.query.body[self.end :]

    def _lines(self, body: str, end: int) -> str:
        first, last = body.rfind("\n", 0, self.start) + 1, body.find("\n", end)
        return " ".join(body[first : last if last >= 0 else None].split())

    @property
    def before(self) -> str:
        return self._lines(self.query.body, self.end)

    @property
    def after(self) -> str:
        return self._lines(self.body, self.start + len(self.new))

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the mutant in content_verdicts.toml."""
        return self.query.key, self.before, self.after


def main() -> int:
    """Run the sample; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mutants.content", description=__doc__)
    parser.add_argument("--seed", type=int, default=2026, help="of the sample (2026)")
    parser.add_argument("--sample", type=int, default=240, help="how many mutants to draw (240)")
    parser.add_argument("--only", default="", help="draw only from queries whose name has this")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (one per processor)")
    options = parser.parse_args()
    started = time.monotonic()
    chosen = [query for query in fixtures.queries() if options.only in query.key]
    mutants = sorted(_drawn(chosen, options.seed))[: options.sample]
    verdicts = tomllib.loads(VERDICTS.read_text(encoding="utf-8")).get("mutant", [])
    proven = {(v["query"], v["before"], v["after"]) for v in verdicts if EQUIVALENT in v}
    found = []
    with multiprocessing.Pool(options.workers) as pool:
        for (_, mutant), outcome in zip(mutants, pool.imap(_outcome, mutants), strict=True):
            verdict = EQUIVALENT if outcome == SURVIVED and mutant.key in proven else outcome
            found.append((mutant, verdict))
            if len(found) % 20 == 0:
                print(f"{len(found)} of {len(mutants)}", flush=True)
            if verdict == SURVIVED:
                print(f"survived: {mutant.query.key} ({mutant.kind})", flush=True)
                print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    return _report(found, options.seed, time.monotonic() - started)


def _drawn(queries: Sequence[Query], seed: int) -> Iterator[tuple[str, Mutant]]:
    """One mutant of each site, with its chance, which is computed from its own line.

    So a change of a query replaces the mutants of the changed lines, and leaves the others in the sample.
    """
    repeats: Counter[str] = Counter()
    for query in queries:
        for mutant, *others in _sites(query):
            site = f"{seed} {query.key} {mutant.kind} {mutant.before}"
            repeats[site] += 1
            chance = hashlib.sha256(f"{site} {repeats[site]}".encode()).hexdigest()
            yield chance, random.Random(chance).choice([mutant, *others])


def _sites(query: Query) -> Iterator[list[Mutant]]:
    """The mutants of each place of a query's text that a change may touch."""
    text = LITERALS.sub(_blank, query.body)
    for kind, pattern, group, ways in _OPERATORS:
        for found in re.finditer(pattern, text):
            mutants = [Mutant(query, kind, *found.span(group), way) for way in ways(found)]
            if mutants:
                yield mutants


def _lengths(found: re.Match[str]) -> list[str]:
    """Another length of time; a bin has another unit."""
    number, unit = int(found[1]), found[2]
    if re.search(r"\bbin\s*\([^,()]*,\s*$", found.string[: found.start()]):
        return [f"1{_UNIT[unit]}"]
    return [f"{number + 1}{unit}", f"{max(number - 1, 0)}{unit}"]


def _fewer_keys(found: re.Match[str]) -> list[str]:
    keys = found[1].split(", ")
    return [", ".join(key for key in keys if key != left_out) for left_out in keys]


def _another_column(found: re.Match[str]) -> list[str]:
    """The column that the next assignment takes."""
    other = re.search(_ASSIGNED, found.string[found.end() :])
    return [other[1]] if other and other[1] != found[1] else []


def _whole_filter(found: re.Match[str]) -> list[str]:
    return [""] if found[0].count("(") == found[0].count(")") else []


_ASSIGNED = r"(?<![=!<>])= ([A-Z]\w*)(?=[,\n)])"
#: Kind of change, what it touches, the group of that to replace, what is put there.
_OPERATORS: tuple[tuple[str, str, int, Callable[[re.Match[str]], Sequence[str]]], ...] = (
    ("window", r"\b(\d+)([dhms])\b", 0, _lengths),
    ("join", r"\bkind\s*=\s*(\w+)", 1, lambda m: _JOINS.get(m[1], ())),
    (
        "case",
        r"!?=~|!~|!?\bin~|\btolower\(|\b(?:has|contains|startswith|endswith)\b",
        0,
        lambda m: [_FOLDED[m[0]]],
    ),
    ("threshold", r"(?<![\w.])\d+(?![\w.])", 0, lambda m: [str(int(m[0]) + 1), str(max(int(m[0]) - 1, 0))]),
    ("threshold", r"(?<=\s)(?:[<>]=?|[=!]=)(?=\s)", 0, lambda m: [_COMPARED[m[0]]]),
    ("column", r"\b(?:by|on) ((?:\w+, )+\w+)(?=\s*(?:\n|\)|\||;|$))", 1, _fewer_keys),
    ("column", r"\bcoalesce\(((\w+), (\w+))\)", 1, lambda m: [f"{m[3]}, {m[2]}"]),
    ("column", _ASSIGNED, 1, _another_column),
    ("filter", r"\n *\| where [^\n]*(?=\n|$)", 0, _whole_filter),
    ("filter", r" and (?!\()[^()\n|]*?(?= and | or |\)|\n|$)", 0, lambda _: [""]),
)


def _blank(match: re.Match[str]) -> str:
    """A comment or literal of the same length without words or numbers."""
    return " " * len(match[0]) if match[0].startswith("//") else '"' + "_" * (len(match[0]) - 2) + '"'


def _outcome(drawn: tuple[str, Mutant]) -> str:
    mutant = drawn[1]
    for number, case in enumerate(_cases_for(mutant.query)):
        try:
            if not fixtures.holds(case, fixtures.run(case, {mutant.query.key: mutant.body})):
                return KILLED
        except IrmError:
            return KILLED if number else REFUSED
    return SURVIVED


def _cases_for(query: Query) -> Iterator[Case]:
    """The cases of the query's own fixture, then those of the queries that call it, near ones first."""
    names, seen = [query.key], set()
    while names:
        name = names.pop(0)
        if name in seen:
            continue
        seen.add(name)
        yield from (case for case in fixtures.all_cases() if fixtures.key_of(case) == name)
        word = re.compile(rf"\b{re.escape(name.rpartition('/')[2])}\b")
        names += [other.key for other in fixtures.queries() if word.search(other.body)]


def _report(found: Sequence[tuple[Mutant, str]], seed: int, seconds: float) -> int:
    outcomes = (KILLED, SURVIVED, EQUIVALENT, REFUSED)
    rows = {
        kind: Counter(o for m, o in found if m.kind == kind) for kind in sorted({m.kind for m, _ in found})
    }
    rows["all"] = Counter(outcome for _, outcome in found)
    print(f"seed {seed}, {len(found)} mutants, {seconds / 60:.1f} minutes")
    print("".join(f"{name:>14}" for name in ("", *outcomes)))
    for name, counts in rows.items():
        print(f"{name:>14}" + "".join(f"{counts[outcome]:>14}" for outcome in outcomes))
    counted = rows["all"][KILLED] + rows["all"][SURVIVED]
    share = rows["all"][SURVIVED] / counted if counted else 0.0
    print(f"{share:.1%} of {counted} survive; at most {MOST_SURVIVORS:.0%} may")
    return int(share > MOST_SURVIVORS)


if __name__ == "__main__":
    sys.exit(main())
