"""Whose row is it? The directory of people, dated, and the rule that resolves a source's name to one of them.

``docs/identity.md`` states the rule. Code that reads the people from Entra writes them with
``Directory``; code that shapes rows reads them with ``Resolver``.
"""

#: How to get a directory, for messages.
SYNC = "Run: irmexport identities sync"
