"""Schedules for cron, systemd and Windows Task Scheduler. Pure functions.

Every argument reaches the command unchanged, whatever characters it contains. The files hold no secret: a
profile's `credential` names a file or a variable.
"""

import hashlib
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from irmcli.scheduling import systemd

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


@dataclass(frozen=True)
class Task:
    """What to run: the path `program`, as `user`. `every` is a key of EVERY, or "".

    With "", it runs until it is stopped, which only systemd starts.

    ``at``: hour and minute of a daily task, in the machine's time. ``writable``: where it writes beside the
    outbox.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    outbox: str
    every: str
    user: str
    at: tuple[int, int] | None = None
    writable: tuple[str, ...] = ()

    @property
    def start(self) -> tuple[int, int]:
        """The hour and minute of a day at which the task starts."""
        return self.at or (7, self.minute)

    @property
    def minute(self) -> int:
        """The minute at which the task starts, chosen by its name so that tasks do not all start at once."""
        return hashlib.sha256(f"{self.name} {self.outbox}".encode()).digest()[0] % 60


#: Interval → cron's five fields, systemd's OnCalendar=, Windows' interval.
EVERY = {
    "15m": ("{quarter}-59/15 * * * *", "*-*-* *:{quarter:02}/15:00", "PT15M"),
    "1h": ("{minute} * * * *", "*-*-* *:{minute:02}:00", "PT1H"),
    "6h": ("{minute} */6 * * *", "*-*-* 00/6:{minute:02}:00", "PT6H"),
    "1d": ("{start[1]} {start[0]} * * *", "*-*-* {start[0]:02}:{start[1]:02}:00", "P1D"),
}


def _when(task: Task, target: int) -> str:
    return EVERY[task.every][target].format(minute=task.minute, quarter=task.minute % 15, start=task.start)


def cron(task: Task) -> dict[str, str]:
    """A line for `crontab -e`."""
    # In a crontab % ends the command, even inside quotes.
    words = shlex.join((task.program, *task.arguments)).replace("%", r"\%")
    return {f"{task.name}.cron": f"{_when(task, 0)} {words}\n"}


_UNTIL_STOPPED = (
    "# Lets a running upload finish: its deadline is 400 s.",
    "TimeoutStopSec=450",
    "Restart=on-failure",
    "RestartSec=30",
    "# Restarting does not fix a configuration error.",
    "RestartPreventExitStatus=2",
)


def units(task: Task) -> dict[str, str]:
    """A service and its timer; for what runs until it is stopped, a service that is restarted if it fails."""
    settings = ("Type=oneshot",) if task.every else _UNTIL_STOPPED
    service = systemd.service(
        task.name,
        (task.program, *task.arguments),
        (f"User={task.user}", *settings),
        (task.outbox, *task.writable),
    )
    if not task.every:
        return {f"{task.name}.service": f"{service}\n[Install]\nWantedBy=multi-user.target\n"}
    timer = f"""[Unit]
Description=irmexport: timer of {task.name}

[Timer]
OnCalendar={_when(task, 1)}
Persistent=true
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
"""
    return {f"{task.name}.service": service, f"{task.name}.timer": timer}


def windows_task(task: Task) -> dict[str, str]:
    """A task for `schtasks /create /xml`. Written from the documentation; never run on Windows.

    learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema
    """
    arguments = subprocess.list2cmdline(task.arguments)
    text = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>irmexport: {escape(task.name)}</Description>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Repetition>
        <Interval>{_when(task, 2)}</Interval>
      </Repetition>
      <StartBoundary>2026-01-01T{task.start[0]:02}:{task.start[1]:02}:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <ExecutionTimeLimit>PT6H</ExecutionTimeLimit>
  </Settings>
  <Actions>
    <Exec>
      <Command>{escape(task.program)}</Command>
      <Arguments>{escape(arguments)}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
    return {f"{task.name}.xml": text}


FORMS: Mapping[str, Callable[[Task], dict[str, str]]] = {
    "cron": cron,
    "systemd": units,
    "windows-task": windows_task,
}
ENCODINGS = {"cron": "utf-8", "systemd": "utf-8", "windows-task": "utf-16"}


def next_step(form: str, task: Task, folder: str) -> str:
    """What to do with the files of ``task`` in ``folder`` next."""
    if form == "cron":
        return "Add the line with `crontab -e`, as the user who owns the outbox."
    if form == "systemd":
        files, unit = ("both files", "timer") if task.every else ("the file", "service")
        return f"Copy {files} to /etc/systemd/system, then run: systemctl enable --now {task.name}.{unit}"
    file = f"{folder}\\{task.name}.xml"
    # /rp *: schtasks asks for the password. Without one, the task runs only while the user is signed in.
    words = ("/create", "/tn", task.name, "/xml", file, "/ru", task.user, "/rp", "*")
    return subprocess.list2cmdline(("schtasks", *words))
