"""Pages of HTML as interfaces, articles, tables and forms have them, of a lexicon's text."""

import colorsys
import dataclasses
import random
from collections.abc import Callable
from html import escape

from crnn.synth.fonts.faces import FontSet, load_faces
from crnn.synth.fonts.files import find_fonts
from crnn.synth.split import Split
from crnn.synth.text.generators import SOURCES
from crnn.synth.text.words import Lexicon

LINES = """(() => {
  // Lines are characters of one block, one after the other, at one height.
  const blocks = new Map(), range = document.createRange();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    let block = node.parentElement;
    while (getComputedStyle(block).display === 'inline') block = block.parentElement;
    if (!blocks.has(block)) blocks.set(block, []);
    const lines = blocks.get(block);
    for (let i = 0, step; i < node.data.length; i += step) {
      step = node.data.codePointAt(i) > 0xffff ? 2 : 1;
      range.setStart(node, i); range.setEnd(node, i + step);
      const box = range.getClientRects()[0], character = node.data.slice(i, i + step);
      if (!box || box.width === 0) continue;
      const last = lines[lines.length - 1], middle = (box.top + box.bottom) / 2;
      if (last && middle > last[1] && middle < last[3] && box.left >= last[2] - 2) {
        last[0] = Math.min(last[0], box.left); last[1] = Math.min(last[1], box.top);
        last[2] = Math.max(last[2], box.right); last[3] = Math.max(last[3], box.bottom);
        last[4] += character;
      } else if (/\\S/.test(character)) {
        lines.push([box.left, box.top, box.right, box.bottom, character]);
      }
    }
  }
  return [...blocks.values()].flat();
})()"""
"""An expression in JavaScript: x0, y0, x1, y1 in CSS pixels and text of each line drawn."""

_FONTS = {"segment": 0, "hand": 0.1, "typewriter": 0.3, "mono": 0.5, "display": 0.2, "pixel": 0.3}
_SHORT = ("zh-phrase", "zh-word", "zh-field", "zh-mixed", "number", "date", "amount")
_SHORT_EN = ("en-phrase", "en-title", "en-field", "number", "date", "amount", "code")
_CELLS = ("number", "amount", "date", "clock", "phone", "code")


@dataclasses.dataclass(frozen=True)
class Page:
    """A page to draw.

    Attributes:
        html: its text.
        width: of the window, in CSS pixels.
        scale: device pixels per CSS pixel.
    """

    html: str
    width: int
    scale: float


class Pages:
    """Makes pages up.

    Args:
        lexicon: what they read; best one with a corpus.
        fonts: families that they are set in, by name, so those of the system.
    """

    def __init__(self, lexicon: Lexicon, fonts: FontSet) -> None:
        self._lexicon = lexicon
        self._fonts = fonts

    @classmethod
    def of_system(cls, lexicon: Lexicon, split: Split = "all") -> "Pages":
        """Pages in the fonts of the system, which are those that a browser sees."""
        faces = load_faces(find_fonts("system"))
        return cls(lexicon, FontSet(faces, weights=_FONTS, split=split))

    def page(self, rng: random.Random) -> Page:
        """One page: kind, language, face, size and colours drawn from ``rng``."""
        language = "zh" if rng.random() < 0.6 else "en"
        body = rng.choices(_KINDS, _OFTEN)[0](rng, _Words(rng, self._lexicon, language))
        width = rng.choice((360, 420, 480, 560, 640, 760, 960))
        scale = rng.choice((1.0, 1.0, 1.0, 1.25, 1.5, 2.0, 0.9))
        return Page(f"<html><style>{self._style(rng, language)}</style><body>{body}", width, scale)

    def _style(self, rng: random.Random, language: str) -> str:
        sample = "的中文" if language == "zh" else "Text"
        faces = [self._fonts.choose(rng, sample) for _ in range(2)]
        families = [f'"{face.family}"' for face in faces if face is not None]
        size = rng.choice((12, 13, 14, 14, 15, 16, 16, 18, 20, 22))
        ink, paper, accent, line = _colours(rng)
        weight = rng.choice((300, 400, 400, 400, 500, 700))
        look = [
            f"font: {weight} {size}px {families[0]}, sans-serif",
            f"line-height: {rng.uniform(1.15, 1.9):.2f}",
            f"letter-spacing: {rng.choice((0, 0, 0, 0, 0.02, 0.06, 0.15))}em",
            f"word-spacing: {rng.choice((0, 0, 0, 0.1, 0.3))}em",
            f"text-align: {rng.choice(('left', 'left', 'justify'))}",
            f"color: {ink}; background: {paper}; margin: 0; padding: {rng.randint(6, 28)}px",
        ]
        return (
            f"body {{{'; '.join(look)}}} h1, h2 {{font-family: {families[-1]}; "
            f"font-weight: {rng.choice((400, 700, 700))}; color: {rng.choice((ink, accent))}}} "
            f"a, b, .accent {{color: {accent}}} "
            f"table {{border-collapse: collapse; width: 100%}} "
            f"td, th {{padding: {rng.randint(1, 7)}px; border: {rng.choice((0, 0, 1, 1, 2))}px "
            f"solid {line}; text-align: {rng.choice(('left', 'left', 'right', 'center'))}}} "
            f".box {{display: inline-block; border: 1px solid {line}; border-radius: "
            f"{rng.choice((0, 3, 6, 20))}px; padding: {rng.randint(1, 8)}px {size // 2}px; "
            f"margin: {rng.randint(2, 8)}px}} .full {{background: {accent}; color: {paper}}} "
            f".columns {{column-count: {rng.choice((2, 2, 3))}; column-gap: {size}px}}"
        )


def _colours(rng: random.Random) -> tuple[str, str, str, str]:
    """Ink, paper, accent and lines, as CSS writes them."""
    dark = rng.random() < 0.2
    ink, paper = rng.choice((0, 20, 34, 51, 85)), rng.choice((255, 255, 255, 250, 244))
    if dark:
        ink, paper = rng.choice((255, 230, 200)), rng.choice((0, 18, 30, 45))
    hue, tint = rng.random(), rng.random() < 0.15
    accent = colorsys.hsv_to_rgb(hue, rng.uniform(0.5, 1), 0.95 if dark else rng.uniform(0.35, 0.8))
    ground = colorsys.hsv_to_rgb(hue, 0.12 if tint else 0, paper / 255)
    grey = (ink + 2 * paper) // 3

    def css(colour: tuple[float, float, float]) -> str:
        return "#" + "".join(f"{round(255 * part):02x}" for part in colour)

    return f"rgb({ink},{ink},{ink})", css(ground), css(accent), f"rgb({grey},{grey},{grey})"


class _Words:
    """Texts of one page's language, escaped."""

    def __init__(self, rng: random.Random, lexicon: Lexicon, language: str) -> None:
        self._rng = rng
        self._lexicon = lexicon
        self._language = language

    def block(self) -> str:
        """A paragraph."""
        if self._lexicon.corpus is None:
            return self.of((f"{self._language}-running",))
        return escape(self._lexicon.corpus.line(self._rng, self._language))

    def short(self) -> str:
        """A caption or a menu's entry."""
        return self.of(_SHORT if self._language == "zh" else _SHORT_EN)

    def of(self, sources: tuple[str, ...]) -> str:
        """A text of one of ``sources``, keys of `crnn.synth.text.generators.SOURCES`."""
        return escape(SOURCES[self._rng.choice(sources)](self._rng, self._lexicon))


def _several(rng: random.Random, low: int, high: int, make: Callable[[], str]) -> str:
    return "".join(make() for _ in range(rng.randint(low, high)))


def _article(rng: random.Random, words: _Words) -> str:
    def paragraph() -> str:
        kind = rng.random()
        if kind < 0.15:
            return f"<h2>{words.short()}</h2>"
        if kind < 0.3:
            return f"<ul>{_several(rng, 2, 5, lambda: f'<li>{words.block()}</li>')}</ul>"
        link = f" <a>{words.short()}</a> {words.block()}" if rng.random() < 0.3 else ""
        return f"<p>{words.block()}{link}</p>"

    return f"<h1>{words.short()}</h1>{_several(rng, 5, 12, paragraph)}"


def _columns(rng: random.Random, words: _Words) -> str:
    blocks = _several(rng, 10, 20, lambda: f"<p>{words.block()}</p>")
    return f"<h1>{words.short()}</h1><div class=columns>{blocks}</div>"


def _table(rng: random.Random, words: _Words) -> str:
    columns = rng.randint(2, 6)
    kinds = [rng.random() < 0.55 for _ in range(columns)]

    def row() -> str:
        cells = (words.of(_CELLS) if is_number else words.short() for is_number in kinds)
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"

    head = _several(rng, columns, columns, lambda: f"<th>{words.short()}</th>")
    return f"<h2>{words.short()}</h2><table><tr>{head}</tr>{_several(rng, 8, 20, row)}</table>"


def _form(rng: random.Random, words: _Words) -> str:
    def row() -> str:
        value = f"<span class=box>{words.of((*_CELLS, 'address'))}</span>"
        return f"<div>{words.short()} {value}</div>"

    buttons = _several(rng, 1, 4, lambda: f'<span class="box full">{words.short()}</span>')
    return f"<h2>{words.short()}</h2>{_several(rng, 5, 14, row)}<div>{buttons}</div>"


def _menu(rng: random.Random, words: _Words) -> str:
    bar = _several(rng, 3, 7, lambda: f"<span class=box>{words.short()}</span> ")
    entries = _several(rng, 10, 25, lambda: f"<div>{words.short()}</div>")
    return f"<div>{bar}</div>{entries}"


def _cards(rng: random.Random, words: _Words) -> str:
    def card() -> str:
        full = rng.choice(("", "", " full"))
        small = f"<div style='font-size: 80%'>{words.of(_CELLS)}</div>"
        text = f"<b>{words.short()}</b><div>{words.block()}</div>"
        return f"<div class='box{full}'>{text}{small}</div>"

    return _several(rng, 4, 10, card)


_KINDS = (_article, _columns, _cards, _table, _form, _menu)
_OFTEN = (7, 3, 3, 0.8, 1.2, 1.2)
