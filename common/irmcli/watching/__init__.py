"""Send files that appear in a directory, each content once, whatever interrupts the process.

A file is taken when it is complete: unchanged for the settle time and, on Linux, not open for writing. Its
rows are in the outbox before it is recorded as processed, and it is recorded before it is moved away. A crash
repeats a step but no row, because the row ledger skips accepted rows.
Not promised: to detect a writer on a network share that pauses for longer than the settle time.
"""
