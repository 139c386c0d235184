"""The address in the settings, and this machine's directory beside it.

Where the host keeps no directory (a Function app), what was not promoted is lost, so a run is accepted only
once it was.
"""

from irmcore.clock import SystemClock
from irmcore.errors import IrmError
from irmcore.intake.accepted_there import AcceptedThere
from irmcore.intake.run_result import RunResult
from irmcore.operations.connectors import Connectors
from irmcore.operations.shared import Address, Promotion
from irmcore.outbox import Outbox

from irmcli.exit_codes import known_error
from irmcli.extras import cloud_extra
from irmcli.settings import Settings


def address_of(settings: Settings) -> Address:
    """The address in the settings; nothing is sent yet. Raises ConfigurationError."""
    with cloud_extra():
        from irmcli.object_store import address, object_store

        parsed = address.parse(settings.address)
        store = object_store.ObjectStore(parsed, settings.environment)
        seen = (settings.disk, f"{settings.outbox.absolute()}/seen") if settings.keeps_directory else None
        return Address(store, str(parsed), SystemClock(), seen=seen)


def promote_run(settings: Settings, promotion: Promotion, done: RunResult, there: AcceptedThere) -> RunResult:
    """Promote the run ``done``, and those before it.

    Raises IrmError: then the message says whether the rows are kept here.
    """
    try:
        return promotion.run(done, there)
    except (IrmError, OSError) as error:
        raise _not_promoted(settings, known_error(error)) from None


def _not_promoted(settings: Settings, error: IrmError) -> IrmError:
    if settings.keeps_directory:
        what = "the rows are kept on this machine, but not accepted into the outbox on the store yet"
        step = f"{error.next_step} Then `irmexport drain` moves them there; nothing is lost."
    else:
        what, step = "the rows were not accepted", f"{error.next_step} Then run the same command again."
    return type(error)(f"{what}: {error.what}", where=error.where, next_step=step)


def own_connectors(settings: Settings) -> list[Outbox]:
    """The outboxes that this machine has beside an address."""
    return Connectors(settings.disk, SystemClock(), settings.outbox_checked()).outboxes()
