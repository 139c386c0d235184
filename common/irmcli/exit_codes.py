"""The exit codes of `irmexport`, as its help documents them."""

import traceback
from collections.abc import Iterable
from pathlib import Path

from irmcore.delivery.report import Report
from irmcore.errors import (
    ConfigurationError,
    IrmError,
    OperatorError,
    OutboxFull,
    TooManyRefused,
)

DONE = 0
FAILED = 1
CONFIGURATION = 2
ROWS_REFUSED = 3
NEEDS_PERSON = 4


def code_of(error: IrmError) -> int:
    """The exit code of an error."""
    if isinstance(error, (ConfigurationError, OperatorError)):
        return CONFIGURATION
    return ROWS_REFUSED if isinstance(error, TooManyRefused) else FAILED


def code_of_rows(refused: int) -> int:
    """The exit code of an accepted input in which ``refused`` rows were refused."""
    return ROWS_REFUSED if refused else DONE


def code_of_drain(report: Report, *, paused: bool) -> int:
    """The exit code of a delivery: 4 if something needs attention, 1 if something is queued for a retry.

    A credential that cannot be read is a configuration error: 2.
    """
    if report.trouble == "credential":
        return CONFIGURATION
    if paused or report.held or report.dead or report.quarantined:
        return NEEDS_PERSON
    return FAILED if report.queued else DONE


def worst(codes: Iterable[int]) -> int:
    """The exit code of several results: "needs attention" takes precedence over every other."""
    order = (DONE, ROWS_REFUSED, FAILED, CONFIGURATION, NEEDS_PERSON)
    return max(codes, key=order.index, default=DONE)


def file_system_error(error: OSError) -> IrmError:
    """The IrmError of a file system error that no other rule handles."""
    return OutboxFull(
        f"the file system reported an error ({error.strerror or type(error).__name__})",
        where=str(error.filename) if error.filename else None,
        next_step="Check the disk (space, permissions, health), then try again. Accepted rows are kept.",
    )


def known_error(error: IrmError | OSError) -> IrmError:
    """``error`` as an IrmError."""
    return error if isinstance(error, IrmError) else file_system_error(error)


def internal_error(error: Exception) -> IrmError:
    """The IrmError of a bug: its type and where it was raised, without its text."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    trace = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return IrmError(
        f"this is a bug in irmexport ({type(error).__name__} at {trace})",
        next_step="Accepted rows are kept. Please report this line and the output of `irmexport --version`.",
    )
