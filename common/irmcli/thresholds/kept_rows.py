"""The rows of a connector that its outbox still has: sent ones for `sent_days`, the others until they end."""

import csv
import io
from contextlib import suppress

from irmcore.delivery.connection import Connection, outbox_name
from irmcore.errors import BatchDamaged
from irmcore.outbox import states
from irmcore.outbox.batch_files import read_manifest, read_payload
from irmcore.profile import Profile
from irmcore.shaping.csv_cells import allow_long_fields

from irmcli.session.connectors import connectors_of
from irmcli.settings import Settings
from irmcli.thresholds.history import History

#: Batches whose rows are in other batches, may come again, or are gone.
_WITHOUT = (states.SPLIT, states.ERASED, *states.GIVEN_UP)


def add_kept_rows(settings: Settings, profile: Profile, history: History) -> int:
    """Count the rows that the outbox directory still has, each once. Returns how many there are.

    Batches of other columns, from before a change of the profile, are left out. Raises ConfigurationError
    and what reading a batch raises.
    """
    allow_long_fields()
    name, rows = outbox_name(Connection(profile.name, profile.connector)), 0
    header = [column.header for column in profile.columns]
    batches = (
        (outbox, batch)
        for outbox in connectors_of(settings).outboxes()
        if outbox.name == name
        for batch in outbox.all_batches()
        if batch.state is not None and batch.state.name not in _WITHOUT
    )
    for outbox, batch in batches:
        with suppress(BatchDamaged):  # its rows were deleted, or `status` reports it
            data = read_payload(outbox, batch, read_manifest(outbox, batch))
            lines = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
            if next(lines, None) == header:
                for fields in lines:
                    history.add(fields)
                    rows += 1
    return rows
