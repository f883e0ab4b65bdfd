"""Reads lines of text inside Triton Inference Server: encoded images in, text out.

``crnn-export --to triton`` copies this file beside the network; the server starts it
once for each instance. What it is told in config.pbtxt: ``threads`` of the CPU,
``warmup_widths``, ``max_image_bytes``, ``turn``.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

try:
    from crnn_runtime import Char, CrnnError, ImageError, Line, Recognizer
    from crnn_runtime.backends import BACKENDS
    from crnn_runtime.model.model_file import has_suffix
except ImportError as error:
    raise ImportError(
        f"crnn_runtime cannot be imported by the server's Python ({error}): install it there "
        '(pip install ".[cpu]" in crnn\'s folder), or name an environment that holds it with '
        "the parameter EXECUTION_ENV_PATH in config.pbtxt; docs/triton.md shows both"
    ) from error

_DATA_URL = b"data:"


class TritonPythonModel:
    """The model as the server's Python backend calls it: `initialize`, `execute`, `finalize`."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network of this version and read an empty line of each warm-up width."""
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        folder = Path(args["model_repository"], args["model_version"])
        gpu = args["model_instance_kind"] == "GPU"
        threads = int(parameters.get("threads", 1))
        self._most_bytes = int(parameters.get("max_image_bytes", 16_000_000))
        # One thread and no GPU: the other instances decode while this one is in the network.
        self._overlap = gpu or threads > 1
        try:
            self._recognizer = Recognizer(
                _network(folder),
                device=f"cuda:{args['model_instance_device_id']}" if gpu else None,
                threads=threads,
                turn="auto" if parameters.get("turn") == "auto" else None,
            )
            card = self._recognizer.card
            for width in filter(None, parameters.get("warmup_widths", "").split(",")):
                blank = np.full((card.height, min(int(width), card.max_width)), 255, np.uint8)
                self._recognizer.read([blank], overlap=self._overlap)
        except CrnnError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        pb_utils.Logger.log_info(
            f"{args['model_name']} version {args['model_version']}: {card.arch}, "
            f"{card.num_classes} classes, {'GPU' if gpu else 'CPU'}, {threads} threads"
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Read all images of all requests together; one that cannot be read costs its own line."""
        images = [_images(request) for request in requests]
        lines = iter(self._read([self._opened(image) for group in images for image in group]))
        return [
            _response(request, list(islice(lines, len(group))))
            for request, group in zip(requests, images, strict=True)
        ]

    def finalize(self) -> None:
        """Release the network."""
        self._recognizer.close()

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

    def _read(self, images: Sequence[bytes | ImageError]) -> list[Line]:
        """Where the network fails on several images, each is tried alone: others still count."""
        try:
            return self._recognizer.read(images, errors="return", overlap=self._overlap)
        except Exception as error:  # of the inference library
            if len(images) > 1:
                return [line for image in images for line in self._read([image])]
            pb_utils.Logger.log_error(f"the network failed on an image: {error!r}")
            return [Line.unread(f"the network failed: {error}")]


def _network(folder: Path) -> Path:
    """The one model file of a version's folder."""
    found = [path for path in folder.iterdir() if has_suffix(path, *BACKENDS)]
    if len(found) != 1:
        raise CrnnError(
            f"{folder} holds {len(found)} models, files of ONNX or TensorRT, one is needed: "
            "export it again with crnn-export --to triton"
        )
    return found[0]


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


def _response(request: Any, lines: Sequence[Line]) -> Any:  # noqa: ANN401
    """The outputs that the client asked for, each (images, 1)."""
    wanted = request.requested_output_names()
    tensors = []
    if "text" in wanted:
        tensors.append(_strings("text", [line.text for line in lines]))
    if "confidence" in wanted:
        values = np.array([[line.confidence] for line in lines], np.float32)
        tensors.append(pb_utils.Tensor("confidence", values))
    if "characters" in wanted:
        tensors.append(_strings("characters", [_characters(line) for line in lines]))
    if "turned" in wanted:
        turned = np.array([[line.turned] for line in lines], np.int32)
        tensors.append(pb_utils.Tensor("turned", turned))
    if "error" in wanted:
        tensors.append(_strings("error", [line.error or "" for line in lines]))
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _strings(name: str, values: Sequence[str]) -> Any:  # noqa: ANN401
    encoded = [value.encode("utf-8", "replace") for value in values]
    return pb_utils.Tensor(name, np.array(encoded, np.object_).reshape(-1, 1))
