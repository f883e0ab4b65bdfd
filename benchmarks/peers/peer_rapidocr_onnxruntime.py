"""RapidOCR 1.4: PP-OCRv4 mobile on ONNX Runtime, recognition alone."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a picture's path to its text, and what the reader is."""
    rapidocr: Any = import_module("rapidocr_onnxruntime")
    engine = rapidocr.RapidOCR(intra_op_num_threads=options["threads"], inter_op_num_threads=1)

    def read(path: str) -> str:
        # Not the engine's own call, which first enlarges lines lower than 30 pixels: the
        # recogniser as its detector would feed it.
        found, _ = engine.text_rec(engine.load_img(path))
        return found[0][0] if found else ""

    models = sorted(Path(rapidocr.__file__).parent.glob("models/*rec*.onnx"))
    about = {
        "version": version("rapidocr-onnxruntime"),
        "model": models[0].stem if models else "unknown",
        "size": sum(model.stat().st_size for model in models),
    }
    return read, about
