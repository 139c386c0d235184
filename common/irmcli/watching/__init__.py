"""Files that appear in a folder → the outbox, each content once, whatever ends the process in between.

Promised: a file is taken when it is whole (unchanged for a while, and on Linux open for writing by nobody);
its rows are in the outbox before it is marked as taken; it is marked before it is moved away. So a crash at
any point repeats a step and no row: rows that were accepted are skipped by the row ledger.
Not promised: that a writer on a network share, whom no kernel here sees, pauses for less than that while.
"""
