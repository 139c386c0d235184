"""The HTML page: what it shows, and that it is self-contained and safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

from irmemulator.faults import Fault

from tests.common.irmemulator.client import APP, JOB, TWO_ROWS, Client

VOID = {"meta", "link", "br", "img", "input"}


class Outline(HTMLParser):
    """The tags of a page, and whether they close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_what_was_kept(client: Client) -> None:
    """The page says that it is an emulator, and shows RecordsSaved and the saved records."""
    client.upload(TWO_ROWS + TWO_ROWS.splitlines()[1] + "\n")
    client.upload("x", replace(JOB, job_id="99999999-9999-4999-8999-999999999999"))
    client.emulator.faults.next(Fault(status=503))
    client.upload()
    reply = client.get("/")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    for words in (
        "<h1>Emulator of the Insider Risk Indicators connector</h1>",
        "not Microsoft's service",
        "RecordsSaved 2",
        "1 pair_repeated",
        "sarad@contoso.com",
        "Uploads without a known job",
        "job_unknown",
        "<td>503</td>",
    ):
        assert words in reply.text


def test_the_page_is_self_contained(client: Client) -> None:
    """The page is valid HTML without scripts or external resources."""
    client.upload()
    reply = client.get("/")
    outline = Outline(reply.text)
    assert not outline.tags & {"script", "img", "link", "iframe", "form"}
    assert outline.links == ["/records", "/uploads"]
    assert "color-scheme:light dark" in reply.text
    assert "http" not in reply.text
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Cache-Control"] == "no-store"


def test_every_value_is_escaped(client_with: Callable[..., Client]) -> None:
    """Names, columns and values from outside are text, never markup."""
    evil = "<script>alert('x')</script>"
    job = replace(JOB, name=evil, columns=None, user_column=None)
    client = client_with(jobs=[job])
    file = f'UserPrincipalName,Time,"{evil}"\n{evil},2023-04-20T05:52:56Z,{evil}\n'
    assert client.upload(file, job).status_code == 200
    page = client.get("/").text
    Outline(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#x27;x&#x27;)") == 4


def test_files_with_different_columns(client_with: Callable[..., Client]) -> None:
    """Records of files with different columns are in one table."""
    job = replace(JOB, columns=None, user_column=None)
    client = client_with(jobs=[job])
    client.upload("UserPrincipalName,Time,A\na@x,2023-04-20T05:52:56Z,one\n", job)
    client.upload("UserPrincipalName,Time,B\na@x,2023-04-20T05:52:56Z,two\n", job)
    page = client.get("/").text
    assert "<td>one</td>" in page
    assert "<td>two</td>" in page


def test_no_token_and_no_secret(client: Client) -> None:
    """Neither the page nor the JSON has a token or a secret."""
    token = client.token()
    client.upload(token=token)
    for path in ("/", "/records", "/uploads", "/control/faults"):
        text = client.get(path).text
        assert token not in text
        assert APP.secret not in text
