"""The exports in tests/exports: `profile new`, `check` and `send` without a profile or a file edited by hand.

docs/files.md has the table of results, which a test compares with the index.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from irmcli.emulator.launch import announce, create_emulator
from irmcli.main import main
from irmcore import profile as profiles
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

from tests.exports import workbooks

FOLDER = Path(workbooks.__file__).parent
INDEX: list[dict[str, Any]] = yaml.safe_load((FOLDER / "index.yaml").read_text(encoding="utf-8"))
PAGE = Path(__file__).parents[2] / "docs" / "files.md"


def irmexport(*args: str) -> Result:
    """Run the command in this process."""
    done = CliRunner().invoke(main, list(args))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@dataclass
class Exports:
    """A directory with the exports, their profiles, and an emulator with a connector for each profile."""

    folder: Path
    made: dict[str, Result]
    emulator: PurviewEmulator

    def profile(self, file: str) -> Path:
        return self.folder / f"{file}.yaml"


def job(number: int) -> str:
    """An ID."""
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """The profiles of all exports, and a running emulator."""
    folder = tmp_path_factory.mktemp("exports")
    for each in INDEX:
        if not each["file"].endswith(".xlsx"):
            shutil.copy(FOLDER / each["file"], folder)
    workbooks.write_all(folder)
    ids = ("--tenant-id", job(900), "--app-id", job(901))
    made = {}
    for number, each in enumerate(INDEX):
        file = str(folder / each["file"])
        new = ("profile", "new", "--from", file, "-o", f"{file}.yaml", "--name", f"export-{number}")
        made[each["file"]] = irmexport(*new, "--job-id", job(number), *ids, *each.get("ask", ()))
    known = [profiles.read(str(folder / f"{f}.yaml")) for f, done in made.items() if done.exit_code == 0]
    emulator = create_emulator(folder / "emulator", known, Options())
    emulator.start()
    announce(folder / "emulator", emulator)
    yield Exports(folder, made, emulator)
    emulator.stop()
    assert emulator.failures == ()


@pytest.mark.parametrize("each", INDEX, ids=lambda each: each["file"])
def test_an_export_is_read_as_its_answer_says(
    exports: Exports, each: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who, when and how much arrive as the index says, without a hand edit."""
    file, number = each["file"], INDEX.index(each)
    made = exports.made[file]
    assert made.exit_code == 0, made.output
    profile = profiles.read(str(exports.profile(file)))
    of_role = {c.header: c.role for c in profile.columns}
    assert [header for header, role in of_role.items() if role == "threshold"] == each["thresholds"]
    assert (profile.column("user").header, profile.column("time").header) == (each["user"], each["time"])  # type: ignore[union-attr]

    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(exports.folder / "outbox"))
    path, options = str(exports.folder / file), ("--profile", str(exports.profile(file)))
    checked = irmexport("check", path, *options)
    assert checked.exit_code == 0, checked.output
    sent = irmexport("--json", "send", path, *options, "--emulator", str(exports.folder / "emulator"))
    assert sent.exit_code == 0, sent.output
    assert json.loads(sent.stdout)["counts"]["rejected"] == 0

    records = exports.emulator.records(job(number))
    columns = [each["user"], each["time"], *each["thresholds"]]
    got = [[dict(record.fields)[name] for name in columns] for record in records]
    assert sorted([user, time[:19], *rest] for user, time, *rest in got) == sorted(each["rows"])
    for header, values in each.get("severities", {}).items():
        assert sorted(dict(record.fields)[header] for record in records) == sorted(values)


def test_the_page_has_each_export_and_its_question() -> None:
    """The table of docs/files.md lists the index, and most exports need no question."""
    expected = []
    for each in INDEX:
        answer = f"`{' '.join(each['ask'])}`" if "ask" in each else "–"
        product = each["product"].replace("|", "\\|")
        expected.append(f"| {product} | `{each['file']}` | {each['made']} | {answer} |")
    page = PAGE.read_text(encoding="utf-8")
    table = (
        page.partition("| answer to the question |\n|---|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    )
    assert sorted(table) == sorted(expected)
    asked = sum("ask" in each for each in INDEX)
    assert f"{len(INDEX) - asked} need no\nquestion answered, {asked} need one" in page
    assert len(INDEX) >= 60


@pytest.mark.parametrize("each", [each for each in INDEX if "ask" in each], ids=lambda each: each["file"])
def test_a_question_names_the_option_that_answers_it(
    each: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the answer no profile is written, and the message names the option."""
    monkeypatch.chdir(tmp_path)
    if each["file"] in workbooks.BOOKS:
        workbooks.write(tmp_path / each["file"], workbooks.BOOKS[each["file"]])
    else:
        shutil.copy(FOLDER / each["file"], tmp_path)
    done = irmexport("profile", "new", "--from", each["file"], "-o", "p.yaml")
    assert done.exit_code in (1, 2), done.output
    assert each["ask"][0] in done.output
    assert not Path("p.yaml").exists()


def test_watch_reads_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook and a file with semicolons in a folder, of which people are told how they were read."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    folder = tmp_path / "in"
    folder.mkdir()
    book = "excel-us.xlsx"
    workbooks.write(folder / book, workbooks.BOOKS[book])
    profile = str(tmp_path / "p.yaml")
    new = ("profile", "new", "--from", str(folder / book), "-o", profile, "--job-id", job(1))
    assert irmexport(*new, "--tenant-id", job(900), "--app-id", job(901)).exit_code == 0
    rows = "User;Event Time (UTC);Count\nida.m@contoso.com;2026-11-20T09:00:00Z;7\n"
    (folder / "rows.csv").write_text(rows)
    done = irmexport("watch", str(folder), "--profile", profile, "--once", "--queue-only", "--settle", "0.1")
    assert done.exit_code == 0, done.output
    assert "Read as: the sheet Sheet1 of a workbook" in done.output
    assert "Read as: columns separated by semicolons" in done.output
    assert len(list((folder / "archive").iterdir())) == 2
