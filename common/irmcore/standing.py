"""A connector's gate on disk: whether it may send, kept beside its batches.

Apart from ``delivery``, so that who only asks (Splunk's search command) loads no network library.
"""

from __future__ import annotations

from irmcore.gate import Gate
from irmcore.outbox import Box, slots


def load_gate(box: Box) -> tuple[Gate, int]:
    """The connector's gate and its slot number; an open one if none was stored or it cannot be read."""
    data = box.read_file("gate")
    if data is None:
        return Gate(), -1
    found = slots.decode(data, f"{box.path}/gate")
    try:
        return (Gate.of(found.record) if found.record is not None else Gate()), found.number
    except (KeyError, TypeError):
        return Gate(), found.number


def store_gate(box: Box, gate: Gate, number: int) -> int:
    """Write the gate after slot ``number``, durably; gives the new number. The file is reserved once."""
    if box.read_file("gate") is None:
        box.replace_file("gate", slots.blank_file(Gate().as_record()))
        number = 0
    slots.write(box.disk, f"{box.path}/gate", gate.as_record(), number + 1)
    return number + 1
