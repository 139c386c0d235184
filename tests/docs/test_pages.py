"""The documents match the program: shown commands are run, generated pages are up to date."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import click
import pytest
from irmcli.main import main
from irmcore.delivery.replies import Action, decide
from irmcore.http.outcome import Reply

from tests.docs.shown import pattern, steps

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

#: Any block of code: its language and its text.
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: A test cannot run this: it would run itself.
NOT_HERE = {"make test"}


def run(command: str, directory: Path, environment: dict[str, str]) -> str:
    """The output of ``command``, both streams."""
    cwd = ROOT if command.startswith("make ") else directory
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.stdout


def start(command: str, directory: Path, environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    """Start an emulator in the background; returns it with its output up to the moment it is ready."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command.removesuffix('&')}"],
        cwd=directory,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    while "\nIt stops after " not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return process, printed


#: pipx, without a package index: the wheel alone, in an environment that sees the packages of this one. An
#: extra that the wheel does not have is an error.
PIPX = """#!{python}
import pathlib, re, subprocess, sys, zipfile
action, wheel = sys.argv[1:]
file, extras = re.fullmatch(r"(.+\\.whl)\\[(.+)\\]", wheel).groups()
with zipfile.ZipFile(file) as wheel:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    known = re.findall(r"^Provides-Extra: (.+)$", wheel.read(name).decode(), re.MULTILINE)
assert action == "install" and set(extras.split(",")) <= set(known), (action, extras, known)
pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--prefix", "installed", file]
sys.exit(subprocess.call([*pip, "--disable-pip-version-check", "--ignore-installed"]))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_a_page_prints_what_it_shows(tmp_path: Path, name: str) -> None:
    """Every command of the page runs, in order, and prints the output shown."""
    page = ROOT / name
    environment = {
        # As in a reader's shell, not in a make that runs the tests.
        **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IRMEXPORT_OUTBOX": str(tmp_path / "outbox"),
        "INTO": str(tmp_path / "dist"),
    }
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pipx").write_text(PIPX.format(python=sys.executable))
    (tmp_path / "bin" / "pipx").chmod(0o700)
    background: list[subprocess.Popen[str]] = []
    ran = 0
    try:
        for command, output in steps(page.read_text(encoding="utf-8")):
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
    """The comparison is exact except where … stands."""
    assert re.fullmatch(pattern("a … c\n…\nend\n"), "a b c\nx\ny\nend\n")
    assert not re.fullmatch(pattern("3 rows\n"), "4 rows\n")
    assert not re.fullmatch(pattern("3 rows\n"), "3 rows\nmore\n")


@pytest.mark.parametrize("page", ["commands.md", "content.md", "profile.md"])
def test_pages_made_from_the_code_are_in_step(page: str) -> None:
    """docs/commands.md, docs/content.md and docs/profile.md are what `make docs` writes."""
    # In a new process, like `make docs`: click caches the width with which help was first rendered.
    write = 'import runpy, sys; print(runpy.run_path(sys.argv[1])["PAGES"][sys.argv[2]](), end="")'
    command = [sys.executable, "-c", write, str(ROOT / "docs" / "write.py"), page]
    made = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == made, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Every relative link exists, and so does every path of this repository in code style."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for named in re.findall(
        r"`((?:common|tests|docs|requirements|benchmarks|sentinel|splunk_app)/[\w./-]+)`", text
    ):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_lead_to_headings(page: Path) -> None:
    """Every relative link with an anchor leads to a heading of the page it names."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{target}#{anchor}"


#: Where the packages are that ARCHITECTURE.md names by their own paths.
PACKAGES = {
    "irmcore": "common",
    "irmcli": "common",
    "irmsentinel": "sentinel",
    "irmsplunk": "splunk_app/bin",
}


def test_every_file_of_the_architecture_exists() -> None:
    """Each path into a package that ARCHITECTURE.md names is a file or a folder."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(rf"`(({'|'.join(PACKAGES)})/[\w./-]*)`", text)
    assert len(named) > 20
    for path, package in named:
        assert (ROOT / PACKAGES[package] / path).exists(), path


def test_every_module_of_the_architecture_exists() -> None:
    """Each dotted name that ARCHITECTURE.md gives is a module, or a name in the text of one."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", text))
    assert len(named) > 20
    for name in named:
        parent, _, last = name.rpartition(".")
        path = ROOT / PACKAGES[name.partition(".")[0]] / name.replace(".", "/")
        if not path.is_dir() and not path.with_suffix(".py").is_file():
            module = path.parent.with_suffix(".py")
            assert module.is_file(), name
            assert re.search(
                rf"^(?:class |def )?{last}\b", module.read_text(encoding="utf-8"), re.MULTILINE
            ), f"{parent} has no {last}"


def test_every_command_of_the_pages_exists() -> None:
    """Each `irmexport …` in code style on any page is a command."""
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


#: Placeholders of the pages that an option's type would refuse.
FILLED = {"WORKSPACE-ID": str(uuid.UUID(int=1)), "--workspace ID": f"--workspace {uuid.UUID(int=1)}"}


def parse(line: str) -> None:
    """Parse ``line``, the words after `irmexport`, without running it; fails on a usage error."""
    filled = line
    for placeholder, value in FILLED.items():
        filled = filled.replace(placeholder, value)
    words, command = shlex.split(filled), main
    while words[0].startswith("--"):  # an option of `irmexport` itself, with its value
        del words[: 1 if words[0] == "--json" else 2]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found
    try:
        command.make_context(line, words)
    except click.UsageError as error:
        pytest.fail(f"{line}: {error.message}")


def test_every_command_of_the_steps_is_complete() -> None:
    """Each command in the tables of Microsoft's steps parses: nothing is missing, nothing unknown."""
    text = (ROOT / "docs" / "microsoft-steps.md").read_text(encoding="utf-8")
    spans = re.findall(r"`irmexport ([^`]+)`", text)
    assert len(spans) > 20
    for span in spans:
        parse(span)


def test_every_command_of_a_plain_block_is_complete() -> None:
    """Each `irmexport` line in a block that is not run parses: nothing is missing, nothing unknown."""
    blocks = [
        block
        for page in PAGES
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8"))
        if not language
    ]
    lines = re.findall(r"^ *irmexport (\S.*?)(?: > \S+)?$", "\n".join(blocks), re.MULTILINE)
    assert len(lines) >= 10
    for line in lines:
        parse(line)


def test_a_command_with_a_missing_or_unknown_word_is_found() -> None:
    """A command of a page that cannot be parsed fails."""
    for line in ("send", "send FILE --profile PROFILE --nonsense"):
        with pytest.raises(pytest.fail.Exception):
            parse(line)


def test_every_command_of_the_readme_is_run() -> None:
    """It is in a block that the test above runs, or a target of make that builds one part."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    plain = [block for language, block in BLOCK.findall(text) if language != "console"]
    assert not re.findall(r"^ *(?:irmexport|make|pipx?|python|\$) .*", "\n".join(plain), re.MULTILINE)
    pages = [
        text,
        *((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("splunk.md", "azure.md")),
    ]
    only = {part for page in pages for part in re.findall(r"make package ONLY=([\w-]+)", page)}
    assert only == {"wheel", "splunk", "sentinel", "function-app"}
    for part in sorted(only):
        shown = subprocess.run(
            ["make", "-n", "package", f"ONLY={part}"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        # tests/package builds each part with this command.
        assert f"package.py --only {part} " in shown.stdout, shown.stdout


def test_the_readme_names_the_files_that_are_built() -> None:
    """The names under dist/ have the project's version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    named = re.findall(r"dist/([\w.-]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert sorted(named) == [
        f"irmexport-{version}-py3-none-any.whl",
        f"irmexport-{version}.spl",
        f"irmexport-sentinel-{version}.zip",
    ]


def test_every_step_of_both_documents_has_a_command() -> None:
    """Each row of the two tables names a command, a page that has one, or the portal."""
    text = (ROOT / "docs" / "microsoft-steps.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "step of the page" not in line]
    assert len(rows) >= 18
    for line in rows:
        assert re.search(r"`irmexport |in the portal|splunk\.md|collector\.md", line), line
    for step in range(1, 8):
        assert f"Step {step}: " in text


#: A test in the tables of these pages: an unambiguous end of its path, and its name.
NAMED = re.compile(r"`((?:[a-z_]+/)*test_\w+\.py)::(\w+)`")


def named_tests() -> set[str]:
    """The ids of the tests that the tables name."""
    pages = [ROOT / "docs" / "delivery.md", ROOT / "docs" / "connectors.md", ROOT / "SECURITY.md"]
    found = [match for page in pages for match in NAMED.findall(page.read_text(encoding="utf-8"))]
    return {f"{file_of(path)}::{name}" for path, name in found}


def file_of(end: str) -> str:
    """The one test file whose path ends with ``end``."""
    files = [file.relative_to(ROOT) for file in (ROOT / "tests").rglob(Path(end).name)]
    found = [str(file) for file in files if file.parts[-end.count("/") - 1 :] == Path(end).parts]
    assert len(found) == 1, f"{end}: {found}"
    return found[0]


def test_the_tables_of_faults_and_threats_name_tests_that_run() -> None:
    """Each test that is listed beside a fault or a threat is one that pytest collects."""
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
    """Each fault and each threat has a test beside it."""
    delivery = (
        ("docs/delivery.md", "## How it is tested\n"),
        ("docs/delivery.md", "## How it is tested on a store\n"),
    )
    for page, section in (*delivery, ("SECURITY.md", "## Threats")):
        text = (ROOT / page).read_text(encoding="utf-8").split(section, 1)[1].split("\n## ", 1)[0]
        heads = ("| fault | ", "| guard | ", "| threat | ")
        rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heads)]
        assert len(rows) > 15
        assert [line for line in rows if not NAMED.search(line.rsplit(" | ", 1)[1])] == [], page


def test_the_reply_table_of_the_docs_is_the_codes() -> None:
    """docs/delivery.md gives each status the action of irmcore.delivery.replies."""
    terms = {
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
    documented: dict[int, str] = {}
    for first, second in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE):
        for status in re.findall(r"\b[2-5][0-9]{2}\b", first):
            documented[int(status)] = second
    assert {400, 401, 403, 404, 407, 408, 413, 415, 422, 429, 500, 502, 503, 504} <= set(documented)
    for status, meaning in documented.items():
        decision = decide(Reply(status), attempt=1, refreshed=False, in_doubt="hold", jitter=0.0)
        assert terms[decision.action] in meaning, status
