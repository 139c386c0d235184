"""People who have left are forgotten after 400 days, and never on the word of a clock that jumped."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from irmcli.identities.former import forget_former
from irmcore.identity.directory import Directory

from tests.common.irmcore.identity.people import person, write

DAY = 86_400.0
GONE, GONE_LATER, LEO = (
    person(1, "gone@contoso.com"),
    person(2, "later@contoso.com"),
    person(3, "leo@contoso.com"),
)


def known(path: Path, *steps: float) -> list[str]:
    """Who is known after a clean-up; the directory has a change at each of these days before today."""
    now = time.time()
    people = {now - 460 * DAY: [GONE, GONE_LATER, LEO]}
    for number, days in enumerate(steps):
        renamed = replace(LEO, upn=f"leo{number}@contoso.com")
        people[now - days * DAY] = [renamed] if days < 399 else [GONE_LATER, renamed]
    write(path, people)
    forget_former(path)
    with Directory(path) as directory:
        return [one.object_id for one in directory.people()]


def test_who_left_long_ago_is_forgotten(tmp_path: Path) -> None:
    """After 400 days, not before."""
    path = tmp_path / "identities.sqlite"
    assert known(path, 410, 330, 250, 170, 90, 10) == [GONE_LATER.object_id, LEO.object_id]


def test_a_clock_that_jumped_forgets_nobody(tmp_path: Path) -> None:
    """Without a record of some time between, it is unknown whether that time has passed."""
    path = tmp_path / "identities.sqlite"
    assert len(known(path, 410, 10)) == 3


def test_without_a_directory_there_is_nobody(tmp_path: Path) -> None:
    """Nothing is created."""
    assert forget_former(tmp_path / "identities.sqlite") == 0
    assert list(tmp_path.iterdir()) == []
