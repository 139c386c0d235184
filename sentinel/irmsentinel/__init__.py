"""The Sentinel side: KQL content, its checker, a local engine to run it on, and Log Analytics.

It uses irmcore's values and errors. Only ``irmsentinel.cli`` imports the command line.
"""
