"""A reader of this project, asked like the others: one line at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crnn_runtime import Recognizer


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a picture's path to its text, and what the reader is."""
    model = Path(options["model"])
    recognizer = Recognizer(model, threads=options["threads"])

    def read(path: str) -> str:
        return recognizer.read([path])[0].text

    card = recognizer.card
    about = {"version": card.versions.get("crnn", ""), "model": card.arch}
    return read, {**about, "size": model.stat().st_size}
