"""The contents of pages: headings, paragraphs, columns, tables, receipts, notices."""

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Sequence

from crnn.scripts import needs_shaping, to_visual
from crnn.synth.fonts.faces import FontSet
from crnn.synth.page.sheet import Sheet, Type
from crnn.synth.picture.look import pick
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon

_WIDEST = 64  # characters that are tried for a line
_SEEN_ALIKE = {"￥": "¥", "％": "%", "…": "。", "–": "-", "—": "-", "―": "-"}
_LEFT_OUT = set("‘’'\"“”`′″|")
"""Signs that people cannot tell apart in print, either, and quotes that are not paired in a line.
"""
_BESIDE_HAN = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")
_AMBIGUOUS = re.compile(r"[0-9][OIl]|[OIl][0-9]|[A-Z]0|0[A-Z]|\b[Il]\b| (Z|SR)$")
_FULL_WIDTH = str.maketrans(",:;!?()", "，：；！？（）")
_PROSE = {"zh": "zh-running", "en": "en-running"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Writer:
    """The source of a page's words and letters.

    Attributes:
        rng: of the chances.
        lexicon: the words.
        fonts: the faces.
        language: ``zh`` or ``en``, of running text.
        body: of running text.
    """

    rng: random.Random
    lexicon: Lexicon
    fonts: FontSet
    language: str
    body: Type

    def text(self, *sources: str) -> str:
        """A text from one of the generators, which the page's face can set."""
        for _ in range(20):
            source = SOURCES[self.rng.choice(sources)]
            text = self._legible(source(self.rng, self.lexicon))
            allowed = text and self.lexicon.allows(text) and not needs_shaping(text)
            if allowed and self.body.face.covers(text):
                return to_visual(text)
        return "".join(self.rng.choices("0123456789", k=6))

    def _legible(self, text: str) -> str:
        """A text that says the same to everybody who copies it from print."""
        text = "".join(_SEEN_ALIKE.get(each, each) for each in text if each not in _LEFT_OUT)
        text = re.sub(" +", " ", text)
        if self.language == "zh" and any(each >= "\u4e00" for each in text):
            text = _BESIDE_HAN.sub("", text.translate(_FULL_WIDTH))
        return "" if _AMBIGUOUS.search(text) else text.strip()

    def phrase(self) -> str:
        """A few words."""
        return self.text(f"{self.language}-phrase")

    def running(self) -> Iterator[str]:
        """Words, or characters, of running text without end."""
        while True:
            text = self.text(_PROSE[self.language])
            yield from text.split(" ") if self.language == "en" else text.replace(" ", "")

    def other(self, share: float) -> Type:
        """Another face and size, for headings; the body's face if none has the characters."""
        face = self.fonts.choose(self.rng, "的" if self.language == "zh" else "ae")
        return dataclasses.replace(self.body.sized(share), face=face or self.body.face)


def letter(sheet: Sheet, writer: Writer) -> None:
    """A heading and paragraphs, one below the other."""
    margin = sheet.width * writer.rng.uniform(0.07, 0.13)
    y = _heading(sheet, writer, margin, sheet.width - margin, sheet.height * 0.08)
    while y < sheet.height * 0.88:
        y = _paragraph(sheet, writer, margin, sheet.width - margin, y, writer.rng.randint(2, 9))
        if writer.rng.random() < 0.25:
            y = _subheading(sheet, writer, margin, y)
    _folio(sheet, writer)


def columns(sheet: Sheet, writer: Writer) -> None:
    """Two or three columns below a heading that spans them."""
    count = 3 if sheet.width > 34 * writer.body.em and writer.rng.random() < 0.4 else 2
    margin = sheet.width * 0.07
    gutter = writer.body.em * writer.rng.uniform(1.6, 3)
    wide = (sheet.width - 2 * margin - (count - 1) * gutter) / count
    top = _heading(sheet, writer, margin, sheet.width - margin, sheet.height * 0.07)
    end = sheet.height * writer.rng.uniform(0.6, 0.92)
    for number in range(count):
        left, y = margin + number * (wide + gutter), top
        while y < end - 3 * writer.body.pitch:
            lines = min(writer.rng.randint(4, 14), int((end - y) / writer.body.pitch))
            y = _paragraph(sheet, writer, left, left + wide, y, lines)
        if number and writer.rng.random() < 0.3:
            sheet.rule(left - gutter / 2, top, left - gutter / 2, end)
    _folio(sheet, writer)


def table(sheet: Sheet, writer: Writer) -> None:
    """A title and a table with or without rules, and a few words below it."""
    rng, em = writer.rng, writer.body.em
    margin = sheet.width * 0.08
    y = _heading(sheet, writer, margin, sheet.width - margin, sheet.height * 0.07)
    shares = [rng.uniform(1, 2.2) for _ in range(rng.randint(3, 5))]
    total = sum(shares)
    wide = sheet.width - 2 * margin
    edges = [margin + wide * sum(shares[:n]) / total for n in range(len(shares) + 1)]
    kinds = [
        rng.choice(("number", "amount", "date", "clock", "zh-word", "zh-word")) for _ in shares
    ]
    kinds = [
        "en-title" if kind == "zh-word" and writer.language == "en" else kind for kind in kinds
    ]
    ruled, pitch = rng.random() < 0.6, round(em * rng.uniform(1.7, 2.4))
    sheet.new_block()
    top = y
    for row in range(rng.randint(4, max(5, int((sheet.height * 0.8 - y) / pitch)))):
        if ruled:
            sheet.rule(margin, y, edges[-1], y)
        for left, right, kind in zip(edges, edges[1:], kinds, strict=False):
            name = kind if row else ("zh-word" if writer.language == "zh" else "en-title")
            text = _cut(sheet, writer, writer.text(name), right - left - em)
            sheet.set(text, writer.body, left + em * 0.5, y + pitch * 0.5 + em * 0.36)
        y += pitch
    if ruled:
        sheet.rule(margin, y, edges[-1], y)
        for x in edges:
            sheet.rule(x, top, x, y)
    _paragraph(sheet, writer, margin, sheet.width - margin, y + em * 1.5, rng.randint(1, 4))
    _folio(sheet, writer)


def receipt(sheet: Sheet, writer: Writer) -> None:
    """A till receipt: what was bought at the left, amounts at the right."""
    rng, body = writer.rng, writer.body
    margin = sheet.width * 0.08
    y = _heading(sheet, writer, margin, sheet.width - margin, sheet.height * 0.06)
    right = sheet.width - margin
    for source in ("date", "phone", "clock"):
        sheet.new_block()
        sheet.set(writer.text(source), body, margin, y)
        y += body.pitch
    sheet.rule(margin, y - body.pitch * 0.4, right, y - body.pitch * 0.4)
    y += body.pitch * 0.6
    sheet.new_block()
    while y < sheet.height * rng.uniform(0.75, 0.95):
        amount = writer.text("amount")
        wide = sheet.measure(amount, body)
        name = writer.text("zh-word" if writer.language == "zh" else "en-title")
        name = _cut(sheet, writer, name, right - margin - wide - 4 * body.em)
        sheet.set(name, body, margin, y)
        sheet.set(amount, body, right - wide, y)
        y += body.pitch


def notice(sheet: Sheet, writer: Writer) -> None:
    """A poster or a form: lines of all sizes, some turned, some white on dark."""
    rng = writer.rng
    y = sheet.height * rng.uniform(0.05, 0.12)
    strip = round(sheet.width * 0.12)
    while y < sheet.height * 0.9:
        kind = writer.other(rng.choice((0.9, 1, 1, 1.3, 1.8, 2.4)))
        source = ("zh-field", "zh-phrase") if writer.language == "zh" else ("en-field", "en-phrase")
        text = writer.text(*source, "phone", "date", "address")
        room = sheet.width - 2 * strip
        text = _cut(sheet, writer, text, room, kind)
        left = strip + (room - sheet.measure(text, kind)) * rng.choice((0, 0, 0.5, 1))
        sheet.new_block()
        if sheet.set(text, kind, left, y + kind.em) and rng.random() < 0.15:
            edges = sheet.width * 0.1, sheet.width * 0.9
            sheet.bar(edges[0], y - 0.05 * kind.em, edges[1], y + 1.35 * kind.em)
        y += kind.em * rng.uniform(1.7, 2.6)
    for turn in sorted(rng.sample((90, 270), rng.randint(0, 2)), reverse=True):
        sheet.new_block()
        x = strip * 0.3 if turn == 270 else sheet.width - strip * 0.8
        sheet.set(writer.phrase(), writer.other(1.2), x, sheet.height * 0.25, turn)


KINDS: dict[str, Callable[[Sheet, Writer], None]] = {
    "letter": letter,
    "columns": columns,
    "table": table,
    "receipt": receipt,
    "notice": notice,
}
"""Kind of page → what sets it."""


def choose_language(rng: random.Random, known: Sequence[str]) -> str:
    """Chinese in two pages of three, where both are known."""
    return pick(rng, {"zh": 2, "en": 1}) if len(known) > 1 else known[0]


def _heading(sheet: Sheet, writer: Writer, left: float, right: float, y: float) -> float:
    """One line in larger type; gives the y at which the next may begin."""
    kind = writer.other(writer.rng.uniform(1.4, 2.2))
    text = _cut(sheet, writer, writer.phrase(), right - left, kind)
    sheet.new_block()
    indent = (right - left - sheet.measure(text, kind)) / 2 * writer.rng.choice((0, 1))
    sheet.set(text, kind, left + indent, y + kind.em)
    return y + kind.em * 2.2


def _subheading(sheet: Sheet, writer: Writer, left: float, y: float) -> float:
    kind = writer.other(1.15)
    sheet.new_block()
    sheet.set(writer.phrase(), kind, left, y + kind.em)
    return y + kind.em * 2


def _paragraph(
    sheet: Sheet, writer: Writer, left: float, right: float, y: float, lines: int
) -> float:
    """Running text, the first line indented, the last one short; gives the y below it."""
    body = writer.body
    sheet.new_block()
    glue = " " if writer.language == "en" else ""
    words = writer.running()
    word = next(words)
    indent = 2 * body.em if writer.language == "zh" else 0
    for number in range(lines):
        start = left + (indent if number == 0 else 0)
        room = (right - start) * (writer.rng.uniform(0.25, 0.9) if number == lines - 1 else 1)
        text = ""
        while len(text) < 2 * _WIDEST:
            longer = text + glue * bool(text) + word
            if sheet.measure(longer, body) > room:
                break
            text, word = longer, next(words)
        if not text:  # a word wider than the column
            text, word = _cut(sheet, writer, word, room), next(words)
        sheet.set(text, body, start, y + body.em)
        y += body.pitch
    return y + body.pitch * writer.rng.uniform(0.3, 0.8)


def _folio(sheet: Sheet, writer: Writer) -> None:
    if writer.rng.random() < 0.5:
        sheet.new_block()
        number = str(writer.rng.randint(10, 999))
        sheet.set(number, writer.body, sheet.width * 0.48, sheet.height * 0.975)


def _cut(sheet: Sheet, writer: Writer, text: str, room: float, kind: Type | None = None) -> str:
    """The text, or as much of its beginning as there is room for."""
    while len(text) > 1 and sheet.measure(text, kind or writer.body) > room:
        text = text[:-1].rstrip()
    return text
