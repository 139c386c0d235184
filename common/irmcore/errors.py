"""All errors of irmexport, grouped by what the person who meets one does next.

::

    IrmError
    ├── ConfigurationError      fix the configuration
    │   ├── ProfileError            a profile: file:line, what, the nearest right key
    │   ├── CredentialError         where the secret should be, and is not
    │   └── AddressRefused          a host outside the cloud table
    ├── DataError               fix the data
    │   ├── InputError              the whole input cannot be read; nothing was accepted
    │   └── TooManyRefused          more refused rows than the caller allows; nothing was accepted
    ├── WaitError               wait, then do the same again
    │   ├── OutboxBusy              another process holds the lock
    │   └── OutboxFull              the outbox refuses new work; nothing old was dropped
    ├── OperatorError           what was asked of the outbox does not fit its state
    └── DamageError             something on disk is not what irmexport wrote
        ├── UnknownFormat           written by a newer version; left untouched
        ├── BatchDamaged            one batch; it is quarantined, the others go on
        └── BatchDenied             one batch that this user may not read; it stays, the others go on

    BatchUnwritable (OSError)   the disk failed one batch's state; it stays, the others go on

A refused row is not an error but a :class:`irmcore.reasons.Refused`; what the network answers is a
value (:mod:`irmcore.delivery.replies`). No message holds a secret, a token or a value of a row.
"""

from __future__ import annotations


class IrmError(Exception):
    """Base of all: ``what`` happened, ``where`` (file:line, path, host) and the ``next_step``."""

    def __init__(self, what: str, *, where: str | None = None, next_step: str) -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        place = f"{where}: " if where else ""
        super().__init__(f"{place}{what}. {next_step}")


class ConfigurationError(IrmError):
    """A setting is missing or wrong: fix it and run the same command again."""


class ProfileError(ConfigurationError):
    """A profile is not valid; ``where`` is ``file:line``."""


class CredentialError(ConfigurationError):
    """The secret is not where the profile says, or may be read by others."""


class AddressRefused(ConfigurationError):
    """An address that is neither in the cloud table nor a loopback emulator."""


class DataError(IrmError):
    """The input must be changed; nothing of it was accepted."""


class InputError(DataError):
    """The input cannot be split into rows (encoding, header, quoting)."""


class TooManyRefused(DataError):
    """More rows were refused than the caller allows."""


class WaitError(IrmError):
    """Nothing is wrong with the request: it can be made again later."""


class OutboxBusy(WaitError):
    """Another live process holds this connector's lock."""


class OutboxFull(WaitError):
    """The outbox is at its limit, or the disk is; nothing queued was dropped for new work."""


class OperatorError(IrmError):
    """A batch or connector is unknown, or not in the state that the command is for."""


class DamageError(IrmError):
    """A file of the outbox is not what irmexport wrote."""


class UnknownFormat(DamageError):
    """The directory was written in a format that this version does not know; it was not touched."""


class BatchDamaged(DamageError):
    """A batch failed its checks: it must not be sent as it is."""


class BatchDenied(DamageError):
    """A file of a batch may not be read by this user; the batch is left as it is."""


class BatchUnwritable(OSError):
    """The disk failed to write the state of the batch with the id ``batch``, which is left as it is."""

    def __init__(self, error: OSError, batch: str) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.batch = batch
