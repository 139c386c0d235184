"""A page of figures: what was delivered, refused and held, how long it took, by connector and day.

Promised: counts, times, reason codes, batch ids and the names of profiles and columns; no user, no value of a
row, no file name, no host. One file that loads nothing and runs nothing.
"""
