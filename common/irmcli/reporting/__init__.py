"""An HTML report by connector and day: rows delivered and refused, batches held, and time to receipt.

It contains counts, times, reason codes, batch ids and the names of profiles and columns. It contains no user,
row value, file name or host, loads no resource and runs no script.
"""
