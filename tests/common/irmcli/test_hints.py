"""Every command that a message names can be copied: it is whole, and the command line accepts it."""

from __future__ import annotations

import ast
import re
import shlex
import uuid
from collections.abc import Iterator
from pathlib import Path

import click
from irmcli.main import main

ROOT = Path(__file__).parents[3]
SOURCES = ("common", "sentinel", "splunk_app/bin")
CONTEXT = click.Context(main, info_name="irmexport")
#: What stands for a formatted value whose type an option checks.
VALUES = {
    "address": "az://account/container/prefix",
    "workspace": str(uuid.UUID(int=1)),
    "first.saved or 0": "1",
}
#: "irmexport" and a command: between backticks, or to the end of the sentence.
QUOTED = re.compile(r"`irmexport ([^`]+)`")
PLAIN = re.compile(r"(?<!`)\birmexport ([a-z][^`\n]*?)(?=\.?$|\.? *\n|[.,;:] | \(|`| …)")
#: Names of a running command, not commands to copy.
MENTIONS = {"another `irmexport watch` uses this folder", "irmexport identities 1"}


def texts(file: Path) -> Iterator[str]:
    """The texts of a module except its docstrings, with a word for each value that is formatted into them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(map(_part, node.values))


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return VALUES.get(ast.unparse(part.value), "0123456789ab")


def commands_of(text: str) -> list[str]:
    """The commands that a text names, without `irmexport`."""
    if text in MENTIONS:
        return []
    found = QUOTED.findall(text) + PLAIN.findall(text)
    return [line for line in found if line.split()[0] in main.list_commands(CONTEXT)]


def fault(line: str) -> str:
    """Why the command line does not accept ``line``, the words after `irmexport`; "" if it does."""
    words, command = shlex.split(line.split(" > ", maxsplit=1)[0].replace(" FILE", f" {__file__}")), main
    while isinstance(command, click.Group):
        if not words:
            return f"{line}: needs a command"
        name = words.pop(0)
        found = command.get_command(CONTEXT, name)
        if found is None:
            return f"{line}: no command {name}"
        command = found
    try:
        context = command.make_context("irmexport", words, parent=CONTEXT)
    except click.UsageError as error:
        own = error.format_message().endswith("does not exist.")  # a file of the reader's
        return "" if own else f"{line}: {error.format_message()}"
    if command.name == "resolve" and context.params["outcome"] is None:
        return f"{line}: no outcome"
    if command.name == "reconcile" and (context.params["batch"] is None) != (context.params["saved"] is None):
        return f"{line}: --batch goes with --saved"
    return ""


def hints() -> list[tuple[str, str]]:
    """The place and the text of every command that a text of the program names."""
    found = []
    for file in sorted(file for source in SOURCES for file in (ROOT / source).rglob("*.py")):
        for text in texts(file):
            found += [(str(file.relative_to(ROOT)), line) for line in commands_of(text)]
    return found


def test_every_hint_is_a_whole_command() -> None:
    """Nothing is missing and nothing unknown in a command that a message names."""
    found = hints()
    assert len(found) > 100
    assert [f"{place}: {fault(line)}" for place, line in found if fault(line)] == []


def test_a_hint_that_is_not_whole_is_found() -> None:
    """In a sentence, between backticks and after a colon."""
    for text in (
        "Run `irmexport resolve 0123 --sent` first.",
        "Next: irmexport resolve 0123 --sent",
        "It is held; run irmexport resolve 0123 --why known.",
        "See irmexport show.",
    ):
        (line,) = commands_of(text)
        assert fault(line), text


def subcommands(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group by name."""
    inner = {each: group.get_command(CONTEXT, each) for each in group.list_commands(CONTEXT)}
    return {each: found for each, found in inner.items() if found is not None}


def examples() -> Iterator[tuple[str, str]]:
    """Each command with the example of its help."""
    todo: list[tuple[str, click.Command]] = [("irmexport", main)]
    while todo:
        name, command = todo.pop()
        if isinstance(command, click.Group):
            todo += [(f"{name} {each}", found) for each, found in subcommands(command).items()]
        else:
            (example,) = re.findall(r"^ *Example: (.*(?:\n +\S.*)*)", command.help or "", re.MULTILINE) or [
                ""
            ]
            yield name, " ".join(example.split())


def test_every_command_has_an_example() -> None:
    """One, of this command, that the command line accepts."""
    found = dict(examples())
    assert len(found) > 60
    wrong = [name for name, example in found.items() if not example.startswith(name)]
    assert wrong == []
    assert [fault(example.removeprefix("irmexport ")) for example in found.values()] == [""] * len(found)


def test_lists_of_commands_have_whole_sentences() -> None:
    """On a terminal of 80 columns, no command's first sentence is cut off in the list of its group."""
    todo: list[click.Group] = [main]
    while todo:
        group = todo.pop()
        inner = subcommands(group)
        todo += [command for command in inner.values() if isinstance(command, click.Group)]
        text = group.get_help(click.Context(group, info_name="irmexport", terminal_width=80))
        assert [line for line in text.splitlines() if line.startswith(" ") and line.endswith("...")] == []
