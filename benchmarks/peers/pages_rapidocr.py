"""RapidOCR 3 on whole pages, with the detector and the recogniser that it is given."""

import json
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any


def open_reader(options: dict[str, Any]) -> tuple[Callable[[str], str], dict[str, Any]]:
    """A function from a page's path to its lines as JSON, and what the reader is."""
    rapidocr: Any = import_module("rapidocr")
    given = {
        "Global.use_cls": options["classifier"],
        "Global.log_level": "error",
        "Global.max_side_len": 100_000,  # the detector's limit is the one below
        "Det.model_path": options["detector"],
        "Det.limit_type": "max",
        "Det.limit_side_len": options["side"],
        "Rec.model_path": options["reader"],
        "EngineConfig.onnxruntime.intra_op_num_threads": options["threads"],
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    if options.get("dictionary"):
        given["Rec.rec_keys_path"] = options["dictionary"]
    engine = rapidocr.RapidOCR(params=given)

    def read(path: str) -> str:
        found = engine(path)
        if found.boxes is None:
            return "[]"
        lines = zip(found.boxes.tolist(), found.txts, strict=True)
        return json.dumps([[box, text] for box, text in lines])

    return read, {"version": version("rapidocr"), "model": "pages", "size": 0}
