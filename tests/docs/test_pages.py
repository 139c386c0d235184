"""The documents say what the program does: what they show is run, what is made from code is in step."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

import click
import pytest
from irmcli.main import main
from irmcore.delivery.replies import Action, Reply, decide

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

#: A session: `$ command`, then what it prints; … stands for what changes, a line of … for any lines.
SESSION = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What a test cannot run: it would run itself.
NOT_HERE = {"make test"}


def steps(page: Path) -> list[tuple[str, str]]:
    """The commands of a page, in order, each with what must be printed."""
    found = []
    for block in SESSION.findall(page.read_text(encoding="utf-8")):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            found.append((command, output))
    return found


def pattern(output: str) -> str:
    """The regular expression of an expected output."""
    return "".join(map(_line, output.splitlines()))


def _line(line: str) -> str:
    return r"(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"[ ]*\n"


def run(command: str, place: Path, environment: dict[str, str]) -> str:
    """What ``command`` prints, on either stream."""
    where = ROOT if command.startswith("make ") else place
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    return done.stdout


def start(command: str, place: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """An emulator that stays in the background, and what it prints until it is ready."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command.removesuffix('&')}"],
        cwd=place,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    while "\nIt ends after " not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return process, printed


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_a_page_prints_what_it_shows(tmp_path: Path, name: str) -> None:
    """Every command of the page runs, in its order, and prints what stands behind it."""
    page = ROOT / name
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
    }
    background: list[subprocess.Popen[str]] = []
    ran = 0
    try:
        for command, output in steps(page):
            if command in NOT_HERE:
                continue
            if command.startswith("cat "):
                (tmp_path / command.split()[1]).write_text(output)
            if command.endswith("&"):
                process, printed = start(command, tmp_path, environment)
                background.append(process)
            else:
                printed = run(command, tmp_path, environment)
            assert re.fullmatch(pattern(output), printed), f"{command}\nprints\n{printed}\nnot\n{output}"
            ran += 1
    finally:
        for process in background:
            process.terminate()
            process.wait(10)
    assert ran >= 6


def test_a_page_that_shows_another_output_is_noticed() -> None:
    """The comparison is exact but for what … stands for."""
    assert re.fullmatch(pattern("a … c\n…\nend\n"), "a b c\nx\ny\nend\n")
    assert not re.fullmatch(pattern("3 rows\n"), "4 rows\n")
    assert not re.fullmatch(pattern("3 rows\n"), "3 rows\nmore\n")


@pytest.mark.parametrize("page", ["commands.md", "content.md", "profile.md"])
def test_pages_made_from_the_code_are_in_step(page: str) -> None:
    """docs/commands.md, docs/content.md and docs/profile.md are what `make docs` writes."""
    # In a process of its own, as `make docs`: click remembers how a command was first asked for its help.
    write = 'import runpy, sys; print(runpy.run_path(sys.argv[1])["PAGES"][sys.argv[2]](), end="")'
    command = [sys.executable, "-c", write, str(ROOT / "docs" / "write.py"), page]
    made = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == made, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Every relative link, and every path of the tree that a page names in code style, exists."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for named in re.findall(
        r"`((?:common|tests|docs|requirements|benchmarks|sentinel|splunk_app)/[\w./-]+)`", text
    ):
        assert (ROOT / named).exists(), named


def test_every_command_of_the_pages_exists() -> None:
    """Each `irmexport …` of the table of Microsoft's steps, and of all pages in code style, is a command."""
    context = click.Context(main, info_name="irmexport")
    found: set[tuple[str, ...]] = set()
    for page in PAGES:
        for words in re.findall(r"`irmexport ([a-z][^`\n]*)`", page.read_text(encoding="utf-8")):
            found.add(tuple(re.findall(r"^[a-z-]+|(?<= )[a-z-]+(?= |$)", words)[:2]))
    assert len(found) > 20
    for words in sorted(found):
        command = main.get_command(context, words[0])
        assert command is not None, words
        if isinstance(command, click.Group):
            assert len(words) == 1 or words[1] in command.commands, words


def test_every_command_of_the_steps_is_complete() -> None:
    """Each command of the table of Microsoft's steps has what it cannot do without, and nothing unknown."""
    text = (ROOT / "docs" / "microsoft-steps.md").read_text(encoding="utf-8")
    spans = re.findall(r"`irmexport ([^`]+)`", text)
    assert len(spans) > 20
    for span in spans:
        filled = span.replace("--workspace ID", f"--workspace {uuid.UUID(int=1)}")
        words, command = shlex.split(filled), main
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, span
            command = found
        try:
            command.make_context(span, words)  # reads the words, and runs nothing
        except click.UsageError as error:
            pytest.fail(f"{span}: {error.message}")


def test_every_step_of_both_documents_has_a_command() -> None:
    """Each row of the two tables names a command or a page that does, or says that it is the portal's."""
    text = (ROOT / "docs" / "microsoft-steps.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "step of the page" not in line]
    assert len(rows) >= 18
    for line in rows:
        assert re.search(r"`irmexport |in the portal|splunk\.md|collector\.md", line), line
    for step in range(1, 8):
        assert f"Step {step}: " in text


#: A test as the tables of docs/delivery.md and SECURITY.md name it, … for the core's.
#: A test in the tables: the end of its path that no other file shares, and its name.
NAMED = re.compile(r"`((?:[a-z_]+/)*test_\w+\.py)::(\w+)`")


def named_tests() -> set[str]:
    """The tests that the two tables name, as pytest calls them."""
    pages = [ROOT / "docs" / "delivery.md", ROOT / "SECURITY.md"]
    found = [match for page in pages for match in NAMED.findall(page.read_text(encoding="utf-8"))]
    return {f"{file_of(path)}::{name}" for path, name in found}


def file_of(end: str) -> str:
    """The one test file whose path ends so."""
    files = [file.relative_to(ROOT) for file in (ROOT / "tests").rglob(Path(end).name)]
    (found,) = [file for file in files if file.parts[-end.count("/") - 1 :] == Path(end).parts]
    return str(found)


def test_the_tables_of_faults_and_threats_name_tests_that_run() -> None:
    """Each test that stands beside a fault or a threat is one that pytest collects."""
    named = named_tests()
    assert len(named) > 80
    files = sorted({name.split("::")[0] for name in named})
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:xdist", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    found = {line.split("[")[0] for line in collected.stdout.splitlines()}
    assert sorted(named - found) == []


def test_each_row_of_the_tables_names_a_test() -> None:
    """No fault and no threat stands there without its proof."""
    for page, section in (("docs/delivery.md", "## What proves it"), ("SECURITY.md", "## Threats")):
        text = (ROOT / page).read_text(encoding="utf-8").split(section, 1)[1].split("\n## ", 1)[0]
        rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
        assert len(rows) > 15
        assert [line for line in rows if not NAMED.search(line.rsplit(" | ", 1)[1])] == [], page


def test_the_reply_table_of_the_docs_is_the_codes() -> None:
    """docs/delivery.md gives each status the action that irmcore.delivery.replies gives it."""
    words = {
        Action.SENT: "SENT",
        Action.RETRY: "retried",
        Action.HOLD: "in doubt",
        Action.DEAD: "DEAD",
        Action.SPLIT: "split",
        Action.PAUSE: "pauses",
        Action.REFRESH: "one new token",
    }
    text = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    section = text.split("## What a reply means", 1)[1].split("\n## ", 1)[0]
    said: dict[int, str] = {}
    for first, second in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE):
        for status in re.findall(r"\b[2-5][0-9]{2}\b", first):
            said[int(status)] = second
    assert {400, 401, 403, 404, 407, 408, 413, 415, 422, 429, 500, 502, 503, 504} <= set(said)
    for status, meaning in said.items():
        decision = decide(Reply(status), attempt=1, refreshed=False, in_doubt="hold", jitter=0.0)
        assert words[decision.action] in meaning, status
