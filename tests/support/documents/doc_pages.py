"""The commands and programs that README.md and docs/ show, taken out of their Markdown.

A block between fences may have one remark of the writer on the line before it, which a
reader of the page does not see::

    <!-- not run: needs a GPU -->             parsed only: options and files must exist
    <!-- test appends: --max-steps 2 -->      run, shortened; what it prints is not compared
    <!-- test replaces: 57 => 1 -->           the same by other words, in every line
    <!-- output not compared: other data -->  run as it is
    <!-- test keeps running: 8000 -->         started, and ended after the page; here and in
                                              the blocks below the port is one that is free

Without a remark it is run as it stands and must print what the page shows, where ``…``
stands for any text, and for any lines where it is alone on one. Lines that install
(pip, apt-get) or that a person types for development (make) are never run, but checked.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
PAGES += sorted(ROOT.glob("docs/**/*.md"))

NOT_RUN = "not run"
APPENDS = "test appends"
REPLACES = "test replaces"
NOT_COMPARED = "output not compared"
KEEPS_RUNNING = "test keeps running"
REMARKS = (NOT_RUN, APPENDS, REPLACES, NOT_COMPARED, KEEPS_RUNNING)
LANGUAGES = ("console", "python", "json", "toml", "text", "ini", "yaml")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_REMARK = re.compile(r"^ *<!-- *(?P<kind>[a-z ]+): *(?P<text>.+?) *-->$")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """A command that a person types, and the output that the page shows."""

    text: str
    output: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Block:
    """The lines between two fences, with the writer's remark on it."""

    page: Path
    number: int
    language: str
    lines: tuple[str, ...]
    remark: str = ""
    detail: str = ""

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}:{self.number}"

    @property
    def text(self) -> str:
        """Its lines, as the test runs them."""
        text = "\n".join(self.lines) + "\n"
        if self.remark == REPLACES:
            old, new = self.detail.split(" => ")
            assert old in text, f"{self.where}: no {old!r} to replace"
            text = text.replace(old, new)
        return text

    def at_ports(self, ports: Mapping[str, int]) -> "Block":
        """The same, for servers that listen elsewhere than the page says."""
        lines = self.lines
        for shown, port in ports.items():
            lines = tuple(line.replace(f":{shown}", f":{port}") for line in lines)
        return replace(self, lines=lines)

    @property
    def commands(self) -> list[Command]:
        """The lines after ``$``, with the continuation of each and its output."""
        commands: list[Command] = []
        typed, output = "", list[str]()
        for line in [*self.text.replace("\\\n", " ").split("\n"), "$ "]:
            if not line.startswith("$ "):
                output.append(line)
                continue
            if typed:
                shown = "\n".join(output).strip("\n").split("\n")
                commands.append(Command(typed, tuple(shown) if shown != [""] else (), self.where))
            typed, output = line[2:].strip(), []
        if self.remark == APPENDS:
            commands = [
                Command(f"{without_comment(each.text)} {self.detail}", each.output, each.where)
                if each.text.startswith("crnn-")
                else each
                for each in commands
            ]
        return commands


@dataclass
class _Reader:
    page: Path
    blocks: list[Block] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)

    def read(self) -> None:
        lines = self.page.read_text("utf-8").split("\n")
        start, indent, language = 0, 0, ""
        for number, line in enumerate(lines, start=1):
            fence = _FENCE.match(line)
            if not start and fence:
                start, indent, language = number, len(fence["indent"]), fence["language"]
            elif start and line.strip() == "```":
                remark = _REMARK.match(lines[start - 2]) if start > 1 else None
                content = tuple(line[indent:] for line in lines[start : number - 1])
                kind, detail = (remark["kind"], remark["text"]) if remark else ("", "")
                self.blocks.append(Block(self.page, start, language, content, kind, detail))
                start = 0
            elif not start:
                self.prose.append(line)
        assert not start, f"{self.page}:{start}: this fence is never closed"


def blocks_of(page: Path) -> list[Block]:
    """The blocks between fences, in order."""
    reader = _Reader(page)
    reader.read()
    return reader.blocks


def spans_of(page: Path) -> list[str]:
    """Returns everything between single backticks in the text around the blocks."""
    reader = _Reader(page)
    reader.read()
    return _SPAN.findall("\n".join(reader.prose).replace("\\|", "|"))


def without_comment(command: str) -> str:
    """A command without what follows a ``#``."""
    return re.sub(r"(^|\s+)#\s.*$", "", command)


def parts_of(command: str) -> list[list[str]]:
    """A shell line → the words of each program that it starts, without redirections."""
    lexer = shlex.shlex(without_comment(command), posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if set(word) <= set("|;&"):
            parts.append([])
        elif set(word) <= set("<>"):
            skip = True
        elif skip:
            skip = False
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def pattern_of(output: tuple[str, ...]) -> re.Pattern[str]:
    """Turns the output that a page shows into a pattern of the output that must come."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + r"\s*\n"
        for line in output
    ]
    return re.compile("".join(lines))
