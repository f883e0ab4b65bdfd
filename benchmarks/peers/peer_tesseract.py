"""Tesseract 5 through its C API: one process, one start, many lines."""

import ctypes
import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_SINGLE_LINE = 7
"""``--psm 7``: the picture is one line of text."""
_DATA = "/usr/share/tesseract-ocr/5/tessdata"


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a picture's path to its text, and what the reader is."""
    # More threads make it slower: it synchronises them thousands of times a line.
    os.environ["OMP_THREAD_LIMIT"] = str(options["threads"])
    languages = options.get("languages", "chi_sim+eng")
    tesseract, leptonica = _library("tesseract", 5), _library("lept", 5)
    for function, result in (
        ("TessBaseAPICreate", ctypes.c_void_p),
        ("TessBaseAPIGetUTF8Text", ctypes.c_void_p),
        ("TessVersion", ctypes.c_char_p),
    ):
        getattr(tesseract, function).restype = result
    leptonica.pixRead.restype = ctypes.c_void_p
    api = ctypes.c_void_p(tesseract.TessBaseAPICreate())
    if tesseract.TessBaseAPIInit3(api, None, languages.encode()) != 0:
        raise RuntimeError(
            f"Tesseract has no data for {languages}: apt install tesseract-ocr "
            + " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in languages.split("+"))
        )
    tesseract.TessBaseAPISetPageSegMode(api, _SINGLE_LINE)

    def read(path: str) -> str:
        picture = ctypes.c_void_p(leptonica.pixRead(os.fsencode(path)))
        if not picture:
            raise ValueError("leptonica cannot read the picture")
        tesseract.TessBaseAPISetImage2(api, picture)
        text = tesseract.TessBaseAPIGetUTF8Text(api)
        if not text:
            raise ValueError("Tesseract gave no text")
        reading = ctypes.string_at(text).decode("utf-8").strip()
        tesseract.TessDeleteText(ctypes.c_void_p(text))
        leptonica.pixDestroy(ctypes.byref(picture))
        return reading

    files = [Path(_DATA, f"{name}.traineddata") for name in languages.split("+")]
    size = sum(file.stat().st_size for file in files if file.exists())
    version = tesseract.TessVersion().decode()
    return read, {"version": version, "model": languages, "size": size}


def _library(name: str, major: int) -> Any:  # noqa: ANN401
    """The shared library, by the linker's search or Debian's name."""
    found = ctypes.util.find_library(name) or f"lib{name}.so.{major}"
    try:
        return ctypes.CDLL(found)
    except OSError as error:
        raise ImportError(
            f"no library {found}: apt install tesseract-ocr tesseract-ocr-chi-sim"
        ) from error
