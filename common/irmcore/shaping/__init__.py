"""Input rows → canonical CSV batches and a reject file, by a profile. Pure and streaming.

``readers`` → ``columns`` and ``rows`` → ``spreading`` or ``collisions`` → ``batches``, ``rejects``.
"""
