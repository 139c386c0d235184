"""A local emulator of the Microsoft Purview connector "Insider Risk Indicators", over real HTTPS.

The demo, the tests, and administrators who try out their set-up use the same one. Its rules are those of
Microsoft's page "Set up a connector to import insider risk indicators"; what no document says is a labelled
option (`settings.Options`). It imports nothing of irmexport, so that it cannot share a mistake with what it
tests. Not promised: that the real service behaves the same where nothing is documented.
"""
