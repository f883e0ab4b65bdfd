"""ddddocr: a CRNN for captchas, on ONNX Runtime."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a picture's path to its text, and what the reader is."""
    runtime: Any = import_module("onnxruntime")
    original = runtime.InferenceSession

    def limited(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        # It has no setting for threads: its sessions get ours.
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = options["threads"]
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        arguments, named["sess_options"] = arguments[:1], settings
        return original(*arguments, **named)

    runtime.InferenceSession = limited
    ddddocr: Any = import_module("ddddocr")
    engine = ddddocr.DdddOcr(show_ad=False)

    def read(path: str) -> str:
        return str(engine.classification(Path(path).read_bytes()))

    model = Path(ddddocr.__file__).with_name("common_old.onnx")  # its default
    size = model.stat().st_size if model.exists() else 0
    return read, {"version": version("ddddocr"), "model": model.stem, "size": size}
