"""What the timers do. The last line that each logs says how it ended; the alerts of the template read it."""

from __future__ import annotations

import os
import time

from irmcli.exit_codes import DONE, FAILED, ROWS_REFUSED
from irmcore.errors import ConfigurationError, WaitError

from irmsentinel.functions import app_settings, command
from irmsentinel.functions.app_settings import AppSettings
from irmsentinel.functions.command import BUDGET, LOG

#: What a timer logs at the end, with its name and its seconds. An alert of azuredeploy.json looks for it.
SUCCEEDED = "irmexport %s: succeeded after %.0f s"
#: Seconds after which `drain` starts no upload, and how long an upload takes at most. `drain` gets less if
#: less is left, so that no upload is broken off, which would leave its batch in doubt.
DRAIN_SECONDS, UPLOAD_SECONDS = 20 * 60, 30 * 60


class FunctionFailed(Exception):
    """The invocation failed. The host counts it, and shows this text."""


def commands(function: str, settings: AppSettings) -> list[list[str]]:
    """The commands of a timer. Raises ConfigurationError if a settings file is missing."""

    def needed(name: str) -> str:
        found = settings.file(name)
        if found is None:
            raise ConfigurationError(
                f"the settings file {name} is missing",
                where=settings.environment[app_settings.SETTINGS],
                next_step=f"Put it there (docs/azure.md), or disable the function: "
                f"AzureWebJobs.{function}.Disabled=true",
            )
        return found

    if function == "export":
        return [["sentinel", "run", "--config", needed(app_settings.EXPORTS), "--queue-only"]]
    if function == "collect":
        return [["sentinel", "collect", "--settings", needed(app_settings.COLLECTOR), "--once"]]
    if function == "drain":
        # Each line of the app setting has a folder and the options of `watch` for it.
        watched = [["watch", "--once", "--queue-only", *words] for words in settings.lines("IRMEXPORT_WATCH")]
        return [*watched, ["drain"]]
    collector = settings.file(app_settings.COLLECTOR)
    heartbeat = [["sentinel", "health", "--settings", collector]] if collector else []
    return [*heartbeat, ["status"]]


def drain_seconds(left: float) -> int:
    """How long `drain` may start uploads, if the invocation has ``left`` seconds. 0: not at all."""
    return max(0, int(min(DRAIN_SECONDS, left - UPLOAD_SECONDS)))


def run(function: str, *, late: bool = False) -> None:
    """Run a timer's commands. Raises FunctionFailed, ConfigurationError.

    A command that will be tried again is a warning: the alert on silence counts from the last success. Only
    what needs a person fails.
    """
    started = time.monotonic()
    if late:
        LOG.warning("irmexport %s: starts late", function)
    try:
        codes = _run(function, started)
    except WaitError as error:
        LOG.warning("irmexport %s: %s", function, error)
        codes = [FAILED]
    if all(code in (DONE, ROWS_REFUSED) for code in codes):
        LOG.info(SUCCEEDED, function, time.monotonic() - started)
    elif None in codes:
        raise FunctionFailed(f"irmexport {function}: stopped because its time was up; the next run continues")
    elif all(code in (DONE, ROWS_REFUSED, FAILED) for code in codes):
        LOG.warning("irmexport %s: not finished; the next run tries again", function)
    elif min(code for code in codes if code is not None) < 0:
        raise FunctionFailed(
            f"irmexport {function}: a command was killed, perhaps for lack of memory; the next run continues"
        )
    else:
        raise FunctionFailed(f"irmexport {function}: needs attention; the lines before say what to do")


def _run(function: str, started: float) -> list[int | None]:
    """The exit codes of a timer's commands; None of one that was stopped."""
    codes: list[int | None] = []
    with app_settings.read(os.environ) as settings:
        options = settings.words(f"IRMEXPORT_{function.upper()}_OPTIONS")
        for arguments in commands(function, settings):
            left = BUDGET - (time.monotonic() - started)
            words = arguments if arguments[0] in ("watch", "status") else [*arguments, *options]
            if arguments == ["drain"]:
                seconds = drain_seconds(left)
                if not seconds:
                    LOG.warning("irmexport drain: no time is left after the folders; the next run sends")
                    return [*codes, FAILED]
                words = ["drain", "--seconds", str(seconds), *options]
            codes.append(command.run(settings, words, budget=left).code)
    return codes
