"""Pages on disk: a picture of each, and a line of JSON that says what stands where."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from crnn.synth.page.engine import PageSample, PageSynthesizer
from crnn.synth.writers import prepare
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

PAGES = "pages.jsonl"
"""In the folder: ``path``, ``kind``, ``view`` and ``lines`` (``text``, ``polygon``, ``block``)."""
_QUALITY = 92  # of the JPEG files


def write_pages(
    pages: PageSynthesizer,
    folder: Path,
    count: int,
    info: dict[str, Any],
    tell: Callable[[int], object] = lambda _: None,
) -> int:
    """Draw the first pages of a synthesiser; a run that was stopped goes on.

    Args:
        pages: draws them.
        folder: new, empty, or of a run with the same ``info``.
        count: pages.
        info: what the run follows from.
        tell: is told how many pages were done since.

    Returns:
        how many lines stand on all pages.

    Raises:
        CrnnError: the folder holds something else or cannot be written, or no font has the
            characters of a page.
    """
    prepare(folder, info, pages.alphabet)
    rows = _rows(folder / PAGES)
    for number in range(count):
        if number >= len(rows):
            page = pages.page(number)
            name = f"{number:04}.jpg"
            coded = cv2.imencode(
                ".jpg",
                cv2.cvtColor(page.image, cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_JPEG_QUALITY, _QUALITY],
            )[1].tobytes()
            write_atomically(folder / name, lambda part, coded=coded: part.write_bytes(coded))  # type: ignore[misc]
            _append(folder / PAGES, _row(name, page))
            rows.append(_row(name, page))
        tell(1)
    return sum(len(row["lines"]) for row in rows[:count])


def _row(name: str, page: PageSample) -> dict[str, Any]:
    lines = [
        {
            "text": line.text,
            "polygon": [[round(x, 1), round(y, 1)] for x, y in line.polygon.tolist()],
            "block": line.block,
        }
        for line in page.lines
    ]
    return {"path": name, "kind": page.kind, "view": page.view, "lines": lines}


def _rows(file: Path) -> list[dict[str, Any]]:
    """The pages that are whole; what a killed run left of a last row is cut off."""
    try:
        data = file.read_bytes() if file.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            write_atomically(file, lambda part: part.write_bytes(whole))
        return [json.loads(row) for row in whole.splitlines()]
    except OSError as error:
        raise CrnnError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise CrnnError(f"{file} is damaged: delete its folder and start over") from error


def _append(file: Path, row: dict[str, Any]) -> None:
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CrnnError(f"cannot write {file}: {error.strerror}") from error
