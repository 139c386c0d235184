"""An outbox on a store that many machines share: acceptance, the index of rows, and attempts.

``docs/decisions/0008-an-outbox-on-a-store.md`` has the records and why they suffice. No command uses it yet.
"""
