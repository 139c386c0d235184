"""The row ledger: an index, by event date, of the rows that were accepted."""
