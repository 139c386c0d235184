"""Times: each form and its canonical text, or the reason for a refusal."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from irmcore.reasons import REASONS, Refused
from irmcore.shaping import times
from irmcore.shaping.times import (
    FORMS,
    MICROSECONDS,
    MILLISECONDS,
    SECONDS,
    canonical,
    parse,
    parse_all,
    whole,
    zone_named,
)

END = 253_402_214_400_000_000  # 9999-12-31T00:00:00Z
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BERLIN = zone_named("Europe/Berlin")
NEW_YORK = zone_named("America/New_York")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Microsoft's examples and what Sentinel and Splunk write
        ("2023-04-24T05:52:56.962686Z", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24T05:52:56.9626869Z", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24T05:52:56.962686999999999Z", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24T05:52:59.9999999Z", "2023-04-24T05:52:59.999999+00:00"),
        ("2023-04-24T05:52:56.962+00:00", "2023-04-24T05:52:56.962000+00:00"),
        ("2023-04-24T07:52:56.962686+02:00", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24T05:52:56.962686+0000", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24 05:52:56.962686Z", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24 05:52:56Z", "2023-04-24T05:52:56.000000+00:00"),
        ("2023-04-24t05:52:56z", "2023-04-24T05:52:56.000000+00:00"),
        ("  2023-04-24T05:52:56Z ", "2023-04-24T05:52:56.000000+00:00"),
        # precision: the fraction belongs to the last component
        ("2023-04-24T05:52:56,5Z", "2023-04-24T05:52:56.500000+00:00"),
        ("2023-04-24T05:52Z", "2023-04-24T05:52:00.000000+00:00"),
        ("2023-04-24T05:52.5Z", "2023-04-24T05:52:30.000000+00:00"),
        ("2023-04-24T05:52,25Z", "2023-04-24T05:52:15.000000+00:00"),
        ("2023-04-24T05:00.0000000001Z", "2023-04-24T05:00:00.000000+00:00"),
        ("2023-04-24T05Z", "2023-04-24T05:00:00.000000+00:00"),
        ("2023-04-24T05.5Z", "2023-04-24T05:30:00.000000+00:00"),
        ("2023-04-24T05,0001Z", "2023-04-24T05:00:00.360000+00:00"),
        ("2023-04-24T05.9999999999999999Z", "2023-04-24T05:59:59.999999+00:00"),
        # the basic form
        ("20230424T055256.962686Z", "2023-04-24T05:52:56.962686+00:00"),
        ("20230424T055256Z", "2023-04-24T05:52:56.000000+00:00"),
        ("20230424 055256Z", "2023-04-24T05:52:56.000000+00:00"),
        ("20230424T0552Z", "2023-04-24T05:52:00.000000+00:00"),
        ("20230424T0552,5Z", "2023-04-24T05:52:30.000000+00:00"),
        ("20230424T05Z", "2023-04-24T05:00:00.000000+00:00"),
        ("20230424T075256+0200", "2023-04-24T05:52:56.000000+00:00"),
        # week and ordinal dates
        ("2023-W17-1T05:52:56Z", "2023-04-24T05:52:56.000000+00:00"),
        ("2023W171T055256Z", "2023-04-24T05:52:56.000000+00:00"),
        ("2023-114T05:52:56Z", "2023-04-24T05:52:56.000000+00:00"),
        ("2023114T055256Z", "2023-04-24T05:52:56.000000+00:00"),
        ("2020-W53-5T00:00:00Z", "2021-01-01T00:00:00.000000+00:00"),
        ("2020-W01-1T00:00:00Z", "2019-12-30T00:00:00.000000+00:00"),
        ("1970-W01-4T00:00:00Z", "1970-01-01T00:00:00.000000+00:00"),
        ("2024-366T00:00:00Z", "2024-12-31T00:00:00.000000+00:00"),
        # the end of a day
        ("2023-04-24T24:00:00Z", "2023-04-25T00:00:00.000000+00:00"),
        ("2023-12-31T24:00Z", "2024-01-01T00:00:00.000000+00:00"),
        ("20230424T24Z", "2023-04-25T00:00:00.000000+00:00"),
        ("2023-04-24T24:00:00.000Z", "2023-04-25T00:00:00.000000+00:00"),
        # offsets
        ("2023-04-24T05:52:56-05:30", "2023-04-24T11:22:56.000000+00:00"),
        ("2023-04-24T05:52:56\u221205:30", "2023-04-24T11:22:56.000000+00:00"),
        ("2023-04-24T05:52:56+02", "2023-04-24T03:52:56.000000+00:00"),
        ("2023-04-24T05:52:56-00:00", "2023-04-24T05:52:56.000000+00:00"),
        ("2023-04-24T05:52:56+23:59", "2023-04-23T05:53:56.000000+00:00"),
        ("2023-04-24T05:52:56-23:59", "2023-04-25T05:51:56.000000+00:00"),
        ("2024-02-29T12:00:00+14:00", "2024-02-28T22:00:00.000000+00:00"),
        # the ends of the range, after conversion
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000+00:00"),
        ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000000+00:00"),
        ("9999-12-30T23:59:59.9999999Z", "9999-12-30T23:59:59.999999+00:00"),
        ("9999-12-31T00:30:00+01:00", "9999-12-30T23:30:00.000000+00:00"),
        # epoch seconds, told by 9 to 11 digits
        ("1682315576", "2023-04-24T05:52:56.000000+00:00"),
        ("1682315576.962686", "2023-04-24T05:52:56.962686+00:00"),
        ("1682315576.9626869", "2023-04-24T05:52:56.962686+00:00"),
        ("1682315576.1", "2023-04-24T05:52:56.100000+00:00"),
        ("100000000", "1973-03-03T09:46:40.000000+00:00"),
        ("99999999999.999999", "5138-11-16T09:46:39.999999+00:00"),
    ],
)
def test_a_time_with_its_offset(text: str, expected: str) -> None:
    """A time with an offset needs no zone, and a zone does not change it."""
    assert canonical(parse(text, zone=None)) == expected
    assert canonical(parse(text, zone=NEW_YORK)) == expected
    # many at once, which takes another path if all have whole seconds in UTC
    for others in ([], ["2023-04-24T05:52:56Z"], ["2023-04-24T05:52:56.5Z"]):
        times, texts, _ = parse_all([text, *others], zone=None)
        assert times == [parse(one, zone=None) for one in (text, *others)]
        assert whole(texts)[0] == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("0", "epoch", "1970-01-01T00:00:00.000000+00:00"),
        ("-0.0", "epoch", "1970-01-01T00:00:00.000000+00:00"),
        ("0.000001", "epoch", "1970-01-01T00:00:00.000001+00:00"),
        ("20230424", "epoch", "1970-08-23T03:33:44.000000+00:00"),
        (" 1682315576.962686 ", "epoch", "2023-04-24T05:52:56.962686+00:00"),
        ("253402214399.9999999", "epoch", "9999-12-30T23:59:59.999999+00:00"),
        ("1682315576962", "epoch_ms", "2023-04-24T05:52:56.962000+00:00"),
        ("1682315576962.6869", "epoch_ms", "2023-04-24T05:52:56.962686+00:00"),
        ("7", "epoch_ms", "1970-01-01T00:00:00.007000+00:00"),
        ("2023-04-24T05:52:56Z", "iso8601", "2023-04-24T05:52:56.000000+00:00"),
        ("2023114T05Z", "iso8601", "2023-04-24T05:00:00.000000+00:00"),
    ],
)
def test_a_form_that_the_profile_names(text: str, form: str, expected: str) -> None:
    """A named form accepts only that form."""
    assert canonical(parse(text, zone=None, form=form)) == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2023-04-24T05:52:56.962686", "UTC", "2023-04-24T05:52:56.962686+00:00"),
        ("2023-04-24T05:52:56", "Europe/Berlin", "2023-04-24T03:52:56.000000+00:00"),
        ("2023-01-24 05:52:56,5", "Europe/Berlin", "2023-01-24T04:52:56.500000+00:00"),
        ("20230424T055256", "America/New_York", "2023-04-24T09:52:56.000000+00:00"),
        ("2023-04-24", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("20230424", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("2023114", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("2023-114", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("2023-W17-1", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("2023W171", "UTC", "2023-04-24T00:00:00.000000+00:00"),
        ("2023-04-24", "America/New_York", "2023-04-24T04:00:00.000000+00:00"),
        ("2023-04-24T24:00", "America/New_York", "2023-04-25T04:00:00.000000+00:00"),
        ("2023-04-24T05:52:56", "Asia/Kathmandu", "2023-04-24T00:07:56.000000+00:00"),
        ("1970-01-01T01:00:00", "Europe/Berlin", "1970-01-01T00:00:00.000000+00:00"),
        # the last and the first moments around a change of the clocks
        ("2023-03-26T01:59:59.999999", "Europe/Berlin", "2023-03-26T00:59:59.999999+00:00"),
        ("2023-03-26T03:00:00", "Europe/Berlin", "2023-03-26T01:00:00.000000+00:00"),
        ("2023-10-29T01:59:59.999999", "Europe/Berlin", "2023-10-28T23:59:59.999999+00:00"),
        ("2023-10-29T03:00:00", "Europe/Berlin", "2023-10-29T02:00:00.000000+00:00"),
        ("2023-03-12T03:00:00", "America/New_York", "2023-03-12T07:00:00.000000+00:00"),
        ("2023-11-05T02:00:00", "America/New_York", "2023-11-05T07:00:00.000000+00:00"),
    ],
)
def test_a_local_time_in_its_zone(text: str, zone: str, expected: str) -> None:
    """A time or date without an offset is read in the zone, and refused without one."""
    assert canonical(parse(text, zone=zone_named(zone))) == expected
    assert refusal(text) == "time-without-zone"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "time-malformed"),
        ("   ", "time-malformed"),
        ("4/24/2023 5:52 AM", "time-malformed"),
        ("24.04.2023 05:52", "time-malformed"),
        ("Apr 24, 2023", "time-malformed"),
        ("Mon, 24 Apr 2023 05:52:56 GMT", "time-malformed"),
        ("2023-4-24T05:52:56Z", "time-malformed"),
        ("2023-04-24T5:52:56Z", "time-malformed"),
        ("23-04-24T05:52:56Z", "time-malformed"),
        ("2023-04T05:52:56Z", "time-malformed"),
        ("2023-04", "time-malformed"),
        ("2023-W17", "time-malformed"),
        ("2023-0424T05:52:56Z", "time-malformed"),
        ("+002023-04-24T05:52:56Z", "time-malformed"),
        ("2023-04-24Z", "time-malformed"),
        ("2023-04-24TZ", "time-malformed"),
        ("2023-04-24T05:52:56.Z", "time-malformed"),
        ("2023-04-24T05:52:56 Z", "time-malformed"),
        ("2023-04-24T05:52:56 +00:00", "time-malformed"),
        ("2023-04-24  05:52:56Z", "time-malformed"),
        ("2023-04-24_05:52:56Z", "time-malformed"),
        ("2023-04-24T05:52:56Z\n", "time-malformed"),
        ("\t2023-04-24T05:52:56Z", "time-malformed"),
        ("\u00a02023-04-24T05:52:56Z", "time-malformed"),
        ("2023-04-24T05.5:52Z", "time-malformed"),
        ("2023-04-24T05:52:56+2", "time-malformed"),
        ("2023-04-24T05:52:56+24:00", "time-malformed"),
        ("2023-04-24T05:52:56+02:60", "time-malformed"),
        ("2023-04-24T05:52:56+02:00:30", "time-malformed"),
        ("2023-04-24T05:52:56 UTC", "time-malformed"),
        ("2023-04-24T05:52:56[Europe/Berlin]", "time-malformed"),
        ("2023-04-24T055256Z", "time-malformed"),
        ("20230424T05:52:56Z", "time-malformed"),
        ("2023-114T055256Z", "time-malformed"),
        ("2023-W171T05:52:56Z", "time-malformed"),
        ("2023-04-24T25:00:00Z", "time-malformed"),
        ("2023-04-24T05:60:00Z", "time-malformed"),
        ("2023-04-24T05:52:61Z", "time-malformed"),
        ("2023-04-24T24:00:01Z", "time-malformed"),
        ("2023-04-24T24:00:60Z", "time-malformed"),
        ("2023-04-24T24:00:00.0000001Z", "time-malformed"),
        ("2023-04-24T24.1Z", "time-malformed"),
        ("2023-04-24T05:52:56." + "0" * 64 + "Z", "time-malformed"),
        ("9" * 5000, "time-malformed"),
        ("1682315576,5", "time-malformed"),
        ("1682315576.", "time-malformed"),
        ("1.682315576E9", "time-malformed"),
        ("+1682315576", "time-malformed"),
        ("-20230424", "time-malformed"),
        ("NaN", "time-malformed"),
        ("\u0662\u0660\u0662\u0663-04-24T05:52:56Z", "time-malformed"),
        ("2023-04-24T05:52:5\u0666Z", "time-malformed"),
        ("\u0661\u0666\u0668\u0662\u0663\u0661\u0665\u0665\u0667\u0666", "time-malformed"),
        ("\uff12\uff10\uff12\uff13-04-24T05:52:56Z", "time-malformed"),
        ("2023-04-31T05:52:56Z", "time-no-such-date"),
        ("2023-02-29T05:52:56Z", "time-no-such-date"),
        ("1900-02-29T05:52:56Z", "time-no-such-date"),
        ("0000-02-30T05:52:56Z", "time-no-such-date"),
        ("2023-00-24T05:52:56Z", "time-no-such-date"),
        ("2023-13-24T05:52:56Z", "time-no-such-date"),
        ("2023-04-00T05:52:56Z", "time-no-such-date"),
        ("20230431", "time-no-such-date"),
        ("2023-366T05:52:56Z", "time-no-such-date"),
        ("2023-000T05:52:56Z", "time-no-such-date"),
        ("2023999", "time-no-such-date"),
        ("2023-W00-1T05:52:56Z", "time-no-such-date"),
        ("2023-W53-1T05:52:56Z", "time-no-such-date"),
        ("2023-W17-0T05:52:56Z", "time-no-such-date"),
        ("2023-W17-8T05:52:56Z", "time-no-such-date"),
        ("1682315576962", "time-epoch-milliseconds"),
        ("1682315576962.5", "time-epoch-milliseconds"),
        ("0", "time-ambiguous-digits"),
        ("2023", "time-ambiguous-digits"),
        ("202304", "time-ambiguous-digits"),
        ("2023114.5", "time-ambiguous-digits"),
        ("20230424.5", "time-ambiguous-digits"),
        ("202304240552", "time-ambiguous-digits"),
        ("20230424055256", "time-ambiguous-digits"),
        ("1682315576962686", "time-ambiguous-digits"),
        ("1682315576962686000", "time-ambiguous-digits"),
        ("2016-12-31T23:59:60Z", "time-leap-second"),
        ("2017-01-01T01:59:60.5+02:00", "time-leap-second"),
        ("20161231T235960Z", "time-leap-second"),
        ("2016-12-31T23:59:60", "time-leap-second"),
        ("1969-12-31T23:59:59.999999Z", "time-out-of-range"),
        ("1970-01-01T00:00:00+00:01", "time-out-of-range"),
        ("1601-01-01T00:00:00Z", "time-out-of-range"),
        ("0001-01-01T00:00:00Z", "time-out-of-range"),
        ("0000-02-29T00:00:00Z", "time-out-of-range"),
        ("0000-366T00:00:00Z", "time-out-of-range"),
        ("9999-12-31T00:00:00Z", "time-out-of-range"),
        ("9999-12-30T24:00:00Z", "time-out-of-range"),
        ("9999-12-30T23:59:59-00:01", "time-out-of-range"),
        ("9999-W52-7T00:00:00Z", "time-out-of-range"),
        ("9999-12-31T23:59:59.9999999Z", "time-out-of-range"),
        ("-1682315576", "time-out-of-range"),
    ],
)
def test_a_time_that_is_refused(text: str, expected: str) -> None:
    """Ambiguous and unreadable times are refused with the most helpful reason, also among many."""
    assert refusal(text) == expected
    with pytest.raises(Refused, match=expected):
        parse_all(["2023-04-24T05:52:56Z", text], zone=None)


@pytest.mark.parametrize("week", [1, 52, 53, 54])
def test_weeks_are_those_of_the_iso_calendar(week: int) -> None:
    """A year has a week 53 only if its Thursday is in that year."""
    for year in range(1971, 2100):
        text = f"{year}-W{week:02}-4T00:00:00Z"
        try:
            thursday = date.fromisocalendar(year, week, 4)
        except ValueError:
            assert refusal(text) == "time-no-such-date"
        else:
            assert canonical(parse(text, zone=None)) == f"{thursday}T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1682315576", "iso8601", "time-malformed"),
        ("1682315576962", "iso8601", "time-malformed"),
        ("2023-04-24T05:52:56Z", "epoch", "time-malformed"),
        ("2023-04-24T05:52:56Z", "epoch_ms", "time-malformed"),
        ("", "epoch", "time-malformed"),
        (".5", "epoch", "time-malformed"),
        ("1 682 315 576", "epoch", "time-malformed"),
        ("1_682_315_576", "epoch", "time-malformed"),
        ("1682315576962", "epoch", "time-epoch-milliseconds"),
        ("-1", "epoch", "time-out-of-range"),
        ("-0.0000001", "epoch", "time-out-of-range"),
        ("253402214400", "epoch", "time-out-of-range"),
        ("253402214400000", "epoch_ms", "time-out-of-range"),
        ("1682315576962686", "epoch_ms", "time-out-of-range"),
        ("-1", "epoch_ms", "time-out-of-range"),
    ],
)
def test_a_value_that_is_not_of_the_named_form(text: str, form: str, expected: str) -> None:
    """A named form refuses every other form."""
    assert refusal(text, form=form) == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2023-03-26T02:00:00", "Europe/Berlin", "time-in-dst-gap"),
        ("2023-03-26T02:30", "Europe/Berlin", "time-in-dst-gap"),
        ("2023-03-26T02:59:59.999999", "Europe/Berlin", "time-in-dst-gap"),
        ("2023-10-29T02:00:00", "Europe/Berlin", "time-ambiguous"),
        ("2023-10-29T02:59:59.999999", "Europe/Berlin", "time-ambiguous"),
        ("2023-03-12T02:00:00", "America/New_York", "time-in-dst-gap"),
        ("20230312T025959,999999", "America/New_York", "time-in-dst-gap"),
        ("2023-11-05T01:00:00", "America/New_York", "time-ambiguous"),
        ("2023-11-05T01:59:59.999999", "America/New_York", "time-ambiguous"),
        ("2011-12-30", "Pacific/Apia", "time-in-dst-gap"),
        ("0001-01-01T00:00:00", "Europe/Berlin", "time-out-of-range"),
        ("0000-01-01T00:00:00", "Europe/Berlin", "time-out-of-range"),
        ("1970-01-01T00:59:59", "Europe/Berlin", "time-out-of-range"),
        ("9999-12-31T24:00:00", "America/New_York", "time-out-of-range"),
        ("9999-12-30T19:00:00", "America/New_York", "time-out-of-range"),
    ],
)
def test_a_local_time_that_did_not_happen_exactly_once(text: str, zone: str, expected: str) -> None:
    """A local time that the zone skipped, repeated or puts out of range is refused."""
    assert refusal(text, zone=zone_named(zone)) == expected


@pytest.mark.parametrize("form", ["", "AUTO", "iso", "strptime"])
def test_an_unknown_form_is_an_error_of_the_caller(form: str) -> None:
    """An unknown form is a programming error, not a refused row."""
    with pytest.raises(ValueError, match="form must be one of auto, iso8601, epoch, epoch_ms"):
        parse("2023-04-24T05:52:56Z", zone=None, form=form)


def test_utc_needs_no_time_zone_data() -> None:
    """UTC is available on any machine."""
    assert zone_named("UTC") is timezone.utc


@pytest.mark.parametrize(
    "name",
    ["", "Berlin", "Europe/Atlantis", "Europe", "../etc/passwd", "/etc/hostname", "a\0b", "\udcff"],
)
def test_an_unknown_zone_is_a_lookup_error(name: str) -> None:
    """Any name that is not a zone gives the same clear message."""
    with pytest.raises(LookupError, match="is not a known IANA time zone") as caught:
        zone_named(name)
    assert type(caught.value) is LookupError


@given(st.integers(0, END - 1))
def test_the_canonical_text_reads_back(microseconds: int) -> None:
    """Every time in the range survives being written and read, by us and by datetime."""
    text = canonical(microseconds)
    assert len(text) == len("yyyy-mm-ddThh:mm:ss.nnnnnn+00:00")
    assert parse(text, zone=None) == parse(text, zone=None, form="iso8601") == microseconds
    assert canonical(parse(text, zone=None)) == text
    assert EPOCH + timedelta(microseconds=microseconds) == datetime.fromisoformat(text)


@given(st.integers(10**8, 10**11 - 1), st.text("0123456789", max_size=9))
def test_epoch_seconds_are_exact(seconds: int, fraction: str) -> None:
    """Epoch seconds keep the digits of microseconds and lose later ones."""
    text = f"{seconds}.{fraction}" if fraction else str(seconds)
    expected = seconds * 10**6 + int((fraction + "000000")[:6])
    assert parse(text, zone=None) == parse(text, zone=None, form="epoch") == expected


def digits(length: int, largest: int) -> st.SearchStrategy[str]:
    """Numbers from zero to the largest, written with this many digits."""
    return st.integers(0, largest).map(lambda number: f"{number:0{length}d}")


YEARS = digits(4, 9999) | st.sampled_from(["1969", "1970", "2020", "2023", "2024", "9998"])
FRACTIONS = st.just("") | st.builds(
    "{}{}".format, st.sampled_from(".,"), st.text("0123456789", min_size=1, max_size=9)
)
OFFSETS = st.sampled_from(["", "Z", "+00:00", "-05:00", "+0530", "+02", "-23:59", "+24:00"])
# Fractions of seconds only: Python 3.13 takes that of an hour for one of a second.
ISO_TEXTS = st.builds(
    "{}{}{}{}".format,
    st.builds("{}-{}-{}".format, YEARS, digits(2, 13), digits(2, 32))
    | st.builds("{}{}{}".format, YEARS, digits(2, 13), digits(2, 32))
    | st.builds("{}-W{}-{}".format, YEARS, digits(2, 54), digits(1, 8))
    | st.builds("{}W{}{}".format, YEARS, digits(2, 54), digits(1, 8)),
    st.sampled_from(["T", " ", "T", ""]),
    st.builds("{}:{}:{}{}".format, digits(2, 24), digits(2, 60), digits(2, 60), FRACTIONS)
    | st.builds("{}{}{}{}".format, digits(2, 24), digits(2, 60), digits(2, 60), FRACTIONS)
    | st.builds("{}:{}".format, digits(2, 24), digits(2, 60))
    | digits(2, 24)
    | st.just(""),
    OFFSETS,
)


@given(ISO_TEXTS)
def test_agrees_with_datetime(text: str) -> None:
    """Times that datetime can read too are the same moment."""
    try:
        ours = parse(text, zone=timezone.utc, form="iso8601")
        theirs = datetime.fromisoformat(text)
    except (Refused, ValueError):
        return
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=timezone.utc)
    assert EPOCH + timedelta(microseconds=ours) == theirs


@given(st.integers(10**6, 4_000_000_000), st.sampled_from([BERLIN, NEW_YORK]))
def test_a_wall_clock_gives_its_moment_or_is_ambiguous(seconds: int, zone: tzinfo) -> None:
    """A local time is read as its moment, unless it occurred twice."""
    wall = datetime.fromtimestamp(seconds, tz=zone)
    text = wall.replace(tzinfo=None).isoformat()
    again = wall.replace(fold=1 - wall.fold)
    if wall.utcoffset() == again.utcoffset():
        assert parse(text, zone=zone) == seconds * 10**6
    else:
        assert refusal(text, zone=zone) == "time-ambiguous"


@given(
    st.text(st.characters()) | st.text("0123456789-+:.,TZWz \u2212\u0663") | ISO_TEXTS,
    st.sampled_from([None, timezone.utc, BERLIN, NEW_YORK]),
    st.sampled_from(FORMS),
)
def test_any_text_is_a_time_or_refused(text: str, zone: tzinfo | None, form: str) -> None:
    """Any text gives a time in range or a known reason."""
    try:
        assert 0 <= parse(text, zone=zone, form=form) < END
    except Refused as refused:
        if refused.code not in REASONS:
            raise


def refusal(text: str, *, zone: tzinfo | None = None, form: str = "auto") -> str:
    """The code with which a text is refused."""
    with pytest.raises(Refused) as caught:
        parse(text, zone=zone, form=form)
    return caught.value.code


def test_a_limited_number_of_texts_is_remembered() -> None:
    """After 20,000 texts the memory begins anew."""
    memory: dict[str, int] = {}
    for number in range(20_000):
        assert times._remember(memory, str(number), number) == number  # noqa: SLF001 - memory is not visible
    assert (len(memory), memory["0"]) == (20_000, 0)
    assert times._remember(memory, "next", 7) == 7  # noqa: SLF001
    assert memory == {"next": 7}


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00"),  # 00:00 became 01:00
        ("2026-09-06", "America/Santiago", "2026-09-06T04:00:00"),
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00"),  # 01:00 became 00:00: midnight was twice
        ("2026-11-20", "Europe/Berlin", "2026-11-19T23:00:00"),
    ],
)
def test_a_date_alone_is_the_beginning_of_that_day(day: str, zone: str, expected: str) -> None:
    """Also where its midnight was skipped or came twice; the same midnight with a time of day is refused."""
    tz = times.zone_named(zone)
    assert times.brief(times.parse(day, zone=tz)) == expected
    if zone != "Europe/Berlin":
        with pytest.raises(Refused):
            times.parse(f"{day} 00:00", zone=tz)


def test_a_day_that_a_zone_skipped_does_not_exist() -> None:
    """Samoa had no 2011-12-30."""
    with pytest.raises(Refused) as caught:
        times.parse("2011-12-30", zone=times.zone_named("Pacific/Apia"))
    assert caught.value.code == "time-in-dst-gap"


@pytest.mark.parametrize("form", ["dmy", "mdy", "ymd", "named"])
def test_iso_8601_is_read_whatever_order_is_told(form: str) -> None:
    """A workbook has typed times where the text file of the same system has 20.11.2026."""
    assert times.parse("2026-11-20T08:15:00Z", zone=None, form=form) == 1_795_162_500_000_000


def test_microseconds_since_1970() -> None:
    """Told by the profile; digits of this length are not recognized."""
    assert times.parse("1795162500123456", zone=None, form="epoch_us") == 1_795_162_500_123_456
    with pytest.raises(Refused):
        times.parse("1795162500123456", zone=None)


@pytest.mark.parametrize(
    ("text", "form", "precision"),
    [
        ("2026-11-20T09:15:00Z", "auto", SECONDS),
        ("2026-11-20T09:15:00+00:00", "auto", SECONDS),
        ("2026-11-20T09:15:00+01:00", "auto", SECONDS),
        ("2026-11-20", "auto", SECONDS),
        ("20.11.2026 09:15", "dmy", SECONDS),
        ("1795166100", "auto", SECONDS),
        ("2026-11-20T09:15:00.000Z", "auto", MILLISECONDS),
        ("2026-11-20T09:15:00.5Z", "auto", MILLISECONDS),
        ("2026-11-20 09:15:00,123", "auto", MILLISECONDS),
        ("Nov 20, 2026 @ 09:15:00.000", "named", MILLISECONDS),
        ("1795166100.120", "auto", MILLISECONDS),
        ("1795166100120", "epoch_ms", MILLISECONDS),
        ("2026-11-20T09:15:00.000000Z", "auto", MICROSECONDS),
        ("2026-11-20T09:15:00.000000+00:00", "auto", MICROSECONDS),
        ("2026-11-20T09:15:00.1234567Z", "auto", MICROSECONDS),
        ("1795166100.1234", "auto", MICROSECONDS),
        ("1795166100120.5", "epoch_ms", MICROSECONDS),
        ("1795166100000000", "epoch_us", MICROSECONDS),
    ],
)
def test_the_precision_of_a_time_is_in_its_digits(text: str, form: str, precision: int) -> None:
    """A time says how fine it is by its digits after the second, zeros too."""
    assert times.read(text, zone=timezone.utc, form=form)[1] == precision
    assert list(times.parse_all([text, text], zone=timezone.utc, form=form)[2]) == [precision, precision]
