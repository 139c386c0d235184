"""All errors of irmexport, grouped by what the user does next.

::

    IrmError
    ├── ConfigurationError      fix the configuration
    │   ├── ProfileError            a profile is not valid; names file:line and the nearest key
    │   ├── CredentialError         the secret is not where the configuration says
    │   ├── AddressRefused          a host outside the cloud table
    │   ├── PeopleError             the directory of people is missing or too old; no row was taken
    │   ├── PlaceRefused            an outbox must not be here: network file system, or a copy
    │   └── StoreRefused            a store refuses: role, container, policy, address; nothing was changed
    ├── DataError               fix the data
    │   ├── InputError              the whole input cannot be read; nothing was accepted
    │   └── TooManyRefused          more refused rows than the caller allows; nothing was accepted
    ├── WaitError               wait, then run the same command again
    │   ├── OutboxBusy              another process holds the lock
    │   │   └── AnotherSender           a sender, which sends what is queued now too
    │   ├── Overtaken               another process changed it first; nothing was changed here
    │   ├── OutboxFull              the outbox refuses new work; nothing old was dropped
    │   └── StoreAway               a store gave no usable answer; a change may have happened, or not
    ├── OperatorError           the request does not fit the state of the outbox
    └── DamageError             something on disk is not what irmexport wrote
        ├── UnknownFormat           written by another version; left untouched
        ├── KeyMissing              without the outbox's key nothing is accepted or sent
        ├── BatchDamaged            one batch; it is quarantined, the others go on
        └── BatchDenied             one batch that this user may not read; the others go on

    BatchUnwritable (OSError)   the disk failed to write one batch's state; the others go on

A refused row is an :class:`irmcore.reasons.Refused`, and a reply of the network is a value
(:mod:`irmcore.delivery.replies`). No message contains a secret, a token or a value of a row.
"""

from __future__ import annotations


class IrmError(Exception):
    """The base of all: ``what`` happened, ``where`` (file:line, path or host), and the ``next_step``."""

    def __init__(self, what: str, *, where: str | None = None, next_step: str) -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        place = f"{where}: " if where else ""
        super().__init__(f"{place}{what}. {next_step}")


class ConfigurationError(IrmError):
    """A setting is missing or wrong. Correct it and run the same command again."""


class ProfileError(ConfigurationError):
    """A profile is not valid; ``where`` is ``file:line``."""


class CredentialError(ConfigurationError):
    """The secret is not where the profile says, or other users can read it."""


class AddressRefused(ConfigurationError):
    """An address is neither in the cloud table nor that of a loopback emulator."""


class PeopleError(ConfigurationError):
    """The directory of people, a map or a list that a profile names cannot be used; no row was taken."""


class PlaceRefused(ConfigurationError):
    """An outbox is on a file system or a machine where it must not be used; nothing was changed."""


class StoreRefused(ConfigurationError):
    """A store refused a request, which changed nothing: its settings, or those of irmexport, do not fit."""


class DataError(IrmError):
    """The input has to be changed; nothing of it was accepted."""


class InputError(DataError):
    """The input cannot be divided into rows (encoding, header, quoting)."""


class TooManyRefused(DataError):
    """More rows were refused than the caller allows."""


class WaitError(IrmError):
    """Nothing is wrong with the request; repeat it later."""


class OutboxBusy(WaitError):
    """Another process holds this connector's lock."""


class AnotherSender(OutboxBusy):
    """Another process sends what is queued, also what was accepted before this was raised."""


class Overtaken(WaitError):
    """Another process has changed the same thing first; nothing was changed by this one."""


class OutboxFull(WaitError):
    """The outbox or the disk is at its limit. Nothing that is queued was dropped."""


class StoreAway(WaitError):
    """A store is away, slow or busy. Whether the change that was asked for happened is unknown."""


class OperatorError(IrmError):
    """A batch or connector does not exist, or is in a state that the command does not apply to."""


class DamageError(IrmError):
    """A file of the outbox is not what irmexport wrote."""


class UnknownFormat(DamageError):
    """The directory has a format that this version does not know; it was not changed."""


class KeyMissing(DamageError):
    """The key of an outbox is missing or damaged; nothing was accepted or sent."""


class BatchDamaged(DamageError):
    """A batch failed its checks and must not be sent."""


class BatchDenied(DamageError):
    """This user may not read a file of a batch; the batch is left unchanged."""


class BatchUnwritable(OSError):
    """The disk failed to write the state of the batch with the id ``batch``, which is unchanged."""

    def __init__(self, error: OSError, batch: str) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.batch = batch
