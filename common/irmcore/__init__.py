"""irmcore: shapes rows by a connector's profile, keeps them in a durable outbox and delivers them.

The core knows no host: it never prints, never reads the environment, and imports neither
Splunk nor Azure. It runs on Python 3.9 to 3.13.
"""

from __future__ import annotations

__version__ = "0.1.0"
