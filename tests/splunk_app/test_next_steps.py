"""In Splunk, next steps name what an administrator can do there: requests, and on the pages buttons."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
from irmcore.advice import ADVICE
from irmsplunk.splunk.next_steps import for_analyst, in_splunk, on_pages, translated

ROOT = Path(__file__).parents[2]
CORE = ROOT / "common" / "irmcore"
TABLE = json.loads((ROOT / "splunk_app/bin/irmsplunk/splunk/next_steps.json").read_text(encoding="utf-8"))
#: Stands for what is formatted into a sentence: a batch's id.
BATCH = "0123456789ab"
#: The emulator is started from the command line for Splunk too, and no connector in Splunk is a table of
#: Azure Monitor. `irmexport outbox` and `clean-up` need a shell on the search head (docs/splunk.md).
UNTRANSLATED = re.compile(
    "`irmexport (emulator|sentinel template --collection FILE|sentinel collect --once"
    "|(outbox|clean-up) [^`]*)`"
)


@cache
def sentences() -> set[str]:
    """Every text of the core that names a command of the command line."""
    found = set()
    for file in CORE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        pieces = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        for node in ast.walk(tree):
            text: object = None
            if isinstance(node, ast.Constant) and id(node) not in documents | pieces:
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else BATCH for part in node.values]
                text = "".join(map(str, parts))
            if isinstance(text, str) and ("`irmexport " in text or " --" in text):
                found.add(text)
    return found


@pytest.mark.parametrize("text", sorted(sentences()))
def test_no_sentence_of_the_core_names_a_command_in_splunk(text: str) -> None:
    """Each has a translation that leaves no command and no option."""
    translated = UNTRANSLATED.sub("", in_splunk(text))
    assert "`irmexport " not in translated
    assert " --" not in translated


def test_a_translated_sentence_still_says_what_to_do() -> None:
    """The request takes the place of the command."""
    assert in_splunk(ADVICE["http-400"]).endswith(
        "Then send `POST irmexport/batches/BATCH/resolve` with outcome=withdraw and send the rows again."
    )


def test_a_command_is_run_and_a_request_is_sent() -> None:
    """The verb fits what it stands before."""
    assert (
        in_splunk("Run `irmexport status` to list the batches.")
        == "Send `GET irmexport/queue` to list the batches."
    )
    assert in_splunk("Then run `irmexport resume`.") == "Then send `POST irmexport/connectors/NAME/resume`."


def test_the_id_of_a_batch_is_kept() -> None:
    """In the request, and on a page, whose button stands beside the batch."""
    text = f"Then run `irmexport requeue {BATCH} --why REASON`."
    assert in_splunk(text) == f"Then send `POST irmexport/batches/{BATCH}/requeue`."
    assert on_pages(text) == "Then use “Resolve”, “Put it back into the queue”."


def test_each_sentence_with_a_translation_is_one_of_the_core() -> None:
    """A sentence that the core no longer has would silently lose its translation."""
    core = [
        node.value
        for file in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for sentence, _ in TABLE["requests"]:
        if not sentence.startswith("`irmexport "):
            assert any(sentence in text for text in core), sentence


def test_a_longer_text_comes_before_its_beginning() -> None:
    """The first match wins, so an entry must not hide a longer one that begins with it."""
    for entries in (TABLE["requests"], TABLE["pages"]):
        texts = [text for text, _ in entries]
        for at, text in enumerate(texts):
            assert not [later for later in texts[at + 1 :] if later.startswith(text)], text


@pytest.mark.parametrize("text", sorted(sentences()))
def test_a_page_names_no_request(text: str) -> None:
    """On a page a next step names buttons, so each request has its words there."""
    assert "irmexport/" not in on_pages(text)


def test_a_sentence_for_a_page_still_says_what_to_do() -> None:
    """The button takes the place of the request, by the label that the pages give it."""
    assert on_pages(ADVICE["http-400"]).endswith("Then use “Resolve”, “Give it up”, and send the rows again.")
    assert on_pages("Send `POST irmexport/batches/BATCH/requeue`.") == (
        "Use “Resolve”, “Put it back into the queue”."
    )
    assert on_pages("Then run `irmexport resume`.") == "Then use “Resume” on the page Queue."


def test_only_our_own_sentences_are_translated() -> None:
    """A profile that an administrator wrote stays as it is."""
    document = {"profile_yaml": "see `irmexport status`", "items": [{"next_step": "See `irmexport status`."}]}
    assert translated(document, in_splunk) == {
        "profile_yaml": "see `irmexport status`",
        "items": [{"next_step": "See `GET irmexport/queue`."}],
    }


@pytest.mark.parametrize("code", ADVICE)
def test_an_analyst_is_told_what_needs_an_administrator(code: str) -> None:
    """A step with a request, or with a setting of the connector, begins with whom to ask; others do not."""
    step = in_splunk(ADVICE[code])
    needs_rights = "irmexport/" in step or re.search(r"`[a-z_]+_(id|file)`|`(proxy|cloud|deadline)`", step)
    if needs_rights:
        assert for_analyst(step) == f"Ask an administrator, and tell them: {step}"
    assert for_analyst(for_analyst(step)) == for_analyst(step)
    assert for_analyst("Add `profile=` with one of: a, b.") == "Add `profile=` with one of: a, b."
