"""The commands in documents, as a reader would copy them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["DOCUMENTS", "ROOT", "Block", "blocks", "commands", "example", "links"]

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = (
    "README.md",
    "pipelines/README.md",
    "docker/README.md",
    "tools/README.md",
    "streamline/learn/README.md",
    "streamline/bench/README.md",
    ".github/CONTRIBUTING.md",
)

_FENCE: Final = re.compile(r"^```sh(?P<mark>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\]\((?P<target>[^)#:\s]+)(?:#[^)]*)?\)")
_BETWEEN: Final = frozenset({"&&", "||", "|", ";", "&"})
_BEFORE: Final = frozenset({"sudo", "exec", "nohup"})


class Block(NamedTuple):
    """Lines that belong together."""

    document: str
    line: int
    mark: str
    """Why it is not run where tests are; empty: it is run."""

    text: str

    def __str__(self) -> str:
        """Name it for a test."""
        return f"{self.document}:{self.line}"


def blocks(*documents: str) -> Iterator[Block]:
    """Yield the blocks of shell commands of documents, all of them unless some are named."""
    for name in documents or DOCUMENTS:
        text = (ROOT / name).read_text()
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(name, line, found["mark"].strip(), found["text"])


def commands(block: Block) -> Iterator[list[str]]:
    """Yield each simple command of a block: its words, without redirections and comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in _BETWEEN:
                if simple := _simple(words):
                    yield simple
                words = []
            else:
                words.append(word)


def example(document: str, language: str, within: str) -> str:
    """Return the one block in that language which has these words in it."""
    fences = re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE
    )
    (found,) = [text for text in fences if within in text]
    return str(found)


def links(document: str) -> list[Path]:
    """Return the files of this tree that a document links to."""
    text = (ROOT / document).read_text()
    return [(ROOT / document).parent / found["target"] for found in _LINK.finditer(text)]


def _simple(words: list[str]) -> list[str]:
    """Drop what is no command's own: assignments, redirections, `sudo`."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word in {">", ">>", "<"}:
            skip = not skip
        elif kept or not (re.match(r"\w+=", word) or word in _BEFORE):
            kept.append(word)
    return kept
