"""A page as text, JSON, hOCR or ALTO."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

from crnn_runtime.line import Char
from crnn_runtime.page.page import Page, PageLine

_ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
_XHTML = "http://www.w3.org/1999/xhtml"
_HEADER = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DOCTYPE = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
)


def to_text(path: str, page: Page) -> str:
    """The lines, one below the other, with an empty one between blocks."""
    del path
    return page.text


def to_json(path: str, page: Page) -> str:
    """One line of JSON: polygons in pixels of the page, clockwise from where the text begins."""
    content = {
        "path": path,
        "width": page.width,
        "height": page.height,
        "lines": [_line_fields(line) for line in page.lines],
    } | ({"error": page.error} if page.error is not None else {})
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    # What of a path is not UTF-8 are lone surrogates: escaped as JSON writes them.
    return text.encode("utf-8", "backslashreplace").decode()


def _line_fields(line: PageLine) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "text": line.text,
        "confidence": round(line.confidence, 4),
        "score": round(line.score, 4),
        "block": line.block,
        "angle": round(line.angle, 2),
        "polygon": _rounded(line.polygon),
        "chars": [
            {
                "char": each.char,
                "confidence": round(each.confidence, 4),
                "polygon": _rounded(each.polygon),
            }
            for each in line.chars
        ],
    }
    return fields | ({"error": line.line.error} if line.line.error else {})


def _rounded(polygon: Any) -> list[list[float]]:  # noqa: ANN401 (an array)
    return [[round(x, 1), round(y, 1)] for x, y in polygon.tolist()]


def to_hocr(path: str, page: Page) -> str:
    """The page as hOCR 1.2 (http://kba.github.io/hocr-spec/1.2/), as searchable PDFs want it."""
    html = ET.Element("html", {"xmlns": _XHTML})
    head = ET.SubElement(html, "head")
    ET.SubElement(head, "title").text = _xml(path)
    meta = {"ocr-system": "crnn", "ocr-capabilities": "ocr_page ocr_carea ocr_line ocrx_word"}
    for name, content in meta.items():
        ET.SubElement(head, "meta", {"name": name, "content": content})
    body = ET.SubElement(html, "body")
    name = _xml(path).replace("\\", "\\\\").replace('"', '\\"')
    title = f'image "{name}"; bbox 0 0 {page.width} {page.height}; ppageno 0'
    sheet = ET.SubElement(body, "div", {"class": "ocr_page", "id": "page_1", "title": title})
    number = 0
    for block, lines in enumerate(page.blocks(), start=1):
        area = ET.SubElement(
            sheet, "div",
            {"class": "ocr_carea", "id": f"block_1_{block}", "title": _bbox(_around(lines, page))},
        )  # fmt: skip
        for line in lines:
            number += 1
            title = _bbox(_within(line.bounds, page))
            if abs(line.angle) > 1:
                title += f"; textangle {-line.angle % 360:.2f}"  # counter-clockwise
            span = ET.SubElement(
                area, "span", {"class": "ocr_line", "id": f"line_1_{number}", "title": title}
            )
            for count, (text, confidence, bounds) in enumerate(_words(line), start=1):
                place = f"{_bbox(_within(bounds, page))}; x_wconf {round(100 * confidence)}"
                word = {"class": "ocrx_word", "id": f"word_1_{number}_{count}", "title": place}
                ET.SubElement(span, "span", word).text = _xml(text)
    ET.indent(html)
    return _HEADER + _DOCTYPE + ET.tostring(html, "unicode")


def to_alto(path: str, page: Page) -> str:
    """The page as ALTO 4 (https://www.loc.gov/standards/alto/)."""
    alto = ET.Element("alto", {"xmlns": _ALTO})
    description = ET.SubElement(alto, "Description")
    ET.SubElement(description, "MeasurementUnit").text = "pixel"
    source = ET.SubElement(description, "sourceImageInformation")
    ET.SubElement(source, "fileName").text = _xml(path)
    layout = ET.SubElement(alto, "Layout")
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    sheet = ET.SubElement(layout, "Page", {"ID": "page_1", "PHYSICAL_IMG_NR": "1", **size})
    space = ET.SubElement(sheet, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    number = 0
    for block, lines in enumerate(page.blocks(), start=1):
        area = ET.SubElement(
            space, "TextBlock", {"ID": f"block_{block}", **_place(_around(lines, page))}
        )
        for line in lines:
            number += 1
            place = _place(_within(line.bounds, page))
            row = ET.SubElement(area, "TextLine", {"ID": f"line_{number}", **place})
            shape = ET.SubElement(row, "Shape")
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.polygon.tolist())
            ET.SubElement(shape, "Polygon", {"POINTS": points})
            for count, (text, confidence, bounds) in enumerate(_words(line)):
                if count:
                    ET.SubElement(row, "SP")
                word = {"ID": f"word_{number}_{count + 1}", "CONTENT": _xml(text)}
                word |= {"WC": f"{confidence:.3f}", **_place(_within(bounds, page))}
                ET.SubElement(row, "String", word)
    ET.indent(alto)
    return _HEADER + ET.tostring(alto, "unicode")


FORMATS: dict[str, tuple[str, Callable[[str, Page], str]]] = {
    "text": (".txt", to_text),
    "json": (".json", to_json),
    "hocr": (".hocr", to_hocr),
    "alto": (".xml", to_alto),
}
"""Name → suffix of its files, and what writes it: path and page → its content."""

_Bounds = tuple[float, float, float, float]


def _words(line: PageLine) -> Iterator[tuple[str, float, _Bounds]]:
    """The words of a line: text, confidence, and bounds on the page."""
    chars, placed = line.line.chars, line.chars
    if not chars and line.text:
        yield line.text, line.confidence, line.bounds
        return
    start = 0
    for end in range(len(chars) + 1):
        if end < len(chars) and not chars[end].char.isspace():
            continue
        if end > start:
            corners = [corner for each in placed[start:end] for corner in each.polygon.tolist()]
            xs, ys = zip(*corners, strict=True)
            text = "".join(each.char for each in chars[start:end])
            yield text, _confidence(chars[start:end]), (min(xs), min(ys), max(xs), max(ys))
        start = end + 1


def _confidence(chars: tuple[Char, ...]) -> float:
    return min(each.confidence for each in chars)


def _within(bounds: _Bounds, page: Page) -> tuple[int, int, int, int]:
    """Bounds in whole pixels, cut off at the page's edges."""
    x0, y0, x1, y1 = bounds
    left, top = min(max(0, round(x0)), page.width), min(max(0, round(y0)), page.height)
    return left, top, max(left, min(round(x1), page.width)), max(top, min(round(y1), page.height))


def _around(lines: list[PageLine], page: Page) -> tuple[int, int, int, int]:
    bounds = [_within(line.bounds, page) for line in lines]
    x0, y0, x1, y1 = zip(*bounds, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _bbox(bounds: tuple[int, int, int, int]) -> str:
    return "bbox " + " ".join(map(str, bounds))


def _place(bounds: tuple[int, int, int, int]) -> dict[str, str]:
    x0, y0, x1, y1 = bounds
    fields = {"HPOS": x0, "VPOS": y0, "WIDTH": x1 - x0, "HEIGHT": y1 - y0}
    return {name: str(value) for name, value in fields.items()}


def _xml(text: str) -> str:
    """A text without what XML cannot hold: control characters, and bytes that are not UTF-8."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each >= " " or each in "\t" else "\ufffd" for each in plain)
