"""What documents tell a reader to type exists, and what they link to is there.

That it works is shown by running it: tests/integration/test_documents.py.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from streamline.cli import command_line
from tests.support.documents import DOCUMENTS, ROOT, Block, blocks, commands, links

MARKS = {"", "install", "long", "data", "torch", "hardware", "hosts", "root", "docker"}
PROGRAMS = {
    ".", "alias", "apt-get", "apt", "cat", "cd", "chmod", "chown", "cp", "curl", "echo", "export",
    "git", "install", "journalctl", "ln", "ls", "mkdir", "openssl", "pip", "promtool", "python3",
    "sed", "set", "systemctl", "systemd-analyze", "useradd", "usermod",
}  # fmt: skip
"""Of the system: what of them is typed is looked at by who reads."""


def parsed(arguments: list[str]) -> None:
    """Have the program's own parser read a command line, and run nothing."""
    command: Any = command_line()
    name: str | None = "streamline"
    context = None
    while isinstance(command, typer.core.TyperGroup):
        context = command.make_context(name, list(arguments), parent=context)
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, arguments = command.resolve_command(context, rest)
    command.make_context(name, list(arguments), parent=context)


def options_of(folder: Path) -> set[str]:
    """Return what a tool's source mentions of options."""
    files = folder.glob("*.py") if folder.is_dir() else [folder]
    return set(re.findall(r"--[a-z][a-z-]*", "\n".join(file.read_text() for file in files)))


def checked(words: list[str]) -> None:
    """Check one command as far as that goes without running it."""
    program, *arguments = words
    program = re.sub(r"^(.*/)?(\.?venv|/opt/streamline)/bin/", "", program)
    if program == "streamline":
        parsed(arguments)
    elif program == "python" and arguments[0] == "-m":
        module = ROOT / arguments[1].replace(".", "/")
        tool = module if module.is_dir() else module.with_suffix(".py")
        assert tool.exists(), words
        assert {one for one in arguments if one.startswith("--")} <= options_of(tool), words
    elif program == "python":
        assert (ROOT / arguments[0]).exists(), words
    elif program == "docker":
        services = YAML(typ="safe", pure=True).load((ROOT / "docker/compose.yaml").read_text())
        known = {one for it in services["services"].values() for one in it.get("profiles", ())}
        asked = {name for flag, name in pairwise(arguments) if flag == "--profile"}
        assert asked <= known, words
    elif "/" in program:
        assert (ROOT / program).exists(), words
    else:
        assert program in PROGRAMS, words


@pytest.mark.parametrize("block", list(blocks()), ids=str)
def test_every_command_and_option_in_a_document_exists(block: Block) -> None:
    assert block.mark in MARKS
    found = list(commands(block))
    assert found
    for words in found:
        checked(words)


def named(code: str) -> None:
    """Check what is written in a sentence, where values are only hinted at."""
    command: Any = command_line()
    words = code.replace("\\|", " ").split()[1:]
    while isinstance(command, typer.core.TyperGroup) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    of_group = isinstance(command, typer.core.TyperGroup) and words
    assert not (of_group and re.fullmatch(r"[a-z-]+", words[0])), f"there is no {code}"
    known = {option for parameter in command.params for option in parameter.opts}
    asked = {word.strip("[],.;").partition("=")[0] for word in words if word.startswith("--")}
    assert asked <= known | {"--help"}, f"{code}: {asked - known}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_named_in_a_sentence_exists(document: str) -> None:
    text = re.sub(
        r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.DOTALL | re.MULTILINE
    )
    for code in re.findall(r"`((?:streamline|python -m tools)[ .][^`]+)`", text):
        if code.startswith("python"):
            checked(code.split())
        else:
            named(code)


@pytest.mark.parametrize(
    "code", ["streamline rnu X", "streamline model shwo", "streamline fit --secnds 3"]
)
def test_what_does_not_exist_is_noticed_in_a_sentence_too(code: str) -> None:
    with pytest.raises(AssertionError):
        named(code)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_links_to_is_there(document: str) -> None:
    assert [one for one in links(document) if not one.exists()] == []


def test_a_misspelt_option_is_noticed() -> None:
    block = Block("x", 1, "", "streamline fit good --out model --secnds 3   # --seconds\n")
    with pytest.raises(Exception, match="--secnds"):
        checked(next(commands(block)))


def test_commands_are_taken_apart_as_a_shell_does() -> None:
    text = "A='x y' sudo one 'a b' \\\n  --c > out && two | three  # four && five\n"
    assert list(commands(Block("x", 1, "", text))) == [["one", "a b", "--c"], ["two"], ["three"]]
