"""What an outbox on a store keeps of the days on which it was used."""

from __future__ import annotations

from irmcore.outbox import audit_chain
from irmcore.outbox.keyring import Keyring
from irmcore.outbox.on_store import layout, records
from irmcore.outbox.on_store.commit_log import COMMIT, CommitLog, log_key
from irmcore.outbox.on_store.row_index import Span
from irmcore.store import Store, numbered

#: Days after which the rows of a batch are deleted.
_ROWS_DAYS = 7


def kept_days(store: Store, log: CommitLog, ring: Keyring, days: int) -> dict[str, bytes]:
    """The records of two batches sent on each of so many days: copies of the one that the outbox has sent.

    All that grows with the days: batches with their states, the log, the index of rows and the audit log. The
    lease is returned as the last sender did it.
    """
    (entry,) = log.entries()
    (sent,), (date,) = entry.batches, entry.dates
    parts = {key: store.get(key) or b"" for key in store.keys("") if sent in key}
    rowkeys = parts[layout.part_key(sent, f"rowkeys/{date}")]
    values = {Span((0, 0), (0, 0)).key(date): rowkeys}
    line = next(store.get(key) or b"" for key in store.keys("audit/"))
    for day in range(1, days + 1):
        names = [f"{number:014x}{sent[14:]}" for number in (2 * day, 2 * day + 1)]
        for name in names:
            for key, value in parts.items():
                if day > days - _ROWS_DAYS or "/payload" not in key:
                    values[key.replace(sent, name)] = value
            last = audit_chain.decode(line)
            assert last is not None
            line = audit_chain.encode(ring, last.head, {"at": last.event["at"], "event": "sent"})
            values[layout.event_key(last.head.number + 1)] = line
        when = layout.date_text(day)
        values[log_key(day)] = records.encode(kind=COMMIT, run="r", batches=names, dates={when: names})
        values[Span((day, 0), (day, 0)).key(when)] = 2 * rowkeys
    last = audit_chain.decode(line)
    assert last is not None
    leases = len(list(store.keys("lease/sender/")))
    returned = {"until": 0.0, "taking_in": False, "event": last.head.number}
    values[f"lease/sender/{leases:0{numbered.DIGITS}}"] = records.encode(**returned)
    values[f"indexed/{days:0{numbered.DIGITS}}"] = records.encode()
    return values
