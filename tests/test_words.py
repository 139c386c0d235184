"""Retired words stay out of identifiers, file names and pages: one term for one thing (docs/glossary.md).

Strings and comments of the code are not checked.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


class Retired(NamedTuple):
    """A retired word and the term to use instead."""

    words: str  # a pattern
    use: str
    whole: bool = False  # only as a whole name; in a longer name and on the pages it is an everyday word
    pages: bool = True
    files: str = ""  # where the paths begin, as a pattern; empty: everywhere


RETIRED = (
    Retired(r"bays?", "staging directory"),
    Retired(r"box(es)?", "outbox", pages=False),
    Retired(r"crews?", "workers"),
    Retired(r"desks?", "operations"),
    Retired(r"flights?", "in flight"),
    Retired(r"gates?", "circuit breaker"),
    Retired(r"handovers?", "export, submit"),
    Retired(r"hubs?", "content hub"),
    Retired(r"rehears\w*", "dry run, or emulator session"),
    Retired(r"settle[ds]?|settling", "sync, record_outcome, discard or place", pages=False),
    Retired(r"slots?", "state record, or (user, time) key"),
    Retired(r"standins?|stand[_ -]ins?", "emulator, in tests fake"),
    Retired(r"stations?", "service"),
    Retired(r"stretch(es)?", "chunk"),
    Retired(r"tally|tallies", "day checksums"),
    Retired(r"tellers?", "listener"),
    Retired(r"twins?", "local override, counterpart"),
    Retired(r"vaults?", "passwords"),
    Retired(r"waiting", "queued, needs_attention or wait_for_receipt", pages=False),
    Retired(r"acts", "demo steps", whole=True),
    Retired(r"handed", "submitted", whole=True),
    Retired(r"mates|members", "workers", whole=True, files="(tests/)?common/irmcore/"),
    Retired(r"opening", "getinfo", whole=True, files="(tests/)?splunk_app/"),
    Retired(r"packed", "hash index", whole=True, files="(tests/)?common/irmcore/intake/"),
    Retired(r"places", "paths, or candidate times", whole=True),
    Retired(r"safes", "credential stores", whole=True),
    Retired(r"say|voice", "output", whole=True),
    Retired(r"standing", "status, lookup or breaker_store", whole=True),
    Retired(r"telling", "messages", whole=True),
    Retired(r"ways?", "session", whole=True, files="common/irmcli/|sentinel/"),
)


class Allowed(NamedTuple):
    """An allowed use: a pattern of the words around it, and the reason."""

    words: str
    reason: str
    files: str = ""  # as in Retired


#: Matched against a name in snake_case, or against a line of a page.
ALLOWED = (
    Allowed(r"in[_ -]flight", "the term itself"),
    Allowed(r"content[_ ]hub|git_?hub", "names of Microsoft's and GitHub's services"),
    Allowed(r"key[_ ]vaults?|vault\.azure\.net", "Azure Key Vault"),
    Allowed(r"vault", "Azure Key Vault", "tests/(fakes/key_vault|with_emulator/test_credentials)"),
    Allowed(r"__slots__|slots", "Python's own", "common/irmcore/(http/credentials|shaping/blocks)"),
    Allowed(r"^box(\.yaml)?$|^box_events(_v2)?_cl", "the product Box", "(tests/)?(sentinel|splunk_app)/"),
    Allowed(r"settle", "the option --settle of `irmexport watch`", "(tests/)?common/irmcli/"),
    Allowed(r"waiting", "a key of the app's log", "splunk_app/bin/irmsplunk/search/alert_action"),
    Allowed(r"days/tally|`tally`|`gate`", "files of an outbox, the second of format 3"),
)


class Finding(NamedTuple):
    """A retired word in use."""

    file: str
    line: int
    word: str
    use: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.word}' is retired: use {self.use}"


def snake(name: str) -> str:
    """``name`` in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def without_allowed(text: str, file: str) -> str:
    """``text`` without the allowed uses."""
    for allowed in ALLOWED:
        if re.match(allowed.files, file):
            text = re.sub(rf"(?<![a-z])(?:{allowed.words})(?![a-z])", "", text, flags=re.IGNORECASE)
    return text


def in_name(name: str, file: str, line: int) -> Iterator[Finding]:
    """The retired words in an identifier or a file's name."""
    rest = without_allowed(snake(name), file)
    for word in RETIRED:
        pattern = (
            rf"_*(?:{word.words})_*" if word.whole else rf".*(?<![a-z0-9])(?:{word.words})(?![a-z0-9]).*"
        )
        if re.match(word.files, file) and re.fullmatch(pattern, rest):
            yield Finding(file, line, name, word.use)


def in_code(source: str, file: str) -> Iterator[Finding]:
    """The retired words in the identifiers of Python source, each name once."""
    names: dict[str, int] = {}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, after in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type == tokenize.NAME and not (token.string == "slots" and after.string == "="):
            names.setdefault(token.string, token.start[0])
    for name, line in names.items():
        yield from in_name(name, file, line)


def in_page(text: str, file: str) -> Iterator[Finding]:
    """The retired words on a Markdown page."""
    for number, line in enumerate(text.splitlines(), 1):
        rest = without_allowed(line, file)
        for word in RETIRED:
            if word.pages and not word.whole:
                # Inside a longer name, it is found where that name is defined.
                for found in re.finditer(rf"(?<![\w/])(?:{word.words})(?![\w/])", rest, re.IGNORECASE):
                    yield Finding(file, number, found[0], word.use)


def in_file(file: str) -> Iterator[Finding]:
    """The retired words in the path and the text of a file of the repository."""
    for part in Path(file).parts:
        yield from in_name(part, file, 1)
    if file.endswith(".py"):
        yield from in_code((ROOT / file).read_text(encoding="utf-8"), file)
    if file.endswith(".md"):
        yield from in_page((ROOT / file).read_text(encoding="utf-8"), file)


def files() -> list[str]:
    """Every file that git knows and that is still there."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [file for file in listed.splitlines() if (ROOT / file).is_file()]


def test_no_retired_word_is_in_use() -> None:
    """Each name and page uses the terms of the glossary."""
    found = [str(finding) for file in files() for finding in in_file(file)]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(bay): ...", ["a.py:1: 'bay' is retired: use staging directory"]),
        ("\nclass DeskRoutes: ...", ["a.py:2: 'DeskRoutes' is retired: use operations"]),
        (
            "MAX_WAITING = 1",
            ["a.py:1: 'MAX_WAITING' is retired: use queued, needs_attention or wait_for_receipt"],
        ),
        ("_say = 1", ["a.py:1: '_say' is retired: use output"]),
        ("boxes = outboxes", ["a.py:1: 'boxes' is retired: use outbox"]),
        ("from x import stand_in", ["a.py:1: 'stand_in' is retired: use emulator, in tests fake"]),
        ("outbox = in_flight(key_vault, content_hub)", []),
        ("@dataclass(frozen=True, slots=True)\nclass A: ...", []),
        ("def test_a_status_says_which_way(): ...", []),
        ("x = 'a gate'  # the crew", []),
    ],
)
def test_a_retired_word_in_code_is_found(source: str, expected: list[str]) -> None:
    """Identifiers are split into words; strings and comments are not names."""
    assert [str(finding) for finding in in_code(source, "a.py")] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two desks.", ["a.md:1: 'desks' is retired: use operations"]),
        (
            "# A\nThe Stand-in rehearses.",
            [
                "a.md:2: 'rehearses' is retired: use dry run, or emulator session",
                "a.md:2: 'Stand-in' is retired: use emulator, in tests fake",
            ],
        ),
        ("Azure Key Vault, GitHub, Box, 4 in flight, waiting, `ledger/days/tally`, the file `gate`", []),
        ("`test_gate.py::test_a_gate_opens`", []),
    ],
)
def test_a_retired_word_on_a_page_is_found(text: str, expected: list[str]) -> None:
    """Pages are read as prose, in any case."""
    assert [str(finding) for finding in in_page(text, "a.md")] == expected


def test_a_retired_word_in_a_files_name_is_found() -> None:
    """Each part of a path is a name."""
    assert [str(finding) for finding in in_name("test_gate.py", "tests/test_gate.py", 1)] == [
        "tests/test_gate.py:1: 'test_gate.py' is retired: use circuit breaker"
    ]


def test_every_exception_is_needed() -> None:
    """A use that is gone is no exception any more."""
    lines = []
    for file in files():
        lines += [(file, snake(part)) for part in Path(file).parts]
        if file.endswith((".py", ".md")):
            lines += [(file, snake(line)) for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    for allowed in ALLOWED:
        assert any(
            re.match(allowed.files, file) and re.search(allowed.words, line) for file, line in lines
        ), allowed
