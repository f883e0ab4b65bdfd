"""This project on whole pages, asked as `pages_rapidocr` is: pages together, lines as JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from crnn_runtime import Detection, Detector, Recognizer


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a page's path to its lines as JSON, and what the reader is."""
    threads = options["threads"]
    recognizer = Recognizer(options["reader"], threads=threads, card=options.get("card"))
    detector = Detector(options["detector"], None, threads, Detection(side=options["side"]))

    def read_all(paths: Sequence[str]) -> list[str]:
        pages = recognizer.read_pages(paths, detector=detector)
        return [
            json.dumps([[line.polygon.tolist(), line.text] for line in page.lines])
            for page in pages
        ]

    def read(path: str) -> str:
        return read_all([path])[0]

    read.read_all = read_all  # type: ignore[attr-defined]
    return read, {"version": "", "model": recognizer.card.arch, "size": 0}
