"""The files of a scheduled command, compared literally and parsed by the tools that read them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from irmcli.main import main
from irmcli.scheduling import timers
from irmcli.scheduling.timers import EVERY, FORMS, Task
from irmcore.errors import ConfigurationError

ODD = ("sentinel", "run", "--config", '/etc/a b/it\'s 100% $HOME "x".yaml')
TASK = Task(
    "irmexport",
    "/opt/irmexport/bin/irmexport",
    ("--outbox", "/var/lib/irm", *ODD),
    "/var/lib/irm",
    "1h",
    "irm",
)
WATCH = replace(TASK, arguments=("watch", "/in"), every="", writable=("/in",))


def test_a_line_for_cron() -> None:
    """The line has its own minute, escapes %, and a shell reads the words unchanged."""
    (line,) = timers.cron(TASK).values()
    when, _, command = line.partition(" * * * * ")
    assert when == str(TASK.minute)
    assert re.search(r"(?<!\\)%", command) is None
    printed = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\n' {command.replace(chr(92) + '%', '%')}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.splitlines() == [TASK.program, *TASK.arguments]


def test_a_service_for_systemd() -> None:
    """ExecStart is quoted as in systemd.syntax(7); only the outbox is writable."""
    service, timer = timers.units(TASK).values()
    assert (
        "ExecStart=/opt/irmexport/bin/irmexport --outbox /var/lib/irm sentinel run --config "
        '"/etc/a b/it\'s 100%% $$HOME \\"x\\".yaml"\n'
    ) in service
    assert "\nUser=irm\n" in service
    assert "\nReadWritePaths=/var/lib/irm\n" in service
    assert f"\nOnCalendar=*-*-* *:{TASK.minute:02}:00\n" in timer


def test_a_service_has_a_sandbox() -> None:
    """No core file with a secret in it, a limit of memory, and none of the kernel's interfaces."""
    for service in (
        timers.units(TASK)["irmexport.service"],
        timers.units(WATCH)["irmexport.service"],
    ):
        for setting in (
            "MemoryMax=2G",
            "LimitCORE=0",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectKernelTunables=yes",
            "CapabilityBoundingSet=",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "SystemCallFilter=@system-service",
        ):
            assert service.splitlines().count(setting) == 1, setting


@pytest.mark.parametrize(
    "name", ["/in\nExecStartPre=/bin/sh", "/in\rx", "/in\u2028x", "/in\x85x", "/in\0", "/in\\"]
)
def test_a_name_adds_no_line_to_a_unit(name: str) -> None:
    """It is refused as folder, outbox and argument; the message shows it on one line."""
    for make in (
        lambda: timers.units(replace(WATCH, writable=(name,))),
        lambda: timers.units(replace(WATCH, outbox=name)),
        lambda: timers.units(replace(TASK, arguments=("send", name))),
    ):
        with pytest.raises(ConfigurationError, match="line break") as raised:
            make()
        assert str(raised.value).isprintable() or "\n  " in str(raised.value)


def test_a_task_for_windows() -> None:
    """The XML is well-formed, and Windows splits the arguments as they were given."""
    (text,) = timers.windows_task(TASK).values()
    root = ET.fromstring(text.partition("\n")[2])  # noqa: S314 - our own text
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}
    assert found["Command"] == TASK.program
    assert found["Arguments"] == (
        '--outbox /var/lib/irm sentinel run --config "/etc/a b/it\'s 100% $HOME \\"x\\".yaml"'
    )
    assert found["Interval"] == "PT1H"


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("form", FORMS)
def test_every_interval_has_each_format(form: str, every: str) -> None:
    """No placeholder is left."""
    for text in FORMS[form](Task("n", "/p", ("drain",), "/o", every, "u")).values():
        assert "{" not in text


def test_a_daily_command_has_its_time() -> None:
    """--at is the hour and the minute in each format; another interval has no such time."""
    said = {
        "cron": "30 6 * * * ",
        "systemd": "OnCalendar=*-*-* 06:30:00",
        "windows-task": "<StartBoundary>2026-01-01T06:30:00</StartBoundary>",
    }
    words = ["schedule", "--at", "06:30", "--format"]
    for form, line in said.items():
        done = CliRunner().invoke(main, [*words, form, "--every", "1d", "drain"])
        assert (done.exit_code, line in done.output) == (0, True), done.output
    refused = CliRunner().invoke(main, [*words, "cron", "drain"])
    assert (refused.exit_code, "add --every 1d" in refused.output) == (2, True), refused.output


def test_the_command_writes_files_without_a_secret(tmp_path: Path) -> None:
    """The scheduled command is the one that was typed; no file contains the environment."""
    arguments = [
        "--outbox",
        str(tmp_path / "o"),
        "schedule",
        "--format",
        "systemd",
        "--output",
        str(tmp_path / "u"),
    ]
    secret = {"IRMEXPORT_SECRET": "the-made-up-secret"}
    done = CliRunner(env=secret).invoke(main, [*arguments, "sentinel", "run", "--config", "/etc/irm.yaml"])
    assert done.exit_code == 0, done.output
    texts = {file.name: file.read_text() for file in (tmp_path / "u").iterdir()}
    assert sorted(texts) == ["irmexport.service", "irmexport.timer"]
    assert "the-made-up-secret" not in "".join(texts.values()) + done.output
    (start,) = re.findall(r"^ExecStart=(.*)$", texts["irmexport.service"], re.MULTILINE)
    assert shlex.split(start)[1:] == [
        "--outbox",
        str(tmp_path / "o"),
        "sentinel",
        "run",
        "--config",
        "/etc/irm.yaml",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_the_printed_files_are_complete(form: str, tmp_path: Path) -> None:
    """Without --output, every line of the files is printed."""
    words = ["--outbox", str(tmp_path), "schedule", "--format", form, "drain"]
    done = CliRunner().invoke(main, words)
    files = json.loads(CliRunner().invoke(main, ["--json", *words]).output)["files"]
    assert files
    for text in files.values():
        assert text in done.output


def test_a_service_is_as_hardened_as_a_watch() -> None:
    """Both units have the same protections."""
    service = timers.units(TASK)["irmexport.service"]
    watch = timers.units(WATCH)["irmexport.service"]
    for one in (service, watch):
        found = set(one.splitlines())
        assert {
            "NoNewPrivileges=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "ProtectSystem=strict",
        } <= found
        assert {"UMask=0077", "ProtectHome=read-only"} <= found


def test_only_commands_that_never_prompt_are_scheduled(tmp_path: Path) -> None:
    """Other commands and invalid names are refused."""
    run = CliRunner().invoke
    refused = run(main, ["schedule", "--format", "cron", "resolve", "x"])
    assert refused.exit_code == 2
    assert "drain" in refused.output
    assert run(main, ["schedule", "--format", "cron", "--name", "a b", "drain"]).exit_code == 2
    endless = ["watch", str(tmp_path), "-p", "leaver-prediction"]
    for form in (["cron"], ["systemd", "--every", "1d", "--at", "06:30"]):
        assert "add --once" in run(main, ["schedule", "--format", *form, *endless]).output
    assert run(main, ["schedule", "--format", "cron", *endless, "--once"]).exit_code == 0


def test_an_invalid_command_is_reported_at_once() -> None:
    """`schedule` refuses what the command itself would refuse."""
    run = CliRunner().invoke
    for words in (["send", "x.csv"], ["drain", "--nonsense"], ["sentinel", "nonsense"]):
        done = run(main, ["schedule", "--format", "cron", *words])
        assert done.exit_code == 2, words


def test_options_of_the_command_reach_it_also_if_schedule_has_them() -> None:
    """What stands after COMMAND is COMMAND's: --json, --log-format, --format."""
    for words in (
        ["drain", "--json", "--log-format", "journald", "-q"],
        ["send", "/x.csv", "--format", "csv", "--profile", "leaver-prediction"],
    ):
        done = CliRunner().invoke(main, ["schedule", "--format", "cron", *words])
        assert f" {' '.join(words)}\n" in done.output


def test_a_unit_may_write_the_file_of_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path becomes absolute, and its directory is one of the few that the service may write to."""
    monkeypatch.chdir(tmp_path)
    words = ["--outbox", "/var/lib/irm", "schedule", "--format", "systemd", "metrics", "--textfile", "i.prom"]
    made = CliRunner().invoke(main, words).output
    assert f"metrics --textfile {tmp_path}/i.prom\n" in made
    assert f"ReadWritePaths=/var/lib/irm {tmp_path}\n" in made


def test_a_shared_outbox_stays_the_outbox(tmp_path: Path) -> None:
    """The directory beside it, where this machine promotes from, would be another outbox."""
    words = ["--outbox", "az://account/container/irm", "schedule", "--format", "systemd", "drain"]
    made = CliRunner(env={"XDG_STATE_HOME": str(tmp_path)}).invoke(main, words).output
    assert "--outbox az://account/container/irm drain\n" in made
    assert re.search(rf"ReadWritePaths={tmp_path}/irmexport/beside/\w+\n", made)


@pytest.mark.parametrize(
    "words",
    [
        ["send", "here", "--profile", "here"],
        ["send", "here", "--profile=here"],
        ["watch", "here", "-p", "here"],
        ["watch", "here", "--route", "a/*.csv=here"],
    ],
)
def test_a_profile_of_the_same_name_as_the_file_stays_a_name(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path would be another profile than the one of that name, or none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    made = CliRunner().invoke(main, ["schedule", "--format", "systemd", *words]).output
    (start,) = re.findall(r"^ExecStart=(.*)$", made, re.MULTILINE)
    assert shlex.split(start)[3:] == [words[0], str(tmp_path / "here"), *words[2:]]


def test_a_file_that_does_not_exist_yet_gets_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FILE becomes absolute even if it does not exist yet; - stays standard input."""
    monkeypatch.chdir(tmp_path)
    words = ["schedule", "--format", "cron", "send", "--profile", "leaver-prediction"]
    later = CliRunner().invoke(main, [*words, "later.csv"])
    assert f"send --profile leaver-prediction {tmp_path / 'later.csv'}\n" in later.output
    assert "leaver-prediction -\n" in CliRunner().invoke(main, [*words, "-"]).output
