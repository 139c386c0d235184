"""`make mutants-content`: how many small changes of the KQL its fixtures find.

python -m mutants.content [--seed N] [--sample N] [--only NAME] [--all] [--workers N]

A change is one of six kinds: a window of time, the kind of a join, case folding, a threshold, a column (a key
of `by` or `on`, an order of arguments, a column in another's place), a filter. The query's own fixture must
find it; what the fixtures of its callers find does not count. One that the local engine refuses is not
counted. One that survives counts as equivalent if content_verdicts.toml proves that it is. The exit code is 1
if more than 3 % survive.

An outcome is kept in .cache/ until the query, a function that it calls or its fixture changes. So a run that
was interrupted goes on where it was. A run over all queries writes content_run.json, which `make docs`
publishes.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import multiprocessing
import multiprocessing.pool
import os
import random
import re
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from irmcore.errors import IrmError
from irmsentinel.content.tables import LITERALS

from tests.sentinel import fixtures
from tests.sentinel.fixtures import Case, Query

ROOT = Path(__file__).parent.parent
VERDICTS = ROOT / "mutants" / "content_verdicts.toml"
RUN = ROOT / "mutants" / "content_run.json"
OUTCOMES = ROOT / ".cache" / "mutants" / "content.outcomes"
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
        """What names the mutant in content_verdicts.toml, where a query's name may have ``*``."""
        return self.query.key, self.before, self.after

    @property
    def digest(self) -> str:
        """Of all that decides the outcome: the changed query, the functions that it calls, its fixture."""
        bodies = {query.key.rpartition("/")[2]: query.body for query in fixtures.queries()}
        texts = [self.body, *(_text(case.file) for case in _cases_of(self.query)[:1])]
        for text in texts:
            for word in dict.fromkeys(re.findall(r"\w+", text)):
                texts += [bodies.pop(word)] if word in bodies else []
        return hashlib.sha256("\0".join([self.query.key, *texts]).encode()).hexdigest()


def main() -> int:
    """Run the sample; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mutants.content", description=__doc__)
    parser.add_argument("--seed", type=int, default=2026, help="of the sample (2026)")
    parser.add_argument("--sample", type=int, default=240, help="how many mutants to draw (240)")
    parser.add_argument("--only", default="", help="draw only from queries whose name has this")
    parser.add_argument("--all", action="store_true", help="every mutant of every place, without a sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (one per processor)")
    options = parser.parse_args()
    started = time.monotonic()
    chosen = [query for query in fixtures.queries() if options.only in query.key]
    if options.all:
        mutants = [mutant for query in chosen for site in _sites(query) for mutant in site]
    else:
        mutants = [mutant for _, mutant in sorted(_drawn(chosen, options.seed))[: options.sample]]
    known = _known_outcomes()
    fixtures.cases()  # read once, before the workers are forked
    found: list[tuple[Mutant, str]] = []
    with multiprocessing.Pool(options.workers) as pool, OUTCOMES.open("a", encoding="utf-8") as kept:
        for mutant, outcome in _outcomes(mutants, known, pool, kept):
            verdict = EQUIVALENT if outcome == SURVIVED and proof_of(mutant) else outcome
            found.append((mutant, verdict))
            if len(found) % 20 == 0:
                print(f"{len(found)} of {len(mutants)}", flush=True)
            if verdict == SURVIVED:
                print(f"survived: {mutant.query.key} ({mutant.kind})", flush=True)
                print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    if not (options.only or options.all):
        _keep(found, options.seed)
    return _report(found, options.seed)


@cache
def _verdicts() -> Sequence[Mapping[str, str]]:
    return tomllib.loads(VERDICTS.read_text(encoding="utf-8")).get("mutant", [])


def proof_of(mutant: Mutant) -> str:
    """Why no rows can tell the mutant from its query, as content_verdicts.toml says; "" if it does not."""
    changed = (mutant.before, mutant.after)
    proofs = (
        verdict[EQUIVALENT]
        for verdict in _verdicts()
        if (verdict["before"], verdict["after"]) == changed
        and fnmatch.fnmatchcase(mutant.query.key, verdict["query"])
    )
    return next(proofs, "")


def _keep(found: Sequence[tuple[Mutant, str]], seed: int) -> None:
    """Write the outcome for docs/content.md."""
    outcome = {
        "seed": seed,
        "sites": sum(1 for query in fixtures.queries() for _ in _sites(query)),
        "counts": {kind: dict(counts) for kind, counts in _counts(found).items()},
        SURVIVED: sorted(mutant.key for mutant, outcome in found if outcome == SURVIVED),
        EQUIVALENT: sorted((*m.key, proof_of(m)) for m, outcome in found if outcome == EQUIVALENT),
    }
    RUN.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")


def _counts(found: Sequence[tuple[Mutant, str]]) -> Mapping[str, Counter[str]]:
    """How many mutants of each kind, and of all, had each outcome."""
    kinds = sorted({mutant.kind for mutant, _ in found})
    counts = {kind: Counter(outcome for mutant, outcome in found if mutant.kind == kind) for kind in kinds}
    return {**counts, "all": Counter(outcome for _, outcome in found)}


def _known_outcomes() -> Mapping[str, str]:
    """The outcomes of earlier runs, by the mutants' digests."""
    OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    lines = OUTCOMES.read_text(encoding="utf-8").splitlines() if OUTCOMES.exists() else []
    return dict(line.split(" ", 1) for line in lines)


def _outcomes(
    mutants: Sequence[Mutant], known: Mapping[str, str], pool: multiprocessing.pool.Pool, kept: IO[str]
) -> Iterator[tuple[Mutant, str]]:
    """Each mutant's outcome, as it comes. Those of a query run together, so that its killers get known."""
    new = []
    for mutant in sorted(mutants, key=lambda mutant: (mutant.query, mutant.start)):
        if mutant.digest in known:
            yield mutant, known[mutant.digest]
        else:
            new.append(mutant)
    for mutant, outcome in pool.imap_unordered(_outcome, new):
        print(mutant.digest, outcome, file=kept, flush=True)
        yield mutant, outcome


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
            mutants = [
                Mutant(query, kind, *found.span(group), way) for way in ways(found) if way != found[group]
            ]
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


#: How many mutants each case of this process's queries has found.
_KILLS: Counter[tuple[str, str]] = Counter()


def _outcome(mutant: Mutant) -> tuple[Mutant, str]:
    """What the cases of the query say, those first that found most of its other mutants."""
    cases = sorted(_cases_of(mutant.query), key=lambda case: -_KILLS[mutant.query.key, case.what])
    for number, case in enumerate(cases):
        try:
            found = not fixtures.holds(case, fixtures.run(case, {mutant.query.key: mutant.body}))
        except IrmError:
            if not number:
                return mutant, REFUSED
            found = True
        if found:
            _check(case)
            _KILLS[mutant.query.key, case.what] += 1
            return mutant, KILLED
    return mutant, SURVIVED


_HELD: set[tuple[Path, str]] = set()


def _check(case: Case) -> None:
    """Raises ValueError if the case fails on the query itself: then it finds nothing."""
    name = case.file, case.what
    if name not in _HELD and not fixtures.holds(case, fixtures.run(case)):
        raise ValueError(f"the fixture fails without a change: {case.file}, {case.what}")
    _HELD.add(name)


@cache
def _text(file: Path) -> str:
    """A fixture's text, as it was at the start."""
    return file.read_text(encoding="utf-8")


@cache
def _cases_of(query: Query) -> Sequence[Case]:
    return [case for case in fixtures.cases() if fixtures.key_of(case) == query.key]


def _report(found: Sequence[tuple[Mutant, str]], seed: int) -> int:
    outcomes = (KILLED, SURVIVED, EQUIVALENT, REFUSED)
    rows = _counts(found)
    print(f"seed {seed}, {len(found)} mutants")
    print("".join(f"{name:>14}" for name in ("", *outcomes)))
    for name, counts in rows.items():
        print(f"{name:>14}" + "".join(f"{counts[outcome]:>14}" for outcome in outcomes))
    counted = rows["all"][KILLED] + rows["all"][SURVIVED]
    share = rows["all"][SURVIVED] / counted if counted else 0.0
    print(f"{share:.1%} of {counted} survive; at most {MOST_SURVIVORS:.0%} may")
    return int(share > MOST_SURVIVORS)


if __name__ == "__main__":
    sys.exit(main())
