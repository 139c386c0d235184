"""A local stand-in of the Microsoft Purview connector "Insider Risk Indicators".

Real HTTPS with a throw-away CA, on loopback: for the demo, the tests and an administrator's
rehearsal. The rules are those of Microsoft's page "Set up a connector to import insider risk
indicators"; what no document says is a labelled option (`Options`). It shares no code with what it
tests. Not promised: that the real service agrees in anything that is undocumented.
"""

from irmemulator.emulator import Emulator
from irmemulator.faults import Fault, Faults, Pending
from irmemulator.rules import Record
from irmemulator.settings import DEFAULT_RESOURCE, App, Job, Options
from irmemulator.store import Upload

__all__ = [
    "DEFAULT_RESOURCE",
    "App",
    "Emulator",
    "Fault",
    "Faults",
    "Job",
    "Options",
    "Pending",
    "Record",
    "Upload",
]
