"""getinfo is answered without the SDK, exactly as the SDK would answer it, and only if it would."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from irmsplunk.search.getinfo import OPTIONS, Prefixed, answer

from tests.fakes.splunk_home import SplunkHome
from tests.fakes.splunkd_search import SearchSettings, frame

WITH_THE_SDK = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from irmsplunk.search.sdk_command import IrmExport
command = IrmExport()
command.process(sys.argv[:1], sys.stdin, sys.stdout)
json.dump({option.name: option.value for option in command.options.values()}, sys.stderr)
"""
#: Options that the SDK adds to every command; irmexport refuses them.
OF_THE_SDK = {"logging_configuration", "logging_level", "record", "show_configuration"}
PLAIN = [
    (),
    ("wait=0",),
    ("profile=leavers",),
    ("profile=leavers", "wait=0", "output=summary", "maxrejects=7", "fields=a=b, c=d"),
    ("dryrun=t", "allowpartial=false", "wait=3600", "profile=x y"),
    ("output=preview",),
]
LEFT = [
    ("profile=",),
    ("profile",),
    ("profile=a", "wait=3601"),
    ("profile=a", "wait=-1"),
    ("profile=a", "wait=\u0663"),
    ("profile=a", "maxrejects=many"),
    ("profile=a", "output=all"),
    ("profile=a", "dryrun=maybe"),
    ("profile=a", "profile=b"),
    ("profile=a", "record=t"),
    ("profile=a", "colour=red"),
]


def getinfo(*args: str, **more: object) -> bytes:
    """A getinfo request with these arguments."""
    settings = SearchSettings(args=args, dispatch_dir=Path("/nowhere"), more=more)
    return frame(settings.getinfo(), b"")


@pytest.mark.parametrize("args", PLAIN)
def test_plain_options_are_answered_as_the_sdk_answers_them(
    python: str, home: SplunkHome, args: tuple[str, ...]
) -> None:
    """The reply is byte for byte the SDK's, and the options have the values that the SDK reads."""
    app = home.bin.parent
    request = getinfo(*args, dispatch_dir=str(home.path))
    with_sdk = subprocess.run(
        [python, "-c", WITH_THE_SDK, str(app / "lib"), str(home.bin)],
        input=request,
        capture_output=True,
        env=dict(home.environment()),
        check=True,
    )
    replies = io.BytesIO()
    first = answer(io.BytesIO(request), replies)
    assert first.options is not None
    assert replies.getvalue() == with_sdk.stdout
    assert first.metadata.searchinfo.sid == "1700000000.42"
    read = json.loads(with_sdk.stderr)
    assert set(read) - OF_THE_SDK == set(OPTIONS)
    for name in OPTIONS:
        assert (name, getattr(first.options, name)) == (name, read[name])


def test_the_values_of_the_options() -> None:
    """Each option has its value, or the same default as in the SDK."""
    first = answer(io.BytesIO(getinfo(*PLAIN[3])), io.BytesIO())
    options = first.options
    assert options is not None
    assert [getattr(options, name) for name in OPTIONS] == [
        "leavers", False, 0, "summary", 7, False, "a=b, c=d",
    ]  # fmt: skip
    defaults = answer(io.BytesIO(getinfo("profile=x")), io.BytesIO()).options
    assert defaults is not None
    assert [getattr(defaults, name) for name in OPTIONS] == ["x", False, 30, "rows", None, False, ""]


@pytest.mark.parametrize("args", LEFT)
def test_what_the_sdk_might_refuse_is_left_to_it(args: tuple[str, ...]) -> None:
    """There is no reply, and the SDK can read the request from its first byte."""
    requests, replies = io.BufferedReader(io.BytesIO(getinfo(*args) + b"rest")), io.BytesIO()
    first = answer(requests, replies)
    assert first.options is None
    assert replies.getvalue() == b""
    assert io.BufferedReader(Prefixed(first.read, requests)).read() == getinfo(*args) + b"rest"


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"rubbish\n",
        b"chunked 1.0,5,0\n{",
        frame({"action": "getinfo"}, b""),
        frame({"action": "execute", "finished": True}, b"a\n1\n"),
        getinfo("profile=a", earliest_time="long ago"),
        getinfo("profile=a", dispatch_dir=None),
        getinfo("profile=a", args=["profile=a", 7]),
        getinfo("profile=a", earliest_time=10**400),
        frame(["profile"], b""),  # type: ignore[arg-type]
    ],
)
def test_other_requests_are_left_to_the_sdk(request_: bytes) -> None:
    """A first request that is not a valid getinfo gets no reply here."""
    requests, replies = io.BufferedReader(io.BytesIO(request_)), io.BytesIO()
    first = answer(requests, replies)
    assert (first.options, replies.getvalue()) == (None, b"")
    assert io.BufferedReader(Prefixed(first.read, requests)).read() == request_


def test_a_start_loads_neither_the_sdk_nor_the_profiles(python: str, home: SplunkHome) -> None:
    """Before getinfo is answered, neither the SDK nor irmcore nor YAML is imported."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:3]; from irmsplunk.search import getinfo; "
        "getinfo.answer(sys.stdin.buffer, sys.stdout.buffer); "
        "print(sorted({'splunklib', 'irmcore', 'yaml', 'dataclasses', 'typing'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [python, "-c", program, str(home.bin.parent / "lib"), str(home.bin)],
        input=getinfo("profile=a"),
        capture_output=True,
        env=dict(home.environment()),
        check=True,
    )
    assert ran.stdout.endswith(b"[]\n")
