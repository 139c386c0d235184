"""Shape input rows by a profile, a block at a time, without side effects.

``readers`` → ``columns`` and ``rows`` → ``spreading`` or ``collisions`` → ``batches`` and ``reject_file``.
"""
