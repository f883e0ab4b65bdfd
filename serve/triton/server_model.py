"""Reads lines or pages of text inside Triton Inference Server: encoded images in, text out.

``crnn-export --to triton`` copies this file beside the network; the server starts it
once for each instance. Images are pages where a detector lies beside the network. Parameters
in config.pbtxt are ``threads`` of the CPU, ``warmup_widths`` and ``max_image_bytes``; for
lines also ``turn``, for pages ``side``, ``join``, ``least`` and ``upright``.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    from crnn_runtime import (
        Char,
        CrnnError,
        Detection,
        Detector,
        ImageError,
        Line,
        Page,
        Recognizer,
    )
    from crnn_runtime.backends import BACKENDS
    from crnn_runtime.model.model_file import has_suffix
    from crnn_runtime.page.output import to_json
    from crnn_runtime.page.reading import Reading
except ImportError as error:
    raise ImportError(
        f"crnn_runtime cannot be imported by the server's Python ({error}): install it there "
        '(pip install ".[cpu]" in crnn\'s folder), or name an environment that holds it with '
        "the parameter EXECUTION_ENV_PATH in config.pbtxt; docs/triton.md shows both"
    ) from error

_DATA_URL = b"data:"
_FINDING: Mapping[str, Callable[[str], Any]] = {"side": int, "join": float}
_READING: Mapping[str, Callable[[str], Any]] = {"least": float, "upright": "true".__eq__}


class TritonPythonModel:
    """The model as the server's Python backend calls it: `initialize`, `execute`, `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the networks of this version and read an empty line of each warm-up width."""
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        gpu = args["model_instance_kind"] == "GPU"
        threads = int(parameters.get("threads", 1))
        self._most_bytes = int(parameters.get("max_image_bytes", 16_000_000))
        # One thread and no GPU: the other instances decode while this one is in the network.
        self._overlap = gpu or threads > 1
        device = f"cuda:{args['model_instance_device_id']}" if gpu else None
        try:
            network, detector = _networks(folder)
            wants_pages = any(output["name"] == "page" for output in config["output"])
            if wants_pages != (detector is not None):
                raise CrnnError(
                    f"{folder} holds {'a' if detector else 'no'} text detector, which is for "
                    "pages, and config.pbtxt is not for that: export it again under another --name"
                )
            self._pages = detector and _open_pages(detector, parameters, device, threads)
            self._recognizer = Recognizer(
                network,
                device=device,
                threads=threads,
                turn="auto" if parameters.get("turn") == "auto" else None,
            )
            card = self._recognizer.card
            for width in filter(None, parameters.get("warmup_widths", "").split(",")):
                blank = np.full((card.height, min(int(width), card.max_width)), 255, np.uint8)
                self._recognizer.read([blank], overlap=self._overlap)
            if self._pages:
                side = self._pages[0].options.side
                self._pages[0].detect(np.full((side, side, 3), 255, np.uint8))
        except CrnnError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        pb_utils.Logger.log_info(
            f"{args['model_name']} version {args['model_version']}: {card.arch}, "
            f"{card.num_classes} classes, {'GPU' if gpu else 'CPU'}, {threads} threads"
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Read all images of all requests together; one that cannot be read costs itself alone."""
        images = [_images(request) for request in requests]
        found = iter(self._read([self._opened(image) for group in images for image in group]))
        outputs = _OF_PAGES if self._pages else _OF_LINES
        return [
            _response(request, list(islice(found, len(group))), outputs)
            for request, group in zip(requests, images, strict=True)
        ]

    def finalize(self) -> None:
        """Release the networks."""
        self._recognizer.close()
        if self._pages:
            self._pages[0].close()

    def _opened(self, image: bytes) -> bytes | ImageError:
        """An image as encoded bytes, out of a data: URL if need be; or why it cannot be read."""
        is_text = image.startswith(_DATA_URL)
        size = len(image) * 3 // 4 if is_text else len(image)  # base64 has 4 letters for 3 bytes
        if size > self._most_bytes:
            return ImageError(
                f"image has {size:,} bytes, more than {self._most_bytes:,} "
                "(max_image_bytes in config.pbtxt)"
            )
        if not is_text:
            return image
        head, _, text = image.partition(b",")
        if not head.endswith(b";base64"):
            return ImageError("a data: URL must be base64: data:image/png;base64,…")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            return ImageError(f"the base64 of the data: URL is damaged: {error}")

    def _read(self, images: Sequence[bytes | ImageError]) -> Sequence[Line | Page]:
        """Reads images, each alone if the network fails on several: then the others still count."""
        try:
            if self._pages:
                detector, reading = self._pages
                return list(
                    self._recognizer.read_pages(
                        images, detector=detector, errors="return", options=reading
                    )
                )
            return self._recognizer.read(images, errors="return", overlap=self._overlap)
        except Exception as error:  # of the inference library
            if len(images) > 1:
                return [found for image in images for found in self._read([image])]
            pb_utils.Logger.log_error(f"the network failed on an image: {error!r}")
            kind = Page if self._pages else Line
            return [kind.unread(f"the network failed: {error}")]


def _networks(folder: Path) -> tuple[Path, Path | None]:
    """The reader of a version's folder, and for pages the detector."""
    found = [path for path in folder.iterdir() if has_suffix(path, *BACKENDS)]
    readers = [path for path in found if path.stem != "detector"]
    detectors = [path for path in found if path.stem == "detector"]
    if len(readers) != 1 or len(detectors) > 1:
        raise CrnnError(
            f"{folder} holds {len(found)} models, files of ONNX or TensorRT; one is needed, and "
            "for pages a detector: export it again with crnn-export --to triton"
        )
    return readers[0], next(iter(detectors), None)


def _open_pages(
    path: Path, parameters: Mapping[str, str], device: str | None, threads: int
) -> tuple[Detector, Reading]:
    """Opens the detector of ``pages`` and the options for reading; the runtime has the defaults."""
    try:
        finding = {k: kind(parameters[k]) for k, kind in _FINDING.items() if k in parameters}
        reading = {k: kind(parameters[k]) for k, kind in _READING.items() if k in parameters}
    except ValueError as error:
        raise CrnnError(f"config.pbtxt: side, join and least are numbers: {error}") from error
    return Detector(path, device, threads, Detection(**finding)), Reading(**reading)


def _images(request: Any) -> list[bytes]:  # noqa: ANN401
    tensor = pb_utils.get_input_tensor_by_name(request, "image")
    return [bytes(image) for image in tensor.as_numpy().reshape(-1)]


def _characters(line: Line) -> str:
    """As `crnn-infer --json` gives them; spelt out, a quarter of the encoder's time."""
    return f"[{', '.join(map(_character, line.chars))}]"


def _character(char: Char) -> str:
    return (
        f'{{"char": {_quoted(char.char)}, "confidence": {char.confidence:.4f}, '
        f'"x0": {char.x0:.1f}, "x1": {char.x1:.1f}}}'
    )


@cache
def _quoted(character: str) -> str:
    return json.dumps(character, ensure_ascii=False)


def _bytes(make: Callable[[Any], str]) -> tuple[type, Callable[[Any], bytes]]:
    return np.object_, lambda found: make(found).encode("utf-8", "replace")


_Outputs = Mapping[str, tuple[type, Callable[[Any], Any]]]
_ERROR = _bytes(lambda found: found.error or "")
_OF_LINES: _Outputs = {
    "text": _bytes(lambda line: line.text),
    "confidence": (np.float32, lambda line: line.confidence),
    "characters": _bytes(_characters),
    "turned": (np.int32, lambda line: line.turned),
    "error": _ERROR,
}
_OF_PAGES: _Outputs = {
    "page": _bytes(lambda page: to_json("", page)),
    "text": _bytes(lambda page: page.text),
    "error": _ERROR,
}
"""Output → its type, and what makes it of a line or page."""


def _response(request: Any, found: Sequence[Line | Page], outputs: _Outputs) -> Any:  # noqa: ANN401
    """The outputs that the client asked for, each (images, 1)."""
    wanted = request.requested_output_names()
    tensors = [
        pb_utils.Tensor(name, np.array([make(each) for each in found], kind).reshape(-1, 1))
        for name, (kind, make) in outputs.items()
        if name in wanted
    ]
    return pb_utils.InferenceResponse(output_tensors=tensors)
