"""The fake clock: it moves when it is told to, or slept on, and is a Clock as the real one is."""

from __future__ import annotations

import pytest
from irmcore.clock import Clock, SystemClock

from tests.fakes.clock import FakeClock


@pytest.mark.parametrize("clock", [FakeClock(), SystemClock()])
def test_sleeping_lets_time_pass(clock: Clock) -> None:
    """Both clocks give UTC seconds, and are later by what was slept at least; monotonic never goes back."""
    now, monotonic = clock.now(), clock.monotonic()
    assert now > 1_700_000_000
    clock.sleep(0.002)
    assert clock.now() - now >= 0.001
    assert clock.monotonic() - monotonic >= 0.001


def test_a_fake_clock_stands_still() -> None:
    """Nothing but ``advance``, ``sleep`` and ``set_back`` moves a fake clock."""
    clock = FakeClock(1000.0)
    assert [clock.now(), clock.now(), clock.monotonic(), clock.monotonic()] == [1000.0, 1000.0, 0.0, 0.0]
    clock.advance(60)
    assert (clock.now(), clock.monotonic()) == (1060.0, 60.0)
    clock.sleep(0.5)
    assert (clock.now(), clock.monotonic()) == (1060.5, 60.5)


def test_setting_a_clock_back_leaves_the_monotonic_one() -> None:
    """The wall clock alone is set back."""
    clock = FakeClock(1000.0)
    clock.advance(10)
    clock.set_back(365 * 86_400)
    assert (clock.now(), clock.monotonic()) == (1010.0 - 365 * 86_400, 10.0)
