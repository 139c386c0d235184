"""Microsoft's examples as printed, through `check` and `send`, to a connector of the emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from irmcli.demo import examples
from irmcli.emulator.launch import announce, create_emulator
from irmcli.main import main
from irmcore import profile as profiles
from irmemulator.purview_emulator import PurviewEmulator
from irmemulator.settings import Options

# example | rows that can be sent | why the others are refused
EXAMPLES = [
    ("leaver-prediction", 3, {}),
    ("salesforce-dropbox", 6, {}),
    ("hr", 2, {("EffectiveDate", "missing-value"): 2, ("", "ragged-short"): 4}),
    ("hr-resignations", 1, {("LastWorkingDate", "time-without-zone"): 1}),
    ("hr-job-level-changes", 2, {}),
    ("hr-performance-reviews", 1, {("", "ragged-short"): 1}),
    ("hr-improvement-plans", 1, {("", "ragged-short"): 1}),
    ("hr-employee-profiles", 1, {}),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PurviewEmulator, Path]]:
    """An emulator with a connector for each of their profiles, and its directory."""
    directory = tmp_path_factory.mktemp("hr")
    chosen = [profiles.parse(profiles.shipped_text(name), name) for name, *_ in EXAMPLES]
    with create_emulator(directory, chosen, Options(), lifetime=600) as running:
        announce(directory, running)
        yield running, directory


@pytest.fixture
def irmexport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command with its own outbox."""
    monkeypatch.setenv("IRMEXPORT_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("IRMEXPORT_PROFILES", str(tmp_path / "profiles"))
    return lambda *args: CliRunner().invoke(main, list(args), catch_exceptions=False)


@pytest.mark.parametrize(("name", "good", "refused"), EXAMPLES, ids=[name for name, *_ in EXAMPLES])
def test_an_example_as_printed(
    emulator: tuple[PurviewEmulator, Path],
    irmexport: Callable[..., Result],
    name: str,
    good: int,
    refused: dict[tuple[str, str], int],
) -> None:
    """`check` and `send` refuse the same rows with the same reasons; the connector saves all others, once."""
    running, directory = emulator
    file = str(examples.path(name))
    at = ("-p", name, "--emulator", str(directory))
    checked = json.loads(irmexport("check", file, "-p", name, "--json").stdout)
    first = json.loads(irmexport("send", file, *at, "--json").stdout)
    second = json.loads(irmexport("send", file, *at, "--json").stdout)
    for done in (checked, first):
        found = {(one["column"], one["reason"]): one["rows"] for one in done["reasons"]}
        assert (done["counts"]["shaped"], found) == (good, refused)
    assert second["counts"]["skipped"] == good
    job = first["connector"].removeprefix("emulator-")
    assert running.records_saved(job) == good
    assert [dict(upload.dropped) for upload in running.uploads if upload.job_id == job] == [{}]


def test_no_file_of_five_hundred_and_one_rows_arrives(
    emulator: tuple[PurviewEmulator, Path], irmexport: Callable[..., Result], tmp_path: Path
) -> None:
    """The page allows 500 rows a file: the rest goes into a second file."""
    running, directory = emulator
    rows = [f"u{n}@contoso.com,2026-11-02T09:00:00Z,A,B" for n in range(501)]
    file = tmp_path / "many.csv"
    file.write_text("\n".join(["EmailAddress,EffectiveDate,OldLevel,NewLevel", *rows, ""]))
    before = len(running.uploads)
    done = irmexport("send", str(file), "-p", "hr-job-level-changes", "--emulator", str(directory))
    assert done.exit_code == 0
    found = [(upload.records_saved, upload.status) for upload in running.uploads[before:]]
    assert found == [(500, 200), (1, 200)]
