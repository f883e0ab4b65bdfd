"""Blocks of text (paragraphs, headings, messages) in the documents that distributions carry."""

import gettext
import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BLOCKS = _set(
    "p li h1 h2 h3 h4 h5 h6 td th dt dd div title caption figcaption body section article tr table "
    "ul ol dl blockquote item page desc"
)
_SKIPPED = _set("script style pre programlisting noscript header aside nav button")
_VOID = _set("br hr img input link meta base col area source wbr")


class _Html(HTMLParser):
    """Collects the text of each block element; code, menus and hidden alternatives are skipped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._parts: list[str] = []
        self._skipped: list[str] = []  # the open elements from the outermost skipped one on

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self._parts.append(" " if tag in ("br", "img") else "")
            return
        given = dict(attrs)
        if self._skipped or tag in _SKIPPED or ("hidden" in given and "class" in given):
            self._skipped.append(tag)
        elif tag in _BLOCKS:
            self.end_block()

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag in self._skipped:
                del self._skipped[len(self._skipped) - 1 - self._skipped[::-1].index(tag) :]
        elif tag in _BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._parts.append(data)

    def end_block(self) -> None:
        if text := "".join(self._parts).strip():
            self.blocks.append(text)
        self._parts = []


def read_html(text: str) -> list[str]:
    """The blocks of an HTML, XHTML or Mallard page."""
    parser = _Html()
    parser.feed(text)
    parser.end_block()
    return parser.blocks


_CHARACTERS = {
    "-": "-", "e": "\\", "(em": "—", "(en": "–", "(aq": "'", "(lq": "“", "(rq": "”", "(bu": "•",
    "(co": "©", "(dq": '"', "(cq": "’", "(oq": "‘", "(ha": "^", "(ti": "~", "&": "", ",": "",
    "/": "", "|": "", "^": "", ":": "", "%": "", " ": " ", "~": " ", "0": " ", "c": "", "'": "'",
    "`": "`", ".": ".",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(\(..|f\(..|f\[\w*\]|f.|s[-+]?\d|\*\(..|\[\w+\]|.)")
_FONTS = _set("B I BR RB IR RI BI IB SM SB R UR UE MT ME")


def _unescape(match: re.Match[str]) -> str:
    name = match[1]
    return "" if name[0] in "fs" and len(name) > 1 else _CHARACTERS.get(name, "\\")


def read_man(text: str) -> list[str]:
    """The paragraphs of a manual page in troff; literal and tabular parts are skipped."""
    blocks: list[list[str]] = [[]]
    literal = False
    for line in text.splitlines():
        if not line.startswith((".", "'")):
            if line.strip() and not literal:
                blocks[-1].append(line)
            elif not line.strip():
                blocks.append([])
            continue
        macro, _, rest = line[1:].strip().partition(" ")
        if macro in ("nf", "TS", "EX", "de", "ig"):
            literal = True
        elif macro in ("fi", "TE", "EE", ".", "SH", "SS"):
            literal = False
        words = " ".join(re.findall(r'"[^"]*"|\S+', rest)).replace('"', "")
        if macro in ("SH", "SS"):
            blocks += [[words], []]
        elif macro in _FONTS and not literal:
            spaced = macro in ("B", "I", "R", "SM", "SB")
            blocks[-1].append(words if spaced else words.replace(" ", ""))
        else:
            blocks.append([])
    joined = (_ESCAPE.sub(_unescape, "\n".join(block)) for block in blocks)
    return [block for block in joined if block.strip() and "\\" not in block]


def read_fortunes(text: str) -> list[str]:
    """The lines of poems and the paragraphs of quotations, which lines of ``%`` part."""
    blocks: list[str] = []
    for fortune in re.split(r"\n%\n?", re.sub(r"\x1b\[[0-9;]*m", "", text)):
        # A quotation is indented and wrapped; a poem has its lines, each a sentence.
        poem = re.search(r"[\u4e00-\u9fff]", fortune)
        blocks += fortune.splitlines() if poem else re.split(r"\n\s*(?=\n|--)|\n(?=\S+:)", fortune)
    return blocks


_MARK = re.compile(r"\s*\([_&~]\w\)|[_&~](?=\w)")
_HOLE = re.compile(r"%[-#0-9.*l]*[a-zA-Z0-9(]|[{}<>|$\\]|\n\n|=$")


def read_messages(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of message and translation of a ``.mo`` file, without the marks of menus' keys.

    Messages with holes for values or with markup are left out.
    """
    with path.open("rb") as file:
        catalogue: dict[object, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    for message, translation in catalogue.items():
        if isinstance(message, tuple):  # a plural form
            message = message[0]  # noqa: PLW2901
        message = str(message).rsplit("\x04", 1)[-1].split("\x06")[0]  # noqa: PLW2901
        if message and translation and not (_HOLE.search(message) or _HOLE.search(translation)):
            yield _MARK.sub("", message), _MARK.sub("", translation)


def read_document(path: Path) -> list[str]:
    """The blocks of a file, by its name: HTML, Mallard, troff or fortunes (gzipped or not)."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    text = data.decode("utf-8", "replace")
    if "\ufffd" in text:
        return []
    name = path.name.removesuffix(".gz")
    if name.endswith((".html", ".xhtml", ".page")):
        return read_html(text)
    if re.search(r"\.[1-8]\w*$", name):
        return read_man(text)
    return read_fortunes(text)
