"""The Sentinel side: KQL content, its checker, a local engine to run it on, and Log Analytics.

Stands on irmcore's values and errors; the command line reaches it through entry points, it never
imports the command line.
"""
