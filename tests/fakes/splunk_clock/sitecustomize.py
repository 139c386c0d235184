"""Sets the clock of each Python process that starts here ahead by the seconds in the file beside it."""

import time
from pathlib import Path

_now, _ahead = time.time, float((Path(__file__).parent / "ahead").read_text())
time.time = lambda: _now() + _ahead
