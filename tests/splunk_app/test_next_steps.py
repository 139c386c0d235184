"""Next steps in Splunk name what can be done there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from irmcore.advice import ADVICE
from irmsplunk.splunk.next_steps import all_in_splunk, in_splunk

CORE = Path(__file__).parents[2] / "common" / "irmcore"
STEPS = Path(__file__).parents[2] / "splunk_app" / "ui" / "src" / "steps.ts"
#: A rehearsal's stand-in is started by the command line, in Splunk too; no connector of Splunk's is a table
#: of Azure Monitor.
LEFT = ("`irmexport emulator`", "`irmexport sentinel template --collection`")


def sentences() -> set[str]:
    """Every text of the core that names a command of the command line."""
    found = set()
    for file in CORE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in documents else None
            if isinstance(text, str) and ("`irmexport " in text or " --" in text):
                found.add(text)
    return found


@pytest.mark.parametrize("text", sorted(sentences()))
def test_no_sentence_of_the_core_names_a_command_in_splunk(text: str) -> None:
    """Each has its words in Splunk: no command and no option of it is left."""
    said = in_splunk(text)
    for command in LEFT:
        said = said.replace(command, "")
    assert "`irmexport " not in said
    assert " --" not in said


def test_what_is_left_still_says_what_to_do() -> None:
    """The request stands where the command stood."""
    assert in_splunk(ADVICE["http-400"]).endswith(
        "Then `POST irmexport/batches/BATCH/resolve` with outcome=withdraw and send the rows again."
    )


def test_the_pages_know_each_request_that_a_step_may_name() -> None:
    """On a page a next step names its buttons, so each request has words there."""
    words = STEPS.read_text(encoding="utf-8").replace(
        "${RESOLVE}", "`POST irmexport/batches/BATCH/resolve` with "
    )
    for text in sentences():
        for request in re.findall(
            r"`(?:GET|POST) irmexport/[^`]+`(?: with outcome=[a-z]+(?:, resend)?)?", in_splunk(text)
        ):
            assert request in words


def test_only_sentences_of_ours_are_put_in_other_words() -> None:
    """A profile that an administrator wrote comes back as it was."""
    document = {"profile_yaml": "see `irmexport status`", "items": [{"next_step": "See `irmexport status`."}]}
    assert all_in_splunk(document) == {
        "profile_yaml": "see `irmexport status`",
        "items": [{"next_step": "See `GET irmexport/queue`."}],
    }
