"""A small profile that the core's tests share, and others made of it."""

from __future__ import annotations

from irmcore.profile import Profile, parse

#: Four columns: a user, a time, a threshold and a free text.
TEXT = """\
schema: 1
name: demo
description: What the tests send.
connector:
  job_id: 11111111-1111-1111-1111-111111111111
  tenant_id: 22222222-2222-2222-2222-222222222222
  app_id: 33333333-3333-3333-3333-333333333333
  credential: {env: IRMEXPORT_SECRET}
columns:
  - {header: user, type: user}
  - {header: time, type: datetime}
  - {header: score, type: number, role: threshold}
  - {header: note, type: string}
"""


def profile(more: str = "", *, job: str = "11111111-1111-1111-1111-111111111111", schema: int = 1) -> Profile:
    """The profile of TEXT with ``more`` keys behind it, for the connector of ``job``."""
    text = TEXT.replace("11111111-1111-1111-1111-111111111111", job).replace("schema: 1", f"schema: {schema}")
    return parse(text + more, "demo.yaml")
