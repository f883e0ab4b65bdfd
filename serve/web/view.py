"""An inspected line as HTML. All that came from a picture, a model or a file name is escaped."""

import base64
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape
from math import exp

import cv2
import numpy as np
from numpy.typing import NDArray

from crnn_runtime import Alternative, Char, Line, ModelCard
from crnn_runtime.inspection import STAGES, Inspection
from crnn_runtime.picture.rotate import rotated
from crnn_serve.web.heat import ROW, class_rows, heat_svg, label

_SHOWN_HEIGHT = 132  # CSS pixels of a picture at most
_SENT_HEIGHT = 2 * _SHOWN_HEIGHT  # for displays of twice the density
_SENT_WIDTH = 16_000  # pixels that a JPEG may be wide, and then some
_CHAR_WIDTH = 27  # CSS pixels that a character with its number needs
_MAX_STRIP = 24_000  # CSS pixels that a line may be wide
_EXPORT = "export it with <code>crnn-export --head log-probs</code> or <code>--head topk</code>"


def message(text: str, kind: str = "error") -> str:
    """A sentence in place of a reading; ``kind`` is error, hint or note."""
    return f'<div class="cw-message cw-{kind}" role="status">{escape(text)}</div>'


def side_by_side(cards: Sequence[str], note: str = "") -> str:
    """One or two cards, one below the other where there is no room."""
    kind = " cw-two" if len(cards) > 1 else ""
    return f'{note}<div class="cw-cards{kind}">{"".join(cards)}</div>'


def agreement(one: Line, other: Line) -> str:
    """Describes the agreement of two readings."""
    if one.text == other.text:
        return message("Both read the same.", "note")
    return (
        '<div class="cw-message cw-note" role="status">They differ: '
        f'<span class="cw-diff">{differences(one.text, other.text)}</span></div>'
    )


def card(
    name: str,
    inspection: Inspection,
    model: ModelCard,
    picture: NDArray[np.uint8],
) -> str:
    """All that is to be seen of one line read by one reader.

    Args:
        name: of the reader.
        inspection: what it read.
        model: its card.
        picture: RGB (H, W, 3), the whole source image at any size, as it stands.
    """
    line = inspection.line
    facts = [f"confidence {100 * line.confidence:.1f} %", _count(len(line.text), "character")]
    facts.append(_count(sum(len(steps.ids) for steps in inspection.steps), "step"))
    if line.pieces > 1:
        facts.append(f"read in {line.pieces} overlapping pieces")
    if line.turned:
        facts.append(f"turned by {line.turned}°")
        picture = rotated(picture, line.turned)
    facts.append(f"{inspection.width} × {inspection.height} px")
    about = f"{model.arch}, {len(model.alphabet)} characters, head {model.head}"
    # Han characters have other shapes in other countries; those of the alphabets are Chinese.
    language = ' lang="zh-Hans"' if any(char >= "\u2e80" for char in line.text) else ""
    return (
        f'<article class="cw-card" data-reader="{escape(name)}"{language}>'
        f"<header><strong>{escape(name)}</strong><span>{escape(about)}</span></header>"
        f'<p class="cw-text">{marked_text(line)}</p>'
        f'<p class="cw-facts">{"".join(f"<span>{escape(fact)}</span>" for fact in facts)}</p>'
        f"{_strip(inspection, model, picture)}"
        '<div class="cw-columns">'
        f"<section>{_alternatives(inspection, model)}</section>"
        f"<section>{_times(inspection)}</section></div>"
        "<details><summary>The best class of every step</summary>"
        f'<code class="cw-raw">{escape(line.raw)}</code></details>'
        "</article>"
    )


def tint(confidence: float) -> str:
    """Red below a half, amber at 0.9, teal when sure; read by those who see no red, too."""
    if confidence < 0.9:
        hue = 8 + 34 * max(0.0, confidence - 0.5) / 0.4
    else:
        hue = 42 + 128 * (confidence - 0.9) / 0.1
    return f"hsl({hue:.0f} 85% 38%)"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def marked_text(line: Line) -> str:
    """The text, its unsure characters underlined."""
    if not line.text:
        return '<span class="cw-empty">an empty line</span>'
    return "".join(
        escape(char.char)
        if char.confidence >= 0.9
        else f'<u style="--c:{tint(char.confidence)}" title="{100 * char.confidence:.1f} %">'
        f"{escape(char.char)}</u>"
        for char in line.chars
    )


def _strip(inspection: Inspection, model: ModelCard, picture: NDArray[np.uint8]) -> str:
    """Picture, boxes and heat map, one above the other on the same axis."""
    width, height, chars = inspection.width, inspection.height, inspection.line.chars
    rows, left_out = class_rows(inspection.steps)
    least = min(_MAX_STRIP, max(60, round(_CHAR_WIDTH * width / _pitch(chars, width))))
    most = max(least, round(_SHOWN_HEIGHT * width / height))
    names = "".join(
        f'<span style="height:{ROW}px">{escape(label(code, model.alphabet))}</span>'
        for code in rows
    )
    return (
        '<div class="cw-scroll" tabindex="0" role="region" aria-label="The line, step by step">'
        f'<div class="cw-grid" style="--least:{least}px;--most:{most}px">'
        f'<div class="cw-gutter">read</div><div class="cw-lane cw-chars">{_row(chars, width)}</div>'
        '<div class="cw-gutter"></div><div class="cw-lane cw-picture">'
        f'<img alt="the line" src="{data_url(picture, _SENT_HEIGHT, _SENT_WIDTH)}">'
        f"{_boxes(chars, width)}</div>"
        '<div class="cw-gutter">%</div>'
        f'<div class="cw-lane cw-scores">{_row(chars, width, scores=True)}</div>'
        f'<div class="cw-gutter cw-rows">{names}</div>'
        f'<div class="cw-lane cw-heat">'
        f"{heat_svg(inspection.steps, rows, model.alphabet, width)}</div></div></div>"
        f'<p class="cw-caption">{_caption(inspection, model, left_out)}</p>'
    )


def _caption(inspection: Inspection, model: ModelCard, left_out: int) -> str:
    text = (
        "A box spans the time steps of its character, its colour is the confidence. Heat map: how "
        "probable each character is at each step."
    )
    if model.head == "greedy":
        text = (
            "A box spans the time steps of its character, its colour is the confidence. Heat map: "
            "this reader gives only the best class of each step and its probability (head "
            f"greedy), so empty cells are unknown, not zero. To see them all, {_EXPORT}."
        )
    if inspection.line.pieces > 1:
        text += " Dashed lines: where one piece of the line takes over from the one before."
    if left_out:
        text += f" Characters that are less probable and not shown: {left_out}."
    return text


def _pitch(chars: Sequence[Char], width: int) -> float:
    """Pixels of the source from one character to the next, where they are close."""
    centres = np.array([(char.x0 + char.x1) / 2 for char in chars])
    if len(centres) < 2:
        return float(width)
    return max(float(np.quantile(np.diff(centres), 0.1)), 1e-3 * width)


def _row(chars: Sequence[Char], width: int, *, scores: bool = False) -> str:
    return "".join(
        f'<span style="left:{_percent((char.x0 + char.x1) / 2, width)}">'
        f"{f'{100 * char.confidence:.0f}' if scores else escape(char.char)}</span>"
        for char in chars
    )


def _boxes(chars: Sequence[Char], width: int) -> str:
    return "".join(
        f'<i style="left:{_percent(char.x0, width)};width:{_percent(char.x1 - char.x0, width)};'
        f'--c:{tint(char.confidence)}" title="{escape(char.char)} '
        f'{100 * char.confidence:.1f} %, x {char.x0:.0f} to {char.x1:.0f}"></i>'
        for char in chars
    )


def _percent(x: float, width: int) -> str:
    return f"{100 * x / width:.3f}%"


def data_url(picture: NDArray[np.uint8], high: int, wide: int) -> str:
    """A JPEG of an RGB picture within an address, no larger than (high, wide)."""
    height, width = picture.shape[:2]
    scale = min(1.0, high / height, wide / width)
    if scale < 1:
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _alternatives(inspection: Inspection, model: ModelCard) -> str:
    title = "<h4>What else it may say</h4>"
    if model.head == "greedy":
        reason = (
            "This reader gives only the best class of each step (head greedy), which is too "
            f"little for a search: {_EXPORT}."
        )
        return f'{title}<p class="cw-caption">{reason}</p>'
    if inspection.line.pieces > 1:
        reason = (
            "A line that is read in several pieces has no alternatives: each piece has its own."
        )
        return f'{title}<p class="cw-caption">{reason}</p>'
    found = inspection.alternatives
    rows = "".join(_alternative(each, found[0]) for each in found)
    return f'{title}<table class="cw-nbest"><tbody>{rows}</tbody></table>'


def _alternative(each: Alternative, best: Alternative) -> str:
    prob = exp(min(0.0, each.log_prob))
    shown = f"{100 * prob:.1f} %" if prob >= 0.001 else f"{prob:.0e}".replace("e-0", "e-")
    text = differences(best.text, each.text) if each is not best else escape(each.text)
    return (
        f'<tr><td class="cw-prob" title="ln p = {each.log_prob:.2f}">'
        f'<span style="--p:{100 * prob:.1f}%"></span>{shown}</td>'
        f"<td>{text or '<em>empty</em>'}</td></tr>"
    )


def differences(one: str, other: str) -> str:
    """``other`` as HTML: what ``one`` has not is marked, what it lacks of it struck out."""
    parts = []
    for kind, i0, i1, j0, j1 in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        gone, new = escape(one[i0:i1]), escape(other[j0:j1])
        if kind == "equal":
            parts.append(new)
            continue
        parts.append(f"<del>{gone}</del>" if gone else "")
        parts.append(f"<mark>{new}</mark>" if new else "")
    return "".join(parts)


def _times(inspection: Inspection) -> str:
    seconds = {stage: inspection.seconds[stage] for stage in STAGES if inspection.seconds[stage]}
    bars = "".join(
        f'<i class="cw-{stage}" style="flex-grow:{1e3 * value:.3f}" title="{stage}"></i>'
        for stage, value in seconds.items()
    )
    keys = "".join(
        f'<li><i class="cw-{stage}"></i>{stage}<b>{1e3 * value:.2f}</b></li>'
        for stage, value in seconds.items()
    )
    total = 1e3 * sum(seconds.values())
    return (
        f'<h4>Where the time went <span>{total:.1f} ms</span></h4><div class="cw-bar">{bars}</div>'
        f'<ul class="cw-times">{keys}</ul>'
    )
